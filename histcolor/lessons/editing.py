"""What lesson 06 shows and asks: figures of edits, of a moved colour and of transport, and the stubs' checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from histcolor import plots
from histcolor.color import AB_MAX, rgb_to_lab
from histcolor.editor.explore import AttentionMaps, places_of
from histcolor.editor.live import Result
from histcolor.histogram import bin_width, palette, resize_histogram
from histcolor.lessons.stub import Stub
from histcolor.metrics import round8

Colour = tuple[float, float]
BLUE, ORANGE, GRAY, INK = "#2b6cb0", "#d9622b", "#9ca3af", "#374151"
ACROSS = ((10.0, -40.0), (-40.0, 35.0), (50.0, 35.0))  #: a blue, a green and a red that most photos can have


def edits_figure(steps: Mapping[str, Result], L: float) -> Figure:
    """Draw edits side by side: the target histogram, the photo, and the histogram that the photo now has."""
    picture = next(iter(steps.values())).rgb
    aspect = picture.shape[1] / picture.shape[2]
    figure, axes = plt.subplots(
        3, len(steps), figsize=(3 * len(steps), 6.1 + 2.75 * aspect), height_ratios=[1, aspect, 1]
    )
    for column, (name, step) in zip(axes.T, steps.items(), strict=True):
        plots.show_histogram(column[0], step.target, L, name)
        plots.show_image(column[1], step.rgb)
        plots.show_histogram(column[2], step.achieved, L, f"distance {step.distance:.2f}")
    for axis in axes[::2].flat:
        axis.label_outer()
    for axis, name in zip(axes[::2, 0], ("target", "achieved"), strict=True):
        axis.set_ylabel(f"{name}\nb")
    return figure


def centre_of(ab: Sequence[float], bins: int) -> Colour:
    """Find the centre of the bin that holds a colour."""
    a, b = (int((x + AB_MAX) / bin_width(bins)) for x in ab)
    return tuple(palette(bins)[a, b].tolist())


def far_move(hist: Tensor, stride: int) -> tuple[Colour, Colour]:
    """Choose a move that is easy to see: from the colour with the most mass times chroma to the other side of gray.

    Both ends are bin centres, so the blob that moves keeps its shape.

    Args:
        hist: ``[bins, bins]``.
        stride: bins along each side of a token: the colour is looked for in tokens.
    """
    bins = hist.shape[-1]
    tokens = palette(bins // stride)
    weight = resize_histogram(hist, bins // stride) * tokens.norm(dim=-1)
    start = centre_of(tokens.flatten(0, 1)[weight.argmax()].tolist(), bins)
    ends = [centre_of(ab, bins) for ab in ACROSS]
    return start, max(ends, key=lambda ab: np.hypot(ab[0] - start[0], ab[1] - start[1]))


def had_before(before: Tensor, after: Tensor, start: Colour, end: Colour, radius: float) -> float:
    """Of a picture's pixels near ``end``, find the share that was near ``start`` in the picture before it.

    Both pictures are RGB ``[3, H, W]``; "near" is within ``radius`` in the ab plane.
    """
    old, new = (rgb_to_lab(round8(picture))[1:] for picture in (before, after))
    was, now = (
        (ab - torch.tensor(place)[:, None, None]).norm(dim=0) <= radius for ab, place in ((old, start), (new, end))
    )
    return float((was & now).sum() / now.sum().clamp(min=1))


def turned_hue(before: Tensor, after: Tensor) -> Tensor:
    """Compute by how many degrees each pixel's hue has turned, ``[H, W]`` in [0, 180]; 0 where one of both is gray."""
    ab = rgb_to_lab(round8(torch.stack([before, after])))[:, 1:]
    turn = (torch.atan2(ab[1, 1], ab[1, 0]) - torch.atan2(ab[0, 1], ab[0, 0])).rad2deg().abs()
    turn = torch.minimum(turn, 360 - turn)
    turn[ab.norm(dim=1).amin(0) < 8] = 0
    return turn


