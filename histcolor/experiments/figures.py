"""Figures of what a comparison leaves beside its numbers: pictures side by side, failures, and fidelity curves.

The files are those that :mod:`histcolor.experiments.pictures` writes into each method's folder. Methods that are not
there yet are left out. What is shown is chosen by a rule that looks at the photo or at numbers, and never by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.optimize import isotonic_regression
from torch import Tensor

from histcolor.color import AB_MAX, gray_rgb, rgb_to_lab
from histcolor.experiments.definition import Experiment, Method
from histcolor.experiments.pictures import FIDELITY, PICTURES
from histcolor.histogram import ab_histogram, intersection, palette
from histcolor.images import read_image, read_table
from histcolor.metrics import FIDELITY_BINS, colourfulness
from histcolor.plots import show_histogram, show_image

#: what a method may be told of the colours, and the colour that stands for it in figures
TONES = {"nothing": "#6b7280", "a global palette": "#b7791f", "the histogram": "#2f855a"}
TONES |= {"the histogram, as one vector": "#d9622b", "the histogram, as tokens": "#2b6cb0"}
TONES |= {"the reference image": "#8e4ec6"}
SIDE = 1.7  #: inches of a picture
ZOOM = (0.28, 0.5)  #: height and width of a zoom's window over the photo's
BINS = 64  #: bins along each axis in which histograms are drawn


def told(method: Method) -> str | None:
    """Say what a method is told of the colours, one of :data:`TONES`; None if it is only quoted."""
    if method.recipe:
        kinds = {"xiao2019": "a global palette", "zhang2017": "the histogram, as one vector"}
        kinds["colorizer"] = "the histogram, as tokens"
        return kinds.get(method.recipe.method, "nothing")
    kinds = {None: None, "gray": "nothing", "reinhard": "the reference image", "welsh": "the reference image"}
    return kinds.get(method.function, "the histogram")


def _find(experiment: Experiment, folder: Path, name: str) -> pd.DataFrame:
    """Join a table of each method, its first seed's, with ``method`` and ``place``, the folder that it is in."""
    found = []
    for method, _, place in experiment.places(folder, experiment.seeds[:1]):
        if (place / name).is_file():
            found.append(read_table(place / name).assign(method=method.name, place=place))
    if not found:
        raise FileNotFoundError(f"{folder}: no method has a {name} yet; 'histcolor experiment' leaves one with each.")
    return pd.concat(found, ignore_index=True)


def find_pictures(experiment: Experiment, folder: Path) -> pd.DataFrame:
    """Find all pictures of an experiment's methods, with their first seed, in the experiment's order.

    Returns:
        Columns ``method``, ``kind`` ("self", "cross" or "worst"), ``photo`` and ``reference`` (numbers in the list of
        photos measured), ``psnr`` (dB, as measured; NaN with cross-reference), and three files: ``picture``,
        ``truth``, and ``reference_image``.

    Raises:
        OSError: there is none.
    """
    table = _find(experiment, folder, PICTURES).astype({"photo": int, "reference": int})
    lines = table[["place", "kind", "photo", "reference"]].itertuples(index=False)
    table["picture"] = [p / "pictures" / f"{kind}-{photo:04d}-{other:04d}.jpg" for p, kind, photo, other in lines]
    for name, column in {"truth": "photo", "reference_image": "reference"}.items():
        table[name] = [folder / "photos" / f"{number:04d}.jpg" for number in table[column]]
    return table.drop(columns="place")


def find_fidelity(experiment: Experiment, folder: Path) -> pd.DataFrame:
    """Find the fidelity curves of an experiment's methods.

    Returns:
        Columns as from :func:`histcolor.experiments.pictures.fidelity`, and ``method``.

    Raises:
        OSError: there is none.
    """
    return _find(experiment, folder, FIDELITY).drop(columns="place")


