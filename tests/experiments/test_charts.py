"""Charts of experiments: what is drawn and printed are the numbers of the tables."""

import matplotlib

matplotlib.use("agg")

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from test_statistics import photos_csv, two_methods

from histcolor.experiments import charts
from histcolor.experiments.statistics import differences

METHODS = ["one", "two", "none yet"]


pytestmark = pytest.mark.usefixtures("style")


@pytest.fixture
def results():
    return two_methods()


def pairs(*lines, number="psnr"):
    """A table of differences: (method, against, difference, low, high) each."""
    return pd.DataFrame(lines, columns=["method", "against", "difference", "low", "high"]).assign(number=number)


FOREST = [
    ("Baseline + R_P", "Baseline", 0.5, 0.2, 0.8),
    ("The paper's model", "Baseline", -0.5, -0.9, -0.1),
    ("The paper's model", "Baseline + R_P", 0.004, -0.004, 0.2),
]


def drawn(axes, marker="o"):
    """Position and colour of each marker, in the order drawn."""
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return [(*line.get_xydata()[0].tolist(), to_hex(line.get_color())) for line in lines]


def bars(axes):
    """The intervals: (low, high, place) of each horizontal line."""
    found = [line.get_xydata() for line in axes.lines if line.get_marker() == "None" and len(line.get_xydata()) == 2]
    return [(*ends[:, 0].tolist(), float(ends[0, 1])) for ends in found if ends[0, 1] == ends[1, 1]]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_intervals_are_drawn_where_the_table_says():
    axes = charts.intervals(pairs(*FOREST)).axes[0]
    assert drawn(axes) == [(0.5, 0, charts.BLUE), (-0.5, 1, charts.ORANGE), (0.004, 2, charts.GRAY)]
    assert bars(axes) == [(low, high, y) for y, (*_, low, high) in enumerate(FOREST)]
    assert axes.yaxis_inverted(), "the first pair is at the top"
    assert texts(axes) == ["+0.50 [0.20, 0.80]", "−0.50 [−0.90, −0.10]", "+0.00 [0.00, 0.20]"]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "Baseline + $\\mathit{R}_{\\mathit{P}}$\n− Baseline"
    assert names[1] == "The paper's model\n− Baseline"
    assert axes.get_xlabel() == "difference in PSNR, dB"
    assert not drawn(axes, "D")


def test_the_papers_differences_are_diamonds():
    paper = {"Baseline": 28.9, "Baseline + R_P": 29.1}  # none of the third method's
    axes = charts.intervals(pairs(*FOREST), paper=paper).axes[0]
    (x, y, _), *others = drawn(axes, "D")
    assert (round(x, 6), y, others) == (0.2, 0, [])


def test_only_the_number_named_is_drawn():
    both = pd.concat([pairs(FOREST[0]), pairs(*FOREST[1:], number="ssim")], ignore_index=True)
    axes = charts.intervals(both, "ssim").axes[0]
    assert [x for x, _, _ in drawn(axes)] == [-0.5, 0.004]
    assert texts(axes)[1] == "+0.0040 [−0.0040, 0.2000]"
    assert axes.get_xlabel() == "difference in SSIM"


def test_nothing_to_draw_is_said_in_a_sentence(results):
    nothing = differences(results, [("none yet", "one")])
    assert nothing.empty
    with pytest.raises(ValueError, match=r"^There is no difference of 'psnr' to draw: both methods of a pair must be"):
        charts.intervals(nothing)
    with pytest.raises(ValueError, match=r"^None of these methods was measured yet: there is nothing to draw\.$"):
        charts.seeds(results, ["none yet"])
    history = pd.DataFrame({"photos": [8], "method": "one", "seed": 0, "gt": np.nan})
    with pytest.raises(ValueError, match=r"^'one' has no 'gt' in its history: there is nothing to compare with\.$"):
        charts.curves(history, METHODS, "gt", "one")


