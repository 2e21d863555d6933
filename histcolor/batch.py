"""What a training step sees. The seed and the step's number decide all of it; it is computed on the training device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from histcolor.color import AB_MAX, L_MAX, rgb_to_lab, scale_ab
from histcolor.data import Pack
from histcolor.device import send
from histcolor.histogram import count_ab, soft_ab_histogram


@dataclass
class Plan:
    """What a step takes from the pack, for the whole batch; every array has the batch as its first axis."""

    index: np.ndarray  #: which photo
    corner: np.ndarray  #: where its crop lies, ``[N, 2]`` in [0, 1)
    flip: np.ndarray  #: whether it is mirrored
    other: np.ndarray  #: another photo, for the target histogram
    share: np.ndarray  #: the photo's own part of the target histogram: 1 self-reference, 0 cross-reference, else mixed
    dropped: np.ndarray  #: whether no histogram is given, so that the network sees the average histogram
    #: the part of the photo's height and width that its crop shows, ``[N, 2]``; None: crops are not resized
    extent: np.ndarray | None = None
    #: exponent of L, factor of a and b, and the angle by which hues turn, ``[N, 3]``; None: colours as they are
    tone: np.ndarray | None = None


@lru_cache(maxsize=2)  # a batch may begin in one epoch and end in the next
def epoch_order(seed: int, epoch: int, photos: int) -> np.ndarray:
    """Draw the order in which an epoch takes the photos, ``[photos]``."""
    return np.random.default_rng([seed, 0, epoch]).permutation(photos)


def plan_batch(
    photos: int,
    step: int,
    *,
    batch_size: int,
    seed: int,
    cross: float = 0.0,
    dropped: float = 0.0,
    zoom: float = 1.0,
    jitter: float = 0.0,
) -> Plan:
    """Draw a step's photos, crops and histograms from the seed and the step's number; each epoch takes each photo once.

    The shares and strengths are those of :class:`histcolor.optimize.TrainConfig`.
    """
    n = batch_size
    epoch, place = np.divmod(np.arange(step * n, (step + 1) * n), photos)
    draw = np.random.default_rng([seed, 1, step])
    other_target = draw.random(n) < cross
    # half of these target histograms are mixtures, as from a user who blends two histograms
    mixture = draw.random(n) * (draw.random(n) < 0.5)
    corner, flip, other = draw.random((n, 2)), draw.random(n) < 0.5, draw.integers(photos, size=n)
    without = draw.random(n) < dropped  # drawn after the others, so that they do not depend on it
    # so are these. Along each axis the crop shows between 1/zoom and all of the photo, which also stretches shapes
    extent = 1 / np.exp(draw.random((n, 2)) * np.log(zoom)) if zoom > 1 else None
    if jitter:
        tone = draw.uniform(-jitter, jitter, (n, 3)) * (1, 1, 0.5)
        tone[:, :2] = np.exp(tone[:, :2])
    return Plan(
        extent=extent,
        tone=tone.astype(np.float32) if jitter else None,
        index=np.array([epoch_order(seed, int(e), photos)[i] for e, i in zip(epoch, place, strict=True)]),
        corner=corner,
        flip=flip,
        other=other,
        share=np.where(other_target & ~without, mixture, 1.0).astype(np.float32),
        dropped=without,
    )


@dataclass
class Batch:
    """A step's tensors on the device."""

    L: Tensor  #: ``[N, 1, S, S]`` in [0, 100]
    t_ab: Tensor  #: the true ab divided by 110, ``[N, 2, S, S]``
    hist: Tensor  #: target histograms, ``[N, bins, bins]``; the average histogram where none is given
    r_h: Tensor  #: the same in the loss's bins, by the differentiable kernel; of the photo where none is given
    self_reference: Tensor  #: ``[N]``, 1 where the target histogram is the photo's own, else 0
    given: Tensor  #: ``[N]``, booleans: false where the histogram was dropped


