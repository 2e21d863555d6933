"""The user study: orders that are fair, answers that survive, shares and intervals that mean what they say."""

import csv
import io
from collections import Counter
from datetime import UTC, datetime

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from histcolor.images import write_table
from histcolor.study import answers as study

METHODS = ["ours", "transport", "mean, colour"]
GROUPS = [f"group {i}" for i in range(6)]
TRUE = {
    "natural": dict(zip(METHODS, (0.5, 0.3, 0.2), strict=True)),
    "consistent": dict(zip(METHODS, (0.2, 0.7, 0.1), strict=True)),
}
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def give(path, participant="P1", group="group 0", question="natural", method="ours", **options):
    options = {"shown": METHODS, "time": NOON} | options
    study.append_answer(path, participant=participant, group=group, question=question, method=method, **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "answers.csv"


def picture(size=8):
    return torch.rand(3, size, size)


def group(name="one", methods=METHODS):
    return study.Group(name, picture(), picture(), {method: picture() for method in methods})


# --- groups and orders


def test_questions_are_the_papers():
    assert list(study.QUESTIONS.values()) == [
        "Which image is more natural?",
        "Which image is more consistent with the exemplar image in color distribution?",
    ]


def test_groups_are_checked():
    assert study.check_groups([group("one"), group("two", METHODS[::-1])]) == METHODS
    with pytest.raises(ValueError, match=r"same methods: 'one' has ours, transport, mean, colour; 'two' has a, b\."):
        study.check_groups([group("one"), group("two", ["a", "b"])])
    with pytest.raises(ValueError, match="a name of its own"):
        study.check_groups([group(), group()])
    with pytest.raises(ValueError, match="at least one group"):
        study.check_groups([])
    with pytest.raises(ValueError, match="needs a name"):
        group(" ")
    with pytest.raises(ValueError, match=r"one: exemplar must be RGB \[3, H, W\], got shape \(8, 8\)"):
        study.Group("one", picture(), picture()[0], {"a": picture(), "b": picture()})
    with pytest.raises(ValueError, match="2 to 26 different methods, got ours"):
        group(methods=["ours"])
    with pytest.raises(ValueError, match=r"must not be empty or hold '\|', got 'a\|b'"):
        group(methods=["a|b", "c"])


@given(st.text(min_size=1).filter(str.strip), st.integers(0, 3), st.integers(2, 7), st.integers(1, 20))
def test_orders_are_fair_permutations(participant, seed, methods, groups):
    methods, groups = [f"method {i}" for i in range(methods)], [f"group {i}" for i in range(groups)]
    order = study.plan(groups, methods, participant, seed)
    assert order == study.plan(groups[::-1], methods[::-1], participant, seed), "whatever order the names come in"
    assert sorted(name for name, _ in order) == sorted(groups)
    assert all(sorted(shown) == methods for _, shown in order)
    for position in range(len(methods)):
        count = Counter(shown[position] for _, shown in order)
        assert max(count.values()) <= -(-len(groups) // len(methods)), "as balanced as the number of groups allows"


def test_orders_differ_between_people_and_seeds():
    orders = [study.plan(GROUPS, METHODS, f"P{i}", seed) for i in range(10) for seed in (0, 1)]
    assert len({str(order) for order in orders}) == 20
    first = Counter(order[0][0] for order in orders)
    assert len(first) == len(GROUPS)
    fixed = [("b", ["z", "x", "y"]), ("d", ["y", "z", "x"]), ("a", ["x", "y", "z"]), ("c", ["x", "z", "y"])]
    assert study.plan("abcd", "xyz", "P07", 1) == fixed, "who comes back after an upgrade goes on in the same order"
    with pytest.raises(ValueError, match="participant has no name"):
        study.plan(GROUPS, METHODS, " ")


# --- the file of answers


def test_round_trip(path):
    give(path)
    give(path, question="consistent", method="mean, colour", simulated=True)
    table, skipped = study.read_answers(path)
    assert skipped == []
    assert list(table.columns) == study.COLUMNS
    assert table.iloc[0].to_dict() == {
        "time": "2024-05-01T12:00:00+00:00",
        "participant": "P1",
        "group": "group 0",
        "question": "natural",
        "method": "ours",
        "shown": "ours|transport|mean, colour",
        "simulated": False,
    }
    assert table["simulated"].tolist() == [False, True]
    assert path.read_bytes().count(b"time,participant") == 1
    pd.testing.assert_frame_equal(pd.read_csv(path), table, check_dtype=False)


def test_the_time_is_now_in_utc(path):
    before = datetime.now(UTC).replace(microsecond=0)
    give(path, time=None)
    moment = datetime.fromisoformat(study.read_answers(path)[0]["time"][0])
    assert moment.utcoffset().total_seconds() == 0
    assert before <= moment <= datetime.now(UTC)


@settings(max_examples=20)
@given(names=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip), min_size=1))
def test_any_name_comes_back(names, tmp_path_factory):
    path = tmp_path_factory.mktemp("names") / "answers.csv"
    for name in names:
        give(path, name, group=f'"{name},\r\n')
    table, skipped = study.read_answers(path)
    assert skipped == []
    assert table["participant"].tolist() == names
    assert table["group"].tolist() == [f'"{name},\r\n' for name in names]


