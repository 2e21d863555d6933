"""Figures and styled tables, which look alike in notebooks, training and results."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from histcolor.color import AB_MAX, in_gamut, lab_to_rgb, rgb_to_lab
from histcolor.histogram import bin_width, palette
from histcolor.images import atomic, to_uint8
from histcolor.pictures import ImageError, open_picture

SHEET = "contact sheet of histcolor"  #: the title in the PNGs that :func:`save_sheet` writes
PLANE = (-AB_MAX, AB_MAX, -AB_MAX, AB_MAX)  #: the ab plane as matplotlib's extent
FAINTEST = 1e-5  #: a bin with less mass than this is not seen
FULL = FAINTEST ** (1 - 1 / 2.2)  #: a bin with at least this mass, 0.19 %, has its full colour
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


def save_figure(figure: Figure, path: str | Path, **metadata: str) -> None:
    """Write a figure to a file atomically; the suffix of ``path`` is the format. ``metadata`` are texts in a PNG."""
    with atomic(path) as temporary:
        figure.savefig(temporary, facecolor="white", metadata=metadata or None)


def show_figure(figure: Figure, path: str | Path | None = None):
    """Close a figure and return what a notebook displays under any backend; first write it, if a file is named."""
    from IPython.display import Image

    picture = io.BytesIO()
    if path:
        save_figure(figure, path)
    else:
        figure.savefig(picture, format="png", facecolor="white")
    plt.close(figure)
    return Image(filename=str(path)) if path else Image(picture.getvalue())


def plane_lab(L: float, side: int) -> Tensor:
    """Make the ab plane at lightness L in [0, 100]: Lab ``[3, side, side]``; axis 1 is a, axis 2 is b, ascending."""
    return torch.cat([torch.full((1, side, side), float(L)), palette(side).permute(2, 0, 1)])


def upright(values: Tensor) -> Tensor:
    """Turn ``[..., a, b]`` into a picture ``[..., rows, columns]``, with a to the right and b upwards."""
    return values.transpose(-1, -2).flip(-2)


def plane_picture(L: float, side: int = 256) -> Tensor:
    """Draw the ab plane in its own colours at lightness L, clipped to sRGB: RGB ``[3, side, side]``, b upwards."""
    return upright(lab_to_rgb(plane_lab(L, side)))


def visible_mass(hist: Tensor) -> Tensor:
    """Say how strongly each bin is shown, in [0, 1], for histograms ``[..., bins, bins]`` that sum to 1.

    It grows with the logarithm of the mass, so that a peak and a thin tail can both be seen.
    """
    strength = torch.log(hist.clamp(min=FAINTEST) / FAINTEST) / math.log(FULL / FAINTEST)
    return strength.clamp(0, 1) ** 0.8


def _contours(values: Tensor, level: float) -> list[list[list[float]]]:
    """Find the closed lines [[a, b], …] along which ``values`` ``[side, side]``, one for each bin, equal the level."""
    from skimage.measure import find_contours

    side = len(values)
    low = float(values.min()) - 1  # below any level
    padded = np.pad(values.double().numpy(), 1, constant_values=low)  # what reaches the edge of the plane ends there
    found = find_contours(padded, level)
    return [((line - 0.5) * bin_width(side) - AB_MAX).clip(-AB_MAX, AB_MAX).round(2).tolist() for line in found]


def gamut_outline(L: float, side: int = 128) -> list[list[list[float]]]:
    """Find the edge of what sRGB can show at lightness L: lines of points [a, b] in units of ab."""
    rgb = lab_to_rgb(plane_lab(L, side).double(), clip=False)
    room = torch.minimum(rgb, 1 - rgb).amin(0)  # distance to the nearest face of the cube: negative outside
    return _contours(room + 1e-3, 0)  # a little wider: white and black lie on the faces, and would have no outline


def mass_outline(hist: Tensor, share: float = 0.9) -> list[list[list[float]]]:
    """Find the line around a histogram's densest bins that hold ``share`` of its mass: lines of points [a, b].

    The histogram ``[bins, bins]`` is smoothed first, by a triangle of two bins, so that the line is not ragged.
    """
    kernel = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    smooth = F.conv2d(hist.double()[None, None], torch.outer(kernel, kernel)[None, None], padding=1)[0, 0]
    mass = smooth.flatten().sort(descending=True).values
    inside = int((mass.cumsum(0) < share * mass.sum()).sum())
    return _contours(smooth, float(mass[min(inside, len(mass) - 1)]) * 0.999)


def histogram_picture(hist: Tensor, L: float, *, scale: int = 4) -> Tensor:
    """Draw a histogram in its own colours at lightness L, as in the paper's figures: RGB ``[3, B·scale, B·scale]``.

    a runs to the right, b upwards. White means no mass; the strength of a colour grows with the logarithm of the
    mass, so that a peak and a thin tail can both be seen.
    """
    picture = upright(1 + visible_mass(hist) * (lab_to_rgb(plane_lab(L, hist.shape[-1])) - 1))
    return picture.repeat_interleave(scale, 1).repeat_interleave(scale, 2)


def tint(gray: Tensor, heat: Tensor, ab: Tensor | tuple[float, float]) -> Tensor:
    """Show where a colour goes, in that colour: full where the heat is 1, faint and gray where it is 0.

    Chroma grows in proportion to the heat, so that equal steps look equal; contrast grows with it, so that gray, white
    and black can be seen as well, and nothing is told by hue alone.

    Args:
        gray: RGB ``[3, H, W]`` in [0, 1]; only its L is used.
        heat: ``[h, w]`` in [0, 1]; enlarged bilinearly.
        ab: the colour, a and b in [-110, 110].

    Returns:
        RGB ``[3, H, W]`` in [0, 1].
    """
    heat = F.interpolate(heat[None, None], gray.shape[-2:], mode="bilinear", align_corners=False)[0].clamp(0, 1)
    L = 100 - (100 - rgb_to_lab(gray)[:1]) * (0.25 + 0.75 * heat)
    return lab_to_rgb(torch.cat([L, heat * torch.as_tensor(ab, dtype=L.dtype)[:, None, None]]))


def show_image(axes: Axes, rgb: Tensor, title: str = "") -> None:
    """Show RGB ``[3, H, W]`` without ticks."""
    axes.imshow(to_uint8(rgb))
    axes.set_title(title)
    axes.set_axis_off()


def show_histogram(axes: Axes, hist: Tensor, L: float = 65.0, title: str = "", *, gamut: bool = True) -> None:
    """Show a histogram ``[bins, bins]`` in its own colours at lightness L, with the edge of sRGB's gamut."""
    axes.imshow(to_uint8(histogram_picture(hist, L, scale=1)), extent=PLANE, interpolation="nearest")
    if gamut:
        inside = in_gamut(plane_lab(L, 256)).T
        line = torch.linspace(-AB_MAX, AB_MAX, 256)
        axes.contour(line, line, inside.float(), levels=[0.5], colors="#9ca3af", linewidths=0.8)
    frame_plane(axes, title)