def mean_histogram(pack: Pack, bins: int, *, photos: int = 1000) -> Tensor:
    """Compute the mean ab histogram of evenly spread photos of a pack, ``[bins, bins]``, summing to 1."""
    chosen = np.linspace(0, len(pack) - 1, min(photos, len(pack))).round().astype(int)
    total = torch.zeros(bins, bins, dtype=torch.float64)
    for part in np.array_split(chosen, -(-len(chosen) // 50)):  # 50 at a time
        whole = pack.crops(part, np.zeros((len(part), 2)), np.zeros(len(part), bool), pack.images.shape[1])
        total += count_ab(rgb_to_lab(whole.float() / 255)[:, 1:], bins).double().sum(0).cpu()
    return (total / total.sum()).float()


def change_tone(lab: Tensor, tone: Tensor) -> Tensor:
    """Change lightness curve, chroma and hue of photos ``[N, 3, H, W]`` in Lab, as a plan's ``tone`` ``[N, 3]`` says.

    The changed photo is the truth, and the histogram is taken from it. So the network learns to rely a little less on
    the usual colours of things, and a little more on the histogram.
    """
    gamma, chroma, hue = (x[:, None, None] for x in tone.unbind(1))
    L, a, b = lab.unbind(1)
    cos, sin = chroma * hue.cos(), chroma * hue.sin()
    L = L_MAX * (L.clamp(0, L_MAX) / L_MAX) ** gamma
    return torch.stack([L, *(x.clamp(-AB_MAX, AB_MAX) for x in (cos * a - sin * b, sin * a + cos * b))], dim=1)


def look_at(rgb: Tensor, tone: Tensor | None, bins: int, loss_bins: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute L ``[N, 1, S, S]``, ab ``[N, 2, S, S]``, and R_H in both numbers of bins, of crops.

    ``rgb`` is ``[N, 3, S, S]``, uint8, or floating point in [0, 1]. It is compiled where the training step is.
    """
    lab = rgb_to_lab(rgb if rgb.is_floating_point() else rgb.float() / 255)
    lab = lab if tone is None else change_tone(lab, tone)
    L, ab = lab[:, :1].contiguous(), lab[:, 1:]
    return L, ab, count_ab(ab, bins), soft_ab_histogram(ab, loss_bins)


def make_batch(
    pack: Pack,
    plan: Plan,
    part: slice,
    device: torch.device,
    *,
    size: int,
    bins: tuple[int, int],
    average: Tensor | None = None,
    look: Callable = look_at,
) -> Batch:
    """Cut the photos of one process's part of the plan, and compute Lab and histograms on the device.

    Crops have ``size`` pixels along each side. ``bins`` are those of the network's histogram and of the loss's.
    ``average``, ``[bins, bins]``, replaces the histograms that the plan drops; it is needed if the plan drops any.
    ``look`` is :func:`look_at`, or its compiled form.
    """
    share = plan.share[part]

    def crops(index: np.ndarray, chosen: np.ndarray | slice) -> Tensor:
        extent = None if plan.extent is None else plan.extent[part][chosen]
        cut = pack.crops(index[chosen], plan.corner[part][chosen], plan.flip[part][chosen], size, extent)
        return send(cut, device)

    tone = None if plan.tone is None else send(torch.from_numpy(plan.tone[part]), device)
    L, ab, hist, r_h = look(crops(plan.index[part], slice(None)), tone, *bins)
    if len(chosen := np.flatnonzero(share < 1)):
        place, weight = (
            send(torch.from_numpy(chosen), device),
            send(torch.from_numpy(share[chosen, None, None]), device),
        )
        for target, other in zip((hist, r_h), look_at(crops(plan.other[part], chosen), None, *bins)[2:], strict=True):
            target[place] = weight * target[place] + (1 - weight) * other
    if len(chosen := np.flatnonzero(plan.dropped[part])):
        hist[send(torch.from_numpy(chosen), device)] = average
    self_reference = send(torch.from_numpy((share == 1).astype(np.float32)), device)
    given = send(torch.from_numpy(~plan.dropped[part]), device)
    return Batch(L, scale_ab(ab), hist, r_h, self_reference, given)