def test_a_name_that_is_no_text_is_still_kept(path):
    give(path, "P\ud800")
    assert study.read_answers(path)[0]["participant"].tolist() == ["P\\ud800"]


@pytest.mark.parametrize("name", ["P1", 'Ann "the\r\neye", née Ü'])
def test_a_torn_line_spoils_no_other_wherever_it_is_cut(name, path):
    give(path, "first")
    whole = path.read_bytes()
    give(path, name)
    line = path.read_bytes()[len(whole) :]
    for cut in range(1, len(line)):
        path.write_bytes(whole + line[:cut])
        lost = cut < len(line) - 2  # without its line end alone, the answer is complete
        table, skipped = study.read_answers(path)
        assert table["participant"].tolist() == ["first"] + [name] * (not lost)
        assert len(skipped) == lost
        give(path, "next")
        assert path.read_bytes().startswith(whole + line[:cut]), "nothing is overwritten"
        table, skipped = study.read_answers(path)
        assert table["participant"].tolist() == ["first"] + [name] * (not lost) + ["next"]
        assert len(skipped) == lost
        if lost:
            assert "line" in skipped[0]
            assert skipped[0].endswith(("so it was cut or edited.", "neither True nor False."))


def test_a_header_that_was_cut_is_completed(path):
    give(path)
    whole = path.read_bytes()
    for cut in range(len(study.HEADER)):
        path.write_bytes(whole[:cut])
        assert study.read_answers(path)[0].empty
        give(path)
        assert path.read_bytes() == whole


def test_a_write_that_is_cut_by_a_full_disk_is_reported_and_mended(path, monkeypatch):
    give(path, "first")

    class Full(io.FileIO):
        def write(self, data):
            return super().write(data[:30])

    with monkeypatch.context() as patch:
        patch.setattr(study, "open", lambda path, mode, buffering: Full(path, mode), raising=False)
        with pytest.raises(OSError, match=r"answers\.csv: the answer could not be written \(the disk is full\)"):
            give(path, "second")
    give(path, "third")
    table, skipped = study.read_answers(path)
    assert table["participant"].tolist() == ["first", "third"]
    assert len(skipped) == 1


def test_bad_answers_are_refused_before_anything_is_written(path):
    for change, sentence in {
        "the participant has no name": {"participant": "\n"},
        "the group has no name": {"group": ""},
        "there is no question 'pretty', only natural, consistent": {"question": "pretty"},
        "the unknown method 'magic' is not among those shown": {"method": "magic"},
    }.items():
        with pytest.raises(ValueError, match=change):
            give(path, **sentence)
    with pytest.raises(ValueError, match=r"hold '\|'"):
        give(path, shown=["ours", "a|b"])
    assert not path.exists()


def test_other_files_are_left_alone(path, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"answers\.csv: the answers can not be read"):
        study.read_answers(path)
    with pytest.raises(OSError, match="could not be written"):
        give(tmp_path)
    path = tmp_path / "other.csv"
    path.write_text("name,age\nAnn,7\n")
    for action in (study.read_answers, give):
        with pytest.raises(ValueError, match=r"other\.csv: is no file of answers; its first line must be time,partic"):
            action(path)
    assert path.read_text() == "name,age\nAnn,7\n"
    path.write_bytes(study.HEADER + b"x" * 2 * csv.field_size_limit())
    with pytest.raises(ValueError, match=r"other\.csv: is no CSV \(field larger"):
        study.read_answers(path)


