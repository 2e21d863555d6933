"""The gallery: the right pictures land in the right places, chosen by rule; curves are the table's means."""

from dataclasses import replace
from functools import partial

import matplotlib

matplotlib.use("agg")

import numpy as np
import pandas as pd
import pytest
import torch

import histcolor as hc
from histcolor.experiments import figures as gallery
from histcolor.experiments.definition import read_experiment
from histcolor.experiments.pictures import FIDELITY, STEPS
from histcolor.images import read_table, write_table
from histcolor.lessons.notebook import project_root

MINI = """
[mini]
about = "Two methods that are there, one that is not yet, and one of the paper's."
seeds = [3, 4]
preset = "tiny"

[[mini.methods]]
name = "gray"
about = "No colour."
function = "gray"

[[mini.methods]]
name = "Not yet"
about = "Still to be trained."

[[mini.methods]]
name = "ours"
about = "As it is."

[[mini.methods]]
name = "Quoted et al."
about = "Their number alone."
quoted = true
"""
SIZE = 40
SHADES = {"gray": (0.5, 0.5, 0.5), "ours": (0.2, 0.6, 0.3)}  # what each method's pictures are filled with
PAIRS = [("self", 1, 1), ("self", 2, 2), ("self", 3, 3), ("cross", 2, 7), ("cross", 2, 8), ("worst", 5, 5)]
PLACES = {"gray": "gray/seed0", "ours": "ours/seed3"}


def filled(colour, size=SIZE):
    return torch.tensor(colour)[:, None, None].expand(3, size, size).contiguous()


def photo(strength, size=SIZE):
    """Gray, but for a red and blue patch in the lower right: the stronger, the more colourful."""
    rgb = filled((0.5, 0.5, 0.5), size)
    rgb[0, 28:36, 22:30] += strength
    rgb[2, 28:36, 30:38] += strength
    return rgb


@pytest.fixture
def experiment(tmp_path):
    path = tmp_path / "mini.toml"
    path.write_text(MINI)
    return read_experiment(path, "mini")


@pytest.fixture
def folder(tmp_path):
    """An experiment's folder as it is left: pictures in one colour a method, a little darker a reference."""
    folder = tmp_path / "tables"
    for number, strength in {1: 0.1, 2: 0.4, 3: 0.2, 5: 0.3, 7: 0.05, 8: 0.45}.items():
        hc.write_image(photo(strength), folder / "photos" / f"{number:04d}.jpg")
    for method, place in PLACES.items():
        for kind, number, other in PAIRS:
            shade = [value - 0.01 * other for value in SHADES[method]]
            hc.write_image(filled(shade), folder / place / "pictures" / f"{kind}-{number:04d}-{other:04d}.jpg")
        table = pd.DataFrame(PAIRS, columns=["kind", "photo", "reference"])
        table.assign(psnr=[20.0 + number for number in table["photo"]]).to_csv(
            folder / place / "pictures.csv", index=False
        )
    return folder


@pytest.fixture
def curves(folder):
    """Adds fidelity curves: the first method stays where it is, the second follows half of the way."""
    t, number = (x.ravel() for x in np.meshgrid(STEPS, [4, 6, 11], indexing="ij"))
    for method, place in PLACES.items():
        achieved = 6.0 + number if method == "gray" else t * number / 2
        lines = {"photo": number, "t": t, "target": t * number, "achieved": achieved, "missed": abs(t * number - 5)}
        write_table(pd.DataFrame(lines), folder / place / FIDELITY)
    return folder


pytestmark = pytest.mark.usefixtures("style")


def shown(axes):
    """The mean colour of the picture in the axes, in [0, 1]; None without one."""
    return np.asarray(axes.images[0].get_array()).mean((0, 1)) / 255 if axes.images else None


def grid_of(figure):
    """A figure's axes by line, from the top, and from the left."""
    lines = {}
    for axes in figure.axes:
        lines.setdefault(round(axes.get_position(original=True).y0, 4), []).append(axes)
    return [sorted(lines[y], key=lambda axes: axes.get_position(original=True).x0) for y in sorted(lines, reverse=True)]


