"""Claims are judged from numbers a photo, and a verdict that the numbers do not give is found out."""

import numpy as np
import pandas as pd
import pytest

from histcolor.cli.main import main
from histcolor.experiments.claims import check_committed, judge, judge_all, read_statements
from histcolor.experiments.records import TABLE
from histcolor.images import read_table, write_table
from histcolor.lessons.notebook import project_root

FILE = """
[toy]
about = "Rows without training."
seeds = [0]

[[toy.rows]]
name = "gray"
about = "No colour."
method = "gray"

[[toy.rows]]
name = "mean"
about = "One colour."
method = "mean"

[[claims]]
claim = "one colour is better than none"
source = "Table 0"
heading = "toy"
row = "mean"
against = ["gray"]
"""


def numbers(**shifts):
    """Rows of 50 photos each, by how much they are above others of the same noise."""
    noise = np.random.default_rng(0).normal(size=50)
    tables = []
    for i, (row, shift) in enumerate(shifts.items()):
        own = np.random.default_rng(i + 1).normal(size=50) * 0.1
        psnr = 25 + 3 * noise + own - own.mean() + shift
        columns = dict.fromkeys(["ssim", "ssim_gauss", "hellinger", "intersection", "colourfulness"], 0.5)
        names = [f"p{k}" for k in range(50)]
        table = pd.DataFrame({"photo": names, "reference": names, "psnr": psnr, **columns})
        table["colourfulness_reference"] = 30.0
        tables.append(table.assign(method=row, row=row, seed=0, histogram="true"))
    return pd.concat(tables)


def statement(**changes):
    usual = {"claim": "x", "source": "y", "heading": "toy", "row": "mean", "against": ["gray"], "number": "psnr"}
    return {**usual, "over": 0.0, **changes}


@pytest.mark.parametrize(
    ("shift", "over", "verdict"),
    [(1.0, 0.0, "holds"), (-1.0, 0.0, "refuted"), (0.0, 0.0, "open"), (1.0, 1.0, "open"), (1.0, 2.0, "refuted")],
)
def test_verdicts(shift, over, verdict):
    line = judge(statement(over=over), numbers(mean=shift, gray=0.0))
    assert line["verdict"] == verdict
    assert line["difference"] == pytest.approx(shift)
    assert line["low"] < line["difference"] < line["high"]


def test_of_several_rows_the_nearest_counts():
    table = numbers(mean=1.0, gray=0.0, other=0.8)
    line = judge(statement(against=["gray", "other"]), table)
    assert (line["against"], line["verdict"]) == ("other", "holds")
    assert line["difference"] == pytest.approx(0.2)
    assert judge(statement(against=["gray", "other"]), numbers(mean=1.0, gray=0.0, other=1.2))["verdict"] == "refuted"


def test_what_is_not_measured_is_not_judged():
    assert judge(statement(against=["gray", "other"]), numbers(mean=1.0, gray=0.0)) is None
    assert judge(statement(number="foreign_intersection"), numbers(mean=1.0, gray=0.0)) is None


@pytest.fixture
def project(tmp_path):
    """A file with a claim, and a results folder with numbers that it holds for."""
    (tmp_path / "experiments.toml").write_text(FILE)
    for row, table in numbers(gray=0.0, mean=1.0).groupby("row"):
        place = tmp_path / "results" / "tables" / "toy" / row / "seed0"
        place.mkdir(parents=True)
        foreign = table.assign(histogram="foreign", psnr=None)
        write_table(pd.concat([table, foreign]), place / TABLE)
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
    assert claims[0].claim == "holds: one colour is better than none (95 %, lower end)"
    assert 0.9 < claims[0].measured < 1


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
    assert "has no measured rows that a claim is about" in capsys.readouterr().err


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


def test_the_shipped_claims_are_about_rows_that_are_there():
    from histcolor.experiments.definition import read_heading

    file = project_root() / "notebooks" / "experiments.toml"
    for one in read_statements(file):
        names = {row.name for row in read_heading(file, one["heading"]).rows if row.recipe or row.method}
        assert {one["row"], *one["against"]} <= names


def test_an_empty_folder_gives_an_empty_table(project):
    table = judge_all(project / "experiments.toml", project / "nothing")
    assert table.empty
    assert "verdict" in table
