"""Claims are judged from per-image results, and a verdict that these do not give is found out."""

import math

import numpy as np
import pandas as pd
import pytest

from histcolor.cli.main import main
from histcolor.experiments.claims import COLUMNS, Claim, claims_table, read_claims, write_claims
from histcolor.experiments.records import TABLE
from histcolor.experiments.statements import check_committed, measure_statement, measure_statements, read_statements
from histcolor.images import read_table, write_table
from histcolor.lessons.notebook import project_root

FILE = """
[toy]
about = "Methods without training."
seeds = [0]

[[toy.methods]]
name = "gray"
about = "No colour."
function = "gray"

[[toy.methods]]
name = "mean"
about = "One colour."
function = "mean"

[[claims]]
claim = "one colour is better than none"
source = "Table 0"
experiment = "toy"
method = "mean"
against = ["gray"]
"""


def results(**shifts):
    """Per-image results of methods on 50 photos, by how much they are above others of the same noise."""
    noise = np.random.default_rng(0).normal(size=50)
    tables = []
    for i, (method, shift) in enumerate(shifts.items()):
        own = np.random.default_rng(i + 1).normal(size=50) * 0.1
        psnr = 25 + 3 * noise + own - own.mean() + shift
        columns = dict.fromkeys(["ssim", "ssim_gauss", "hellinger", "intersection", "colourfulness"], 0.5)
        names = [f"p{k}" for k in range(50)]
        table = pd.DataFrame({"photo": names, "reference": names, "psnr": psnr, **columns})
        table["colourfulness_reference"] = 30.0
        tables.append(table.assign(method=method, seed=0, reference_kind="self"))
    return pd.concat(tables)


def statement(**changes):
    plain = {"claim": "x", "source": "y", "experiment": "toy", "method": "mean", "against": ["gray"], "number": "psnr"}
    return {**plain, "over": 0.0, **changes}


@pytest.mark.parametrize(
    ("shift", "over", "verdict"),
    [(1.0, 0.0, "holds"), (-1.0, 0.0, "refuted"), (0.0, 0.0, "open"), (1.0, 1.0, "open"), (1.0, 2.0, "refuted")],
)
def test_verdicts(shift, over, verdict):
    claim = measure_statement(statement(over=over), results(mean=shift, gray=0.0))
    assert claim.verdict == verdict
    assert claim.measured == pytest.approx(shift)
    assert claim.low < claim.measured < claim.high


@pytest.mark.parametrize(
    ("relation", "expected", "holds"), [(">", 1.0, False), (">=", 1.0, True), ("<", 2.0, True), ("<=", 0.5, False)]
)
def test_a_number_without_an_interval_is_never_open(relation, expected, holds):
    claim = Claim("x", "ours", 1.0, relation, expected)
    assert claim.holds is holds
    assert claim.verdict == ("holds" if holds else "refuted")


@pytest.mark.parametrize(
    ("relation", "expected", "verdict"),
    [(">", 0.5, "holds"), (">", 1.0, "open"), (">", 1.5, "refuted"), ("<", 1.5, "open"), ("<=", 1.5, "holds")],
)
def test_an_interval_is_judged_by_both_ends(relation, expected, verdict):
    assert Claim("x", "ours", 1.0, relation, expected, low=0.75, high=1.5).verdict == verdict


def test_nan_never_holds():
    for relation in (">", ">=", "<", "<="):
        assert Claim("x", "ours", math.nan, relation, 0.0).verdict == "refuted"


def test_claims_are_written_and_read(tmp_path):
    claims = [
        Claim("a, b", "2.1", 1.23456789, ">", 1.0),
        Claim("c", "ours", 0, ">", -1e-7, -0.5, 0.5, "h", "r", "s", "n", "3 and 3"),
    ]
    written = write_claims(claims, tmp_path / "c.csv")
    again = read_claims(tmp_path / "c.csv")
    pd.testing.assert_frame_equal(again, written, check_dtype=False)
    assert again.columns.tolist() == COLUMNS
    assert again["source"].tolist() == ["2.1", "ours"]
    assert again["expected"].tolist() == ["> 1", "> -1e-07"]
    assert again["measured"].tolist() == [1.23457, 0.0]
    assert again["verdict"].tolist() == ["holds", "open"]
    assert again["low"].isna().tolist() == [True, False]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_claims_may_begin_with_a_sign(sign, tmp_path):
    """A spreadsheet would compute them, so the file has a ' before them."""
    claim = Claim(f"{sign}1 dB", "ours", 1.0, ">", 0.5, 0.4, 1.5, "h", f"{sign}r", f"{sign}s", "psnr")
    written = write_claims([claim], tmp_path / "c.csv")
    assert f"'{sign}1 dB" in (tmp_path / "c.csv").read_text()
    again = read_claims(tmp_path / "c.csv")
    assert again[["claim", "method", "against"]].to_numpy().tolist() == [[f"{sign}1 dB", f"{sign}r", f"{sign}s"]]
    assert again["claim"].tolist() == written["claim"].tolist()


def test_of_several_methods_the_nearest_counts():
    table = results(mean=1.0, gray=0.0, other=0.8)
    claim = measure_statement(statement(against=["gray", "other"]), table)
    assert (claim.against, claim.verdict) == ("other", "holds")
    assert claim.measured == pytest.approx(0.2)
    above = results(mean=1.0, gray=0.0, other=1.2)
    assert measure_statement(statement(against=["gray", "other"]), above).verdict == "refuted"


