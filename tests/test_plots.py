"""Figures: everything in them is in its place, and they are written completely."""

from itertools import pairwise

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
from histcolor.checkpoint import build
from histcolor.editor.explore import attention_figure, attention_maps
from histcolor.metrics import FIDELITY_BINS

pytestmark = pytest.mark.usefixtures("style")


@pytest.mark.parametrize(
    ("ab", "corner"),
    [((60.0, 60.0), (0, 1)), ((-60.0, 60.0), (0, 0)), ((60.0, -60.0), (1, 1)), ((-60.0, -60.0), (1, 0))],
)
def test_a_runs_right_and_b_runs_up(ab, corner):
    hist = hc.ab_histogram(torch.tensor(ab)[:, None, None].expand(2, 3, 3), FIDELITY_BINS)
    picture = plots.histogram_picture(hist, 60.0, scale=2)
    half = FIDELITY_BINS
    inked = (picture < 0.999).any(0)
    rows, columns = slice(corner[0] * half, (corner[0] + 1) * half), slice(corner[1] * half, (corner[1] + 1) * half)
    assert inked[rows, columns].sum() == inked.sum() == 4


def test_the_mass_scale_has_the_colours_that_histograms_have():
    _, axes = plt.subplots(1, 2)
    bar = plots.show_mass_scale(axes, 65.0)
    colour = hc.lab_to_rgb(torch.tensor([65.0, 40.0, 40.0])[:, None, None])[:, 0, 0]
    for mass in (1e-5, 3e-4, 0.002, 0.5):
        expected = 1 + plots.visible_mass(torch.tensor(mass)) * (colour - 1)
        np.testing.assert_allclose(bar.cmap(bar.norm(mass))[:3], expected, atol=0.02)
    assert [text.get_text() for text in bar.ax.get_yticklabels()] == ["0.001 %", "0.01 %", "0.1 %"]


def test_a_figure_is_shown_without_a_file_too():
    shown = plots.show_figure(plt.figure())
    assert shown.data.startswith(b"\x89PNG")
    assert not plt.get_fignums()


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


@pytest.mark.parametrize("ab", [(45.0, 30.0), (-30.0, 30.0), (10.0, -40.0)], ids=["red", "green", "blue"])
def test_a_tint_is_the_colour_itself_over_every_gray(ab):
    ramp = torch.linspace(0.25, 0.75, 32).expand(3, 8, 32)
    chroma = []
    for heat in (0.0, 0.25, 0.5, 0.75, 1.0):
        out = plots.tint(ramp, torch.full((2, 4), heat), ab)
        assert out.shape == ramp.shape
        lab = hc.rgb_to_lab(out)
        chroma.append(lab[1:].norm(dim=0).mean())
        assert (lab[0].diff(dim=1) > -0.1).all(), "edges stay"
    assert chroma[0] < 0.5
    for less, more in pairwise(chroma):
        assert more > less + 2
    assert torch.allclose(lab[1:].mean((1, 2)), torch.tensor(ab), atol=6), "full where the heat is 1"
    red_photo = torch.tensor([0.9, 0.1, 0.1])[:, None, None].expand(3, 4, 4)
    faint = hc.rgb_to_lab(plots.tint(red_photo, torch.zeros(4, 4), ab))
    assert faint[1:].abs().max() < 0.5, "the photo's own colours do not count"


@pytest.mark.parametrize(
    ("places", "colours", "shape"),
    [
        ([(0, 0), (1, 1), (0.4, 0.6)], [(30, 20), (-5, -110)], (64, 160)),
        ([(0.5, 0.5)], [], (160, 48)),
        ([], [(0, 0), (50, 50)], (160, 48)),
    ],
    ids=["both", "places", "colours"],
)
def test_attention_figure_has_rows_of_one_height(tmp_path, photos, places, colours, shape):
    model = build(hc.PRESETS["tiny"]).eval()
    photo = hc.read_image(photos / "coffee_cup.jpg")[:, : shape[0], : shape[1]]
    hist = hc.ab_histogram(hc.rgb_to_lab(photo)[1:], 16)
    maps = attention_maps(model, hc.encode(model, photo, size=64), hist)
    figure = attention_figure(photo, photo, hist, maps, places, colours)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles.count("coloured photo") == bool(places)
    assert titles.count("target histogram") == bool(colours)
    rows = [1 + len(answers) for answers in (places, colours) if answers]
    assert len(figure.axes) == sum(rows)
    plots.save_figure(figure, tmp_path / "attention.png")
    boxes = [axis.get_window_extent() for axis in figure.axes]
    for row in (boxes[: rows[0]], boxes[rows[0] :]):
        assert all(box.height == pytest.approx(row[0].height, abs=1) for box in row)
        assert all(left.x1 < right.x0 for left, right in pairwise(row))
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    for i in range(len(places)):
        assert texts.count(str(i + 1)) == 2  # in the photo and over its plane
    for i, (a, b) in enumerate(colours):
        assert texts.count("AB"[i]) == 2
        assert f"a {a}, b {b}".replace("-", "−") in texts


def test_attention_figure_refuses(photos):
    model = build(hc.PRESETS["tiny"]).eval()
    photo, hist = hc.read_image(photos / "coffee_cup.jpg"), torch.ones(16, 16) / 256
    maps = attention_maps(model, hc.encode(model, photo, size=64), hist)
    with pytest.raises(ValueError, match="at least one place or one colour"):
        attention_figure(photo, photo, hist, maps)
    with pytest.raises(ValueError, match="x must be a finite number"):
        attention_figure(photo, photo, hist, maps, [(2, 0)])
    with pytest.raises(ValueError, match="a of ab must be"):
        attention_figure(photo, photo, hist, maps, [], [(200, 0)])


def test_tables_in_a_notebook():
    table = pd.DataFrame({"method": ["a < b", "b"], "psnr": [20.0, 28.123], "hellinger": [0.2, np.nan]})
    page = plots.style_table(table).to_html()
    assert "28.12" in page
    assert "a &lt; b" in page
    assert "–" in page


def test_a_tint_shows_the_colour_where_the_heat_is():
    gray, heat = torch.full((3, 8, 8), 0.4), torch.zeros(8, 8)
    heat[:, 4:] = 1
    lab = hc.rgb_to_lab(plots.tint(gray, heat, (30.0, -20.0)))
    torch.testing.assert_close(lab[1:, 0, -1], torch.tensor([30.0, -20.0]), atol=0.1, rtol=0)
    assert lab[0, 0, -1] == pytest.approx(float(hc.rgb_to_lab(gray)[0, 0, 0]), abs=0.1), "the photo's own lightness"
    assert lab[0, 0, 0] > lab[0, 0, -1] + 30, "faint elsewhere"
    assert lab[1:, 0, 0].abs().max() < 0.1, "and gray"
