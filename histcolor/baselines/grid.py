"""The grid of colours of Zhang et al. 2016 and 2017: cells of 10 × 10 units of ab, those that sRGB can show."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from histcolor.color import AB_MAX, rgb_to_lab

STEP = 10.0  #: units of ab between the cells
SIDE = 23  #: cells along each axis, centred on -110, -100 … 110; axis 0 is a, axis 1 is b


def grid_cell(ab: Tensor) -> Tensor:
    """The grid's cell that each colour ``[..., 2, H, W]`` in units of ab falls into: ``[..., H, W]`` below SIDE²."""
    a, b = ((ab + AB_MAX) / STEP + 0.5).floor().long().clamp(0, SIDE - 1).unbind(-3)
    return a * SIDE + b


def cell_centres(cells: Tensor) -> Tensor:
    """Centres of cells ``[n]`` in units of ab, ``[n, 2]``."""
    return torch.stack([cells // SIDE, cells % SIDE], dim=1) * STEP - AB_MAX


@lru_cache(maxsize=1)
def gamut_cells() -> Tensor:
    """The cells that hold a colour of 8-bit sRGB, ascending, ``[Q]``: Q = 261 (Zhang et al. count 313).

    The faces of the RGB cube tell: along a line of constant a and b the gamut is left through them.
    """
    levels = torch.arange(256) / 255
    u, v = torch.meshgrid(levels, levels, indexing="ij")
    faces = [torch.stack([torch.full_like(u, w), u, v]).roll(k, 0) for k in range(3) for w in (0.0, 1.0)]
    return grid_cell(rgb_to_lab(torch.stack(faces))[:, 1:]).unique()
