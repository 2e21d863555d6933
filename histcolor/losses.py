"""The training loss, one function an equation: (3) to (6) of section 2.3.

All functions take ab over 110, in about [-1, 1], and return one number: the mean over photos, channels and pixels
(or bins). The paper writes sums; its release takes means, and λ1 = 1, λ2 = 10 go with those.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from histcolor.color import AB_MAX
from histcolor.histogram import soft_ab_histogram

DELTA = 0.01  #: the paper's δ


def huber(x: Tensor, y: Tensor, delta: float = DELTA) -> Tensor:
    """L_Huber(x, y) of (4), an element each: ½(x-y)² where |x-y| < δ, else δ|x-y| - ½δ²."""
    return F.huber_loss(x, y, reduction="none", delta=delta)


def sobel(x: Tensor) -> Tensor:
    """Sobel gradients of ``[N, C, H, W]`` along x and y, over 8: a ramp of 1 a pixel gives 1. ``[N, 2C, H, W]``.

    The edge is replicated: a uniform picture has no gradient anywhere.
    """
    kernel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], device=x.device, dtype=x.dtype) / 8
    kernels = torch.stack([kernel, kernel.T]).unsqueeze(1).repeat(x.shape[1], 1, 1, 1)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernels, groups=x.shape[1])


def ground_truth_loss(y_ab: Tensor, t_ab: Tensor, delta: float = DELTA) -> Tensor:
    """L_GT (4) of each photo: ``[N, 2, H, W]`` twice → ``[N]``."""
    return huber(y_ab, t_ab, delta).mean((1, 2, 3))


def gradient_loss(y_ab: Tensor, t_ab: Tensor, delta: float = DELTA) -> Tensor:
    """L_Grad (5) of each photo: ``[N, 2, H, W]`` twice → ``[N]``."""
    return huber(sobel(y_ab), sobel(t_ab), delta).mean((1, 2, 3))


def histogram_loss(y_ab: Tensor, r_h: Tensor, delta: float = DELTA) -> Tensor:
    """L_H (6) of each photo: the prediction ``[N, 2, H, W]`` against the asked histogram ``[N, b, b]`` → ``[N]``.

    T_H is :func:`histcolor.histogram.soft_ab_histogram`; ask for R_H computed by the same function, so that a
    perfect prediction has no loss.
    """
    return huber(soft_ab_histogram(y_ab.float() * AB_MAX, r_h.shape[-1]), r_h, delta).mean((1, 2))


@dataclass(frozen=True)
class Loss:
    """L = L_GT + λ1 L_Grad + λ2 L_H (3). Every term is divided by its δ: no optimum moves, and numbers get readable."""

    lambda_1: float = 1.0  #: weight of L_Grad
    lambda_2: float = 10.0  #: weight of L_H
    lambda_foreign: float = 10.0  #: weight of L_H where it is alone, as the target histogram is another image's
    delta: float = DELTA  #: δ of L_GT and L_Grad; beyond it errors count by their size, below by their square
    histogram_bins: int = 16  #: bins along each axis in L_H

    def __call__(
        self, y_ab: Tensor, t_ab: Tensor, r_h: Tensor, own: Tensor, given: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean over the batch.

        Args:
            y_ab: prediction, ``[N, 2, H, W]``.
            t_ab: truth, ``[N, 2, H, W]``.
            r_h: target histogram in ``histogram_bins`` bins, ``[N, b, b]``.
            own: ``[N]``, 1 where the target histogram is the photo's own, 0 where it is not: there is no true
                picture for another one, and L_H alone counts.
            given: ``[N]``, false where no histogram is given, and L_H does not count; without: true everywhere.

        Returns:
            The loss and its terms before weighting, for the history; each the mean over the whole batch.
        """
        off = histogram_loss(y_ab, r_h) / DELTA
        if given is not None:
            off = given * off
        terms = {
            "gt": (own * ground_truth_loss(y_ab, t_ab, self.delta)).mean() / self.delta,
            "grad": (own * gradient_loss(y_ab, t_ab, self.delta)).mean() / self.delta,
            "hist": off.mean(),
        }
        weighted = (torch.where(own > 0, self.lambda_2, self.lambda_foreign) * off).mean()
        loss = terms["gt"] + self.lambda_1 * terms["grad"] + weighted
        return loss, {name: term.detach() for name, term in terms.items()}