def show_mass_scale(axes: Sequence[Axes], L: float = 65.0) -> Colorbar:
    """Put a scale beside histograms: how strongly a colour is drawn for a bin's share of the pixels."""
    shares = torch.logspace(math.log10(FAINTEST), math.log10(FULL), 128, dtype=torch.float64)
    colour = lab_to_rgb(torch.tensor([L, 40.0, 40.0], dtype=torch.float64)[:, None, None])[:, 0, 0]
    strengths = ListedColormap((1 + visible_mass(shares)[:, None] * (colour - 1)).numpy())
    scale = ScalarMappable(LogNorm(FAINTEST, FULL), strengths)
    bar = axes[0].figure.colorbar(scale, ax=list(axes), extend="max", label="share of the pixels in a bin")
    ticks = (1e-5, 1e-4, 1e-3)
    bar.set_ticks(ticks, labels=[f"{100 * tick:g} %" for tick in ticks])
    bar.minorticks_off()
    return bar


def show_pixels(axes: Axes, lab: Tensor, title: str = "", *, points: int = 4000) -> None:
    """Draw the pixels of a photo, Lab ``[3, H, W]``, as points in the ab plane, each in its own colour.

    About ``points`` pixels are drawn, evenly chosen in reading order.
    """
    few = lab.flatten(1)[:, :: max(1, lab[0].numel() // points)]
    colours = to_uint8(lab_to_rgb(few[:, :, None]))[:, 0] / 255
    axes.scatter(few[1], few[2], s=3, c=colours, linewidths=0, rasterized=True)
    axes.set_aspect("equal")
    frame_plane(axes, title)


def show_values(
    axes: Axes,
    values: Tensor,
    title: str = "",
    *,
    plane: bool = False,
    signed: bool = True,
    limit: float | None = None,
) -> None:
    """Show numbers with a colour bar: a map ``[H, W]``, or with ``plane`` a number for each bin, ``[B, B]``.

    Signed numbers are purple below zero, white at zero and orange above it, up to ±``limit`` (by default the largest
    absolute value). Others go from white at zero over orange to black. NaN is white.
    """
    limit = limit or float(values.abs().nan_to_num().max()) or 1.0
    shown = axes.imshow(
        (values.T if plane else values).numpy(),
        cmap="PuOr_r" if signed else "gist_heat_r",
        vmin=-limit if signed else 0,
        vmax=limit,
        interpolation="nearest",
        **({"origin": "lower", "extent": PLANE} if plane else {}),
    )
    axes.figure.colorbar(shown, cax=axes.inset_axes((1.03, 0, 0.05, 1)))
    if plane:
        frame_plane(axes, title)
    else:
        axes.set_title(title)
        axes.set_axis_off()


def frame_plane(axes: Axes, title: str) -> None:
    """Give a picture of the ab plane its axes: limits, ticks and names, the same in all figures."""
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
    """Draw a grid of RGB pictures with a title over each column; ``notes`` are texts below pictures.

    Where a picture is None, its place stays empty.
    """
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
                axes[i, j].imshow(to_uint8(picture))
            if i == 0:
                axes[i, j].set_title(columns[j])
            if notes and notes[i][j]:
                axes[i, j].text(
                    0.5, -0.03, notes[i][j], transform=axes[i, j].transAxes, ha="center", va="top", fontsize=8
                )
    return figure


def save_sheet(sheet: Sequence[Tensor], path: Path) -> None:
    """Draw the sheet of pictures that training saves, in the project's look, and write it.

    ``sheet`` holds five times ``[N, 3, H, W]``: gray and true photos, results with self-reference and with
    cross-reference, and the reference images of the latter.
    """
    columns = ("gray", "true", "self-reference", "cross-reference", "reference image")
    with plt.rc_context():
        use_style()
        figure = image_grid(list(zip(*sheet, strict=True)), columns)
        save_figure(figure, path, Title=SHEET)
        plt.close(figure)


def is_sheet(path: Path) -> bool:
    """Tell whether a file is a PNG that :func:`save_sheet` wrote."""
    with suppress(ImageError), open_picture(path, str(path)) as picture:
        return picture.info.get("Title") == SHEET
    return False


def style_table(table: pd.DataFrame):
    """Style a table for a notebook: three decimals, two for PSNR and colourfulness."""
    digits = {
        c: "{:.2f}" if c.startswith(("psnr", "colourfulness")) else "{:.3f}" for c in table.select_dtypes("floating")
    }
    return table.style.format(digits, na_rep="–", escape="html").hide(axis="index")