def test_of_several_methods_a_clear_no_is_not_hidden_by_an_open_one():
    table = results(mean=1.0, clear=1.3, wide=0.9)
    scattered = table["method"] == "wide"
    table.loc[scattered, "psnr"] += np.random.default_rng(9).normal(size=50) * 8
    one, other, both = (
        measure_statement(statement(against=names), table) for names in (["clear"], ["wide"], ["clear", "wide"])
    )
    assert (one.verdict, other.verdict) == ("refuted", "open")
    assert other.low < one.low
    assert (both.against, both.verdict) == ("clear", "refuted")


def test_what_is_not_measured_is_not_judged():
    assert measure_statement(statement(against=["gray", "other"]), results(mean=1.0, gray=0.0)) is None
    assert measure_statement(statement(number="cross_intersection"), results(mean=1.0, gray=0.0)) is None


@pytest.fixture
def project(tmp_path):
    """A file with a claim, and a results folder with numbers that it holds for."""
    (tmp_path / "experiments.toml").write_text(FILE)
    for method, table in results(gray=0.0, mean=1.0).groupby("method"):
        place = tmp_path / "results" / "tables" / "toy" / method / "seed0"
        place.mkdir(parents=True)
        cross = table.assign(reference_kind="cross", psnr=None)
        write_table(pd.concat([table, cross]), place / TABLE)
        (place / "run.json").write_text('{"measured": true}')
    return tmp_path


def command(project):
    words = ["--tables", str(project / "results/tables"), "--output", str(project / "results/claims.csv")]
    return main(["claims", "--file", str(project / "experiments.toml"), *words])


def test_claims_are_written_and_checked(project, capsys):
    file, results = project / "experiments.toml", project / "results"
    assert check_committed(file, results) == []
    assert command(project) == 0
    assert "holds" in capsys.readouterr().out
    claims = check_committed(file, results)
    assert len(claims) == 2
    assert all(claim.holds for claim in claims)
    assert claims[0].claim == "holds: one colour is better than none"
    assert claims[0].measured == pytest.approx(1)
    assert 0.9 < claims[0].low < 1 < claims[0].high


@pytest.mark.parametrize("verdict", ["refuted", "open"])
def test_a_wrong_verdict_is_found_out(project, verdict):
    assert command(project) == 0
    file = project / "results" / "claims.csv"
    pd.read_csv(file).assign(verdict=verdict).to_csv(file, index=False)
    assert [claim.holds for claim in check_committed(project / "experiments.toml", file.parent)] == [False, True]


@pytest.mark.parametrize(("shift", "verdict"), [(-1.0, "refuted"), (0.0, "open")])
def test_each_verdict_is_told_from_the_others(project, shift, verdict):
    place = project / "results" / "tables" / "toy" / "mean" / "seed0" / TABLE
    table = read_table(place)
    write_table(table.assign(psnr=table["psnr"] - 1.0 + shift), place)
    assert command(project) == 0
    file = project / "results" / "claims.csv"
    for other in ("holds", "refuted", "open"):
        pd.read_csv(file).assign(verdict=other).to_csv(file, index=False)
        assert check_committed(project / "experiments.toml", file.parent)[0].holds == (other == verdict)


def test_numbers_that_changed_are_found_out(project):
    assert command(project) == 0
    place = project / "results" / "tables" / "toy" / "mean" / "seed0" / TABLE
    table = read_table(place)
    write_table(table.assign(psnr=table["psnr"] + 0.5), place)
    first, last = check_committed(project / "experiments.toml", project / "results")
    assert first.holds
    assert not last.holds
    assert last.measured == pytest.approx(0.5, abs=0.01)


def test_claims_that_are_gone_are_found_out(project):
    assert command(project) == 0
    (project / "experiments.toml").write_text(FILE.replace("one colour is", "colours are"))
    with pytest.raises(ValueError, match=r"has other claims than experiments\.toml"):
        check_committed(project / "experiments.toml", project / "results")


def test_nothing_measured(project, capsys):
    assert main(["claims", "--file", str(project / "experiments.toml"), "--tables", str(project / "none")]) == 1
    assert "has no measured method that a claim is about" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('source = "Table 0"', "claim 1 must have just claim"),
        ('against = ["gray"]', "claim 1 must have just claim"),
    ],
)
def test_claims_that_lack_something(tmp_path, change, said):
    (tmp_path / "x.toml").write_text(FILE.replace(change, ""))
    with pytest.raises(ValueError, match=said):
        read_statements(tmp_path / "x.toml")
    (tmp_path / "x.toml").write_text(FILE + 'number = "psnrr"')
    with pytest.raises(ValueError, match="there is no 'psnrr'"):
        read_statements(tmp_path / "x.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("claims = 3", "claims must be tables, each below"),
        ("claims = [1]", "claims must be tables, each below"),
        (FILE.replace('against = ["gray"]', "against = [3]"), "claim 1: against must name methods"),
        (FILE.replace('against = ["gray"]', "against = []"), "claim 1: against must name methods"),
        (FILE + "over = nan", "over be a number from -100 to 100"),
        ("claims = [", "is no valid TOML"),
    ],
)
def test_files_of_other_claims(tmp_path, text, said):
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ValueError, match=rf"x\.toml: .*{said}"):
        read_statements(tmp_path / "x.toml")


def test_the_shipped_claims_are_about_methods_that_are_there():
    from histcolor.experiments.definition import read_experiment

    file = project_root() / "notebooks" / "experiments.toml"
    for one in read_statements(file):
        methods = read_experiment(file, one["experiment"]).methods
        assert {one["method"], *one["against"]} <= {
            method.name for method in methods if method.recipe or method.function
        }


def test_an_empty_folder_gives_an_empty_table(project):
    claims = measure_statements(project / "experiments.toml", project / "nothing")
    assert claims == []
    assert claims_table(claims).columns.tolist() == COLUMNS
