"""Figures and styled tables: one look for notebooks, training and results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from histcolor.color import AB_MAX, in_gamut, lab_to_rgb, rgb_to_lab
from histcolor.colorize import resize
from histcolor.edit import RADIUS
from histcolor.explore import AttentionMaps, colours_at, places_of, tokens_near
from histcolor.images import atomic, to_uint8
from histcolor.plane import plane_lab, upright, visible_mass

Pairs = Sequence[tuple[float, float]]
STYLE = {
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "savefig.bbox": "tight",
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": matplotlib.cycler(color=["#2b6cb0", "#d9622b", "#2f855a", "#8e4ec6", "#6b7280", "#b7791f"]),
    "legend.frameon": False,
}


def use_style() -> None:
    """Set the project's look for all figures that follow."""
    plt.rcParams.update(STYLE)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure, atomically; the suffix of ``path`` says the format."""
    with atomic(path) as temporary:
        figure.savefig(temporary, facecolor="white")


def show_figure(figure: Figure, path: str | Path):
    """Write a figure (:func:`save_figure`), close it, and return what a notebook displays under any backend."""
    from IPython.display import Image

    save_figure(figure, path)
    plt.close(figure)
    return Image(filename=str(path))


def as_pixels(rgb: Tensor) -> np.ndarray:
    """RGB ``[3, H, W]`` in [0, 1] as matplotlib shows it, uint8 ``[H, W, 3]``."""
    return to_uint8(rgb)


def histogram_picture(hist: Tensor, L: float, *, scale: int = 4) -> Tensor:
    """A histogram drawn in its own colours at lightness L, as in the paper's figures: RGB ``[3, B·scale, B·scale]``.

    a runs to the right, b upwards. White means no mass; the colour's strength grows with the logarithm of the
    mass, so that a peak and a thin tail can both be seen.
    """
    picture = upright(1 + visible_mass(hist) * (lab_to_rgb(plane_lab(L, hist.shape[-1])) - 1))
    return picture.repeat_interleave(scale, 1).repeat_interleave(scale, 2)


def heat_overlay(gray: Tensor, heat: Tensor) -> Tensor:
    """Lay a heat map over a photo: gray where the heat is 0, orange where it is 1, RGB ``[3, H, W]`` in [0, 1].

    Blended in Lab, so that equal steps of heat look equal: a and b grow in proportion to it, towards a hue that no
    gray has, and L goes six tenths of the way, so that edges stay and black and white both take the colour.

    Args:
        gray: RGB ``[3, H, W]`` in [0, 1]; its colours, if it has any, are dropped.
        heat: ``[h, w]`` in [0, 1], as from :func:`histcolor.explore.places_of`; enlarged bilinearly.
    """
    heat = F.interpolate(heat[None, None], gray.shape[-2:], mode="bilinear", align_corners=False)[0]
    L, orange = rgb_to_lab(gray)[:1], gray.new_tensor([66.0, 44.0, 70.0])[:, None, None]
    return lab_to_rgb(torch.cat([L + 0.6 * heat * (orange[:1] - L), heat * orange[1:]]))


def show_image(axes: Axes, rgb: Tensor, title: str = "") -> None:
    """Show RGB ``[3, H, W]`` without ticks."""
    axes.imshow(as_pixels(rgb))
    axes.set_title(title)
    axes.set_axis_off()


def show_histogram(axes: Axes, hist: Tensor, L: float = 65.0, title: str = "", *, gamut: bool = True) -> None:
    """Show a histogram ``[bins, bins]`` in its own colours at lightness L, with the edge of sRGB's gamut."""
    box = (-AB_MAX, AB_MAX, -AB_MAX, AB_MAX)
    axes.imshow(as_pixels(histogram_picture(hist, L, scale=1)), extent=box, interpolation="nearest")
    if gamut:
        inside = in_gamut(plane_lab(L, 256)).T
        line = torch.linspace(-AB_MAX, AB_MAX, 256)
        axes.contour(line, line, inside.float(), levels=[0.5], colors="#9ca3af", linewidths=0.8)
    _frame_plane(axes, title)