# --- the analysis


def some(votes, simulated=False):
    """Answers from ``(participant, group, question, method)``."""
    rows = [[NOON.isoformat(), *vote, "|".join(METHODS), simulated] for vote in votes]
    return pd.DataFrame(rows, columns=study.COLUMNS)


def test_shares_count_votes():
    votes = [("P1", g, "natural", "ours") for g in GROUPS] + [("P2", g, "natural", "transport") for g in GROUPS[:2]]
    table = study.shares(some(votes), METHODS)
    assert table["method"].tolist() == METHODS
    assert table["votes"].tolist() == [6, 2, 0]
    assert table["share"].tolist() == [0.75, 0.25, 0.0]
    assert (table["high"] - table["low"]).min() > 0.8, "two people who disagree say next to nothing"
    assert table.loc[2, ["low", "high"]].tolist() == pytest.approx([0, 1 - 0.025**0.5]), "two of two people: not never"
    assert table.loc[0, ["answers", "participants", "replaced", "simulated"]].tolist() == [8, 2, 0, False]
    assert table["chance"].tolist() == pytest.approx([1 / 3] * 3)


def test_the_last_answer_counts():
    votes = [("P1", "g", "natural", "ours"), ("P2", "g", "natural", "ours"), ("P1", "g", "natural", "transport")]
    table = study.shares(some(votes)).set_index("method")
    assert table["votes"].to_dict() == {"mean, colour": 0, "ours": 1, "transport": 1}
    assert set(table["replaced"]) == {1}


@given(st.integers(2, 12), st.integers(1, 6), st.floats(0, 0.9), st.integers(0, 9))
def test_shares_sum_to_one_and_lie_in_their_intervals(participants, groups, likeness, seed):
    answers = study.simulate_answers(GROUPS[:groups], TRUE, participants, likeness=likeness, seed=seed)
    table = study.shares(answers, resamples=300)
    assert table.groupby("question")["share"].sum().tolist() == pytest.approx([1, 1])
    assert (table["low"] <= table["share"] + 1e-9).all()
    assert (table["share"] <= table["high"] + 1e-9).all()
    assert table["low"].min() >= 0
    assert table["high"].max() <= 1


def test_simulated_answers_are_marked_and_reproducible(path):
    answers = study.simulate_answers(GROUPS, TRUE, 4)
    assert len(answers) == 4 * len(GROUPS) * 2
    assert answers["simulated"].all()
    assert answers["participant"].str.startswith("simulated").all()
    pd.testing.assert_frame_equal(answers, study.simulate_answers(GROUPS, TRUE, 4))
    write_table(answers, path)
    table, skipped = study.read_answers(path)
    assert skipped == []
    pd.testing.assert_frame_equal(table, answers)
    give(path, simulated=True)  # goes on in a file that pandas wrote
    assert len(study.read_answers(path)[0]) == len(answers) + 1


def test_likeness_is_the_intraclass_correlation():
    for likeness in (0.0, 0.3):
        answers = study.simulate_answers(GROUPS, {"natural": TRUE["natural"]}, 1500, likeness=likeness, seed=3)
        vote = (answers["method"] == "ours").to_numpy(float).reshape(1500, len(GROUPS))
        between, within = vote.mean(1).var(ddof=1) * len(GROUPS), vote.var(1, ddof=1).mean()
        assert (between - within) / (between + (len(GROUPS) - 1) * within) == pytest.approx(likeness, abs=0.04)
        assert vote.mean() == pytest.approx(0.5, abs=0.03)


def test_intervals_cover_the_truth_and_naive_ones_do_not():
    covered, naive = [], []
    for seed in range(100):
        table = study.shares(
            study.simulate_answers(GROUPS, TRUE, 12, likeness=0.3, seed=seed), METHODS, resamples=400, seed=seed
        )
        true = np.array([TRUE[q][m] for q, m in zip(table["question"], table["method"], strict=True)])
        covered.append((table["low"] <= true) & (true <= table["high"]))
        half = 1.96 * np.sqrt(table["share"] * (1 - table["share"]) / table["answers"])
        naive.append((table["share"] - true).abs() <= half)
    assert 0.93 <= np.mean(covered) <= 0.98
    assert np.mean(naive) < 0.85


