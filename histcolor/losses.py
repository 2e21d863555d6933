"""The training loss, one function for each equation: (3) to (6) of section 2.3.

All losses take ab divided by 110, in about [-1, 1], and return one number for each photo: the mean over channels and
pixels (or bins). The paper writes sums; its release takes means, and λ1 = 1, λ2 = 10 belong to means.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from histcolor.checks import check_fields, within
from histcolor.color import AB_MAX
from histcolor.histogram import soft_ab_histogram

DELTA = 0.01  #: the paper's δ


def huber(x: Tensor, y: Tensor, delta: float = DELTA) -> Tensor:
    """L_Huber(x, y) of (4), element by element: ½(x-y)² where |x-y| < δ, else δ|x-y| - ½δ²."""
    return F.huber_loss(x, y, reduction="none", delta=delta)


def sobel(x: Tensor) -> Tensor:
    """Sobel gradients of ``[N, C, H, W]`` along x and y, divided by 8: ``[N, 2C, H, W]``.

    So a ramp that rises by 1 for each pixel has the gradient 1. Pixels at the edge are repeated beyond it: a uniform
    picture has no gradient anywhere.
    """
    kernel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], device=x.device, dtype=x.dtype) / 8
    kernels = torch.stack([kernel, kernel.T]).unsqueeze(1).repeat(x.shape[1], 1, 1, 1)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernels, groups=x.shape[1])


def ground_truth_loss(y_ab: Tensor, t_ab: Tensor, delta: float = DELTA) -> Tensor:
    """L_GT (4) of each photo: prediction and truth, both ``[N, 2, H, W]`` → ``[N]``."""
    return huber(y_ab, t_ab, delta).mean((1, 2, 3))


def gradient_loss(y_ab: Tensor, t_ab: Tensor, delta: float = DELTA) -> Tensor:
    """L_Grad (5) of each photo: prediction and truth, both ``[N, 2, H, W]`` → ``[N]``."""
    return huber(sobel(y_ab), sobel(t_ab), delta).mean((1, 2, 3))


def histogram_loss(y_ab: Tensor, r_h: Tensor, delta: float = DELTA) -> Tensor:
    """L_H (6) of each photo: the prediction ``[N, 2, H, W]`` against the target histogram ``[N, b, b]`` → ``[N]``.

    :func:`histcolor.histogram.soft_ab_histogram` computes T_H. R_H should be computed by the same function, so that
    a perfect prediction has no loss.
    """
    return huber(soft_ab_histogram(y_ab.float() * AB_MAX, r_h.shape[-1]), r_h, delta).mean((1, 2))


@dataclass(frozen=True)
class Loss:
    """L = L_GT + λ1 L_Grad + λ2 L_H (3). Every term is divided by its δ, so that the numbers are easy to read.

    Raises:
        ValueError: a value is out of its range; the message names the field.
    """

    lambda_1: float = within(1.0, 0, 1e6, "weight of L_Grad")
    lambda_2: float = within(10.0, 0, 1e6, "weight of L_H")
    lambda_cross: float = within(10.0, 0, 1e6, "weight of L_H with cross-reference, where it is the only term")
    delta: float = within(
        DELTA, 1e-4, 10, "δ of L_GT and L_Grad: smaller errors count by their square, larger ones by their size"
    )
    histogram_bins: int = within(16, 2, 256, "bins along each axis in L_H")

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(
        self, y_ab: Tensor, t_ab: Tensor, r_h: Tensor, self_reference: Tensor, given: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the mean loss over a batch, and its terms.

        Args:
            y_ab: prediction, ``[N, 2, H, W]``.
            t_ab: truth, ``[N, 2, H, W]``.
            r_h: target histogram in ``histogram_bins`` bins, ``[N, b, b]``.
            self_reference: ``[N]``, 1 where the target histogram is the photo's own. Else 0 (cross-reference): then
                the photo is not the true result, and only L_H counts.
            given: ``[N]``, false where no histogram is given; there L_H does not count. None: given everywhere.

        Returns:
            The loss, and its terms before weighting, for the history; each is the mean over the whole batch.
        """
        off = histogram_loss(y_ab, r_h) / DELTA
        if given is not None:
            off = given * off
        terms = {
            "gt": (self_reference * ground_truth_loss(y_ab, t_ab, self.delta)).mean() / self.delta,
            "grad": (self_reference * gradient_loss(y_ab, t_ab, self.delta)).mean() / self.delta,
            "hist": off.mean(),
        }
        weighted = (torch.where(self_reference > 0, self.lambda_2, self.lambda_cross) * off).mean()
        loss = terms["gt"] + self.lambda_1 * terms["grad"] + weighted
        return loss, {name: term.detach() for name, term in terms.items()}
