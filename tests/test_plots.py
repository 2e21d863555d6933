"""Figures: what they show is where it should be, and they are written whole."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import histcolor as hc
from histcolor import plots
from histcolor.evaluate import CONTROL_BINS


@pytest.fixture(autouse=True)
def _close():
    with plt.rc_context():
        plots.use_style()
        yield
    plt.close("all")


@pytest.mark.parametrize(
    ("ab", "corner"),
    [((60.0, 60.0), (0, 1)), ((-60.0, 60.0), (0, 0)), ((60.0, -60.0), (1, 1)), ((-60.0, -60.0), (1, 0))],
)
def test_a_runs_right_and_b_runs_up(ab, corner):
    hist = hc.ab_histogram(torch.tensor(ab)[:, None, None].expand(2, 3, 3), CONTROL_BINS)
    picture = plots.histogram_picture(hist, 60.0, scale=2)
    half = CONTROL_BINS
    inked = (picture < 0.999).any(0)
    rows, columns = slice(corner[0] * half, (corner[0] + 1) * half), slice(corner[1] * half, (corner[1] + 1) * half)
    assert inked[rows, columns].sum() == inked.sum() == 4


def test_a_peak_and_a_thin_tail_are_both_seen():
    hist = torch.zeros(16, 16)
    hist[8, 8], hist[11, 11] = 0.999, 0.001
    picture = plots.histogram_picture(hist, 50.0, scale=1)
    assert (picture[:, 15 - 11, 11] < 0.9).any()
    assert (picture[:, 0, 0] == 1).all()


def test_figures_are_written_whole(tmp_path, photos):
    photo = hc.read_image(photos / "coffee_cup.jpg")
    hist = hc.ab_histogram(hc.rgb_to_lab(photo)[1:], 64)
    figure, axes = plt.subplots(1, 2)
    plots.show_image(axes[0], photo, "photo")
    plots.show_histogram(axes[1], hist, 60, "histogram")
    plots.save_figure(figure, tmp_path / "deep" / "figure.png")
    grid = plots.image_grid([[photo, None], [photo, photo]], ["a", "b"], notes=[["x", ""], ["y", "z"]])
    plots.save_figure(grid, tmp_path / "grid.png")
    for name in ("deep/figure.png", "grid.png"):
        with Image.open(tmp_path / name) as picture:
            assert len(np.unique(np.asarray(picture.convert("L")))) > 50
    assert not list(tmp_path.rglob(".*"))


def test_curves_show_what_was_measured():
    history = pd.DataFrame(
        {"photos": [8, 16, 24], "gt": 0.1, "grad": 0.01, "hist": 0.002, "psnr": [np.nan, 20.0, 21.0]}
    )
    figure = plots.training_curves(history)
    assert [axis.get_title() for axis in figure.axes][1:] == ["validation PSNR, dB"]
    assert figure.axes[1].lines[0].get_xdata().tolist() == [16, 24]
    assert len(plots.training_curves(history.drop(columns="psnr")).axes) == 1


def test_tables_mark_the_best():
    table = pd.DataFrame({"method": ["a < b", "b"], "psnr": [20.0, 28.123], "hellinger": [0.2, np.nan]})
    page = plots.style_table(table, best={"psnr": "max"}).to_html()
    assert "28.12" in page
    assert "a &lt; b" in page
    assert "–" in page
    assert page.count("font-weight: bold") == 1