def notes(axes):
    return " ".join(text.get_text() for text in axes.texts).replace("\n", " ").strip()


def test_pictures_are_found_and_methods_that_are_not_there_left_out(experiment, folder):
    pictures = gallery.find_pictures(experiment, folder)
    assert pictures["method"].drop_duplicates().tolist() == ["gray", "ours"]
    assert len(pictures) == 2 * len(PAIRS)
    assert all(path.is_file() for name in ("picture", "truth", "reference_image") for path in pictures[name])
    line = pictures[(pictures["method"] == "ours") & (pictures["reference"] == 8)].iloc[0]
    assert (line["picture"].name, line["truth"].name, line["reference_image"].name) == (
        "cross-0002-0008.jpg",
        "0002.jpg",
        "0008.jpg",
    )


def test_nothing_there_is_said_in_one_sentence(experiment, folder, tmp_path):
    with pytest.raises(OSError, match=r"nowhere: no method has a pictures\.csv yet; 'histcolor experiment'"):
        gallery.find_pictures(experiment, tmp_path / "nowhere")
    with pytest.raises(OSError, match=r"no method has a fidelity\.json\.xz yet"):
        gallery.find_fidelity(experiment, folder)
    pictures = gallery.find_pictures(experiment, folder)
    for draw in (gallery.comparison_figures, partial(gallery.tasks_figure, kind="cross")):
        with pytest.raises(ValueError, match="None of the methods Not yet has pictures of the kind"):
            draw(pictures, ["Not yet"])
    with pytest.raises(ValueError, match="kind 'worst'"):
        gallery.find_faults(pictures, "Not yet")


def test_what_methods_are_told():
    methods = read_experiment(project_root() / "notebooks/experiments.toml", "comparison").methods
    told = {method.name: method.told for method in methods}
    assert {told[name] for name in ("gray", "Automatic regression", "Zhang et al. 2016")} == {"nothing"}
    assert told["Zhang et al. 2017"] == told["Zhang et al. 2017, our losses"] == "the histogram, as one vector"
    assert told["Xiao et al. 2019"] == "a global palette"
    assert told["mean colour"] == "the histogram"
    assert told["rank of L"] == "the histogram, and each bin's L"
    assert told["Welsh et al. 2002"] == told["Reinhard et al. 2001"] == "the reference image"
    assert told["The paper's model"] == told["Palette readout (ours)"] == "the histogram, as tokens"
    assert told["Su et al. 2020"] is None
    assert {*told.values(), "the histogram, as a map"} - {None} == set(gallery.TONES)
    methods = read_experiment(project_root() / "notebooks/experiments.toml", "ablation").methods
    tokens = {method.name for method in methods if method.told == "the histogram, as tokens"}
    assert {method.told for method in methods if method.name not in tokens} == {"the histogram, as a map"}
    assert {method.name for method in methods} - tokens == {"Baseline", "Baseline + R_P"}, "without attention"


@pytest.mark.parametrize(("top", "left"), [(0, 0), (3, 21), (30, 12)])
def test_the_zoom_shows_where_colours_vary_most(top, left):
    rgb = filled((0.4, 0.4, 0.4), 48)
    rgb[:, 10:20, 10:40] += torch.tensor([0.2, 0.0, 0.0])[:, None, None]  # large, but of one colour
    rgb[1, top : top + 8, left : left + 8] = 0.9
    rgb[2, top : top + 8, left + 8 : left + 16] = 0.9
    y, x = gallery.zoom_window(rgb, 8, 16)
    assert (y, x) == (top, left)
    assert gallery.zoom_window(rgb, 48, 48) == (0, 0)


def test_the_most_colourful_photos_keep_their_order(folder):
    files = [folder / "photos" / f"{number:04d}.jpg" for number in (1, 2, 3, 8, 2)]
    assert [int(file.stem) for file in gallery.most_colourful(files, 2)] == [2, 8]
    assert [int(file.stem) for file in gallery.most_colourful(files, 9)] == [1, 2, 3, 8]


