"""What lesson 01 shows and asks: figures about histograms, bins and gradients, and the stubs' checks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.transforms.functional import center_crop, resize

from histcolor import plots
from histcolor.color import AB_MAX, lab_to_rgb, rgb_to_lab
from histcolor.demo import demo_photo
from histcolor.histogram import ab_histogram, bin_centres, bin_width, palette, represent, soft_ab_histogram
from histcolor.lessons.stub import Stub

BLUE, ORANGE, GREEN, PURPLE, GRAY, OCHRE = plots.STYLE["axes.prop_cycle"].by_key()["color"]
INK = "#374151"
FEW = 8  #: bins where each one should be seen
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


def square_photos(size: int, names: Sequence[str] = PHOTOS) -> dict[str, Tensor]:
    """Read photos that are at hand, cut square and scaled: by name, RGB ``[3, size, size]`` in [0, 1]."""
    found = {}
    for name in names:
        photo = demo_photo(name)
        found[name] = resize(center_crop(photo, [min(photo.shape[1:])] * 2), [size, size], antialias=True).clamp(0, 1)
    return found


def overview_figure(rgb: Mapping[str, Tensor], bins: int) -> Figure:
    """Draw for each photo, RGB ``[3, H, W]``: itself, its L, its pixels in the ab plane, and its histogram."""
    figure, axes = plt.subplots(4, len(rgb), figsize=(2.8 * len(rgb), 10.8), squeeze=False)
    for column, (name, photo) in zip(axes.T, rgb.items(), strict=True):
        lab = rgb_to_lab(photo)
        L = float(lab[0].mean())
        plots.show_image(column[0], photo, name)
        column[1].imshow(lab[0], cmap="gray", vmin=0, vmax=100)
        column[1].set_axis_off()
        column[1].set_title(f"$T_L$, mean {L:.0f}")
        plots.show_pixels(column[2], lab, "its pixels")
        plots.show_histogram(column[3], ab_histogram(lab[1:], bins), L, f"$R_H$, {bins}×{bins} bins")
    for axis in axes[2:].flat:
        axis.label_outer()
    return figure


def represent_figure(hist: Tensor) -> Figure:
    """Draw a histogram ``[B, B]`` as it is, and the three channels of R_I that the network gets."""
    root, a, b = represent(hist[None])[0]
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.2))
    plots.show_values(axes[0], hist / hist.max(), r"$R_H$ / max: nearly all too pale", plane=True, signed=False)
    plots.show_values(axes[1], root, r"channel 0: $\sqrt{R_H/\max}$", plane=True, signed=False)
    plots.show_values(axes[2], a, "channel 1: $a/110$ where $R_H > 0$", plane=True, limit=1)
    plots.show_values(axes[3], b, "channel 2: $b/110$ where $R_H > 0$", plane=True, limit=1)
    return figure


def bins_figure(pictures: Mapping[str, Tensor], errors: pd.DataFrame) -> Figure:
    """Draw a photo with few and many bins, and the error in ab and in RGB over the number of bins.

    Args:
        pictures: title → RGB ``[3, H, W]``.
        errors: columns photo, bins, RMSE and PSNR.
    """
    figure = plt.figure(figsize=(12, 6.4))
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.3])
    for axis, (title, picture) in zip(top.subplots(1, len(pictures)), pictures.items(), strict=True):
        plots.show_image(axis, picture, title)
    left, right = bottom.subplots(1, 2)
    for (name, part), marker in zip(errors.groupby("photo"), "os^D", strict=False):
        left.plot(part["bins"], part["RMSE"], marker=marker, ms=5, label=name)
        right.plot(part["bins"], part["PSNR"], marker=marker, ms=5, label=name)
    counts = sorted(errors["bins"].unique())
    left.plot(counts, [bin_width(B) / math.sqrt(12) for B in counts], "k--", lw=1.2, label=r"theory, $w/\sqrt{12}$")
    rounding = -20 * math.log10(1 / 255 / math.sqrt(12))
    right.axhline(rounding, color="k", ls=":", lw=1.2)
    right.text(counts[0], rounding - 0.7, "rounding of RGB to 8 bits", va="top", fontsize=9)
    left.set(yscale="log", ylabel="RMSE, units of ab", title="error in ab: half with twice the bins")
    right.set(ylabel="PSNR, dB", title="error in RGB: 6 dB better with twice the bins")
    for axis, where in ((left, "lower left"), (right, "lower right")):
        axis.set_xscale("log", base=2)
        axis.set(xlabel="bins $B$ along each axis", xticks=counts, xticklabels=counts)
        axis.legend(loc=where)
    return figure


def pixel_figure(places: Sequence[tuple[float, float]]) -> Figure:
    """Draw how a pixel shares its mass among its nearest bins, a panel for each place (a, b) of the pixel."""
    figure, axes = plt.subplots(1, len(places), figsize=(3.6 * len(places), 3.7), squeeze=False)
    for axis, (a, b) in zip(axes[0], places, strict=True):
        one = soft_ab_histogram(torch.tensor([a, b])[:, None, None], FEW)
        axis.imshow(one.T, cmap="Blues", vmin=0, vmax=1.3, origin="lower", extent=plots.PLANE)
        edges = torch.linspace(-AB_MAX, AB_MAX, FEW + 1).tolist()
        axis.set_xticks(edges, minor=True)
        axis.set_yticks(edges, minor=True)
        axis.grid(which="minor", color="#d1d5db", lw=0.7)
        axis.tick_params(which="minor", length=0)
        for i, j in (one > 0.005).nonzero().tolist():
            x, y = bin_centres(FEW)[[i, j]].tolist()
            ink = "white" if one[i, j] > 0.6 else "black"
            beside = -9.5 if y < b else 9.5  # away from the dot
            axis.text(x, y + beside, f"{one[i, j]:.0%}", ha="center", va="center", fontsize=9, color=ink)
        axis.plot(a, b, "o", color=ORANGE, mec="white", ms=9)
        some = int((one > 0.005).sum())
        shared = "one bin gets all" if some == 1 else f"{some} bins share it"
        plots.frame_plane(axis, f"a = {a:g}, b = {b:g}: {shared}".replace("-", "−"))
        if len(places) > 1:  # else it is dragged, over the whole plane
            axis.set(xlim=(a - 62, a + 62), ylim=(b - 62, b + 62), xticks=(0, 50), yticks=(-50, 0, 50))
    return figure


def width_figure(ab: Tensor, widths: Sequence[float], hists: Sequence[Tensor], L: float) -> Figure:
    """Draw triangular kernels of several widths, counted in bins; below, a photo's histogram with each of them.

    Args:
        ab: positions ``[N]`` along one axis, in units of ab.
        widths: of the kernels, in bins.
        hists: the histogram ``[B, B]`` with each width.
        L: the lightness at which histograms are drawn.
    """
    figure, axes = plt.subplots(2, len(widths), figsize=(4.2 * len(widths), 6.2), squeeze=False, height_ratios=[1, 1.7])
    x = (ab + AB_MAX) / bin_width(FEW) - 0.5
    for column, width, hist in zip(axes.T, widths, hists, strict=True):
        k = (1 - (x[:, None] - torch.arange(FEW)).abs() / width).clamp(min=0) / width  # [N, FEW]
        inside = (x >= width - 1) & (x <= FEW - width)  # at the plane's edge wide kernels are cut
        column[0].plot(ab, k, color=BLUE, lw=1.3)
        column[0].plot(ab[inside], k.sum(1)[inside], color="k", ls="--", lw=1.4)
        low, high = float(k.sum(1)[inside].min()), float(k.sum(1)[inside].max())
        counts = "counts once" if high - low < 0.05 else f"counts {abs(low):.1g} to {high:.2g} times"
        column[0].set(ylim=(0, 2.2), xlabel="a of the pixel", title=f"width {width:g}: a pixel {counts}")
        plots.show_histogram(column[1], hist / hist.sum(), L, gamut=False)
        column[1].set(xlim=(-70, 90), ylim=(-80, 80), xticks=(-50, 0, 50), yticks=(-50, 0, 50))
    axes[0, 0].set_ylabel("mass for each of 8 bins")
    return figure


def mean_push(push: Tensor, places: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Average what pixels feel over the bins that they lie in.

    Args:
        push: ``[2, H, W]``, along a and b.
        places: ``[2, H, W]``, positions counted in bins from the centre of the first.
        bins: along each axis.

    Returns:
        Centres ``[N, 2]`` of the bins that have pixels and are pushed, and the push there, ``[N, 2]``.
    """
    flat = (places.round().long() * torch.tensor([bins, 1])[:, None, None]).sum(0).flatten()
    count = torch.bincount(flat, minlength=bins**2)
    mean = torch.stack([torch.bincount(flat, one, bins**2) for one in push.flatten(1)], 1) / count[:, None]
    felt = (count > 3) & (mean.norm(dim=1) > 0.1)
    return palette(bins).flatten(0, 1)[felt], mean[felt]


