"""What the methods that the paper is compared with (Table 2) know of colours, on this project's trunk.

Vectors for the bottleneck of C, made of a histogram (Zhang 2017), of a few colours (Xiao 2019) or of the photo
(Iizuka 2016), and the colours that a photo is classified into (Zhang 2016, Larsson 2016).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from histcolor.color import AB_MAX, rgb_to_lab, scale_ab
from histcolor.histogram import palette

if TYPE_CHECKING:
    from histcolor.data import Pack

STEP = 10.0  #: units of ab between the cells of the grid of Zhang et al. 2016 and 2017
SIDE = 23  #: cells of the grid along each axis, centred on -110, -100 … 110; axis 0 is a, axis 1 is b
NEAREST = 5  #: classes that a colour is shared among (Zhang 2016)
SIGMA = 5.0  #: of the Gaussian that shares it, in units of ab (Zhang 2016)
CANDIDATES = 16  #: classes near a cell, among which the nearest ones of all its colours are


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


class ColourClasses(nn.Module):
    """The Q colours of a classified photo, their soft encoding and the annealed mean (Zhang et al. 2016, section 2).

    Larsson et al. 2016 predict histograms of hue and of chroma apart; here both use this joint grid.
    """

    def __init__(self) -> None:
        super().__init__()
        centres, every = cell_centres(gamut_cells()), cell_centres(torch.arange(SIDE**2))
        near = (every[:, None] - centres).square().sum(2).topk(CANDIDATES, largest=False).indices
        self.register_buffer("centres", centres, persistent=False)  # [Q, 2] in units of ab
        self.register_buffer("near", near, persistent=False)  # [SIDE², CANDIDATES]

    def __len__(self) -> int:
        return len(self.centres)

    def soft_encode(self, ab: Tensor) -> tuple[Tensor, Tensor]:
        """Share each colour among its 5 nearest classes by a Gaussian of their distance, sigma 5.

        Colours ``[N, 2, H, W]`` in units of ab, within sRGB → the classes, nearest first, and
        their shares, which sum to 1: both ``[N, H, W, 5]``.
        """
        near = self.near[grid_cell(ab)]  # [N, H, W, CANDIDATES]: a sixteenth of the work of looking at all classes
        distance = (ab.movedim(1, -1).unsqueeze(-2) - self.centres[near]).square().sum(-1)
        distance, place = distance.topk(NEAREST, largest=False)
        share = torch.softmax(-distance / (2 * SIGMA**2), dim=-1)
        return near.gather(-1, place), share

    def annealed_mean(self, logits: Tensor, temperature: float) -> Tensor:
        """The mean colour of softmax(logits / T): the expectation at T = 1, towards the mode as T falls to 0.

        Logits ``[N, Q, H, W]`` → ab over 110, ``[N, 2, H, W]`` in [-1, 1]. Zhang et al. take T = 0.38 (their (5)),
        Larsson et al. the expectation.
        """
        colours = scale_ab(self.centres)
        with torch.autocast(logits.device.type, enabled=False):  # its short floats would round the colours
            # photo by photo: a batch of probabilities at full size would take gigabytes
            chances = (torch.softmax(x.float() / temperature, dim=0) for x in logits)
            return torch.stack([torch.einsum("qhw,qc->chw", p, colours) for p in chances])

    def distribution(self, pack: Pack, *, photos: int = 1000) -> Tensor:
        """How often each class comes in a pack, ``[Q]``, summing to 1: from every fourth pixel of evenly spread photos.

        Zhang et al. smooth the counts by a Gaussian of sigma 5; counting soft encodings does that.
        """
        chosen = np.linspace(0, len(pack) - 1, min(photos, len(pack))).round().astype(int)
        counts = torch.zeros(len(self), dtype=torch.float64)
        for part in np.array_split(chosen, -(-len(chosen) // 50)):  # 50 at a time
            whole = pack.crops(part, np.zeros((len(part), 2)), np.zeros(len(part), bool), pack.images.shape[1])
            index, share = self.soft_encode(rgb_to_lab(whole[..., ::4, ::4].float() / 255)[:, 1:])
            counts += torch.bincount(index.flatten(), share.double().flatten(), minlength=len(self))
        return (counts / counts.sum()).float()


@torch.no_grad()
def weighted_palette(hist: Tensor, colours: int, *, rounds: int = 10) -> tuple[Tensor, Tensor]:
    """The K colours of each histogram: weighted k-means on its bins, started from far and heavy bins, without chance.

    Args:
        hist: ``[N, bins, bins]``, each summing to 1.
        colours: K.
        rounds: rounds of Lloyd's algorithm.

    Returns:
        Colours ``[N, K, 2]`` in units of ab and their masses ``[N, K]``, heaviest first. A histogram
        with fewer colours than K fills up with gray of no mass.
    """
    plane, mass = palette(hist.shape[-1], dtype=hist.dtype, device=hist.device).flatten(0, 1), hist.flatten(1)

    def distance(centres: Tensor) -> Tensor:  # [N, bins², K]
        return (plane[:, None] - centres[:, None]).square().sum(-1)

    centres = plane[mass.argmax(1)][:, None]
    for _ in range(colours - 1):
        worst = (mass * distance(centres).amin(2)).argmax(1)
        centres = torch.cat([centres, plane[worst][:, None]], dim=1)
    number = torch.arange(colours, device=hist.device)
    for _ in range(rounds):
        share = (distance(centres).argmin(2, keepdim=True) == number) * mass[..., None]
        total = share.sum(1)
        mean = torch.stack([(share * axis[:, None]).sum(1) for axis in plane.T], dim=2)
        centres = torch.where(total[..., None] > 0, mean / total.clamp(min=1e-12)[..., None], centres)
    total, order = total.sort(dim=1, descending=True, stable=True)
    return centres.gather(1, order[..., None].expand_as(centres)) * (total[..., None] > 0), total


def fully_connected(inputs: int, outputs: int, layers: int) -> nn.Sequential:
    """Linear layers ``[N, inputs]`` → ``[N, outputs]``, each with ReLU and LayerNorm.

    That is for the batch normalisation of the works below: a hint is as large as the features that it is added to.
    """
    sizes = [inputs] + [outputs] * (layers - 1)
    return nn.Sequential(*(nn.Sequential(nn.Linear(n, outputs), nn.ReLU(), nn.LayerNorm(outputs)) for n in sizes))


class GlobalHints(nn.Module):
    """The global hints of Zhang et al. 2017: histogram and saturation through four layers, as long as the bottleneck.

    Theirs also carries two marks that say which hints are given, and its saturation is HSV's. Here both
    hints are always given, and saturation is the mean chroma, which the histogram knows. The masses' roots
    are shown, as in :func:`histcolor.histogram.represent`, so that rare colours are seen.
    """

    def __init__(self, bins: int, outputs: int) -> None:
        super().__init__()
        edges = torch.linspace(-AB_MAX, AB_MAX, bins + 1, dtype=torch.float64)
        cells = torch.arange(SIDE + 1, dtype=torch.float64) * STEP - AB_MAX - STEP / 2
        overlap = torch.minimum(cells[1:, None], edges[1:]) - torch.maximum(cells[:-1, None], edges[:-1])
        share = (overlap.clamp(min=0) / (edges[1] - edges[0])).float()  # as resize_histogram: columns sum to 1
        chroma = palette(bins).norm(dim=-1) / AB_MAX
        for name, value in {"share": share, "cells": gamut_cells(), "chroma": chroma}.items():
            self.register_buffer(name, value, persistent=False)
        self.layers = fully_connected(len(self.cells) + 1, outputs, 4)

    def forward(self, hist: Tensor) -> Tensor:
        """``[N, bins, bins]``, each summing to 1 → ``[N, outputs]``."""
        coarse = (self.share @ hist @ self.share.T).flatten(1)[:, self.cells]
        saturation = (hist * self.chroma).sum((1, 2))
        return self.layers(torch.cat([coarse.sqrt(), saturation[:, None]], dim=1))


class ColourHints(nn.Module):
    """The global palette of Xiao et al. 2019 and 2020: K colours through four layers, as long as the bottleneck.

    Theirs marks which colours are given; here the masses say that, and more. Their loss also compares the
    prediction with the photo painted in its palette; here L_H plays that part.
    """

    def __init__(self, colours: int, outputs: int) -> None:
        super().__init__()
        self.colours = colours
        self.layers = fully_connected(3 * colours, outputs, 4)

    def forward(self, hist: Tensor) -> Tensor:
        """``[N, bins, bins]``, each summing to 1 → ``[N, outputs]``."""
        ab, mass = weighted_palette(hist, self.colours)
        return self.layers(torch.cat([scale_ab(ab), mass[..., None]], dim=2).flatten(1))


class PhotoHints(nn.Sequential):
    """The global features of Iizuka et al. 2016: the deepest map, pooled, through three fully connected layers.

    Theirs learns its map, together with a photo's class; ours is a network that ImageNet's classes have taught.
    Theirs joins the vector to each place's features before a convolution; adding it is the same for that convolution.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.Flatten(), *fully_connected(inputs, outputs, 3))  # [N, inputs, 1, 1] → [N, outputs]