def move_figure(
    before: Result, after: Result, shares: pd.DataFrame, moved: float, ends: Sequence[Colour], radius: float, L: float
) -> Figure:
    """Draw what a moved colour does to the picture.

    Args:
        before: the picture before the move.
        after: the picture after it.
        shares: of the picture's pixels near the old and the new place (index), columns before and after, in [0, 1].
        moved: the share of all mass that was moved.
        ends: the old place and the new one.
        radius: of the disc that was moved.
        L: the lightness at which histograms are drawn.
    """
    aspect = before.rgb.shape[1] / before.rgb.shape[2]
    figure, axes = plt.subplots(2, 3, figsize=(12, 4.35 + 3.5 * aspect), height_ratios=[aspect, 1])
    plots.show_image(axes[0, 0], before.rgb, "before")
    plots.show_image(axes[0, 1], after.rgb, "after the move")
    turn = turned_hue(before.rgb, after.rgb)
    plots.show_values(axes[0, 2], turn, "change of hue, degrees", signed=False, limit=180)
    for axis, result, name in zip(axes[1], (before, after), ("before", "after"), strict=False):
        plots.show_histogram(axis, result.achieved, L, f"the picture's histogram, {name}")
        for place, style, mark in zip(ends, ("--", "-"), ("old", "new"), strict=True):
            axis.add_patch(plt.Circle(place, radius, fill=False, ls=style, lw=1.4))
            axis.text(place[0] + radius + 3, place[1], mark, va="center", fontsize=9)
    places, width = np.arange(len(shares)), 0.38
    for shift, (when, colour) in zip((-0.5, 0.5), (("before", GRAY), ("after", BLUE)), strict=True):
        bars = axes[1, 2].bar(places + shift * width, 100 * shares[when], width, color=colour, label=when)
        axes[1, 2].bar_label(bars, fmt="%.0f", fontsize=9)
    axes[1, 2].axhline(100 * moved, color=INK, ls=":", lw=1.2)
    axes[1, 2].text(0.5, 100 * moved, "moved", ha="center", va="bottom", fontsize=9)
    axes[1, 2].set_xticks(places, shares.index)
    axes[1, 2].set(title="pixels near it, %", ylim=(0, 125 * moved), box_aspect=1)
    axes[1, 2].legend(loc="center", bbox_to_anchor=(0.5, 0.6))
    return figure


def transport_figure(curves: Mapping[str, pd.DataFrame], pictures: Mapping[str, Tensor]) -> Figure:
    """Draw pictures at several transport strengths, and how near they come to their targets.

    Args:
        curves: target → distances (columns) by strength (index).
        pictures: title → RGB ``[3, H, W]``.
    """
    first = next(iter(pictures.values()))
    aspect = first.shape[1] / first.shape[2]
    figure = plt.figure(figsize=(12, 4 * aspect + 3.8))
    top, bottom = figure.subfigures(2, 1, height_ratios=[4 * aspect + 0.3, 3.5])
    for axis, (title, picture) in zip(top.subplots(1, len(pictures)), pictures.items(), strict=True):
        plots.show_image(axis, picture, title)
    kinds = next(iter(curves.values())).columns
    for axis, kind in zip(bottom.subplots(1, len(kinds)), kinds, strict=True):
        for (name, curve), style in zip(curves.items(), ("--", "-"), strict=False):
            axis.plot(curve.index, curve[kind], style, lw=2, marker="o", ms=4, label=name)
        axis.set(xlabel="transport strength", ylim=(0, None), title=kind)
        axis.legend(loc="lower left")
    return figure