def gradient_figure(photo: Tensor, g: Tensor, pushes: Mapping[str, Tensor], places: Tensor) -> Figure:
    """Draw which pixels of a photo feel the histogram loss, with one number of bins and with several.

    Args:
        photo: RGB ``[3, H, W]``.
        g: the loss's derivative by each bin over δ, ``[B, B]`` in [-1, 1].
        pushes: title → minus the gradient, ``[2, H, W]``; the first one's arrows are drawn on ``g``.
        places: see :func:`mean_push`.
    """
    figure, axes = plt.subplots(1, 2 + len(pushes), figsize=(3.7 * (2 + len(pushes)), 3.9))
    plots.show_image(axes[0], photo, "the photo")
    plots.show_values(axes[1], g, "derivative by each bin, in $\\delta$\n+: too full, −: too empty", plane=True)
    centres, mean = mean_push(next(iter(pushes.values())), places, len(g))
    arrows = {"scale": 14, "width": 0.012, "color": "white", "ec": "black", "lw": 0.7}
    axes[1].quiver(*centres.T, *(mean / mean.norm(dim=1, keepdim=True)).T, **arrows)
    axes[1].set(xlim=(-60, 90), ylim=(-70, 80), xticks=(-50, 0, 50), yticks=(-50, 0, 50))
    for axis, (title, push) in zip(axes[2:], pushes.items(), strict=True):
        strength = push.norm(dim=0)
        still = float((strength < 0.1).float().mean())
        title = f"push, in $\\delta / (P\\,w)$\n{title}: {still:.0%} feel nothing"
        plots.show_values(axis, strength.clamp(max=2), title, signed=False, limit=2)
    return figure


