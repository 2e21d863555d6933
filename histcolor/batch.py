"""What a training step sees: drawn from the seed and the step alone, cut and counted on the training device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from histcolor.color import rgb_to_lab, scale_ab
from histcolor.data import Pack, send
from histcolor.histogram import count_ab, soft_ab_histogram

if TYPE_CHECKING:
    from histcolor.train import TrainConfig


@dataclass
class Plan:
    """What a step takes from the pack, for the whole batch; every array has the batch as its first axis."""

    index: np.ndarray  #: the photo
    corner: np.ndarray  #: where its crop lies, ``[N, 2]`` in [0, 1)
    flip: np.ndarray  #: mirrored
    other: np.ndarray  #: another photo, whose histogram may be asked
    share: np.ndarray  #: the photo's own share of the asked histogram: 1 own, 0 foreign, between: mixed
    dropped: np.ndarray  #: no histogram is asked: the network sees the usual one


@lru_cache(maxsize=2)  # a batch may reach into the next epoch
def epoch_order(seed: int, epoch: int, photos: int) -> np.ndarray:
    """The order in which an epoch takes the photos, ``[photos]``."""
    return np.random.default_rng([seed, 0, epoch]).permutation(photos)


def plan_batch(config: TrainConfig, photos: int, step: int) -> Plan:
    """Draw a step's photos, crops and histograms from the seed and the step alone; each epoch takes each photo once."""
    n = config.batch_size
    epoch, place = np.divmod(np.arange(step * n, (step + 1) * n), photos)
    draw = np.random.default_rng([config.seed, 1, step])
    foreign = draw.random(n) < config.foreign
    # half of the foreign histograms are mixtures, as from a user who blends two
    mixture = draw.random(n) * (draw.random(n) < 0.5)
    corner, flip, other = draw.random((n, 2)), draw.random(n) < 0.5, draw.integers(photos, size=n)
    dropped = draw.random(n) < config.dropped  # drawn last: without it, all else is what it was before this came
    return Plan(
        index=np.array([epoch_order(config.seed, int(e), photos)[i] for e, i in zip(epoch, place, strict=True)]),
        corner=corner,
        flip=flip,
        other=other,
        share=np.where(foreign & ~dropped, mixture, 1.0).astype(np.float32),
        dropped=dropped,
    )


@dataclass
class Batch:
    """A step's tensors on the device."""

    L: Tensor  #: ``[N, 1, S, S]`` in [0, 100]
    t_ab: Tensor  #: truth over 110, ``[N, 2, S, S]``
    hist: Tensor  #: asked histogram, ``[N, bins, bins]``
    r_h: Tensor  #: the same in the loss's bins, by the differentiable kernel
    own: Tensor  #: ``[N]``, 0 where the asked histogram is foreign or mixed, else 1
    asked: Tensor  #: ``[N]``, 0 where the histogram was dropped, else 1


def mean_histogram(pack: Pack, bins: int, *, photos: int = 1000) -> Tensor:
    """The mean ab histogram of a pack, ``[bins, bins]``, summing to 1: of evenly spread photos."""
    chosen = np.linspace(0, len(pack) - 1, min(photos, len(pack))).round().astype(int)
    total = torch.zeros(bins, bins, dtype=torch.float64)
    for part in np.array_split(chosen, -(-len(chosen) // 50)):  # 50 at a time
        whole = pack.crops(part, np.zeros((len(part), 2)), np.zeros(len(part), bool), pack.images.shape[1])
        total += count_ab(rgb_to_lab(whole.float() / 255)[:, 1:], bins).double().sum(0).cpu()
    return (total / total.sum()).float()


def make_batch(
    config: TrainConfig,
    pack: Pack,
    plan: Plan,
    part: slice,
    device: torch.device,
    usual: Tensor | None = None,
) -> Batch:
    """Cut the photos of one process's part of the plan and compute Lab and histograms on the device.

    ``usual``, ``[bins, bins]``, takes the place of the histograms that the plan drops; needed if it drops any.
    """
    corner, flip, share = plan.corner[part], plan.flip[part], plan.share[part]

    def lab_of(index: np.ndarray, rows: np.ndarray | slice) -> Tensor:
        crops = pack.crops(index[rows], corner[rows], flip[rows], config.size)
        return rgb_to_lab(send(crops, device).float() / 255)

    def histograms(ab: Tensor) -> tuple[Tensor, Tensor]:
        return count_ab(ab, config.model.bins), soft_ab_histogram(ab, config.loss.histogram_bins)

    lab = lab_of(plan.index[part], slice(None))
    hist, r_h = histograms(lab[:, 1:])
    if len(rows := np.flatnonzero(share < 1)):
        place, weight = send(torch.from_numpy(rows), device), send(torch.from_numpy(share[rows, None, None]), device)
        for own, other in zip((hist, r_h), histograms(lab_of(plan.other[part], rows)[:, 1:]), strict=True):
            own[place] = weight * own[place] + (1 - weight) * other
    if len(rows := np.flatnonzero(plan.dropped[part])):
        hist[send(torch.from_numpy(rows), device)] = usual
    own = send(torch.from_numpy((share == 1).astype(np.float32)), device)
    asked = send(torch.from_numpy((~plan.dropped[part]).astype(np.float32)), device)
    return Batch(lab[:, :1], scale_ab(lab[:, 1:]), hist, r_h, own, asked)
