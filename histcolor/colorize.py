"""Colour photos of any size: colours are computed small, then joined to the full-size L."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from histcolor.color import AB_MAX, lab_to_rgb, rgb_to_lab, unscale_ab
from histcolor.histogram import check_histogram
from histcolor.model import Colorizer, PhotoFeatures
from histcolor.transport import guided, match_histogram

SIZES = {"preview": 160, "fast": 192, "full": 256}  #: working sizes by name, in pixels along each side
STRIP = 2**21  #: pixels that are converted at once, so that memory stays bounded for photos of any size


@dataclass
class EncodedPhoto:
    """A photo whose part of the network is computed (:func:`encode`), ready to be coloured with many histograms."""

    L: Tensor  #: full size, ``[1, H, W]`` in [0, 100]
    features: PhotoFeatures  #: at the size the network works at, for one photo


def working_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Choose the height and width that the network works at: multiples of 32, with an area of about size².

    The shape is nearly the photo's, but very long photos are squeezed: no side is above 4 × size.
    """
    scale = size / math.sqrt(height * width)
    sides = (round(side * scale / 32) * 32 for side in (height, width))
    h, w = (min(max(side, 32), 4 * size // 32 * 32) for side in sides)
    return h, w


def lightness(image: Tensor) -> Tensor:
    """Compute L ``[1, H, W]`` in [0, 100] of RGB ``[3, H, W]`` in [0, 1], a strip at a time."""
    rows = max(1, STRIP // image.shape[2])
    return torch.cat([rgb_to_lab(strip)[:1] for strip in image.split(rows, dim=1)], dim=1)


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize ``[C, H, W]`` to ``[C, h, w]``, bilinear and antialiased; nothing changes where the size is the same."""
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x[None], size, mode="bilinear", align_corners=False, antialias=True)[0]


@torch.no_grad()
def encode(model: Colorizer, image: Tensor, *, size: int | str = "full") -> EncodedPhoto:
    """Compute the photo's part of the network once; give the result to :func:`colorize` in place of the photo.

    Args:
        model: from :func:`histcolor.load`.
        image: RGB ``[3, H, W]`` in [0, 1], of any size; its colours, if it has any, are not looked at.
        size: the network works on about size × size pixels, in the photo's shape: a number, or a name of :data:`SIZES`.

    Raises:
        ValueError: wrong shape, values out of [0, 1], NaN, a size under 32, or an unknown name.
    """
    if isinstance(size, str):
        if size not in SIZES:
            raise ValueError(f"size must be a number of pixels or one of {', '.join(SIZES)}, got {size!r}.")
        size = SIZES[size]
    if image.ndim != 3 or image.shape[0] != 3 or image.numel() == 0:
        raise ValueError(f"A photo must be RGB [3, H, W] with at least one pixel, got shape {tuple(image.shape)}.")
    if not image.is_floating_point():
        raise ValueError(f"A photo's values must be floating point in [0, 1], got {image.dtype}: divide by 255.")
    low, high = image.aminmax()
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # false for NaN as well
        raise ValueError(
            f"A photo's values must be in [0, 1], got {low:.3g} to {high:.3g}: divide 8-bit pixels by 255."
        )
    if size < 32:
        raise ValueError(f"size must be at least 32, got {size}.")
    device = next(model.parameters()).device
    L = lightness(image.float())
    small = resize(L, working_size(*L.shape[-2:], size)).to(device)
    return EncodedPhoto(L, model.encode(small[None]))


@torch.no_grad()
def colorize(
    model: Colorizer,
    image: Tensor | EncodedPhoto,
    hist: Tensor | None = None,
    *,
    match: float = 0.0,
    flips: bool = False,
    size: int | str = "full",
) -> Tensor:
    """Colour a photo with an ab histogram, or with a batch of them.

    Args:
        model: from :func:`histcolor.load`.
        image: RGB ``[3, H, W]`` in [0, 1], whose colours are not looked at, or what :func:`encode` made of it.
        hist: ``[bins, bins]`` or ``[N, bins, bins]``, with the model's bins; normalised to sum to 1. Without: the
            network chooses the colours, if it was taught to (``model.automatic``).
        match: how far the colours are then moved to have exactly this histogram, from 0 (not at all) to 1.
        flips: colour the mirrored photo as well and take the mean: a little better, and twice the work.
        size: the network works on about size × size pixels (see :func:`encode`).

    Returns:
        RGB ``[3, H, W]``, or ``[N, 3, H, W]`` for a batch, in [0, 1], at the full size of ``image``, on the CPU.

    Raises:
        ValueError: a wrong photo, histogram (see :func:`histcolor.histogram.check_histogram`) or ``match``; or no
            histogram, and a model that needs one, or a ``match`` to match it with.
    """
    if not 0 <= match <= 1:
        raise ValueError(f"match must be in [0, 1], got {match}.")
    if hist is None and match:
        raise ValueError("match needs a histogram to match: give one, or leave match at 0.")
    photo = image if isinstance(image, EncodedPhoto) else encode(model, image, size=size)
    ab = predict(model, photo, hist, flips=flips)
    if match:
        ab = match_asked(model, photo, ab, hist, match)
    out = join(photo.L, ab.cpu(), photo.features.L[0].cpu())
    return out[0] if hist is None or hist.ndim == 2 else out


def checked(model: Colorizer, hist: Tensor | None) -> Tensor:
    """Histograms as the network takes them, ``[N, bins, bins]``; None: the average one. See :func:`colorize`."""
    hist = model.average_histogram() if hist is None else check_histogram(hist, model.config.bins)
    if hist.ndim > 3:
        raise ValueError(f"hist must be [bins, bins] or [N, bins, bins], got shape {tuple(hist.shape)}.")
    return (hist if hist.ndim == 3 else hist[None]).to(next(model.parameters()).device)


@torch.no_grad()
def predict(model: Colorizer, photo: EncodedPhoto, hist: Tensor | None, *, flips: bool = False) -> Tensor:
    """Predict the colours of a photo for histograms (see :func:`colorize`): ``[N, 2, h, w]`` in units of ab."""
    batch = checked(model, hist)
    given = torch.full((len(batch),), hist is not None, device=batch.device)
    y_ab = model.decode(photo.features.expand(len(batch)), batch, given).float()
    if flips:
        mirrored = model.encode(photo.features.L.flip(-1))
        y_ab = (y_ab + model.decode(mirrored.expand(len(batch)), batch, given).float().flip(-1)) / 2
    return unscale_ab(y_ab)


@torch.no_grad()
def match_asked(model: Colorizer, photo: EncodedPhoto, ab: Tensor, hist: Tensor, match: float) -> Tensor:
    """Move predicted colours ``[N, 2, h, w]`` towards their target histograms; see :func:`colorize`."""
    return match_histogram(ab, checked(model, hist), photo.features.L, match)


def join(L: Tensor, ab: Tensor, small_L: Tensor) -> Tensor:
    """Join small ab to the full-size L, a strip at a time; colours follow the edges of L that the small photo lost.

    Args:
        L: ``[1, H, W]`` in [0, 100].
        ab: ``[N, 2, h, w]``.
        small_L: L at the size of ab, ``[1, h, w]``.

    Returns:
        RGB ``[N, 3, H, W]`` in [0, 1].
    """
    n, (height, width), same = len(ab), L.shape[-2:], L.shape[-2:] == ab.shape[-2:]
    out = torch.empty(n, 3, height, width)
    maps = torch.cat([ab, guided(ab, small_L[None])[0], small_L.expand(n, 1, -1, -1)], dim=1)
    # grid_sample's coordinates: -1 and 1 are the outer edges of the corner pixels
    xs = (torch.arange(width) + 0.5) * 2 / width - 1
    ys = (torch.arange(height) + 0.5) * 2 / height - 1
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = L[:, top : top + rows]
        y, x = torch.meshgrid(ys[top : top + rows], xs, indexing="ij")
        grid = torch.stack([x, y], dim=-1)[None]
        for i in range(n):
            if same:
                colours = ab[i, :, top : top + rows]
            else:
                up = F.grid_sample(maps[i : i + 1], grid, padding_mode="border", align_corners=False)[0]
                colours = up[:2] + up[2:4] * (strip - up[4:])
            out[i, :, top : top + rows] = lab_to_rgb(torch.cat([strip, colours.clamp(-AB_MAX, AB_MAX)]))
    return out
