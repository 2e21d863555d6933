"""The analysis: its shares and intervals are right, on answers whose true shares are known."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from histcolor.study.analysis import shares, show_shares, simulate_answers
from histcolor.study.answers import COLUMNS
from histcolor.study.protocol import QUESTIONS

METHODS = ["ours", "transport", "mean, colour"]
GROUPS = [f"group {i}" for i in range(6)]
TRUE = {
    "natural": dict(zip(METHODS, (0.5, 0.3, 0.2), strict=True)),
    "consistent": dict(zip(METHODS, (0.2, 0.7, 0.1), strict=True)),
}


def some(votes, simulated=False):
    """Answers from ``(participant, group, question, method)``."""
    rows = [["2024-05-01T12:00:00+00:00", *vote, "|".join(METHODS), simulated] for vote in votes]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_shares_count_votes():
    votes = [("P1", g, "natural", "ours") for g in GROUPS] + [("P2", g, "natural", "transport") for g in GROUPS[:2]]
    table = shares(some(votes), METHODS)
    assert table["method"].tolist() == METHODS
    assert table["votes"].tolist() == [6, 2, 0]
    assert table["share"].tolist() == [0.75, 0.25, 0.0]
    assert (table["high"] - table["low"]).min() > 0.8, "two people who disagree say next to nothing"
    assert table.loc[2, ["low", "high"]].tolist() == pytest.approx([0, 1 - 0.025**0.5]), "two of two people: not never"
    assert table.loc[0, ["answers", "participants", "replaced", "simulated"]].tolist() == [8, 2, 0, False]
    assert table["chance"].tolist() == pytest.approx([1 / 3] * 3)


def test_the_numbers_stay_as_they_were():
    table = shares(simulate_answers(GROUPS, TRUE, 7, likeness=0.2, seed=3), METHODS, seed=5)
    assert table["votes"].tolist() == [21, 14, 7, 5, 29, 8]
    assert table["low"].tolist() == pytest.approx(
        [0.2079759, 0.0914421, 0.0532595, 0.0427099, 0.3580882, 0.0261631], rel=1e-5
    )
    assert table["high"].tolist() == pytest.approx(
        [0.7920241, 0.7129712, 0.4155601, 0.2904325, 0.8991998, 0.6732796], rel=1e-5
    )


def test_the_last_answer_counts():
    votes = [("P1", "g", "natural", "ours"), ("P2", "g", "natural", "ours"), ("P1", "g", "natural", "transport")]
    table = shares(some(votes)).set_index("method")
    assert table["votes"].to_dict() == {"mean, colour": 0, "ours": 1, "transport": 1}
    assert set(table["replaced"]) == {1}


@given(st.integers(2, 12), st.integers(1, 6), st.floats(0, 0.9), st.integers(0, 9))
def test_shares_sum_to_one_and_lie_in_their_intervals(participants, groups, likeness, seed):
    answers = simulate_answers(GROUPS[:groups], TRUE, participants, likeness=likeness, seed=seed)
    table = shares(answers, resamples=300)
    assert table.groupby("question")["share"].sum().tolist() == pytest.approx([1, 1])
    assert (table["low"] <= table["share"] + 1e-9).all()
    assert (table["share"] <= table["high"] + 1e-9).all()
    assert table["low"].min() >= 0
    assert table["high"].max() <= 1


def test_simulated_answers_are_marked_and_reproducible():
    answers = simulate_answers(GROUPS, TRUE, 4)
    assert len(answers) == 4 * len(GROUPS) * 2
    assert answers["simulated"].all()
    assert answers["participant"].str.startswith("simulated").all()
    pd.testing.assert_frame_equal(answers, simulate_answers(GROUPS, TRUE, 4))


def test_likeness_is_the_intraclass_correlation():
    for likeness in (0.0, 0.3):
        answers = simulate_answers(GROUPS, {"natural": TRUE["natural"]}, 1500, likeness=likeness, seed=3)
        vote = (answers["method"] == "ours").to_numpy(float).reshape(1500, len(GROUPS))
        between, within = vote.mean(1).var(ddof=1) * len(GROUPS), vote.var(1, ddof=1).mean()
        assert (between - within) / (between + (len(GROUPS) - 1) * within) == pytest.approx(likeness, abs=0.04)
        assert vote.mean() == pytest.approx(0.5, abs=0.03)


def test_intervals_cover_the_truth_and_naive_ones_do_not():
    covered, naive = [], []
    for seed in range(100):
        table = shares(simulate_answers(GROUPS, TRUE, 12, likeness=0.3, seed=seed), METHODS, resamples=400, seed=seed)
        true = np.array([TRUE[q][m] for q, m in zip(table["question"], table["method"], strict=True)])
        covered.append((table["low"] <= true) & (true <= table["high"]))
        half = 1.96 * np.sqrt(table["share"] * (1 - table["share"]) / table["answers"])
        naive.append((table["share"] - true).abs() <= half)
    assert 0.93 <= np.mean(covered) <= 0.98
    assert np.mean(naive) < 0.85


def test_the_interval_is_that_of_the_peoples_shares():
    answers = simulate_answers(GROUPS, {"natural": TRUE["natural"]}, 40, likeness=0.2)
    each = pd.crosstab(answers["participant"], answers["method"], normalize="index")["ours"]
    mean, half = each.mean(), scipy.stats.t.ppf(0.975, 39) * scipy.stats.sem(each) / (each.mean() * (1 - each.mean()))
    table = shares(answers, METHODS, resamples=20_000).iloc[0]
    ends = scipy.special.expit(scipy.special.logit(mean) + np.array([-half, half]))
    assert table[["low", "high"]].tolist() == pytest.approx(ends, abs=2e-3)


def test_all_agree():
    table = shares(some([(f"P{i}", g, "natural", "ours") for i in range(10) for g in GROUPS]), METHODS)
    bounds = scipy.stats.binomtest(10, 10).proportion_ci()
    assert table.loc[0, ["low", "share", "high"]].tolist() == pytest.approx([bounds.low, 1, bounds.high])
    assert table.loc[1, ["low", "share", "high"]].tolist() == pytest.approx([0, 0, 1 - bounds.low])


@pytest.mark.parametrize(("ours", "others"), [(1, 1), (3, 5), (1, 5)])
def test_people_who_vote_alike_do_not_make_it_certain(ours, others):
    groups = [f"group {i}" for i in range(ours + others)]
    votes = [(f"P{p}", g, "natural", METHODS[i >= ours]) for p in range(4) for i, g in enumerate(groups)]
    table = shares(some(votes), METHODS)
    first = table.iloc[0]
    error = (first["share"] * (1 - first["share"]) / len(votes)) ** 0.5
    assert first["high"] - first["low"] > 3.9 * error
    plt.close(show_shares(table))


def test_more_people_make_it_narrower():
    answers = simulate_answers(GROUPS, TRUE, 80, likeness=0.2)
    few = answers[answers["participant"] <= "simulated 020"]
    width = [float((t["high"] - t["low"]).mean()) for t in (shares(few), shares(answers))]
    assert width[0] / width[1] == pytest.approx(2, rel=0.2)


def test_what_can_not_be_analysed_is_refused():
    good = some([("P1", "g", "natural", "ours"), ("P2", "g", "natural", "ours")])
    for answers, methods, sentence in [
        (good.iloc[:0], None, "There are no answers"),
        (good.iloc[:1], None, r"at least 2 participants; question 'natural' has 1\."),
        (pd.concat([good, good.assign(simulated=True)]), None, "Simulated and real answers must not be mixed"),
        (pd.concat([good, good.assign(shown="ours|b")]), None, "different methods"),
        (good.assign(question="pretty"), None, "no question 'pretty', only natural, consistent"),
        (good.assign(method="magic"), None, "Unknown or left-out method 'magic'; mean, colour, ours, transport were"),
        (good, ["ours", "transport"], "Unknown or left-out method 'mean, colour'"),
        (good, [*METHODS, "magic"], "Unknown or left-out method 'magic'"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            shares(answers, methods)


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
            simulate_answers(GROUPS, preferences, 3, **options)


def test_the_figure_shows_the_table():
    table = shares(simulate_answers(GROUPS, TRUE, 10), METHODS)
    figure = show_shares(table)
    assert figure.get_suptitle().startswith("SIMULATED: 10 participants, 60 answers to each question")
    for axis, (question, part) in zip(figure.axes, table.groupby("question", sort=False), strict=True):
        assert axis.get_title().replace("\n", " ") == QUESTIONS[question]
        assert [bar.get_width() for bar in axis.patches] == pytest.approx((100 * part["share"]).tolist())
        assert [label.get_text() for label in axis.texts] == [f"{100 * share:.1f}" for share in part["share"]]
        dashed = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert dashed[0].get_xdata() == pytest.approx([100 / 3] * 2)
    plt.close(figure)
    real = show_shares(table.assign(simulated=False))
    assert real.get_suptitle() == "10 participants, 60 answers to each question"
    plt.close(real)


def test_names_are_drawn_as_they_are():
    """No method's name is taken for mathematics."""
    names = ["cost $x_1$", "a $\\frac$ b", "<b>bold</b>"]
    votes = [(f"P{i}", g, "natural", names[i % 3]) for i in range(4) for g in GROUPS]
    table = shares(some(votes).assign(shown="|".join(names)), names, resamples=50)
    figure = show_shares(table)
    figure.canvas.draw()
    assert [text.get_text().replace("\\$", "$") for text in figure.axes[0].get_yticklabels()] == names
    plt.close(figure)
