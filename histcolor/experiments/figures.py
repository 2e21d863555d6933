"""Figures of what a comparison leaves beside its numbers: pictures side by side, failures, and curves of control.

The files are those that :mod:`histcolor.experiments.pictures` writes into each row's folder. Rows that are not
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

from histcolor.color import AB_MAX, lab_to_rgb, rgb_to_lab
from histcolor.experiments.definition import Heading, Row
from histcolor.experiments.pictures import CONTROL, PICTURES
from histcolor.histogram import ab_histogram, intersection, palette
from histcolor.images import read_image, read_table
from histcolor.metrics import CONTROL_BINS, colourfulness
from histcolor.plots import show_histogram, show_image

#: what a row may be told of the colours, and the colour that stands for it in figures
TONES = {"nothing": "#6b7280", "a global palette": "#b7791f", "the histogram": "#2f855a"}
TONES |= {"the histogram, as one vector": "#d9622b", "the histogram, as tokens": "#2b6cb0"}
TONES |= {"the reference photo": "#8e4ec6"}
SIDE = 1.7  #: inches of a picture
ZOOM = (0.28, 0.5)  #: height and width of a zoom's window over the photo's
BINS = 64  #: bins along each axis in which histograms are drawn


def told(row: Row) -> str | None:
    """What a row is told of the colours, one of :data:`TONES`; None for a row that is only quoted."""
    if row.recipe:
        kinds = {"xiao2019": "a global palette", "zhang2017": "the histogram, as one vector"}
        kinds["colorizer"] = "the histogram, as tokens"
        return kinds.get(row.recipe.method, "nothing")
    kinds = {None: None, "gray": "nothing", "reinhard": "the reference photo", "welsh": "the reference photo"}
    return kinds.get(row.method, "the histogram")


def _find(heading: Heading, folder: Path, name: str) -> pd.DataFrame:
    """A table of each row, its first seed's, one below the other, with ``row`` and ``place``, the folder it is in."""
    places = {row.name: folder / row.slug / f"seed{heading.seeds[0] if row.recipe else 0}" for row in heading.rows}
    there = {row: place for row, place in places.items() if (place / name).is_file()}
    if not there:
        raise FileNotFoundError(f"{folder}: no row has a {name} yet; 'histcolor experiment' leaves one with each.")
    return pd.concat([read_table(p / name).assign(row=row, place=p) for row, p in there.items()], ignore_index=True)


def find_pictures(heading: Heading, folder: Path) -> pd.DataFrame:
    """All pictures of a heading's rows, with their first seed, in the heading's order.

    Returns:
        Columns ``row``, ``kind`` ("own", "foreign" or "worst"), ``photo`` and ``reference`` (numbers in the list of
        photos measured), ``psnr`` (dB, as measured; NaN with a foreign histogram), and three files: ``picture``,
        ``truth``, and ``asked``, the photo whose histogram was asked.

    Raises:
        OSError: there is none.
    """
    table = _find(heading, folder, PICTURES).astype({"photo": int, "reference": int})
    lines = table[["place", "kind", "photo", "reference"]].itertuples(index=False)
    table["picture"] = [p / "pictures" / f"{kind}-{photo:04d}-{other:04d}.jpg" for p, kind, photo, other in lines]
    for name, column in {"truth": "photo", "asked": "reference"}.items():
        table[name] = [folder / "photos" / f"{number:04d}.jpg" for number in table[column]]
    return table.drop(columns="place")


def find_control(heading: Heading, folder: Path) -> pd.DataFrame:
    """The curves of control of a heading's rows: columns as from :func:`~histcolor.experiments.pictures.control`, and
    ``row``.

    Raises:
        OSError: there is none.
    """
    return _find(heading, folder, CONTROL).drop(columns="place")


def zoom_window(rgb: Tensor, height: int, width: int) -> tuple[int, int]:
    """The top left corner ``(y, x)`` of the window in which a photo's a and b vary most (the sum of their variances).

    The photo is RGB ``[3, H, W]`` in [0, 1], the window ``height × width`` pixels, at most H × W.
    """
    ab = rgb_to_lab(rgb.double())[None, 1:]
    mean, square = (F.avg_pool2d(x, (height, width), stride=1) for x in (ab, ab * ab))
    varies = (square - mean * mean).sum(1)[0]
    return divmod(int(varies.argmax()), varies.shape[1])


def most_colourful(files: Iterable[Path], count: int) -> list[Path]:
    """So many of the photos, in their order: those of the largest colourfulness (Hasler and Süsstrunk 2003)."""
    values = {file: colourfulness(read_image(file)) for file in dict.fromkeys(files)}
    kept = sorted(values, key=values.get, reverse=True)[:count]
    return [file for file in values if file in kept]


