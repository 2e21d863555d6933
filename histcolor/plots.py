"""Figures and styled tables: one look for notebooks, training and results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from histcolor.color import AB_MAX, in_gamut, lab_to_rgb
from histcolor.histogram import palette
from histcolor.images import atomic, to_uint8

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
    bins = hist.shape[-1]
    lab = torch.cat([torch.full((1, bins, bins), float(L)), palette(bins).permute(2, 0, 1)])
    floor = 1e-5
    strength = (torch.log(hist.clamp(min=floor) / floor) / np.log(1 / floor) * 2.2).clamp(0, 1) ** 0.8
    picture = 1 + strength * (lab_to_rgb(lab) - 1)
    picture = picture.transpose(1, 2).flip(1)  # [a, b] → rows of falling b, columns of rising a
    return picture.repeat_interleave(scale, 1).repeat_interleave(scale, 2)


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
        inside = in_gamut(torch.cat([torch.full((1, 256, 256), float(L)), palette(256).permute(2, 0, 1)])).T
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
        values.T if plane else values,
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
