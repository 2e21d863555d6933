"""Optimal transport: moves predicted colours towards a target histogram; pixels that are neighbours stay alike."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from histcolor.histogram import bin_width, palette


def sample_histogram(hist: Tensor, n: int) -> Tensor:
    """Take n colours that have a given histogram ``[bins, bins]``, spread evenly within each bin: ``[n, 2]``.

    No random numbers: the same histogram always gives the same colours.
    """
    bins = hist.shape[-1]
    cumulated = hist.double().flatten().cumsum(0)
    place = (torch.arange(n, dtype=torch.float64, device=hist.device) + 0.5) / n * cumulated[-1]
    index = torch.searchsorted(cumulated, place).clamp(max=bins**2 - 1)
    # the additive recurrence of the plastic number (R2) fills the square evenly
    steps = torch.arange(n, dtype=torch.float64, device=hist.device)[:, None]
    jitter = (steps * torch.tensor([0.7548776662466927, 0.5698402909980532], device=hist.device).double()) % 1 - 0.5
    return palette(bins, device=hist.device).flatten(0, 1)[index] + (jitter * bin_width(bins)).float()


def sort_order(x: Tensor) -> Tensor:
    """Find the order that sorts float32 numbers along the last axis; equal ones keep theirs.

    On the CPU, numpy's radix sort of 16 bits sorts by the lower halves of the numbers, then by the upper ones. That is
    six times as fast as sorting the numbers, which was most of transport's time.
    """
    if x.device.type != "cpu":
        return x.sort(stable=True).indices
    bits = (x + 0.0).view(torch.int32)  # -0 + 0 is 0
    bits = bits ^ (bits >> 31 & 0x7FFFFFFF)  # integers in the order of the numbers, also of negative ones

    def order(half: Tensor, kind: type) -> Tensor:
        return torch.from_numpy(np.argsort(half.numpy().astype(kind), kind="stable"))

    lower = order(bits, np.uint16)
    return lower.gather(-1, order((bits >> 16).gather(-1, lower), np.int16))


def sliced_transport(start: Tensor, goal: Tensor, directions: range) -> Tensor:
    """Move colours ``[N, P, 2]`` so that they have the distribution of the goal's colours ``[N, P, 2]``: ``[N, P, 2]``.

    For each of several directions in the ab plane, both sets of colours are sorted along it, and the k-th colour moves
    to where the goal's k-th colour lies (sliced optimal transport, Pitié et al. 2007; Rabin et al. 2011).
    """
    angles = [math.pi * k * (math.sqrt(5) - 1) / 2 for k in directions]  # the golden angle: all directions differ
    axes = start.new_tensor([(math.cos(angle), math.sin(angle)) for angle in angles])
    goals = axes @ goal.transpose(1, 2)
    goals = goals.gather(2, sort_order(goals))
    moved = start
    for along, there in zip(axes, goals.unbind(dim=1), strict=True):
        here = moved @ along
        step = torch.empty_like(here).scatter_(1, sort_order(here), there) - here
        moved = moved + step[..., None] * along
    return moved


def box(x: Tensor, radius: int) -> Tensor:
    """Take the mean over a window of 2 radius + 1 pixels, cut off at the picture's edge: ``[N, C, H, W]``."""
    for axis in (2, 3):
        n, place = x.shape[axis], torch.arange(x.shape[axis], device=x.device)
        count = (place + radius).clamp(max=n - 1) - (place - radius).clamp(min=0) + 1
        padded = F.pad(x, (0, 0, radius, radius) if axis == 2 else (radius, radius))
        total = sum(padded.narrow(axis, i, n) for i in range(2 * radius + 1))  # far faster than a pooling layer
        x = total / (count[:, None] if axis == 2 else count)
    return x


def guided(x: Tensor, L: Tensor, *, radius: int = 2, epsilon: float = 20.0) -> tuple[Tensor, Tensor]:
    """Fit x around each pixel as a line in L, and give its slope and its offset (guided filter, He et al. 2013).

    Both are ``[N, 2, h, w]``, as x. slope · L + offset is x smoothed everywhere except across the edges of L.
    ``epsilon`` is in squared units of L: contrasts of L below its root count as texture, not as edges.
    """
    mean_L, mean_LL = box(torch.cat([L, L * L], dim=1), radius).split(1, dim=1)
    mean_x, mean_Lx = box(torch.cat([x, L * x], dim=1), radius).chunk(2, dim=1)
    slope = (mean_Lx - mean_L * mean_x) / (mean_LL - mean_L**2 + epsilon)
    return box(torch.cat([slope, mean_x - slope * mean_L], dim=1), radius).chunk(2, dim=1)


def between(x: Tensor, h: int, w: int) -> Tensor:
    """Interpolate values of every second pixel, from the first one on, to all pixels: ``[N, C, h, w]``."""
    x = F.pad(x, (0, 1, 0, 1), mode="replicate")  # for even sizes: the last pixel has no neighbour beyond it
    sides = [2 * side - 1 for side in x.shape[-2:]]
    return F.interpolate(x, sides, mode="bilinear", align_corners=True)[..., :h, :w]


def move_to_histogram(ab: Tensor, hist: Tensor, L: Tensor, strength: float, *, rounds: int = 3) -> Tensor:
    """Move colours towards a target histogram by sliced optimal transport, a part ``strength`` of the way.

    Transport knows colours, not places: it may send neighbours of one colour different ways, and the picture gets
    blotches. So in all rounds but the last, the pixels' ways are smoothed everywhere except across the edges of L
    (Rabin et al. 2011). The last round moves each pixel alone, nearly to the histogram, and counts only as the cube of
    ``strength``. All of this is computed on every second pixel, and then interpolated along the edges of L.

    Args:
        ab: ``[N, 2, h, w]``.
        hist: ``[N, bins, bins]``, each summing to 1.
        L: ``[N or 1, 1, h, w]`` in [0, 100].
        strength: the transport strength, from 0 (nothing moves) to 1 (all the way).
        rounds: how many; each has eight directions.

    Returns:
        ``[N, 2, h, w]``.
    """
    n, (h, w) = len(ab), ab.shape[-2:]
    coarse, guide = ab[..., ::2, ::2], L[..., ::2, ::2].expand(n, -1, -1, -1)
    start = coarse.flatten(2).transpose(1, 2)
    goal = torch.stack([sample_histogram(p, start.shape[1]) for p in hist])
    way = torch.zeros_like(coarse)
    for i in range(rounds):
        here = start + way.flatten(2).transpose(1, 2)
        there = sliced_transport(here, goal, range(8 * i, 8 * i + 8))
        rest = (there - here).transpose(1, 2).unflatten(2, coarse.shape[-2:])
        if i < rounds - 1:
            slope, offset = guided(way + rest, guide, radius=4)
            way = slope * guide + offset
    way = way + strength**2 * rest
    up = between(torch.cat([way, guided(way, guide)[0], guide], dim=1), h, w)
    return ab + strength * (up[:, :2] + up[:, 2:4] * (L - up[:, 4:]))