def descent_figure(
    pictures: Mapping[str, Tensor], hists: Sequence[Tensor], curves: Mapping[str, Tensor], L: float
) -> Figure:
    """Draw what a gradient descent does: pictures, their histograms, and the curves below them.

    Args:
        pictures: title → RGB ``[3, H, W]``; the last one is the reference image.
        hists: their histograms ``[B, B]``.
        curves: label → ``[steps, 2]``, loss and intersection.
        L: the lightness at which histograms are drawn.
    """
    figure = plt.figure(figsize=(12.5, 8))
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.9, 1])
    axes = top.subplots(2, len(pictures))
    for column, (title, picture), hist in zip(axes.T, pictures.items(), hists, strict=True):
        plots.show_image(column[0], picture, title)
        plots.show_histogram(column[1], hist, L)
        column[1].label_outer()
    panels = bottom.subplots(1, 2)
    for (label, curve), style in zip(curves.items(), ("--", "-"), strict=False):
        panels[0].semilogy(curve[:, 0] / curve[0, 0], style, lw=2, label=label)
        panels[1].plot(curve[:, 1], style, lw=2, label=label)
    panels[0].set(xlabel="step", title=r"$\mathcal{L}_H$, over its value at the start")
    panels[1].set(xlabel="step", ylim=(0, 1.02), title="intersection with the target histogram (1: equal)")
    panels[1].legend(loc="center right")
    return figure


def distances_figure(
    blob: Tensor, middles: Tensor, shift: Tensor, distances: Mapping[str, Tensor], apart_at: float
) -> Figure:
    """Draw a blob of colour that moves, and how several distances from its first place grow.

    Args:
        blob: the histogram at each of N places, ``[N, B, B]``.
        middles: (a, b) of each place, ``[N, 2]``.
        shift: how far the blob has moved, ``[N]``.
        distances: label → ``[N]``.
        apart_at: from which shift on the histograms have nothing in common.
    """
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.4), width_ratios=[0.95, 1, 1])
    every = (len(shift) - 1) // 4
    plots.show_histogram(axes[0], blob[::every].mean(0), 65, "a blob of colour moves away")
    ends = [middles[i].tolist() for i in (-1, 0)]
    axes[0].annotate("", *ends, arrowprops={"arrowstyle": "->", "color": INK})
    for k in range(0, len(shift), every):
        axes[0].text(*(middles[k] + torch.tensor([16.0, 13.0])), f"$d = {shift[k]:.0f}$", fontsize=9)
    styles = ("-", (0, (5, 2)), (0, (1, 1)), (0, (4, 1, 1, 1)), "-")
    for (label, values), style in zip(distances.items(), styles, strict=True):
        slope = torch.gradient(values, spacing=(shift,))[0]
        width = 2.8 if "earth" in label else 1.7
        axes[1].plot(shift, values / values.max(), ls=style, lw=width, label=label)
        axes[2].plot(shift, slope / slope.abs().max(), ls=style, lw=width)
    for axis in axes[1:]:
        axis.axvspan(apart_at, float(shift[-1]), color="#e5e7eb", zorder=0, lw=0)
        axis.set(xlabel="moved by $d$, units of ab", xlim=(0, float(shift[-1])))
    axes[1].text(apart_at + 2, 0.02, "nothing in common", fontsize=9, color="#4b5563")
    axes[1].set(ylim=(0, 1.04), title="distance, over its largest value")
    axes[2].set(title="slope: what gradient descent feels")
    axes[1].legend(loc="center right", bbox_to_anchor=(1, 0.38), fontsize=9)
    return figure


