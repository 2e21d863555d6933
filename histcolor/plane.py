"""Drawing the ab plane: its colours, how strongly mass is shown, the outlines of gamut and of mass."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from histcolor.color import AB_MAX, lab_to_rgb
from histcolor.histogram import bin_width, palette

FAINTEST = 1e-5  #: mass of a bin that begins to be seen


def plane_lab(L: float, side: int) -> Tensor:
    """The plane as Lab ``[3, side, side]`` at lightness L in [0, 100]: axis 1 is a, axis 2 is b, both ascending."""
    return torch.cat([torch.full((1, side, side), float(L)), palette(side).permute(2, 0, 1)])


def upright(values: Tensor) -> Tensor:
    """``[..., a, b]`` → as a picture, ``[..., rows, columns]``: a to the right, b upwards."""
    return values.transpose(-1, -2).flip(-2)


def plane_picture(L: float, side: int = 256) -> Tensor:
    """The plane in its own colours at lightness L, clipped at sRGB: RGB ``[3, side, side]``, upright."""
    return upright(lab_to_rgb(plane_lab(L, side)))


def visible_mass(hist: Tensor) -> Tensor:
    """How strongly a bin is shown, in [0, 1], for histograms ``[..., bins, bins]`` that sum to 1.

    It grows with the logarithm of the mass, so that a peak and a thin tail can both be seen.
    """
    strength = torch.log(hist.clamp(min=FAINTEST) / FAINTEST) / math.log(1 / FAINTEST)
    return (strength * 2.2).clamp(0, 1) ** 0.8


def _contours(values: Tensor, level: float) -> list[list[list[float]]]:
    """Lines [[a, b], …] where ``values`` ``[side, side]``, one a bin, pass the level; closed at the plane's edge."""
    from skimage.measure import find_contours

    side = len(values)
    low = float(values.min()) - 1  # below any level
    padded = np.pad(values.double().numpy(), 1, constant_values=low)  # what reaches the edge of the plane ends there
    found = find_contours(padded, level)
    return [((line - 0.5) * bin_width(side) - AB_MAX).clip(-AB_MAX, AB_MAX).round(2).tolist() for line in found]


def gamut_outline(L: float, side: int = 128) -> list[list[list[float]]]:
    """The edge of what sRGB can show at lightness L: lines of points [a, b] in units of ab."""
    rgb = lab_to_rgb(plane_lab(L, side).double(), clip=False)
    room = torch.minimum(rgb, 1 - rgb).amin(0)  # to the nearest face of the cube: negative outside
    return _contours(room + 1e-3, 0)  # white and black are on the face: a little beyond, or nothing would be left


def mass_outline(hist: Tensor, share: float = 0.9) -> list[list[list[float]]]:
    """The line within which ``share`` of a histogram's mass lies, on its densest bins: lines of points [a, b].

    The histogram ``[bins, bins]`` is smoothed first, by a triangle of two bins, so that single bins do not fray it.
    """
    kernel = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    smooth = torch.nn.functional.conv2d(hist.double()[None, None], torch.outer(kernel, kernel)[None, None], padding=1)[
        0, 0
    ]
    mass = smooth.flatten().sort(descending=True).values
    inside = int((mass.cumsum(0) < share * mass.sum()).sum())
    return _contours(smooth, float(mass[min(inside, len(mass) - 1)]) * 0.999)