def test_forests_share_scales_and_say_what_is_missing():
    table = pd.concat([pairs(*FOREST), pairs(*FOREST[:2], number="cross_intersection")], ignore_index=True)
    noise = {"psnr": 0.3, "cross_intersection": float("nan")}
    figure = charts.forests({"bins": table, "losses": table[:0]}, noise=noise)
    left, right, *empty = figure.axes
    assert [x for x, _, _ in drawn(left)] == [0.5, -0.5, 0.004]
    assert [x for x, _, _ in drawn(right)] == [0.5, -0.5]
    assert texts(right)[0] == "+0.500 [0.200, 0.800]"
    assert [texts(axes) for axes in empty] == [["not measured yet"], ["not measured yet"]]
    assert left.get_xlim() == empty[0].get_xlim()
    shaded = [len(axes.patches) for axes in figure.axes]
    assert shaded == [1, 0, 0, 0], "where there are numbers, and the noise is known"
    shade = left.patches[0].get_extents().transformed(left.transData.inverted())
    assert (shade.x0, shade.x1) == pytest.approx((-0.3, 0.3))
    assert left.get_title(loc="left") == "bins"
    assert empty[1].get_xlabel() == "difference in intersection, cross-reference"


def test_a_dot_is_a_seed_and_a_bar_their_mean(results):
    means = charts.seed_means(results, METHODS)
    assert means["one"].tolist() == [25.0, 28.0]
    assert means["two"].dropna().to_dict() == {0: 22.0}
    figure = charts.seeds(results, METHODS, ("psnr", "cross_intersection"))
    dots, _ = figure.axes
    places = [line.get_xydata().tolist() for line in dots.lines if line.get_marker() == "o"]
    assert places == [[[25.0, 0.0], [28.0, 0.0]], [[22.0, 1.0]]]
    middles = [line.get_xdata()[0] for line in dots.lines if line.get_marker() == "None"]
    assert middles == [26.5, 22.0]
    assert [label.get_text() for label in dots.get_yticklabels()] == ["one", "two"], (
        "methods that are missing are left out"
    )
    assert [axes.get_title() for axes in figure.axes] == ["PSNR, dB", "intersection, cross-reference"]


def test_a_method_keeps_its_colour_when_others_are_missing(results):
    only = results[results["method"] == "two"]
    (dot,) = [line for line in charts.seeds(only, METHODS).axes[0].lines if line.get_marker() == "o"]
    assert dot.get_color() == charts.SHADES[1]


def test_curves_compare_seeds_that_both_methods_have():
    run = pd.DataFrame({"photos": [100, 200], "gt": [4.0, 2.0]})
    runs = {("one", 0): 1, ("one", 1): 2, ("two", 1): 1, ("none yet", 5): 3}  # times the first one's loss
    history = [run.assign(method=name, seed=seed, gt=times * run["gt"]) for (name, seed), times in runs.items()]
    left, right = charts.curves(pd.concat(history), METHODS, "gt", "one", smooth=1).axes
    assert len(left.lines) == len(runs)
    assert [line.get_ydata().tolist() for line in right.lines] == [[1, 1], [0.5, 0.5]]


def test_curves_are_runs_and_their_share_of_one_method():
    photos = [100, 200, 300]
    first = pd.DataFrame({"photos": photos * 2, "seed": [0] * 3 + [1] * 3, "gt": [4.0, 2.0, 6.0, 8.0, 1.0, 3.0]})
    halves = first["gt"] * np.repeat([0.5, 0.7], 3)
    history = pd.concat([first.assign(method="one"), first.assign(method="two", gt=halves)])
    left, right = charts.curves(history, METHODS, "gt", "one", smooth=2).axes
    assert len(left.lines) == 4, "a method and seed each"
    assert left.lines[0].get_ydata().tolist() == [4.0, 3.0, 4.0], "a running mean"
    one, two = right.lines
    assert one.get_ydata().tolist() == [1.0] * 3
    assert np.allclose(two.get_ydata(), 0.6), "what makes photos hard has cancelled"
    assert two.get_color() == charts.SHADES[1]
    assert [text.get_text() for text in right.texts] == ["two", "one"], "from below"


