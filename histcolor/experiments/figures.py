"""Figures of what a comparison leaves beside its numbers: pictures side by side, failures, and fidelity curves.

The files are those that :mod:`histcolor.experiments.pictures` writes into each method's folder. Methods that are not
there yet are left out. What is shown is chosen by a rule that looks at the photo or at numbers, and never by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from histcolor.evaluate import ColorizeFunction, Task
from histcolor.experiments.definition import Experiment
from histcolor.experiments.pictures import FIDELITY, PICTURES
from histcolor.experiments.styling import label
from histcolor.histogram import ab_histogram, intersection, palette
from histcolor.images import read_image, read_table
from histcolor.metrics import FIDELITY_BINS, colourfulness
from histcolor.plots import show_histogram, show_image

#: what a method may be told of the colours, and the colour that stands for it in figures
TONES = {"nothing": "#6b7280", "a global palette": "#b7791f", "the histogram": "#2f855a"}
TONES |= {"the histogram, and each bin's L": "#0f766e"}
TONES |= {"the histogram, as one vector": "#d9622b", "the histogram, as tokens": "#2b6cb0"}
TONES |= {"the histogram, as a map": "#b83280", "the reference image": "#8e4ec6"}
SIDE = 2.1  #: inches of a picture
ZOOM = (0.28, 0.5)  #: height and width of a zoom's window over the photo's
BINS = 64  #: bins along each axis in which histograms are drawn


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
    show_image(axes, rgb)
    axes.set_title(title, fontsize=12)
    axes.text(0.5, -0.03, below, transform=axes.transAxes, ha="center", va="top", fontsize=11)


def _board(lines: Sequence[tuple[str, Sequence[Tensor], Sequence]], top: float = 0.02) -> tuple[Figure, list]:
    """Draw lines of photos, each with its name: with notes below (texts), or as histograms (at lightnesses).

    All histograms are drawn to one scale, without ticks, gray in the middle.
    """
    below = [notes[0].count("\n") + 1 if isinstance(notes[0], str) and notes[0] else 0 for _, _, notes in lines]
    heights = [SIDE + (0.14 + 0.18 * count if count else 0.07) for count in below]
    figure, grid = _sheet([1.5] + [SIDE] * len(lines[0][1]), heights, top)
    drawn = [_histogram(rgb) for _, photos, notes in lines for rgb in photos if isinstance(notes[0], float)]
    half = min(AB_MAX, float(palette(BINS)[torch.stack(drawn).amax(0) > 1e-3].abs().max()) + 8)
    for (first, *others), (name, photos, notes) in zip(grid, lines, strict=True):
        first.text(0.94, 0.5, fill(name, 14), transform=first.transAxes, ha="right", va="center", fontsize=12)
        for axes, rgb, note in zip(others, photos, notes, strict=True):
            if isinstance(note, str):
                _show(axes, rgb, note)
                continue
            axes.set_frame_on(True)
            show_histogram(axes, _histogram(rgb), note)
            axes.set(xlim=(-half, half), ylim=(-half, half), xticks=(), yticks=(), xlabel="", ylabel="")
            axes.spines[:].set_color("#d1d5db")
    return figure, grid


def comparison_figures(pictures: pd.DataFrame, methods: Sequence[str], *, photos: int = 2) -> list[Figure]:
    """Draw a figure a photo, with self-reference (as the paper's Figure 3): the true one, then the methods.

    Below each picture is the window of :func:`zoom_window` in the true one, enlarged, and the PSNR that was measured.
    Three stand in a line, so that faults can be seen on a page and from the last row of a classroom.

    Args:
        pictures: from :func:`find_pictures`.
        methods: names in the order wanted; those without pictures are left out.
        photos: so many are shown, the most colourful ones that have such pictures.

    Raises:
        ValueError: none of the methods has such pictures.
    """
    chosen, methods = _select(pictures, "self", methods)
    figures = []
    for file in most_colourful(chosen["truth"], photos):
        true, lines = read_image(file), chosen[chosen["truth"] == file].set_index("method").loc[methods].itertuples()
        cells = [("true", true, "")]
        cells += [(line.Index, read_image(line.picture), f"{line.psnr:.1f} dB") for line in lines]
        height, width = (round(part * n) for part, n in zip(ZOOM, true.shape[1:], strict=True))
        y, x = zoom_window(true, height, width)
        count = -(-len(cells) // 3)
        figure, grid = _sheet([SIDE] * 3, [SIDE + 0.32, SIDE * ZOOM[0] / ZOOM[1] + 0.06] * count, 0.0)
        above, below = ([axes for line in grid[start::2] for axes in line] for start in (0, 1))
        for (name, rgb, note), top, bottom in zip(cells, above, below, strict=False):  # the last line may have room
            _show(top, rgb)
            top.set_anchor("S")
            top.set_title(f"{label(name)}: {note}" if note else name, fontsize=9.5, pad=4)
            for colour, line in (("white", 2.0), ("#c53030", 1.0)):
                top.add_patch(Rectangle((x, y), width, height, fill=False, ec=colour, lw=line))
            _show(bottom, rgb[:, y : y + height, x : x + width])
            bottom.set_anchor("C")
        figures.append(figure)
    return figures


def tasks_figure(pictures: pd.DataFrame, methods: Sequence[str], kind: str, *, tasks: int = 2) -> Figure:
    """Draw a line a task: the gray photo, the reference image, then the methods.

    Below each result is the PSNR that was measured (kind "self"), or the intersection of the target and its histogram
    ("cross"). The most colourful photos are taken, each with its first reference image.

    Args:
        pictures: from :func:`find_pictures`.
        methods: names in the order wanted; those without pictures are left out.
        kind: "self" or "cross".
        tasks: so many.

    Raises:
        ValueError: none of the methods has such pictures.
    """
    chosen, methods = _select(pictures, kind, methods)
    files = most_colourful(chosen["truth"], tasks)
    figure, grid = _sheet([SIDE] * (2 + len(methods)), [SIDE + 0.34] * len(files), 0.4)
    for file, line in zip(files, grid, strict=True):
        part = chosen[chosen["truth"] == file]
        other = part["reference_image"].iloc[0]
        part = part[part["reference_image"] == other].set_index("method").loc[methods]
        reference = read_image(other)
        cells = [("gray", _gray(read_image(file)), ""), ("reference image", reference, "")]
        for one in part.itertuples():
            made = read_image(one.picture)
            met = f"intersection {_intersection(made, reference):.2f}"
            cells.append((one.Index, made, f"{one.psnr:.1f} dB" if kind == "self" else met))
        for axes, (name, rgb, note) in zip(line, cells, strict=True):
            _show(axes, rgb, note, label(name, 21) if file == files[0] else "")
    return figure


def histograms_figure(
    photo: Tensor, references: Mapping[str, Tensor], methods: Mapping[str, ColorizeFunction]
) -> Figure:
    """Draw one photo with many target histograms (as the paper's Figure 2): the reference images, then the methods.

    Histograms are drawn at the photo's mean L. Below each picture is the intersection of the target and its histogram,
    in 16×16 bins.

    Args:
        photo: RGB ``[3, H, W]`` in [0, 1]; only its L is used.
        references: title → RGB ``[3, h, w]``.
        methods: name → how it colours a task.
    """
    lab, others, lines = rgb_to_lab(photo), [*references.values()], []
    for name, function in methods.items():
        made = [function(Task(lab[:1], rgb_to_lab(other))) for other in others]
        pairs = zip(made, others, strict=True)
        lines.append((name, made, [f"intersection {_intersection(*pair):.2f}" for pair in pairs]))
    L, none = [float(lab[0].mean())] * len(others), [""] * len(others)
    figure, grid = _board([("", others, none), ("target histogram", others, L), *lines], top=0.3)
    _show(grid[0][0], _gray(photo), "the gray photo")
    for axes, title in zip(grid[0][1:], references, strict=True):
        axes.set_title(title, fontsize=12)
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
    numbers = zip(faults["psnr"], faults["chroma"], faults["intersection"], strict=True)
    notes = [f"{db:.1f} dB, chroma {share:.0%}\nintersection {met:.2f}" for db, share, met in numbers]
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
    kinds = {method.name: method.told for method in experiment.methods if method.name in set(fidelity["method"])}
    methods = [name for name in methods if name in kinds]
    if not methods:
        raise ValueError(f"[{experiment.name}]: none of these methods has a fidelity curve yet.")
    means = fidelity.groupby(["method", "t"])[["target", "achieved", "missed"]].mean()
    end, top = float(means.loc[methods, "target"].max()), float(means.loc[methods].to_numpy().max())
    figure, panels = plt.subplots(1, 2, figsize=(13, 5.4), sharey=True)
    panels[0].plot((0, end), (0, end), color="#111827", ls=(0, (4, 3)), lw=1.5, zorder=5)
    slant = {"rotation": 45, "rotation_mode": "anchor", "transform_rotates_text": True}
    panels[0].text(0.62 * end, 0.55 * end, "meets its target", ha="center", va="top", fontsize=12, **slant)
    for axes, column, start in zip(panels, ("achieved", "missed"), ("the photo's own", "the target"), strict=True):
        for i, name in enumerate(methods):
            tone, alike = TONES[kinds[name]], [kinds[other] for other in methods[:i]].count(kinds[name])
            stroke = ("-", "--", ":", "-.")[alike % 4]
            axes.plot("target", column, stroke, data=means.loc[name], color=tone, marker="o", ms=6, lw=2.2)
        axes.set(xlim=(0, 1.02 * end), ylim=(0, 1.04 * top))
        axes.set_title(f"from {start} histogram to the achieved one", fontsize=13)
    figure.supxlabel("from the photo's own histogram to the target, units of ab", fontsize=12)
    panels[0].set_ylabel("earth mover's distance, units of ab", fontsize=12)
    # names at the ends on the right, where curves lie apart, one above the other
    room = 0.055 * top * np.arange(len(methods))
    ends = means.loc[methods, "missed"].groupby("method").last().loc[methods].sort_values(kind="stable")
    heights = isotonic_regression(ends - room).x.clip(max=top - room[-1]) + room
    for name, height in zip(ends.index, heights, strict=True):
        place = {"va": "center", "color": TONES[kinds[name]], "annotation_clip": False, "fontsize": 12}
        panels[1].annotate(name, (end, ends[name]), (1.04 * end, height), **place)
    return figure


def ranking_figure(table: pd.DataFrame, experiment: Experiment) -> Figure:
    """Draw each method's intersection of target and achieved histogram with cross-reference, the highest at the top.

    On the right stands what a method is told, each kind in its colour; a ring is a method without training.

    Args:
        table: from :func:`histcolor.experiments.run.tabulate`.
        experiment: for what its methods are told; a method that it does not name is another program, in black.
    """
    met = table.dropna(subset="cross_intersection").sort_values("cross_intersection")
    methods = {method.name: method for method in experiment.methods}
    unknown = "another program"
    kinds = [methods[n].told if n in methods else experiment.others.get(n, unknown) for n in met["method"]]
    tones = dict.fromkeys(kinds, "#111827") | TONES
    figure, axes = plt.subplots(figsize=(10.5, 0.36 * len(met) + 1.3))
    for y, (line, kind) in enumerate(zip(met.itertuples(), kinds, strict=True)):
        trained = line.method in methods and methods[line.method].recipe is not None
        axes.plot((0, line.cross_intersection), (y, y), color=tones[kind], lw=1.6, alpha=0.35)
        face = tones[kind] if trained else "white"
        axes.plot(line.cross_intersection, y, "o", ms=9, color=tones[kind], mfc=face, mew=2)
        place = {"textcoords": "offset points", "va": "center", "fontsize": 11, "annotation_clip": False}
        axes.annotate(f"{line.cross_intersection:.2f}", (line.cross_intersection, y), (10, 0), **place)
        axes.annotate(kind, (1.05, y), (8, 0), color=tones[kind], **place)
    axes.annotate("it is told", (1.05, len(met) - 0.1), (8, 0), fontweight="bold", **place)
    axes.set(xlim=(0, 1.05), ylim=(-0.7, len(met) - 0.3))
    axes.set_yticks(range(len(met)), met["method"], fontsize=11.5)
    axes.tick_params(axis="y", left=False)
    axes.set_xlabel("intersection of target and achieved histogram, cross-reference (1 is best)", fontsize=12)
    return figure