def looks_most(maps: AttentionMaps, ab: Colour) -> tuple[float, float]:
    """Find the place (x, y), in [0, 1], that looks most at a colour; not at the photo's edge."""
    heat = places_of(maps, ab)
    down, right = (n // 8 for n in heat.shape)
    inner = torch.zeros_like(heat)
    inner[down : len(heat) - down, right : heat.shape[1] - right] = heat[
        down : len(heat) - down, right : heat.shape[1] - right
    ]
    y, x = divmod(int(inner.argmax()), heat.shape[1])
    return (x + 0.5) / heat.shape[1], (y + 0.5) / heat.shape[0]


def _random_hists(count: int) -> Tensor:
    draw = torch.rand(count, 6, 6, generator=torch.Generator().manual_seed(count)) ** 4
    return draw / draw.sum((1, 2), keepdim=True)


def _sum_of_roots(P: Tensor, Q: Tensor) -> Tensor:
    return (P * Q).sqrt().sum()


def _no_outer_root(P, Q):
    """The outer root is missing: this is the square of the distance."""
    return 1 - _sum_of_roots(P, Q)


def _likeness(P, Q):
    """This is 1 where P and Q are equal: a distance is 0 there. Subtract the sum from 1, then take the root."""
    return _sum_of_roots(P, Q)


def _no_inner_root(P, Q):
    """Inside the sum stands the root of the product, not the product."""
    return (1 - (P * Q).sum()).sqrt()


def _mean_of_roots(P, Q):
    """You took the mean over the bins: take the sum."""
    return (1 - (P * Q).sqrt().mean()).sqrt()


HELLINGER = Stub(
    "hellinger",
    lambda P, Q: (1 - _sum_of_roots(P, Q)).sqrt(),
    lambda: tuple(_random_hists(2)),
    (_no_outer_root, _likeness, _no_inner_root, _mean_of_roots),
)


def _weighted(hists: Tensor, weights: Tensor) -> Tensor:
    return (weights[:, None, None] * hists).sum(0)


def _not_divided(hists, weights):
    """The result does not sum to 1: divide by the sum of the weights."""
    return _weighted(hists, weights)


def _weights_ignored(hists, weights):
    """All histograms count alike: use the weights."""
    return hists.mean(0)


def _mean_of_weighted(hists, weights):
    """You divided by the number of histograms: divide by the sum of the weights."""
    return (weights[:, None, None] * hists).mean(0)


def _by_peak(hists, weights):
    """You divided by the fullest bin: a histogram must sum to 1, so divide by the sum."""
    return _weighted(hists, weights) / _weighted(hists, weights).max()


MIX = Stub(
    "mix",
    lambda hists, weights: _weighted(hists, weights) / weights.sum(),
    lambda: (_random_hists(3), torch.tensor([0.6, 1.0, 0.25])),
    (_not_divided, _weights_ignored, _mean_of_weighted, _by_peak),
)


def _weights() -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.softmax(2 * torch.randn(3, 5, 16, generator=draw), dim=2).view(3, 5, 4, 4)


def _chosen() -> Tensor:
    chosen = torch.zeros(4, 4, dtype=torch.bool)
    chosen[1, 1:3] = chosen[2, 2] = True
    return chosen


def _mean_of_tokens(weights, chosen):
    """You took the mean over the colour's tokens: attention adds up, so take their sum."""
    return weights[:, :, chosen].mean(2)


def _largest_token(weights, chosen):
    """You took the largest of the colour's tokens: attention adds up, so take their sum."""
    return weights[:, :, chosen].amax(2)


def _one_map_each(weights, chosen):
    """This is one map for each token: sum over the colour's tokens."""
    return weights[:, :, chosen]


def _over_the_places(weights, chosen):
    """You summed over the places, which tells how much attention each token gets: sum over the tokens."""
    return weights.sum((0, 1)) * chosen


def _stretched(weights, chosen):
    """You divided by the largest place: then a map can not be compared with another one. Leave the shares as they
    are."""
    heat = weights[:, :, chosen].sum(2)
    return heat / heat.max()


PLACES = Stub(
    "places",
    lambda weights, chosen: weights[:, :, chosen].sum(2),
    lambda: (_weights(), _chosen()),
    (_mean_of_tokens, _largest_token, _one_map_each, _over_the_places, _stretched),
)
