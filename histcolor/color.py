"""Conversion between RGB and CIE Lab in torch, and the scaling of L and ab that the networks see.

These numbers stand only here: sRGB (IEC 61966-2-1) and the white of D65 with the 2° observer. The constants are those
of ``skimage.color``, so that both give the same results.
"""

from __future__ import annotations

import torch
from torch import Tensor

L_MAX = 100.0
AB_MAX = 110.0  #: histograms span a, b ∈ [-AB_MAX, AB_MAX]; sRGB reaches a ∈ [-86.2, 98.3], b ∈ [-107.9, 94.5]
GRAY_CHROMA = 2.0  #: a photo whose 95th percentile of chroma is below this, in units of ab, counts as gray

_XYZ_FROM_RGB = torch.tensor(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]],
    dtype=torch.float64,
)
_RGB_FROM_XYZ = torch.linalg.inv(_XYZ_FROM_RGB)
_WHITE_D65 = torch.tensor([0.95047, 1.0, 1.08883], dtype=torch.float64)
_TO_XYZ = (_XYZ_FROM_RGB / _WHITE_D65[:, None]).tolist()  # relative to white
_FROM_XYZ = (_RGB_FROM_XYZ * _WHITE_D65).tolist()


def check_channels(name: str, x: Tensor, channels: int) -> None:
    """Refuse a tensor that is not floating point, or not ``[..., channels, H, W]``."""
    if x.ndim < 3 or x.shape[-3] != channels:
        raise ValueError(f"{name} needs a tensor [..., {channels}, H, W], got shape {tuple(x.shape)}.")
    if not x.is_floating_point():
        raise ValueError(f"{name} needs floating point values, got {x.dtype}: divide 8-bit pixels by 255.")


def _mix(rows: list[list[float]], x: Tensor) -> Tensor:
    """Apply a 3×3 matrix to the channel axis of ``[..., 3, H, W]``, by sums: autocast would round a matrix product."""
    p, q, r = x.unbind(-3)
    return torch.stack([i * p + j * q + k * r for i, j, k in rows], dim=-3)


def _where(condition: Tensor, x: Tensor, power, linear) -> Tensor:
    """``power(x)`` where the condition holds, else ``linear(x)``; gradients of the branch not taken stay finite."""
    safe = torch.where(condition, x, torch.ones_like(x))
    return torch.where(condition, power(safe), linear(x))


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert sRGB to CIE Lab (D65), as ``skimage.color.rgb2lab`` does.

    Args:
        rgb: ``[..., 3, H, W]``, values in [0, 1].

    Returns:
        ``[..., 3, H, W]``: L in [0, 100], a and b within [-110, 110]. The gradient is finite everywhere.

    Raises:
        ValueError: the channel axis is not 3 long, or the values are integers.
    """
    check_channels("rgb_to_lab", rgb, 3)
    linear = _where(rgb > 0.04045, rgb, lambda v: ((v + 0.055) / 1.055) ** 2.4, lambda v: v / 12.92)
    xyz = _mix(_TO_XYZ, linear)
    f = _where(xyz > 0.008856, xyz, lambda v: v ** (1 / 3), lambda v: 7.787 * v + 16 / 116)
    fx, fy, fz = f.unbind(-3)
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], dim=-3)


def lab_to_rgb(lab: Tensor, *, clip: bool = True) -> Tensor:
    """Convert CIE Lab (D65) to sRGB, as ``skimage.color.lab2rgb`` does.

    Args:
        lab: ``[..., 3, H, W]``, L in [0, 100], a and b in [-110, 110].
        clip: clip colours outside of sRGB to [0, 1]; if false, their values may lie outside of [0, 1].

    Returns:
        ``[..., 3, H, W]``. The gradient is finite everywhere (zero where a value was clipped).

    Raises:
        ValueError: the channel axis is not 3 long, or the values are integers.
    """
    check_channels("lab_to_rgb", lab, 3)
    L, a, b = lab.unbind(-3)
    fy = (L + 16) / 116
    f = torch.stack([fy + a / 500, fy, (fy - b / 200).clamp(min=0)], dim=-3)
    xyz = _where(f > 0.2068966, f, lambda v: v**3, lambda v: (v - 16 / 116) / 7.787)
    linear = _mix(_FROM_XYZ, xyz)
    rgb = _where(linear > 0.0031308, linear, lambda v: 1.055 * v ** (1 / 2.4) - 0.055, lambda v: 12.92 * v)
    return rgb.clamp(0, 1) if clip else rgb


def in_gamut(lab: Tensor, tolerance: float = 1e-3) -> Tensor:
    """Tell which Lab colours ``[..., 3, H, W]`` an sRGB screen can show: booleans ``[..., H, W]``."""
    rgb = lab_to_rgb(lab, clip=False)
    return ((rgb >= -tolerance) & (rgb <= 1 + tolerance)).all(dim=-3)


def is_gray(rgb: Tensor) -> bool:
    """Tell whether a photo is gray: 95 % of its pixels have a chroma below 2, in units of ab.

    The photo is RGB ``[3, H, W]`` in [0, 1]. Make it small first, 64 × 64, to ignore specks and JPEG noise.
    """
    chroma = torch.linalg.vector_norm(rgb_to_lab(rgb)[1:], dim=0)
    return bool((chroma < GRAY_CHROMA).count_nonzero() >= 0.95 * chroma.numel())  # quantile takes 16 million at most


def scale_L(L: Tensor) -> Tensor:
    """Scale L from [0, 100] to [-1, 1], the range that networks see."""
    return L / (L_MAX / 2) - 1


def scale_ab(ab: Tensor) -> Tensor:
    """Scale ab from [-110, 110] to [-1, 1], the range of networks and losses."""
    return ab / AB_MAX


def unscale_ab(ab: Tensor) -> Tensor:
    """Scale ab from [-1, 1] back to [-110, 110]: the inverse of :func:`scale_ab`."""
    return ab * AB_MAX


def gray_rgb(L: Tensor) -> Tensor:
    """Turn L ``[..., 1, H, W]`` in [0, 100] with zero ab into RGB ``[..., 3, H, W]`` in [0, 1] (2.2: T_RGB)."""
    check_channels("gray_rgb", L, 1)
    return lab_to_rgb(torch.cat([L, torch.zeros_like(L), torch.zeros_like(L)], dim=-3))