def _pixels() -> Tensor:
    draw = torch.Generator().manual_seed(0)
    ab = torch.randn(2, 200, generator=draw) * torch.tensor([[30.0], [15.0]]) + torch.tensor([[10.0], [-20.0]])
    return ab.clamp(1 - AB_MAX, AB_MAX - 1)


def _index(ab: Tensor, bins: int) -> Tensor:
    return ((ab + AB_MAX) / bin_width(bins)).floor().long().clamp(0, bins - 1)


def _counted(i: Tensor, j: Tensor, bins: int) -> Tensor:
    return torch.bincount(i * bins + j, minlength=bins**2).view(bins, bins).float()


def _not_divided(ab, bins):
    """You counted pixels: R_H holds shares, so divide by the number of pixels."""
    return _counted(*_index(ab, bins), bins)


def _transposed(ab, bins):
    """The axes are exchanged: axis 0 is a, axis 1 is b."""
    i, j = _index(ab, bins)
    return _counted(j, i, bins) / ab.shape[1]


def _rounded(ab, bins):
    """You rounded to the nearest edge: a bin goes from one edge to the next, so round down (floor)."""
    i, j = ((ab + AB_MAX) / bin_width(bins)).round().long().clamp(0, bins - 1)
    return _counted(i, j, bins) / ab.shape[1]


def _written_once(ab, bins):
    """A bin with several pixels holds only one of them, since R_H[i, j] += 1 writes each place once: count with
    torch.bincount, or with index_put_(…, accumulate=True)."""
    i, j = _index(ab, bins)
    return ((_counted(i, j, bins) > 0) / ab.shape[1]).float()


COUNT = Stub(
    "count",
    lambda ab, bins: _counted(*_index(ab, bins), bins) / ab.shape[1],
    lambda: (_pixels(), 16),
    (_not_divided, _transposed, _rounded, _written_once),
)


def _hist() -> Tensor:
    return ab_histogram(_pixels()[..., None], 16)


def _plain_mean(R_H, R_P):
    """You took the mean over all bins, empty ones included: weight each bin's colour by its mass, and sum."""
    return (R_H[..., None] * R_P).mean((0, 1))


def _exchanged(R_H, R_P):
    """The axes of R_P are exchanged, so a and b have changed places: the fault of the authors' release."""
    return (R_H[..., None] * R_P.transpose(0, 1)).sum((0, 1))


def _used_bins(R_H, R_P):
    """Every bin in use counts alike: a bin with more mass must count more."""
    used = (R_H > 0).float()
    return (used[..., None] * R_P).sum((0, 1)) / used.sum()


def _fullest(R_H, R_P):
    """This is the colour of the fullest bin, not the mean of all."""
    return R_P.flatten(0, 1)[R_H.flatten().argmax()]


MEAN_COLOUR = Stub(
    "mean_colour",
    lambda R_H, R_P: (R_H[..., None] * R_P).sum((0, 1)),
    lambda: (_hist(), palette(16)),
    (_plain_mean, _exchanged, _used_bins, _fullest),
)


def _triangles(a: Tensor, centres: Tensor, w: float) -> Tensor:
    return 1 - (a[:, None] - centres).abs() / w


def _negative(a, centres, w):
    """Far pixels get a negative mass: 1 − |t| must stop at 0, clamp(min=0)."""
    return _triangles(a, centres, w).mean(0)


def _no_distance(a, centres, w):
    """Pixels below a centre count more the farther they are: take the absolute value of t."""
    return (1 - (a[:, None] - centres) / w).clamp(min=0).mean(0)


def _no_width(a, centres, w):
    """The distance must be counted in bins: t = (a − aᵢ)/w."""
    return _triangles(a, centres, 1.0).clamp(min=0).mean(0)


def _summed(a, centres, w):
    """You summed over the pixels: T_H holds shares, so take their mean (1/P)."""
    return _triangles(a, centres, w).clamp(min=0).sum(0)


def _boxes(a, centres, w):
    """This kernel is a box, as in a plain histogram: its slope is 0 nearly everywhere. Use 1 − |t|."""
    return ((a[:, None] - centres).abs() < w / 2).float().mean(0)


def _over_bins(a, centres, w):
    """You took the mean over the bins: the result needs one number for each bin, the mean over the pixels."""
    return _triangles(a, centres, w).clamp(min=0).mean(1)


SOFT = Stub(
    "soft",
    lambda a, centres, w: _triangles(a, centres, w).clamp(min=0).mean(0),
    lambda: (_pixels()[0].clamp(-90, 90), bin_centres(FEW), bin_width(FEW)),
    (_negative, _no_distance, _no_width, _summed, _boxes, _over_bins),
)


def coloured(L: Tensor, ab: Tensor) -> Tensor:
    """Give a photo's L ``[1, H, W]`` other colours ab ``[2, H, W]``: RGB ``[3, H, W]``."""
    return lab_to_rgb(torch.cat([L, ab]))