def _select(pictures: pd.DataFrame, kind: str, rows: Iterable[str]) -> tuple[pd.DataFrame, list[str]]:
    """Pictures of a kind, and those of the rows asked for that have some."""
    chosen = pictures[pictures["kind"] == kind]
    there = [row for row in rows if row in set(chosen["row"])]
    if not there:
        raise ValueError(f"None of the rows {', '.join(rows)} has pictures of the kind {kind!r} yet.")
    return chosen[chosen["row"].isin(there)], there


def _histogram(rgb: Tensor, bins: int = BINS) -> Tensor:
    return ab_histogram(rgb_to_lab(rgb)[1:], bins)


def _met(picture: Tensor, asked: Tensor) -> float:
    return float(intersection(_histogram(asked, CONTROL_BINS), _histogram(picture, CONTROL_BINS)))


def _gray(rgb: Tensor) -> Tensor:
    return lab_to_rgb(rgb_to_lab(rgb) * torch.tensor([1.0, 0.0, 0.0])[:, None, None])


def _sheet(widths: Sequence[float], heights: Sequence[float], top: float, gap: float = 0.06) -> tuple[Figure, list]:
    """A figure and its blank axes, ``[row][column]``; inches, with gaps between columns alone."""
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


def _board(rows: Sequence[tuple[str, Sequence[Tensor], Sequence]], top: float = 0.02) -> tuple[Figure, list]:
    """Rows of photos, each row with its name: with notes below (texts), or drawn as histograms (lightnesses).

    All histograms are drawn to one scale, without ticks, gray in the middle.
    """
    heights = [SIDE + (0.27 if isinstance(notes[0], str) and notes[0] else 0.07) for _, _, notes in rows]
    figure, grid = _sheet([1.3] + [SIDE] * len(rows[0][1]), heights, top)
    drawn = [_histogram(rgb) for _, photos, notes in rows for rgb in photos if isinstance(notes[0], float)]
    half = min(AB_MAX, float(palette(BINS)[torch.stack(drawn).amax(0) > 1e-3].abs().max()) + 8)
    for (first, *others), (name, photos, notes) in zip(grid, rows, strict=True):
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


def comparison_figure(pictures: pd.DataFrame, rows: Sequence[str], *, photos: int = 4) -> Figure:
    """Photos by rows, each photo with its own histogram (as the paper's Figure 3): gray, true, then the rows.

    Below each photo is the window of :func:`zoom_window` in the true one, enlarged, and the PSNR that was measured.

    Args:
        pictures: from :func:`find_pictures`.
        rows: names in the order wanted; those without pictures are left out.
        photos: so many are shown, the most colourful ones that have such pictures.

    Raises:
        ValueError: none of the rows has such pictures.
    """
    chosen, rows = _select(pictures, "own", rows)
    files, side = most_colourful(chosen["truth"], photos), 1.3
    figure, grid = _sheet([side] * (2 + len(rows)), [side + 0.06, side * ZOOM[0] / ZOOM[1] + 0.3] * len(files), 0.42)
    for file, *pair in zip(files, grid[::2], grid[1::2], strict=True):
        true, lines = read_image(file), chosen[chosen["truth"] == file].set_index("row").loc[rows].itertuples()
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


def histograms_figure(pictures: pd.DataFrame, rows: Sequence[str]) -> Figure:
    """One photo with its own and other photos' histograms (as the paper's Figure 2): the photos asked, then the rows.

    It is the most colourful photo that has such pictures; histograms are drawn at its mean L. Below each picture is the
    intersection of the asked histogram and its own, in 16×16 bins. Arguments and errors: see :func:`comparison_figure`.
    """
    foreign, rows = _select(pictures, "foreign", rows)
    truth = most_colourful(foreign["truth"], 1)[0]
    asked = [truth, *dict.fromkeys(foreign.loc[foreign["truth"] == truth, "asked"])]
    photos, lines = [read_image(file) for file in asked], []
    found = pictures[(pictures["truth"] == truth) & (pictures["kind"] != "worst")]
    found = found.set_index(["row", "asked"])["picture"]
    for row in rows:
        made = [read_image(found[row, file]) for file in asked]
        lines.append((row, made, [f"intersection {_met(*pair):.2f}" for pair in zip(made, photos, strict=True)]))
    L = [float(rgb_to_lab(photos[0])[0].mean())] * len(asked)
    figure, grid = _board([("", photos, [""] * len(asked)), ("the histogram asked", photos, L), *lines], top=0.25)
    _show(grid[0][0], _gray(photos[0]))
    for axes, title in zip(grid[0], ["gray", "its own colours"] + ["another photo's"] * len(L), strict=False):
        axes.set_title(title)
    return figure