def stages(*ends, model="small", validation="many kinds"):
    """The ends of stages: photos and PSNR."""
    rows = [{"run": f"{model}/{i}", "photos": photos, "psnr": psnr} for i, (photos, psnr) in enumerate(ends)]
    return pd.DataFrame(rows).assign(validation=validation, lambda_2=5.0, intersection_cross=0.8)


def test_ten_times_the_photos():
    assert charts.tenfold(stages((10_000, 26.0), (20_000, 26.5), (40_000, 27.0))) == pytest.approx(0.5 / np.log10(2))
    with pytest.raises(ValueError, match="Two stages are needed"):
        charts.tenfold(stages((10_000, 26.0)))


def test_shipped_curves_keep_kinds_apart_name_lambda_2_and_draw_a_shared_stage_once():
    shared = stages((10_000, 26.0), validation="ten kinds")
    small = pd.concat([shared, stages((20_000, 25.0), (30_000, 25.5))]).assign(run=["s/1", "s/2", "s/3"])
    base = pd.concat([shared, stages((15_000, 26.5), validation="ten kinds"), stages((40_000, 27.0), model="base")])
    left, right = charts.shipped_curves({"small": small, "base": base.assign(run=["s/1", "b/1", "b/2"])}).axes
    lines, rings = (
        [[line.get_xydata().tolist() for line in axes.lines[k::2]] for axes in (left, right)] for k in (0, 1)
    )
    assert lines[0] == [[[10_000, 26.0]], [[10_000, 26.0], [15_000, 26.5]]], "base goes on where small was"
    assert rings[0] == [[[10_000, 26.0]], [[15_000, 26.5]]]
    assert lines[1] == rings[1] == [[[20_000, 25.0], [30_000, 25.5]], [[40_000, 27.0]]]
    assert [text.get_text() for text in right.texts] == ["$\\lambda_2$ = 5"] * 3
    assert right.lines[0].get_color() != right.lines[2].get_color()
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["small", "base"]


def test_the_learning_curve_has_a_point_a_budget(results):
    later = pd.concat([photos_csv("one", 0, [23.0, 35.0]), photos_csv("two", 0, [20.0, 40.0])], ignore_index=True)
    figure = charts.learning_curve({40_000: later, 10_000: results}, METHODS[:2], "two")
    left, right = figure.axes
    lines = [line.get_xydata().tolist() for line in left.lines]
    assert lines == [[[10_000, 26.5], [40_000, 29.0]], [[10_000, 22.0], [40_000, 30.0]]]
    (gap,) = [line.get_xydata() for line in right.lines if line.get_marker() == "o"]
    assert gap[:, 1].tolist() == [4.5, -1.0]
    assert gap[:, 0] == pytest.approx([10_000, 40_000], rel=0.05), "a little aside"
    assert [text.get_text() for text in right.texts] == ["one", "two"], "from the lowest end up"
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["10,000", "40,000"]


def test_the_papers_order_stands_beyond_the_learning_curve(results):
    paper = {"one": 29.0, "two": 28.5, "three": 99.0}
    right = charts.learning_curve({10_000: results, 40_000: results}, METHODS[:2], "two", paper=paper).axes[1]
    diamonds = {tuple(line.get_xydata()[0]) for line in right.lines if line.get_marker() == "D"}
    assert {y for _, y in diamonds} == {0.0, 0.5}
    assert min(x for x, _ in diamonds) > 40_000
    assert right.get_xticklabels()[-1].get_text() == "the paper,\nits photos"
    assert [text.get_text() for text in right.texts] == ["two", "one"], "beside the diamonds, from the lowest up"
    leads = [line.get_xydata() for line in right.lines if line.get_marker() == "None" and len(line.get_xdata()) == 2]
    assert {tuple(lead[-1]) for lead in leads} >= diamonds, "each is tied to its line"


def test_a_learning_curve_needs_the_method_compared_with(results):
    figure = charts.learning_curve({1: results, 2: results[results["method"] == "one"]}, METHODS[:2], "two")
    assert len(figure.axes[0].lines[0].get_xydata()) == 1, "the budget without it is left out"
    with pytest.raises(ValueError, match="'none yet' was not measured"):
        charts.learning_curve({1: results}, METHODS[:2], "none yet")
