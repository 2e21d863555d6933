"""Methods that are told a histogram as one vector: Zhang et al. 2017 (all of it), Xiao et al. 2019 (six colours)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from histcolor.baselines.grid import SIDE, STEP, gamut_cells
from histcolor.baselines.network import Baseline, fully_connected
from histcolor.color import AB_MAX, scale_ab
from histcolor.histogram import palette
from histcolor.model import KnowsAverage, ModelConfig, start
from histcolor.unet import UNet

COLOURS = 6  #: K of Xiao et al. 2019


@torch.no_grad()
def weighted_palette(hist: Tensor, colours: int, *, rounds: int = 10) -> tuple[Tensor, Tensor]:
    """Find the K colours of each histogram: weighted k-means on its bins, started from far, heavy ones, not at random.

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

    def __init__(self, bins: int, outputs: int, colours: int = COLOURS) -> None:
        super().__init__()
        self.colours = colours
        self.layers = fully_connected(3 * colours, outputs, 4)

    def forward(self, hist: Tensor) -> Tensor:
        """``[N, bins, bins]``, each summing to 1 → ``[N, outputs]``."""
        ab, mass = weighted_palette(hist, self.colours)
        return self.layers(torch.cat([scale_ab(ab), mass[..., None]], dim=2).flatten(1))


class Hinted(KnowsAverage, Baseline):
    """L through the U-Net; a vector made of the histogram is added at its bottleneck."""

    sees_histogram = True
    kind_of_hints: ClassVar[type[nn.Module]]  #: of a number of bins and of outputs: ``[N, bins, bins]`` → a vector each

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.unet = UNet(1, config.width, config.norm)
        self.hints = self.kind_of_hints(config.bins, 8 * config.width)
        self.register_buffer("average", torch.zeros(config.bins, config.bins))
        start(self.unet, self.hints)

    def paint(self, L: Tensor, features: Tensor | None, hist: Tensor) -> Tensor:
        """Add the histogram's vector at the bottleneck."""
        with torch.autocast(L.device.type, enabled=False):
            hint = self.hints(hist)
        return self.unet(L, hint)


class Zhang2017(Hinted):
    """The global histogram as one vector, added to the U-Net's middle layers (Zhang et al. 2017)."""

    method, kind_of_hints = "zhang2017", GlobalHints


class Xiao2019(Hinted):
    """A global palette of six colours instead of the histogram (Xiao et al. 2019)."""

    method, kind_of_hints = "xiao2019", ColourHints