def test_photos_beside_methods(experiment, folder):
    pictures = gallery.find_pictures(experiment, folder)
    figures = gallery.comparison_figures(pictures, ["ours", "Not yet", "gray"], photos=2)
    for number, figure in zip((2, 3), figures, strict=True):  # 1 is the least colourful
        above, below = grid_of(figure)
        assert [axes.get_title() for axes in above] == [
            "true",
            *(f"{name}: {20 + number}.0 dB" for name in ("ours", "gray")),
        ]
        truth = hc.read_image(folder / "photos" / f"{number:04d}.jpg")
        assert np.abs(shown(above[0]) - truth.mean((1, 2)).numpy()).max() < 0.004
        for column, method in ((1, "ours"), (2, "gray")):
            expected = np.array(SHADES[method]) - 0.01 * number
            assert np.abs(shown(above[column]) - expected).max() < 0.01
        frame = above[0].patches[0]
        y, x, height, width = (int(v) for v in (*frame.get_xy()[::-1], frame.get_height(), frame.get_width()))
        assert (height, width) == (11, 20)
        assert y <= 28 <= 36 <= y + height
        assert x <= 22 <= 38 <= x + width
        assert np.array_equal(below[0].images[0].get_array(), above[0].images[0].get_array()[y:, x:][:height, :width])


@pytest.mark.parametrize(("kind", "other", "note"), [("self", 2, "22.0 dB"), ("cross", 7, "intersection 0.00")])
def test_tasks_have_their_photo_reference_and_results(experiment, folder, kind, other, note):
    figure = gallery.tasks_figure(gallery.find_pictures(experiment, folder), ["ours", "Not yet", "gray"], kind, tasks=1)
    (line,) = grid_of(figure)
    assert [axes.get_title() for axes in line] == ["gray", "reference image", "ours", "gray"]
    reference = hc.read_image(folder / "photos" / f"{other:04d}.jpg")
    assert np.abs(shown(line[1]) - reference.mean((1, 2)).numpy()).max() < 0.004
    for column, method in ((2, "ours"), (3, "gray")):
        assert np.abs(shown(line[column]) - np.array(SHADES[method]) + 0.01 * other).max() < 0.01
    assert notes(line[2]) == note  # all green, and the target has no green


def test_one_photo_under_many_histograms():
    references = {"itself": photo(0.4), "another": photo(0.1)}
    methods = {"gray": lambda task: task.gray, "all of it": lambda task: hc.lab_to_rgb(task.reference)}
    lines = grid_of(gallery.histograms_figure(photo(0.4), references, methods))
    assert [len(line) for line in lines] == [3, 3, 3, 3]
    assert [axes.get_title() for axes in lines[0][1:]] == ["itself", "another"]
    assert [notes(line[0]) for line in lines[1:]] == ["target histogram", "gray", "all of it"]
    assert [notes(axes) for axes in lines[3][1:]] == ["intersection 1.00"] * 2
    for column, reference in enumerate(references.values(), 1):
        assert np.abs(shown(lines[3][column]) - reference.mean((1, 2)).numpy()).max() < 0.004
    assert np.ptp(shown(lines[2][1])) < 0.004, "gray"
    planes = [axes.get_xlim() for axes in lines[1][1:]]
    assert planes[0] == planes[1], "one scale for all histograms"


def test_the_ranking_has_the_table_and_what_methods_are_told(experiment):
    table = pd.DataFrame({"method": ["gray", "ours", "its", "Not yet"], "cross_intersection": [0.2, 0.7, 0.5, np.nan]})
    (axes,) = gallery.ranking_figure(table, experiment).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["gray", "its", "ours"]
    told = [text.get_text() for text in axes.texts if text.get_position() == (8, 0)]
    assert told == ["nothing", "another program", "the histogram, as tokens", "it is told"]
    dots = {float(line.get_xdata()[0]): line for line in axes.lines if line.get_marker() == "o"}
    assert sorted(dots) == [0.2, 0.5, 0.7]
    assert dots[0.7].get_color() == gallery.TONES["the histogram, as tokens"]
    assert [dots[x].get_markerfacecolor() == "white" for x in (0.2, 0.5, 0.7)] == [True, True, False]
    (axes,) = gallery.ranking_figure(table, replace(experiment, others={"its": "the reference image"})).axes
    assert "the reference image" in [text.get_text() for text in axes.texts]