def zoom_window(rgb: Tensor, height: int, width: int) -> tuple[int, int]:
    """Find the top left corner ``(y, x)`` of the window in which a photo's a and b vary most (their variances' sum).

    The photo is RGB ``[3, H, W]`` in [0, 1], the window ``height × width`` pixels, at most H × W.
    """
    ab = rgb_to_lab(rgb.double())[None, 1:]
    mean, square = (F.avg_pool2d(x, (height, width), stride=1) for x in (ab, ab * ab))
    varies = (square - mean * mean).sum(1)[0]
    return divmod(int(varies.argmax()), varies.shape[1])


def most_colourful(files: Iterable[Path], count: int) -> list[Path]:
    """Choose so many of the photos, in their order: the most colourful ones (Hasler and Süsstrunk 2003)."""
    values = {file: colourfulness(read_image(file)) for file in dict.fromkeys(files)}
    kept = sorted(values, key=values.get, reverse=True)[:count]
    return [file for file in values if file in kept]


def _select(pictures: pd.DataFrame, kind: str, methods: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Select pictures of a kind, and those of the methods named that have some."""
    chosen = pictures[pictures["kind"] == kind]
    there = [method for method in methods if method in set(chosen["method"])]
    if not there:
        raise ValueError(f"None of the methods {', '.join(methods)} has pictures of the kind {kind!r} yet.")
    return chosen[chosen["method"].isin(there)], there


def _histogram(rgb: Tensor, bins: int = BINS) -> Tensor:
    return ab_histogram(rgb_to_lab(rgb)[1:], bins)


def _intersection(result: Tensor, reference: Tensor) -> float:
    return float(intersection(_histogram(reference, FIDELITY_BINS), _histogram(result, FIDELITY_BINS)))


def _gray(rgb: Tensor) -> Tensor:
    return gray_rgb(rgb_to_lab(rgb)[:1])


def _sheet(widths: Sequence[float], heights: Sequence[float], top: float, gap: float = 0.06) -> tuple[Figure, list]:
    """Make a figure and its blank axes, ``[line][column]``; inches, with gaps between columns alone."""
    size = (sum(widths) + gap * (len(widths) - 1), sum(heights) + top)
    edges = {"left": 0, "right": 1, "bottom": 0, "top": 1 - top / size[1], "hspace": 0}
    spaces = {"gridspec_kw": edges | {"wspace": gap / np.mean(widths)}, "layout": "none", "squeeze": False}
    look = {"frame_on": False, "xticks": (), "yticks": (), "anchor": "N"}
    ratios = {"width_ratios": widths, "height_ratios": heights}
    figure, grid = plt.subplots(len(heights), len(widths), figsize=size, subplot_kw=look, **ratios, **spaces)
    return figure, grid.tolist()


def _show(axes: Axes, rgb: Tensor, below: str = "", title: str = "") -> None:
    show_image(axes, rgb, title)
    axes.text(0.5, -0.03, below, transform=axes.transAxes, ha="center", va="top", fontsize=8.5)


def _board(lines: Sequence[tuple[str, Sequence[Tensor], Sequence]], top: float = 0.02) -> tuple[Figure, list]:
    """Draw lines of photos, each with its name: with notes below (texts), or as histograms (at lightnesses).

    All histograms are drawn to one scale, without ticks, gray in the middle.
    """
    heights = [SIDE + (0.27 if isinstance(notes[0], str) and notes[0] else 0.07) for _, _, notes in lines]
    figure, grid = _sheet([1.3] + [SIDE] * len(lines[0][1]), heights, top)
    drawn = [_histogram(rgb) for _, photos, notes in lines for rgb in photos if isinstance(notes[0], float)]
    half = min(AB_MAX, float(palette(BINS)[torch.stack(drawn).amax(0) > 1e-3].abs().max()) + 8)
    for (first, *others), (name, photos, notes) in zip(grid, lines, strict=True):
        first.text(0.94, 0.5, fill(name, 16), transform=first.transAxes, ha="right", va="center")
        for axes, rgb, note in zip(others, photos, notes, strict=True):
            if isinstance(note, str):
                _show(axes, rgb, note)
                continue
            axes.set_frame_on(True)
            show_histogram(axes, _histogram(rgb), note)
            axes.set(xlim=(-half, half), ylim=(-half, half), xticks=(), yticks=(), xlabel="", ylabel="")
            axes.spines[:].set_color("#d1d5db")
    return figure, grid


def comparison_figure(pictures: pd.DataFrame, methods: Sequence[str], *, photos: int = 4) -> Figure:
    """Draw a line a photo, with self-reference (as the paper's Figure 3): gray, true, then the methods.

    Below each photo is the window of :func:`zoom_window` in the true one, enlarged, and the PSNR that was measured.

    Args:
        pictures: from :func:`find_pictures`.
        methods: names in the order wanted; those without pictures are left out.
        photos: so many are shown, the most colourful ones that have such pictures.

    Raises:
        ValueError: none of the methods has such pictures.
    """
    chosen, methods = _select(pictures, "self", methods)
    files, side = most_colourful(chosen["truth"], photos), 1.3
    figure, grid = _sheet([side] * (2 + len(methods)), [side + 0.06, side * ZOOM[0] / ZOOM[1] + 0.3] * len(files), 0.42)
    for file, *pair in zip(files, grid[::2], grid[1::2], strict=True):
        true, lines = read_image(file), chosen[chosen["truth"] == file].set_index("method").loc[methods].itertuples()
        cells = [("gray", _gray(true), ""), ("true", true, "")]
        cells += [(line.Index, read_image(line.picture), f"{line.psnr:.1f} dB") for line in lines]
        height, width = (round(part * n) for part, n in zip(ZOOM, true.shape[1:], strict=True))
        y, x = zoom_window(true, height, width)
        for (name, rgb, note), above, below in zip(cells, *pair, strict=True):
            _show(above, rgb, title=fill(name, 17) if file == files[0] else "")
            for colour, line in (("white", 2.0), ("#c53030", 1.0)):
                above.add_patch(Rectangle((x, y), width, height, fill=False, ec=colour, lw=line))
            _show(below, rgb[:, y : y + height, x : x + width], note)
    return figure


def histograms_figure(pictures: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Draw one photo with many target histograms (as the paper's Figure 2): the reference images, then the methods.

    It is the most colourful photo that has such pictures; histograms are drawn at its mean L. Below each picture is the
    intersection of the target and its histogram, in 16×16 bins. Arguments and errors: see :func:`comparison_figure`.
    """
    chosen, methods = _select(pictures, "cross", methods)
    truth = most_colourful(chosen["truth"], 1)[0]
    files = [truth, *dict.fromkeys(chosen.loc[chosen["truth"] == truth, "reference_image"])]
    references, lines = [read_image(file) for file in files], []
    found = pictures[(pictures["truth"] == truth) & (pictures["kind"] != "worst")]
    found = found.set_index(["method", "reference_image"])["picture"]
    for method in methods:
        made = [read_image(found[method, file]) for file in files]
        pairs = zip(made, references, strict=True)
        lines.append((method, made, [f"intersection {_intersection(*pair):.2f}" for pair in pairs]))
    L, none = [float(rgb_to_lab(references[0])[0].mean())] * len(files), [""] * len(files)
    figure, grid = _board([("", references, none), ("target histogram", references, L), *lines], top=0.25)
    _show(grid[0][0], _gray(references[0]))
    for axes, title in zip(grid[0], ["gray", "self-reference"] + ["cross-reference"] * len(L), strict=False):
        axes.set_title(title)
    return figure


def find_faults(pictures: pd.DataFrame, method: str) -> pd.DataFrame:
    """Find what is wrong with a method's worst pictures, by PSNR with self-reference.

    Returns:
        Columns ``photo``, ``psnr`` (dB, as measured), and of the pictures shown: ``chroma``, their mean chroma over the
        true photo's, and ``intersection`` of target and achieved histogram in 16×16 bins, 1 if each colour is there as
        often as it should be, wherever it is; and the files ``picture`` and ``truth``.

    Raises:
        ValueError: the method has none.
    """
    found = _select(pictures, "worst", [method])[0][["photo", "psnr", "picture", "truth"]].reset_index(drop=True)
    pairs = [(read_image(line.picture), read_image(line.truth)) for line in found.itertuples()]
    chroma = [[float(rgb_to_lab(rgb)[1:].norm(dim=0).mean()) for rgb in pair] for pair in pairs]
    share = [made / max(true, 1e-6) for made, true in chroma]
    return found.assign(chroma=share, intersection=[_intersection(*pair) for pair in pairs])


def faults_figure(faults: pd.DataFrame, name: str) -> Figure:
    """Draw what :func:`find_faults` found for a method's name: a photo a column, and its histograms at its mean L."""
    truths, made = ([read_image(file) for file in faults[column]] for column in ("truth", "picture"))
    notes = [f"{line.psnr:.1f} dB, chroma {line.chroma:.0%}" for line in faults.itertuples()]
    L, none = [float(rgb_to_lab(rgb)[0].mean()) for rgb in truths], [""] * len(truths)
    lines = [("gray", [_gray(rgb) for rgb in truths], none), ("true", truths, none), (name, made, notes)]
    return _board([*lines, ("target histogram", truths, L), ("achieved histogram", made, L)])[0]


def fidelity_figure(fidelity: pd.DataFrame, experiment: Experiment, methods: Sequence[str]) -> Figure:
    """Draw how far colours follow while the target histogram moves away from the photo's own: means over photos.

    All are earth mover's distances in units of ab. Left: from the photo's own histogram to the achieved one, over that
    to the target; a method that meets its target is on the dashed line. Right: from the target to the achieved one.

    Args:
        fidelity: from :func:`find_fidelity`.
        experiment: for what its methods are told, and so the colours of the curves.
        methods: names in the order wanted; those without a curve are left out.

    Raises:
        ValueError: none of the methods has a curve.
    """
    kinds = {method.name: told(method) for method in experiment.methods if method.name in set(fidelity["method"])}
    methods = [name for name in methods if name in kinds]
    if not methods:
        raise ValueError(f"[{experiment.name}]: none of these methods has a fidelity curve yet.")
    means = fidelity.groupby(["method", "t"])[["target", "achieved", "missed"]].mean()
    end, top = float(means.loc[methods, "target"].max()), float(means.loc[methods].to_numpy().max())
    figure, panels = plt.subplots(1, 2, figsize=(12.5, 5), sharey=True)
    panels[0].plot((0, end), (0, end), color="#9ca3af", ls=(0, (4, 3)), lw=1.2, zorder=0)
    room = 0.055 * top * np.arange(len(methods))  # for the curves' names at their ends, one above the other
    for axes, column, start in zip(panels, ("achieved", "missed"), ("the photo's own", "the target"), strict=True):
        ends = means.loc[methods, column].groupby("method").last().loc[methods].sort_values(kind="stable")
        heights = isotonic_regression(ends - room).x.clip(max=top - room[-1]) + room
        heights = dict(zip(ends.index, heights, strict=True))
        for i, name in enumerate(methods):
            tone, alike = TONES[kinds[name]], [kinds[other] for other in methods[:i]].count(kinds[name])
            stroke, last = ("-", "--", ":", "-.")[alike % 4], means.loc[name].iloc[-1]
            axes.plot("target", column, stroke, data=means.loc[name], color=tone, marker="o", ms=4)
            place = {"va": "center", "color": tone, "annotation_clip": False}
            thread = {"arrowstyle": "-", "color": tone, "lw": 0.6, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)}
            axes.annotate(name, (last["target"], last[column]), (1.05 * end, heights[name]), arrowprops=thread, **place)
        axes.set(title=f"from {start} histogram to the achieved one", xlim=(0, 1.02 * end), ylim=(0, 1.04 * top))
        axes.set_xlabel("from the photo's own histogram to the target")
    panels[0].set_ylabel("earth mover's distance, units of ab")
    return figure