def show_pixels(axes: Axes, lab: Tensor, title: str = "", *, points: int = 4000) -> None:
    """Scatter the pixels of a photo, Lab ``[3, H, W]``, over the ab plane, each in its own colour.

    At most ``points`` pixels are drawn, evenly chosen in reading order.
    """
    few = lab.flatten(1)[:, :: max(1, lab[0].numel() // points)]
    colours = as_pixels(lab_to_rgb(few[:, :, None]))[:, 0] / 255
    axes.scatter(few[1], few[2], s=3, c=colours, linewidths=0, rasterized=True)
    axes.set_aspect("equal")
    _frame_plane(axes, title)


def show_values(
    axes: Axes,
    values: Tensor,
    title: str = "",
    *,
    plane: bool = False,
    signed: bool = True,
    limit: float | None = None,
) -> None:
    """Show numbers with a colour bar: a map ``[H, W]`` over a photo, or with ``plane`` one number a bin, ``[B, B]``.

    Signed numbers run from purple over white to orange, symmetrical about zero up to ``limit`` (default: the
    largest size); others from white at zero over orange to black. NaN stays white.
    """
    limit = limit or float(values.abs().nan_to_num().max()) or 1.0
    box = (-AB_MAX, AB_MAX, -AB_MAX, AB_MAX)
    shown = axes.imshow(
        (values.T if plane else values).numpy(),
        cmap="PuOr_r" if signed else "gist_heat_r",
        vmin=-limit if signed else 0,
        vmax=limit,
        interpolation="nearest",
        **({"origin": "lower", "extent": box} if plane else {}),
    )
    axes.figure.colorbar(shown, cax=axes.inset_axes((1.03, 0, 0.05, 1)))
    if plane:
        _frame_plane(axes, title)
    else:
        axes.set_title(title)
        axes.set_axis_off()


def _frame_plane(axes: Axes, title: str) -> None:
    """Dress the axes of a picture of the ab plane: the same limits, ticks and names everywhere."""
    axes.axhline(0, color="#d1d5db", lw=0.5, zorder=0)
    axes.axvline(0, color="#d1d5db", lw=0.5, zorder=0)
    axes.set(xlim=(-AB_MAX, AB_MAX), ylim=(-AB_MAX, AB_MAX), xticks=(-100, 0, 100), yticks=(-100, 0, 100), title=title)
    axes.set_xlabel("a", labelpad=1)
    axes.set_ylabel("b", labelpad=-4)
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)


def image_grid(
    rows: Sequence[Sequence[Tensor | None]],
    columns: Sequence[str],
    *,
    notes: Sequence[Sequence[str]] | None = None,
    height: float = 1.7,
) -> Figure:
    """A grid of RGB pictures with a title a column; ``notes`` are short texts below pictures; None leaves a gap."""
    widths = [next(p.shape[2] / p.shape[1] for row in rows if (p := row[j]) is not None) for j in range(len(columns))]
    space = 0.22 if notes else 0.04
    figure, axes = plt.subplots(
        len(rows),
        len(columns),
        figsize=(height * sum(widths), (height + space) * len(rows) + 0.3),
        gridspec_kw={"width_ratios": widths},
        squeeze=False,
    )
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            axes[i, j].set_axis_off()
            if picture is not None:
                axes[i, j].imshow(as_pixels(picture))
            if i == 0:
                axes[i, j].set_title(columns[j])
            if notes and notes[i][j]:
                axes[i, j].text(
                    0.5, -0.03, notes[i][j], transform=axes[i, j].transAxes, ha="center", va="top", fontsize=8
                )
    return figure


def _page(rows: Sequence[Sequence[float]]) -> tuple[Figure, list[list[Axes]]]:
    """Rows of axes across a page, a list of widths over heights each; all axes of a row are of one height."""
    gap, end, above, below = 0.42, 0.5, 0.3, 0.36  # inches
    width = max(7.2, *(end + gap * len(row) + 0.9 * sum(row) for row in rows))  # beyond the page, rather than tiny
    heights = [min(2.2, (width - end - gap * len(row)) / sum(row)) for row in rows]
    y = height = sum(heights) + len(rows) * (above + below)
    figure, grid = plt.figure(figsize=(width, height), layout="none"), []
    for row, h in zip(rows, heights, strict=True):
        y -= above + h
        boxes = [((gap * (i + 1) + sum(row[:i]) * h) / width, y / height, w * h / width) for i, w in enumerate(row)]
        grid.append([figure.add_axes((*box, h / height)) for box in boxes])
        y -= below
    return figure, grid


def _badge(axes: Axes, mark: str, xy: tuple[float, float], fill="white", title: str = "") -> None:
    """A letter or number in a disc at a point of the data; with a title, before it above the axes."""
    coords, offset = ("axes fraction", (6, 10)) if title else ("data", (0, 0))
    style = {"textcoords": "offset points", "va": "center"}
    disc = {"boxstyle": "circle,pad=0.2", "fc": fill, "lw": 0.8}
    axes.annotate(mark, xy, offset, coords, ha="center", fontsize=7.5, bbox=disc, **style)
    axes.annotate(title.replace("-", "−"), xy, (17, 10), coords, fontsize=9, **style)


def attention_figure(
    image: Tensor, coloured: Tensor, hist: Tensor, maps: AttentionMaps, places: Pairs = (), colours: Pairs = ()
) -> Figure:
    """Which colours some places of a photo look at and, below, which places look at some colours (2.2).

    Each place, numbered in the coloured photo, has an ab plane: the asked histogram in faint gray, the attended tokens
    in their colours at the place's L within [40, 65], opaque by the root of their attention over the largest, and a
    cross at the expected colour, which the title gives. Each colour, lettered in the asked histogram where a ring
    shows what counts, has its map (:func:`heat_overlay`), its share of the histogram and of all attention.

    Args:
        image: RGB ``[3, H, W]`` in [0, 1]; its colours are not looked at.
        coloured: RGB ``[3, H, W]`` in [0, 1], the model's answer.
        hist: the asked histogram ``[bins, bins]``, summing to 1.
        maps: from :func:`histcolor.explore.attention_maps`.
        places: (x, y) in [0, 1] each, as in :func:`histcolor.explore.colours_at`.
        colours: (a, b) in [-110, 110] each, as in :func:`histcolor.explore.places_of`.

    Raises:
        ValueError: neither a place nor a colour, or one out of its range.
    """
    if not (places or colours):
        raise ValueError("attention_figure needs at least one place or one colour to show.")
    answers, heats = [colours_at(maps, *place) for place in places], [places_of(maps, ab) for ab in colours]
    shrink = min(1, 640 / max(image.shape[1:]))  # no more pixels than a page shows
    height, width = (max(1, round(n * shrink)) for n in image.shape[1:])
    image, coloured = resize(image, (height, width)), resize(coloured, (height, width))
    L, aspect = rgb_to_lab(image)[0], width / height
    cell = max(aspect, 0.75)  # a narrow photo leaves room for its title
    rows = [[cell] + [1] * len(places)] * bool(places) + [[1] + [cell] * len(colours)] * bool(colours)
    figure, grid = _page(rows)
    planes = grid[0][1:] * bool(places) + grid[-1][:1] * bool(colours)
    for i, ((x, y), (attention, (a, b)), axes) in enumerate(zip(places, answers, planes, strict=False), 1):
        column, row = min(int(x * width), width - 1), min(int(y * height), height - 1)
        _badge(grid[0][0], str(i), (column, row))
        own = lab_to_rgb(plane_lab(float(L[row, column].clamp(40, 65)), len(attention)))
        strong = torch.cat([own, (attention / attention.max()).sqrt()[None]]).permute(2, 1, 0)
        square = {"extent": (-AB_MAX, AB_MAX, -AB_MAX, AB_MAX), "origin": "lower", "interpolation": "nearest"}
        axes.imshow(visible_mass(hist).T.numpy(), cmap="Greys", vmin=0, vmax=6, **square)
        axes.imshow(strong.numpy(), **square)
        axes.plot(a, b, "+", ms=11, mew=2.6, color="white")
        axes.plot(a, b, "+", ms=10, mew=1.1, color="black")
        _badge(axes, str(i), (0, 1), title=f"a {round(a)}, b {round(b)}")
    for letter, (a, b), heat, axes in zip(ascii_uppercase, colours, heats, grid[-1][1:], strict=False):
        planes[-1].add_patch(Circle((a, b), RADIUS, fill=False, lw=0.8))
        _badge(planes[-1], letter, (a, b))
        show_image(axes, heat_overlay(image, heat))
        axes.set_anchor("W")
        fill = as_pixels(lab_to_rgb(torch.tensor([65.0, a, b])[:, None, None]))[0, 0] / 255
        _badge(axes, letter, (0, 1), fill, title=f"a {round(a)}, b {round(b)}")
        asked, gets = 100 * float(maps.mass[tokens_near(maps, (a, b))].sum()), 100 * float(heat.mean())
        note = f"asked {asked:.1f} %\ngets {gets:.1f} %"
        axes.annotate(note, (0, 0), (0, -4), "axes fraction", "offset points", va="top", fontsize=7.5)
    if places:
        show_image(grid[0][0], coloured)
        grid[0][0].set_anchor("W")
        grid[0][0].set_title("coloured photo", loc="left", fontsize=9, pad=8)
    if colours:
        show_histogram(planes[-1], hist, gamut=False)
        planes[-1].set_title("asked histogram", loc="left", fontsize=9, pad=8)
        bar = grid[-1][-1].inset_axes((1 + 0.06 / aspect, 0, 0.06 / aspect, 1))
        ramp = heat_overlay(torch.full((3, 128, 1), 0.5), torch.linspace(0, 1, 128)[:, None])
        bar.imshow(as_pixels(ramp), extent=(0, 1, 0, 1), aspect="auto", origin="lower")
        bar.set(xticks=[], yticks=(0, 0.5, 1), yticklabels=("0", "50 %", "100 %"))
        bar.tick_params(labelsize=7.5, length=2, pad=2, left=False, labelleft=False, right=True, labelright=True)
    # all planes show the same square: gray, what the histogram holds, what was asked and answered
    ends = [(a + d, b + d) for a, b in colours for d in (-RADIUS, RADIUS)] + [ab for _, ab in answers]
    used = torch.cat([maps.colours[maps.mass > 1e-4], torch.tensor([(0.0, 0.0), *ends])])
    low, high = used.amin(0), used.amax(0)
    (a, b), half = ((low + high) / 2).tolist(), float((high - low).max()) / 2 + 8
    for axes in planes:
        _frame_plane(axes, "")
        axes.set(xlim=(a - half, a + half), ylim=(b - half, b + half))
        axes.tick_params(labelsize=7.5, length=2, pad=2)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
            axis.label.set_size(8)
            axis.labelpad = 0
    return figure


def contact_sheet(
    gray: Tensor, truth: Tensor, predicted: Tensor, foreign: Tensor, reference: Tensor, notes=None
) -> Figure:
    """What training saves every so often: ``[N, 3, H, W]`` each; foreign is coloured by the reference's histogram."""
    columns = ("gray", "true", "with its own histogram", "with the reference's", "reference")
    return image_grid(list(zip(gray, truth, predicted, foreign, reference, strict=True)), columns, notes=notes)


def training_curves(history: pd.DataFrame) -> Figure:
    """The terms of the loss (3) and, where measured, the validation's numbers, over photos seen."""
    checks = [c for c in ("psnr", "intersection_foreign") if c in history and history[c].notna().any()]
    figure, axes = plt.subplots(1, 1 + len(checks), figsize=(4.2 * (1 + len(checks)), 3), squeeze=False)
    names = {"gt": r"$\mathcal{L}_{GT}$", "grad": r"$\mathcal{L}_{Grad}$", "hist": r"$\mathcal{L}_H$"}
    window = max(1, len(history) // 40)
    for column, label in names.items():
        smooth = history[column].rolling(window, min_periods=1).mean()
        line = axes[0, 0].plot(history["photos"], smooth)[0]
        if window > 1:
            axes[0, 0].plot(history["photos"], history[column], color=line.get_color(), alpha=0.2, lw=0.6)
        end = (history["photos"].iloc[-1], smooth.iloc[-1])
        place = {"textcoords": "offset points", "va": "center", "color": line.get_color()}
        axes[0, 0].annotate(label, end, xytext=(5, 0), **place)
    axes[0, 0].set(yscale="log", xlabel="photos seen", title="terms of the loss, each over its δ")
    titles = {"psnr": "validation PSNR, dB", "intersection_foreign": "intersection with foreign histograms"}
    for axis, column in zip(axes[0, 1:], checks, strict=True):
        measured = history.dropna(subset=[column])
        axis.plot(measured["photos"], measured[column], marker="o", ms=3)
        axis.set(xlabel="photos seen", title=titles[column])
    return figure


def style_table(table: pd.DataFrame, *, best: dict[str, str] | None = None):
    """A table for a notebook: three digits, the best value a column bold (``best``: column → "max" or "min")."""
    digits = {
        c: "{:.2f}" if c.startswith(("psnr", "colourfulness")) else "{:.3f}" for c in table.select_dtypes("floating")
    }
    styled = table.style.format(digits, na_rep="–", escape="html").hide(axis="index")
    for column, kind in (best or {}).items():
        mark = styled.highlight_max if kind == "max" else styled.highlight_min
        styled = mark(subset=[column], props="font-weight: bold")
    return styled