def test_faults_tell_missing_colours_from_colours_in_the_wrong_place(experiment, folder):
    true, pictures = photo(0.3), gallery.find_pictures(experiment, folder)
    lab = hc.rgb_to_lab(true)
    half = hc.lab_to_rgb(torch.cat([lab[:1], lab[1:] / 2]))
    made = {"gray": half, "ours": true.flip(1)}
    found = {}
    for method, rgb in made.items():
        hc.write_image(rgb, folder / PLACES[method] / "pictures" / "worst-0005-0005.jpg")
        found[method] = gallery.find_faults(pictures, method)
        assert found[method][["photo", "psnr"]].to_numpy().tolist() == [[5, 25.0]]
    assert abs(found["gray"]["chroma"].item() - 0.5) < 0.05
    assert abs(found["ours"]["chroma"].item() - 1) < 0.05
    assert found["ours"]["intersection"].item() > 0.95 > found["gray"]["intersection"].item()
    lines = grid_of(gallery.faults_figure(found["ours"], "ours"))
    assert [notes(line[0]) for line in lines] == [
        "gray",
        "true",
        "ours",
        "target histogram",
        "achieved histogram",
    ]
    assert np.abs(shown(lines[1][1]) - true.mean((1, 2)).numpy()).max() < 0.004
    assert np.asarray(lines[2][1].images[0].get_array())[4:12, 22:30, 0].mean() > 190, "the red patch, upside down"
    line = found["ours"].iloc[0]
    assert notes(lines[2][1]) == f"25.0 dB, chroma {line.chroma:.0%} intersection {line.intersection:.2f}"


def test_curves_are_the_means_of_the_table(experiment, curves):
    fidelity = gallery.find_fidelity(experiment, curves)
    figure = gallery.fidelity_figure(fidelity, experiment, ["ours", "Not yet", "gray"])
    left, right = figure.axes
    mean = 7  # of the photos' distances; their median is 6
    found = {line.get_color(): line.get_xydata() for line in left.lines if line.get_marker() == "o"}
    assert found.keys() == {gallery.TONES["the histogram, as tokens"], gallery.TONES["nothing"]}
    steps = np.array(STEPS)
    ours, gray = found[gallery.TONES["the histogram, as tokens"]], found[gallery.TONES["nothing"]]
    assert np.allclose(ours, np.stack([steps * mean, steps * mean / 2], 1))
    assert np.allclose(gray, np.stack([steps * mean, steps * 0 + 6 + mean], 1))
    missed = [line.get_ydata() for line in right.lines if line.get_color() == gallery.TONES["nothing"]]
    assert np.allclose(missed, fidelity[fidelity["method"] == "gray"].groupby("t")["missed"].mean())
    assert sorted(text.get_text() for text in right.texts) == ["gray", "ours"]
    assert [text.get_text() for text in left.texts] == ["meets its target"]
    dashed = next(line for line in left.lines if line.get_marker() != "o")
    assert np.allclose(dashed.get_xdata(), dashed.get_ydata())


def test_names_of_curves_do_not_overlap(experiment, curves):
    for place in PLACES.values():  # all end at the same height
        table = read_table(curves / place / FIDELITY)
        write_table(table.assign(achieved=table["target"], missed=0.0), curves / place / FIDELITY)
    figure = gallery.fidelity_figure(gallery.find_fidelity(experiment, curves), experiment, ["gray", "ours"])
    axes = figure.axes[1]
    heights = sorted(text.xyann[1] for text in axes.texts)
    assert heights[1] - heights[0] > 0.05 * axes.get_ylim()[1]
    assert heights[1] <= axes.get_ylim()[1]


def test_no_curve_is_said(experiment, curves):
    fidelity = gallery.find_fidelity(experiment, curves)
    with pytest.raises(ValueError, match=r"\[mini\]: none of these methods has a fidelity curve"):
        gallery.fidelity_figure(fidelity, experiment, ["Not yet"])
