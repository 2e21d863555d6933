"""Methods that need no training; two classical ones of them are given the reference image itself.

With self-reference, the reference image is the true photo. Methods that use its histogram alone are told its colours
and nothing of where they belong. Reinhard's transfer is told less, two means and two spreads, and how a and b go
with L. **Welsh's method then sees the answer**: it looks up colours in the very photo that it is to colour, by L and
its spread nearby. So its self-reference figures can not be compared with the others'; its cross-reference figures can.
A table that shows them must say so.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from scipy.spatial import KDTree
from torch import Tensor

from histcolor.color import lab_to_rgb
from histcolor.evaluate import ColorizeFunction, Task
from histcolor.histogram import bin_centres, bin_width, mean_ab

SAMPLES = 200  #: pixels of the reference that Welsh et al. 2002 compare with, about
WINDOW = 5  #: pixels along each side of the neighbourhood whose spread of L they compare


def gray(task: Task) -> Tensor:
    """Give no colour at all."""
    return task.gray


def mean_colour(task: Task) -> Tensor:
    """Give every pixel the target histogram's mean a and b."""
    ab = mean_ab(task.histogram(64))[:, None, None].expand(2, *task.L.shape[1:])
    return lab_to_rgb(torch.cat([task.L, ab]))


def rank(task: Task, bins: int = 64) -> Tensor:
    """Give colours to pixels by the rank of their L, without learning.

    The histogram's bins (64×64) are put in the order of the mean L that their pixels have in the reference image; the
    gray photo's pixels are put in the order of their L, ties broken at random by a fixed seed. The darkest pixels
    get the first bin's colour (its centre), as many as its mass says, the next ones the second bin's, and so on. This
    is optimal transport along L: the target histogram is met exactly, up to sRGB's gamut. It knows one thing more than
    the histogram, the mean L of each bin.
    """
    L, (L_ref, a, b) = task.L.flatten().double(), task.reference.flatten(1).double()
    place = [((x + bins * bin_width(bins) / 2) / bin_width(bins)).floor().long().clamp(0, bins - 1) for x in (a, b)]
    index = place[0] * bins + place[1]
    count = torch.bincount(index, minlength=bins**2)
    mean_L = torch.bincount(index, L_ref, minlength=bins**2) / count.clamp(min=1)
    order = torch.argsort(torch.where(count > 0, mean_L, torch.inf))
    ties = torch.rand(len(L), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1e-6
    ranks = torch.argsort(torch.argsort(L + ties))
    # the pixel of rank r among n stands at (r + ½)/n of the mass
    chosen = order[torch.searchsorted(count[order].cumsum(0).double() / len(a), (ranks + 0.5) / len(L))]
    centres = bin_centres(bins)
    ab = torch.stack([centres[chosen // bins], centres[chosen % bins]]).reshape(2, *task.L.shape[1:])
    return lab_to_rgb(torch.cat([task.L, ab]))


def match_moments(x: Tensor, reference: Tensor) -> Tensor:
    """Shift and scale each channel to the reference's mean and standard deviation (Reinhard et al. 2001).

    Args:
        x: ``[C, H, W]``; a channel without spread becomes the reference's mean.
        reference: ``[C, h, w]``.

    Returns:
        ``[C, H, W]``.
    """
    x, y = x.flatten(1).double(), reference.flatten(1).double()
    spread = x.std(1, correction=0, keepdim=True)
    scale = torch.where(spread > 1e-9, y.std(1, correction=0, keepdim=True) / spread.clamp(min=1e-9), 0)
    return ((x - x.mean(1, keepdim=True)) * scale + y.mean(1, keepdim=True)).float()


def reinhard(task: Task) -> Tensor:
    """Give the photo the reference's mean and standard deviation of a and of b (Reinhard et al. 2001).

    The method moves a photo's colours, and a gray photo has none: its a and b have no spread to scale, and all would
    become the mean colour. L stands in for them here, turned over where a channel falls as L rises in
    the reference. What comes out has the reference's means and spreads, up to sRGB's gamut, on a line in the ab plane.
    """
    L, ab = task.reference[:1].flatten(1).double(), task.reference[1:].flatten(1).double()
    covariance = ((L - L.mean()) * (ab - ab.mean(1, keepdim=True))).mean(1)
    stand_in = covariance.sign()[:, None, None] * task.L.double()
    moved = match_moments(stand_in, task.reference[1:]).reshape(2, *task.L.shape[1:])
    return lab_to_rgb(torch.cat([task.L, moved]))


def neighbourhood_spread(L: np.ndarray, window: int = WINDOW) -> np.ndarray:
    """Compute the standard deviation of L ``[H, W]`` around each pixel, mirrored at the edge: ``[H, W]``."""
    L = L.astype(np.float64)
    mean = uniform_filter(L, window, mode="reflect")
    return np.sqrt((uniform_filter(L * L, window, mode="reflect") - mean**2).clip(min=0))


def jittered(height: int, width: int, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose rows and columns of about so many pixels: a random place (fixed seed) in each cell of a grid."""
    draw = np.random.default_rng(0)
    sides = [min(round(samples**0.5), n) for n in (height, width)]
    cells = np.stack(np.meshgrid(*map(np.arange, sides), indexing="ij"), axis=-1).reshape(-1, 2)
    place = ((cells + draw.random(cells.shape)) / sides * (height, width)).astype(int)
    return place[:, 0], place[:, 1]


def welsh(task: Task, samples: int = SAMPLES) -> Tensor:
    """Give each pixel the colour of the most similar one in the reference image (Welsh et al. 2002).

    As published: the reference's L is shifted and scaled to the photo's mean and spread; about 200 of its pixels are
    taken on a jittered grid; a pixel's nearest is the one with the smallest ½|ΔL| + ½|Δs|, s the standard deviation of
    L in 5×5 pixels; a and b are copied, L stays. The random places are the same for every photo of one size.

    With self-reference it sees the answer: these 200 pixels bring their true colours, and all others look theirs up
    by L and s in the photo that they belong to. That is far more than a histogram tells.
    """
    L, reference = task.L[0].double().numpy(), task.reference.double().numpy()
    scale = L.std() / max(reference[0].std(), 1e-9)
    remapped = (reference[0] - reference[0].mean()) * scale + L.mean()
    place = jittered(*remapped.shape, samples)
    known = np.stack([remapped[place], neighbourhood_spread(remapped)[place]], axis=1)
    _, nearest = KDTree(known).query(np.stack([L.ravel(), neighbourhood_spread(L).ravel()], axis=1), p=1)
    ab = reference[1:, place[0], place[1]][:, nearest].reshape(2, *L.shape)
    return lab_to_rgb(torch.cat([task.L, torch.from_numpy(ab).float()]))


#: methods without training, as ``histcolor evaluate --methods`` and ``experiments.toml`` name them
UNTRAINED: dict[str, ColorizeFunction] = {
    "gray": gray,
    "mean": mean_colour,
    "rank": rank,
    "reinhard": reinhard,
    "welsh": welsh,
}
