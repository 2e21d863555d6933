"""What lesson 00 shows and asks: photos beside histograms, transport, pins, and the stubs' checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from histcolor.color import rgb_to_lab
from histcolor.demo import demo_photo
from histcolor.edit import palette_rgb
from histcolor.histogram import ab_histogram
from histcolor.images import read_image
from histcolor.lessons.stub import Stub
from histcolor.metrics import round8
from histcolor.plots import show_histogram, show_image, show_mass_scale


def read_photo(name: str) -> Tensor:
    """Read a photo of one's own by its path, or one of scikit-image's by its name: RGB ``[3, H, W]`` in [0, 1]."""
    path = Path(name).expanduser()
    return read_image(path) if path.is_file() else demo_photo(name)


def swatches(palette: str) -> Tensor:
    """Draw a palette such as ``"#d9823b,#3a6ea5"`` as pixels side by side: RGB ``[3, 1, colours]``."""
    return palette_rgb(palette).float()


def histograms_figure(
    image: Tensor, gray: Tensor, targets: Mapping[str, Tensor], results: Sequence[Tensor], origins: Sequence[Tensor]
) -> Figure:
    """Draw a photo, and for each target histogram the histogram and the result below it.

    Args:
        image: RGB ``[3, H, W]``, in colour.
        gray: the same without colour.
        targets: by title, ``[bins, bins]`` each.
        results: RGB, one for each of ``targets``.
        origins: RGB, where the first of the targets are from; drawn small into their corners.
    """
    L = float(rgb_to_lab(image)[0].mean())
    figure, axes = plt.subplots(2, 1 + len(targets), figsize=(3.3 * (1 + len(targets)), 5.4), height_ratios=[1.25, 1])
    show_image(axes[0, 0], image)
    show_image(axes[1, 0], gray)
    axes[0, 0].set_title("the photo\n(hidden from the network)", fontsize=12)
    axes[1, 0].set_title("what it sees: $T_L$", fontsize=12)
    for column, ((name, hist), result) in enumerate(zip(targets.items(), results, strict=True), start=1):
        show_histogram(axes[0, column], hist, L)
        axes[0, column].set_title(name, fontsize=13)
        show_image(axes[1, column], result)
    for axis, origin in zip(axes[0, 1:], origins, strict=False):
        show_image(axis.inset_axes([0.03, 0.03, 0.4, 0.27]), origin)
    return figure


def achieved_figure(
    gray: Tensor, target: Tensor, results: Mapping[str, Tensor], *, first: str = "target histogram"
) -> Figure:
    """Draw a target histogram, and beside it what results have: pictures below their histograms, with a scale.

    ``results`` are RGB ``[3, H, W]`` by title; ``target`` is ``[bins, bins]``, and ``first`` its title.
    """
    L = float(rgb_to_lab(gray)[0].mean())
    figure, axes = plt.subplots(2, 1 + len(results), figsize=(3.3 * (1 + len(results)), 5.6), height_ratios=[1.3, 1])
    show_histogram(axes[0, 0], target, L)
    axes[0, 0].set_title(first, fontsize=13)
    show_image(axes[1, 0], gray)
    for column, (name, rgb) in enumerate(results.items(), start=1):
        show_histogram(axes[0, column], ab_histogram(rgb_to_lab(round8(rgb))[1:], target.shape[-1]), L)
        axes[0, column].set_title(name, fontsize=13)
        show_image(axes[1, column], rgb)
    show_mass_scale(list(axes[0]), L)
    return figure


def pins_figure(
    pictures: Mapping[str, Tensor], pins: Mapping[str, Sequence[tuple[float, float, str]]] | None = None
) -> Figure:
    """Draw pictures of one photo side by side, RGB ``[3, H, W]`` by title, each with its ``pins``, by title too."""
    height = 3.4
    width = next(iter(pictures.values())).shape
    figure, axes = plt.subplots(1, len(pictures), figsize=(height * len(pictures) * width[2] / width[1], height + 0.4))
    for axis, (name, rgb) in zip(axes, pictures.items(), strict=True):
        show_image(axis, rgb)
        axis.set_title(name, fontsize=13)
        for x, y, colour in (pins or {}).get(name, ()):
            axis.plot(x, y, "o", ms=11, mfc=colour, mec="white", mew=2)
            axis.plot(x, y, "o", ms=14, mfc="none", mec="black", mew=1)
    return figure


# --- the stubs ---


def _some(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def _photo() -> Tensor:
    return rgb_to_lab(_some(3, 4, 5))


def _L_alone(lab):
    """This is L alone, [1, H, W]: a picture in Lab needs a and b, too, and for gray both are 0."""
    return lab[:1]


def _L_lost(lab):
    """You changed L: it is the first of the three, lab[0], and stays as it is. Only a and b become 0."""
    return torch.cat([0 * lab[:1], lab[1:]])


def _one_left(lab):
    """One of a and b is still there: both must be 0."""
    return torch.cat([lab[:2], 0 * lab[2:]])


def _L_thrice(lab):
    """You repeated L three times, as for a gray RGB picture: in Lab, gray is a = b = 0."""
    return lab[:1].expand(3, -1, -1)


WITHOUT_COLOUR = Stub(
    "without_colour",
    lambda lab: torch.cat([lab[:1], torch.zeros_like(lab[1:])]),
    lambda: (_photo(),),
    (_L_alone, _L_lost, _one_left, _L_thrice),
)


def _two_histograms() -> tuple[Tensor, Tensor]:
    P, Q = _some(8, 8) ** 3, _some(8, 8 + 1)[:, :8] ** 3
    return P / P.sum(), Q / Q.sum()


def _union(P, Q):
    """This is the sum of the larger shares: take the smaller one of each pair."""
    return torch.maximum(P, Q).sum()


def _mean(P, Q):
    """This is the mean over the bins, which depends on their number: take the sum."""
    return torch.minimum(P, Q).mean()


def _each_bin(P, Q):
    """This is one number for each bin: sum them."""
    return torch.minimum(P, Q)


def _distance(P, Q):
    """This is a distance, 0 for equal histograms: the intersection is 1 for them, the sum of the smaller shares."""
    return (P - Q).abs().sum()


def _product(P, Q):
    """You multiplied the shares: for equal histograms that is not 1. Take the smaller one of each pair."""
    return (P * Q).sum()


INTERSECT = Stub(
    "intersect",
    lambda P, Q: torch.minimum(P, Q).sum(),
    _two_histograms,
    (_union, _mean, _each_bin, _distance, _product),
)


def _swapped(P, Q, share):
    """P and Q are swapped: for share = 0 the mixture is P, for share = 1 it is Q."""
    return share * P + (1 - share) * Q


def _added(P, Q, share):
    """This sums to more than 1: what Q gets, P must lose. Multiply P by 1 − share."""
    return P + share * Q


def _both_by_share(P, Q, share):
    """You multiplied both by the share, so the sum is not 1: P needs 1 − share."""
    return share * (P + Q)


def _half(P, Q, share):
    """This is the mean of both, whatever the share is."""
    return (P + Q) / 2


MIX = Stub(
    "mix",
    lambda P, Q, share: (1 - share) * P + share * Q,
    lambda: (*_two_histograms(), 0.3),
    (_swapped, _added, _both_by_share, _half),
)
