"""Means, spreads and intervals: against arithmetic by hand, and on simulated photos and seeds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histcolor.experiments.statistics import (
    differences,
    experiment_table,
    gather,
    paired_interval,
    printed,
)

NUMBERS = ["psnr", "ssim", "ssim_gauss", "hellinger", "intersection", "earth_movers", "colourfulness"]


def photos_csv(method, seed, psnr, shift=0.0):
    """Per-image results of a method and seed, for photos a, b, … of given PSNR; other numbers follow from the place."""
    lines, n = [], len(psnr)
    for i, value in enumerate(psnr):
        numbers = {name: round(0.1 * (k + i) + shift, 3) for k, name in enumerate(NUMBERS[1:])}
        names = {"photo": "abcdefgh"[i], "method": method, "seed": seed, "experiment": "mini"}
        lines.append({**names, "reference": names["photo"], "psnr": value, **numbers, "reference_kind": "self"})
        numbers = {k: v / 2 for k, v in numbers.items() if not k.startswith("ssim")}
        lines.append({**names, "reference": "abcdefgh"[(i + n // 2) % n], **numbers, "reference_kind": "cross"})
    return pd.DataFrame(lines)


def two_methods():
    """Per-image results: a method with two seeds, whose means are 25 and 28 dB, and one with a seed, 22 dB."""
    parts = [photos_csv("one", 0, [20.0, 30.0]), photos_csv("one", 1, [22.0, 34.0]), photos_csv("two", 0, [21.0, 23.0])]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def table(tmp_path):
    """Two methods, the first with two seeds, through files as a run leaves them."""
    parts = [
        photos_csv("one", 0, [20.0, 30.0]),
        photos_csv("one", 1, [22.0, 34.0], shift=0.2),
        photos_csv("two", 0, [np.inf, 20.0]),
    ]
    for i, part in enumerate(parts):
        part.to_csv(tmp_path / f"{i}.csv", index=False)
    return pd.concat([pd.read_csv(tmp_path / f"{i}.csv") for i in range(3)], ignore_index=True)


def test_means_and_spreads_by_hand(table):
    means = experiment_table(table, ["one", "two", "none yet"]).set_index("method")
    assert means[["photos", "seeds"]].to_numpy().tolist() == [[2, 2], [2, 1], [0, 0]]
    assert means.loc["one", "psnr"] == pytest.approx((25 + 28) / 2)
    assert means.loc["one", "psnr_spread"] == pytest.approx(3 / 2**0.5)  # of 25 and 28
    assert means.loc["two", "psnr"] == 60, "an infinite PSNR counts as 100 dB"
    assert np.isnan(means.loc["two", "psnr_spread"])
    # ssim of photos a and b: 0.0 and 0.1 for the one seed, 0.2 more for the other
    assert means.loc["one", "ssim"] == pytest.approx(0.15)
    assert means.loc["one", "ssim_spread"] == pytest.approx(0.2 / 2**0.5)
    # intersection: 0.3 and 0.4; half of that with cross-reference
    assert means.loc["two", "intersection"] == pytest.approx(0.35)
    assert means.loc["two", "cross_intersection"] == pytest.approx(0.175)
    assert means.loc["none yet"].drop(["photos", "seeds"]).isna().all()


def test_the_summary_is_that_of_evaluate(table):
    from histcolor.evaluate import summarise

    results = table[(table["method"] == "two") & (table["reference_kind"] == "self")]
    theirs = summarise(results[["photo", "reference", "method", *NUMBERS]]).iloc[0]
    ours = experiment_table(table, ["two"]).iloc[0]
    for name in ("psnr", "ssim", "hellinger", "colourfulness"):
        assert ours[name] == pytest.approx(theirs[name])


def test_printed_tables_say_where_there_is_nothing(table):
    means = experiment_table(table, ["one", "two", "none yet"]).assign(paper_psnr=[28.9036, np.nan, 26.32])
    text = printed(means).set_index("method")
    assert text["psnr"].tolist() == ["26.50 ± 2.12", "60.00 ± –", "–"]
    assert text["paper_psnr"].tolist() == ["28.9036", "–", "26.32"]
    assert not [c for c in text if c.endswith("_spread")]


def test_methods_on_other_photos_are_refused(table):
    other = photos_csv("three", 0, [20.0, 30.0, 40.0])
    with pytest.raises(ValueError, match="three: was measured on other photos than one"):
        experiment_table(pd.concat([table, other]), ["one", "three"])
    with pytest.raises(ValueError, match="three: was measured on other photos than one"):
        differences(pd.concat([table, other]), [("three", "one")])
    with pytest.raises(ValueError, match="one: seed 7 was measured on other photos than seed 0"):
        gather(pd.concat([table, other.assign(method="one", seed=7)]), "one", "self", ["psnr"])
    with pytest.raises(ValueError, match="four: was not measured with self-reference"):
        gather(table, "four", "self", ["psnr"])
    with pytest.raises(ValueError, match="need the same photos"):
        paired_interval(np.zeros((1, 3)), np.zeros((1, 4)))
    with pytest.raises(ValueError, match="at least two photos"):
        paired_interval(np.zeros((3, 1)), np.zeros((3, 1)))


def test_photos_of_one_name_are_told_apart_by_their_place(table):
    same = table.assign(photo="image_0001", reference="image_0001")
    assert gather(same, "one", "self", ["psnr"]).values[..., 0].tolist() == [[20, 30], [22, 34]]


def test_differences_of_pairs(table):
    out = differences(table, [("one", "two"), ("one", "none yet")])
    assert set(out["method"] + "|" + out["against"]) == {"one|two"}, "a pair waits for its methods"
    assert out["number"].tolist()[0] == "psnr"
    assert set(out["number"]) >= {"ssim", "cross_intersection", "cross_hellinger"}
    first = out.iloc[0]
    assert first["difference"] == pytest.approx(26.5 - 60)
    assert first["low"] <= first["difference"] <= first["high"]
    assert first["seeds"] == "2 and 1"
    pd.testing.assert_frame_equal(out, differences(table, [("one", "two")]))
    assert differences(table, []).columns.tolist() == out.columns.tolist()


shapes = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(2, 12), st.integers(0, 10_000))


@given(shapes)
def test_swapping_the_methods_turns_the_interval_over(shape):
    seeds_x, seeds_y, photos, seed = shape
    draw = np.random.default_rng(seed)
    x, y = draw.normal(size=(seeds_x, photos)), draw.normal(size=(seeds_y, photos))
    difference, low, high = paired_interval(x, y)
    swapped = paired_interval(y, x)
    assert swapped == pytest.approx((-difference, -high, -low), abs=1e-12)
    assert low <= high


@given(shapes)
def test_a_method_does_not_differ_from_itself(shape):
    seeds, _, photos, seed = shape
    x = np.random.default_rng(seed).normal(25, 3, (seeds, photos, 2))
    assert np.abs(paired_interval(x, x)).max() == 0
    shifted = np.array(paired_interval(x + 0.5, x))
    assert np.abs(shifted - 0.5).max() < 1e-9, "what every photo has in common is certain"


def test_several_numbers_at_once_are_each_alone():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 30))
    together = np.array(paired_interval(x[..., None] * [1, 2], y[..., None] * [1, 2]))
    assert together[:, 0] == pytest.approx(np.array(paired_interval(x, y)))
    assert together[:, 1] == pytest.approx(2 * together[:, 0])


def test_an_interval_by_hand():
    """With one seed Student's interval of the differences, with seeds alone that of the seeds' means.

    from scipy.stats import t
    t.ppf(0.975, [3, 2])  # 3.18244631, 4.30265273
    """
    x, y = np.array([[1.0, 2.0, 4.0, 5.0]]), np.zeros((1, 4))
    half = 3.18244631 * np.sqrt(10 / 3 / 4)  # squares of deviations: 4 + 1 + 1 + 4
    assert paired_interval(x, y) == pytest.approx((3, 3 - half, 3 + half))
    x, y = np.array([[1.0], [2.0], [3.0]]).repeat(5, 1), np.zeros((3, 5))  # all photos alike
    half = 4.30265273 * np.sqrt(1 / 3)
    assert paired_interval(x, y) == pytest.approx((2, 2 - half, 2 + half))
    assert paired_interval(x, y[:1]) == pytest.approx((2, 2 - 2 * half, 2 + 2 * half)), "it varies as the other"
    assert paired_interval(x, x + 7, seeds_x=[4, 5, 6], seeds_y=[4, 5, 6]) == pytest.approx((-7, -7, -7))
    apart = np.array(paired_interval(x, x + 7, seeds_x=[4, 5, 6], seeds_y=[7, 8, 9]))
    assert apart == pytest.approx([-7, -7 - 2.77644511 * np.sqrt(2 / 3), -7 + 2.77644511 * np.sqrt(2 / 3)])


@pytest.mark.parametrize(
    ("seeds", "seeds_sd", "lowest"), [(1, 0.0, 0.92), (3, 0.05, 0.93), (3, 0.5, 0.93), (6, 0.5, 0.93)]
)
def test_intervals_hold_the_truth_about_95_times_in_100(seeds, seeds_sd, lowest):
    """Photos differ by 5 dB, methods by 0.7 on each photo, a run by 0.4 on each and by seeds_sd on all of them."""
    draw, held, times = np.random.default_rng(0), 0, 600
    for _ in range(times):
        photo = draw.normal(25, 5, 60)
        x, y = (
            photo + draw.normal(0, 0.7, 60) + draw.normal(0, 0.4, (seeds, 60)) + draw.normal(0, seeds_sd, (seeds, 1))
            for _ in "xy"
        )
        _, low, high = paired_interval(x + 0.3, y)
        held += low <= 0.3 <= high
    assert lowest < held / times < 0.985