def test_the_interval_is_that_of_the_peoples_shares():
    answers = study.simulate_answers(GROUPS, {"natural": TRUE["natural"]}, 40, likeness=0.2)
    each = pd.crosstab(answers["participant"], answers["method"], normalize="index")["ours"]
    mean, half = each.mean(), scipy.stats.t.ppf(0.975, 39) * scipy.stats.sem(each) / (each.mean() * (1 - each.mean()))
    table = study.shares(answers, METHODS, resamples=20_000).iloc[0]
    ends = scipy.special.expit(scipy.special.logit(mean) + np.array([-half, half]))
    assert table[["low", "high"]].tolist() == pytest.approx(ends, abs=2e-3)


def test_all_agree():
    table = study.shares(some([(f"P{i}", g, "natural", "ours") for i in range(10) for g in GROUPS]), METHODS)
    bounds = scipy.stats.binomtest(10, 10).proportion_ci()
    assert table.loc[0, ["low", "share", "high"]].tolist() == pytest.approx([bounds.low, 1, bounds.high])
    assert table.loc[1, ["low", "share", "high"]].tolist() == pytest.approx([0, 0, 1 - bounds.low])


def test_more_people_make_it_narrower():
    answers = study.simulate_answers(GROUPS, TRUE, 80, likeness=0.2)
    few = answers[answers["participant"] <= "simulated 020"]
    width = [float((t["high"] - t["low"]).mean()) for t in (study.shares(few), study.shares(answers))]
    assert width[0] / width[1] == pytest.approx(2, rel=0.2)


def test_what_can_not_be_analysed_is_refused():
    good = some([("P1", "g", "natural", "ours"), ("P2", "g", "natural", "ours")])
    for answers, methods, sentence in [
        (good.iloc[:0], None, "There are no answers"),
        (good.iloc[:1], None, r"at least 2 participants; question 'natural' has 1\."),
        (pd.concat([good, good.assign(simulated=True)]), None, "Simulated and real answers must not be mixed"),
        (pd.concat([good, good.assign(shown="ours|b")]), None, "different methods"),
        (good.assign(method="magic"), None, "Unknown or left-out method 'magic'; mean, colour, ours, transport were"),
        (good, ["ours", "transport"], "Unknown or left-out method 'mean, colour'"),
        (good, [*METHODS, "magic"], "Unknown or left-out method 'magic'"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            study.shares(answers, methods)


def test_what_can_not_be_simulated_is_refused():
    for preferences, options, sentence in [
        ({"natural": {"a": 0.5, "b": 0.6}}, {}, "sum to 1"),
        ({"natural": {"a": 1.0, "b": 0.0}}, {}, "above 0"),
        ({"natural": {"a": 0.5, "b": 0.5}}, {"likeness": 1.0}, "likeness"),
        ({"natural": {"a": 0.5, "b": 0.5}, "consistent": {"a": 0.5, "c": 0.5}}, {}, "sum to 1"),
        ({"pretty": {"a": 0.5, "b": 0.5}}, {}, "no question 'pretty'"),
        ({}, {}, "2 to 26 different methods, got none"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            study.simulate_answers(GROUPS, preferences, 3, **options)


def test_the_figure_shows_the_table():
    table = study.shares(study.simulate_answers(GROUPS, TRUE, 10), METHODS)
    figure = study.show_shares(table)
    assert figure.get_suptitle().startswith("SIMULATED: 10 participants, 60 answers a question")
    for axis, (question, part) in zip(figure.axes, table.groupby("question", sort=False), strict=True):
        assert axis.get_title().replace("\n", " ") == study.QUESTIONS[question]
        assert [bar.get_width() for bar in axis.patches] == pytest.approx((100 * part["share"]).tolist())
        assert [label.get_text() for label in axis.texts] == [f"{100 * share:.1f}" for share in part["share"]]
        dashed = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert dashed[0].get_xdata() == pytest.approx([100 / 3] * 2)
    plt.close(figure)
    real = study.show_shares(table.assign(simulated=False))
    assert real.get_suptitle() == "10 participants, 60 answers a question"
    plt.close(real)
