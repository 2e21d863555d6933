"""Methods that classify each pixel's colour: Zhang et al. 2016 and Larsson et al. 2016, with their loss."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from histcolor.baselines.grid import SIDE, cell_centres, gamut_cells, grid_cell
from histcolor.baselines.network import Baseline
from histcolor.color import rgb_to_lab, scale_ab, unscale_ab
from histcolor.data import Pack
from histcolor.model import ModelConfig, PhotoBranch, PhotoFeatures, start
from histcolor.unet import UNet, upsample

NEAREST = 5  #: classes that a colour is shared among (Zhang 2016)
SIGMA = 5.0  #: of the Gaussian that shares it, in units of ab (Zhang 2016)
CANDIDATES = 16  #: classes near a cell, among which the nearest ones of all its colours are


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

        Logits ``[N, Q, H, W]`` → ab over 110, ``[N, 2, H, W]`` in [-1, 1]. Zhang et al. take T = 0.38 (their (5)).
        Larsson et al. read the median of chroma, and of hue the expectation on the circle, which fades where chroma is
        low; here they get the expectation over the joint grid.
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


def class_weights(distribution: Tensor, mixture: float = 0.5) -> Tensor:
    """Weights that let rare colours count (Zhang et al. 2016, (4)): w ∝ ((1-λ) p + λ/Q)⁻¹, with Σ p w = 1.

    Args:
        distribution: p, how often each class comes in the training photos, ``[Q]``, summing to 1.
        mixture: λ, the share of the uniform distribution, 0.5 in theirs; 1 weights all alike.
    """
    weights = 1 / ((1 - mixture) * distribution + mixture / len(distribution))
    return weights / (distribution * weights).sum()


class ClassLoss:
    """Cross-entropy with the softly encoded truth, -Σ v(Z) Σ_q Z_q log softmax_q (Zhang et al. 2016, (2) and (3)).

    Theirs is a sum over pixels at a quarter of the photo's size; here it is the mean over all of them.
    Without weights it is, up to a constant, the divergence that Larsson et al. 2016 take, whose truth is spread
    over a pixel's neighbours instead.

    Args:
        classes: the Q colours.
        weights: ``[Q]`` from :func:`class_weights`, v of a pixel being that of its nearest class; without: 1.
    """

    histogram_bins = 16  #: bins of a batch's target histogram, which is not looked at

    def __init__(self, classes: ColourClasses, weights: Tensor | None = None) -> None:
        self.classes, self.weights = classes, weights

    def __call__(
        self, logits: Tensor, t_ab: Tensor, r_h: Tensor, self_reference: Tensor, given: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits ``[N, Q, H, W]``, truth ``[N, 2, H, W]`` → the loss and, for the history, the same as its one term."""
        index, share = self.classes.soft_encode(unscale_ab(t_ab))
        # classes last, as channels-last convolutions leave them in memory: half the time of working along axis 1
        off = -(share * logits.movedim(1, -1).log_softmax(-1).gather(-1, index)).sum(-1)
        if self.weights is not None:
            self.weights = self.weights.to(off)
            off = self.weights[index[..., 0]] * off
        loss = off.mean()
        return loss, {"classes": loss.detach()}


class Classifier(Baseline):
    """A U-Net that gives a distribution over colours at each place; its colours are the annealed mean of that."""

    anneal: ClassVar[float]  #: T of the annealed mean that turns classes into ab; 1: their expectation
    rebalance: ClassVar[bool]  #: whether rare colours count more in the loss

    def __init__(self, config: ModelConfig, inputs: int = 1) -> None:
        super().__init__(config)
        self.classes = ColourClasses()
        self.unet = UNet(inputs, config.width, config.norm, len(self.classes))
        start(self.unet)

    def make_loss(self, pack: Pack) -> ClassLoss:
        """Make the loss that it is trained with, on the photos of a pack."""
        return ClassLoss(self.classes, class_weights(self.classes.distribution(pack)) if self.rebalance else None)

    def decode(self, photo: PhotoFeatures, hist: Tensor, given: Tensor | None = None) -> Tensor:
        """Y_ab over 110, ``[N, 2, H, W]``; in training the logits, which the loss compares."""
        logits = super().decode(photo, hist, given)
        return logits if self.training else self.classes.annealed_mean(logits, self.anneal)


class Zhang2016(Classifier):
    """Every pixel's colour classified from L, rare colours weighted up, read by the annealed mean (2016)."""

    method, anneal, rebalance = "zhang2016", 0.38, True


class Larsson2016(Classifier):
    """Classified from hypercolumns, the backbone's maps at every scale, read by the expectation (2016).

    Theirs has a hidden layer of 1,024 (ReLU, dropout) between the maps and the classes; ours a 1×1 join and the U-Net.
    """

    method, anneal, rebalance = "larsson2016", 1.0, False

    def __init__(self, config: ModelConfig) -> None:
        features = config.squeeze or config.channels
        super().__init__(config, 1 + features)
        self.photo = PhotoBranch(config)
        self.photo.blocks = nn.Identity()  # of the photo branch the maps and their join alone
        self.squeeze = nn.Conv2d(config.channels, features, 1) if config.squeeze else nn.Identity()
        start(self.photo, self.squeeze)

    def paint(self, L: Tensor, features: Tensor | None, hist: Tensor) -> Tensor:
        """Classify L and the hypercolumns ``[N, C, H/4, W/4]``: logits ``[N, Q, H, W]``."""
        return self.unet(torch.cat([L, upsample(self.squeeze(features), L.shape[-2:])], dim=1))