def find_faults(pictures: pd.DataFrame, row: str) -> pd.DataFrame:
    """What is wrong with a row's worst pictures, by PSNR with the photos' own histograms.

    Returns:
        Columns ``photo``, ``psnr`` (dB, as measured), and of the pictures shown: ``chroma``, their mean chroma over the
        true photo's, and ``intersection`` of asked and achieved histogram in 16×16 bins, 1 if each colour is there as
        often as asked, wherever it is; and the files ``picture`` and ``truth``.

    Raises:
        ValueError: the row has none.
    """
    found = _select(pictures, "worst", [row])[0][["photo", "psnr", "picture", "truth"]].reset_index(drop=True)
    pairs = [(read_image(line.picture), read_image(line.truth)) for line in found.itertuples()]
    chroma = [[float(rgb_to_lab(rgb)[1:].norm(dim=0).mean()) for rgb in pair] for pair in pairs]
    return found.assign(chroma=[x / max(y, 1e-6) for x, y in chroma], intersection=[_met(*pair) for pair in pairs])


def faults_figure(faults: pd.DataFrame, name: str) -> Figure:
    """What :func:`find_faults` found for the row of that name: a photo a column, and its histograms at its mean L."""
    truths, made = ([read_image(file) for file in faults[column]] for column in ("truth", "picture"))
    notes = [f"{line.psnr:.1f} dB, chroma {line.chroma:.0%}" for line in faults.itertuples()]
    L, none = [float(rgb_to_lab(rgb)[0].mean()) for rgb in truths], [""] * len(truths)
    lines = [("gray", [_gray(rgb) for rgb in truths], none), ("true", truths, none), (name, made, notes)]
    return _board([*lines, ("its histogram", truths, L), ("the histogram achieved", made, L)])[0]


def control_figure(control: pd.DataFrame, heading: Heading, rows: Sequence[str]) -> Figure:
    """How far colours follow while the asked histogram moves away from the photo's own: means over photos.

    All are earth mover's distances in units of ab. Left: from the photo's own histogram to the picture's, over the one
    to the asked one; a row that does as it is asked is on the dashed line. Right: from the asked one to the picture's.

    Args:
        control: from :func:`find_control`.
        heading: for what its rows are told, and so the colours of the curves.
        rows: names in the order wanted; those without a curve are left out.

    Raises:
        ValueError: none of the rows has a curve.
    """
    kinds = {row.name: told(row) for row in heading.rows if row.name in set(control["row"])}
    rows = [name for name in rows if name in kinds]
    if not rows:
        raise ValueError(f"[{heading.name}]: none of the rows asked for has a curve of control yet.")
    means = control.groupby(["row", "t"])[["asked", "achieved", "missed"]].mean()
    end, top = float(means.loc[rows, "asked"].max()), float(means.loc[rows].to_numpy().max())
    figure, panels = plt.subplots(1, 2, figsize=(12.5, 5), sharey=True)
    panels[0].plot((0, end), (0, end), color="#9ca3af", ls=(0, (4, 3)), lw=1.2, zorder=0)
    room = 0.055 * top * np.arange(len(rows))  # for the curves' names at their ends, one above the other
    for axes, column, start in zip(panels, ("achieved", "missed"), ("the photo's own", "the asked"), strict=True):
        ends = means.loc[rows, column].groupby("row").last().loc[rows].sort_values(kind="stable")
        heights = isotonic_regression(ends - room).x.clip(max=top - room[-1]) + room
        heights = dict(zip(ends.index, heights, strict=True))
        for i, name in enumerate(rows):
            tone, alike = TONES[kinds[name]], [kinds[other] for other in rows[:i]].count(kinds[name])
            stroke, last = ("-", "--", ":", "-.")[alike % 4], means.loc[name].iloc[-1]
            axes.plot("asked", column, stroke, data=means.loc[name], color=tone, marker="o", ms=4)
            place = {"va": "center", "color": tone, "annotation_clip": False}
            thread = {"arrowstyle": "-", "color": tone, "lw": 0.6, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)}
            axes.annotate(name, (last["asked"], last[column]), (1.05 * end, heights[name]), arrowprops=thread, **place)
        axes.set(title=f"from {start} histogram to the picture's", xlim=(0, 1.02 * end), ylim=(0, 1.04 * top))
        axes.set_xlabel("from the photo's own histogram to the asked one")
    panels[0].set_ylabel("earth mover's distance, units of ab")
    return figure
