"""The attention explorer: which colours a place of the photo looks at, and which places look at a colour (2.2).

Both are read off the same weights, softmax_j(M(i, j)) of equation (2) for places i and tokens j: a place's are a
distribution over the histogram, a token's are a map over the photo. They are kept, so an answer takes milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from histcolor.color import AB_MAX, unscale_ab
from histcolor.colorize import EncodedPhoto
from histcolor.edit import RADIUS, _colour, _number
from histcolor.histogram import bin_width, check_histogram
from histcolor.model import Colorizer, token_colours


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """The attention of one photo to one histogram, on the CPU; :func:`attention_maps` makes it.

    The photo has h × w places, H/4 × W/4 of the size the network works at; the ab plane has t × t tokens of
    stride × stride bins, axis 0 is a, axis 1 is b. Tokens that the network does not keep have no attention.
    """

    weights: Tensor  #: softmax_j(M(i, j)) (2), float32 ``[h, w, t, t]`` in [0, 1], each place summing to 1
    colours: Tensor  #: mean colour of each token's mass, its centre where there is none: ``[t, t, 2]`` in units of ab
    mass: Tensor  #: the share of the histogram that each token holds, ``[t, t]``, summing to 1


@torch.no_grad()
def attention_maps(model: Colorizer, photo: EncodedPhoto, hist: Tensor) -> AttentionMaps:
    """Compute the attention of every place of a photo to every token of a histogram, equation (2).

    Holds places × tokens numbers: 16 MB for the small model at its usual 256 × 256 pixels.

    Args:
        model: from :func:`histcolor.load`, with attention.
        photo: from :func:`histcolor.encode` with the same model.
        hist: ``[bins, bins]`` with the model's bins; normalised to sum to 1.

    Raises:
        ValueError: a model without attention, a photo encoded by another model, several photos or histograms, or a
            wrong histogram (see :func:`histcolor.histogram.check_histogram`).
    """
    config = model.config
    if not config.attends:
        raise ValueError("This model has no attention to explore: use another one.")
    if not isinstance(photo, EncodedPhoto) or photo.features.semantics is None:
        raise ValueError("photo must be what histcolor.encode made of it with the same model.")
    f_t = photo.features.semantics
    if f_t.ndim != 4 or len(f_t) != 1 or f_t.shape[1] != config.channels:
        raise ValueError(f"One photo with {config.channels} channels is needed, its F_T is {tuple(f_t.shape)}.")
    hist = check_histogram(hist, config.bins)
    if hist.ndim != 2:
        raise ValueError(f"Give one histogram [bins, bins], not shape {tuple(hist.shape)}: explore them one by one.")
    weights = model.attention_weights(photo.features, hist[None].to(f_t.device))[0]
    mass, colours = token_colours(hist[None].cpu(), config.stride)
    side = config.bins // config.stride
    return AttentionMaps(weights.cpu(), unscale_ab(colours[0]).unflatten(0, (side, side)), mass.view(side, side))


def colours_at(maps: AttentionMaps, x: float, y: float, radius: float = 0.02) -> tuple[Tensor, tuple[float, float]]:
    """Say which colours a place of the photo looks at: the mean of its attention and its close neighbours'.

    The expected colour is the tokens' mean colours weighted by that attention. With the palette readout it is what
    the attention hands on, the last two channels of :meth:`histcolor.Colorizer.attend` in units of ab, before the
    network C corrects them; with the features readout no network sees it.

    Args:
        maps: from :func:`attention_maps`.
        x: in [0, 1], a fraction of the photo's width, 0 at the left edge.
        y: in [0, 1], a fraction of the photo's height, 0 at the top edge.
        radius: in [0, 0.5], a fraction of the photo's shorter side; places whose middle lies within it count, and
            always the one that holds (x, y). 0 takes that one alone.

    Returns:
        The attention ``[t, t]`` in [0, 1], axis 0 is a, axis 1 is b, summing to 1; and the expected colour (a, b).

    Raises:
        ValueError: x, y or the radius is NaN or out of its range.
    """
    h, w = maps.weights.shape[:2]
    x, y, radius = _number("x", x, 0, 1), _number("y", y, 0, 1), _number("radius", radius, 0, 0.5)
    down, right = torch.arange(h) + 0.5 - y * h, torch.arange(w) + 0.5 - x * w  # in places, which are nearly square
    near = torch.hypot(down[:, None], right) <= radius * min(h, w)
    near[min(int(y * h), h - 1), min(int(x * w), w - 1)] = True
    attention = maps.weights[near].mean(0)
    a, b = torch.einsum("ij,ijc->c", attention, maps.colours).tolist()
    return attention, (a, b)


def tokens_near(maps: AttentionMaps, ab: tuple[float, float], radius: float = RADIUS) -> Tensor:
    """Tokens whose mean colour lies within ``radius`` of ab, and always the one that holds ab: boolean ``[t, t]``.

    The arguments and errors are those of :func:`places_of`.
    """
    ab, radius = _colour("ab", ab), _number("radius", radius, 0)
    side = len(maps.mass)
    near = (maps.colours - torch.tensor(ab)).norm(dim=-1) <= radius
    i, j = (min(int((value + AB_MAX) / bin_width(side)), side - 1) for value in ab)
    near[i, j] = True
    return near


def places_of(maps: AttentionMaps, ab: tuple[float, float], radius: float = RADIUS) -> Tensor:
    """Say where in the photo a colour goes: the share of each place's attention that the colour's tokens get.

    At place i the number is Σ_j softmax_j(M(i, j)) over the tokens j of :func:`tokens_near`: 0 where the place looks
    at none of them, 1 where it looks at nothing else. Its mean over the places is the share of all attention that
    the colour gets. Balanced by :func:`histcolor.model.balance`, that is about the share of the histogram that these
    tokens hold, ``maps.mass[tokens_near(maps, ab, radius)].sum()``; a model without it is not held to that.

    Args:
        maps: from :func:`attention_maps`.
        ab: the colour, a and b in [-110, 110].
        radius: at least 0, in units of ab.

    Returns:
        ``[h, w]`` in [0, 1], float32.

    Raises:
        ValueError: ab or the radius is NaN or out of its range.
    """
    chosen = tokens_near(maps, ab, radius).flatten().float()
    return (maps.weights.flatten(2) @ chosen).clamp(0, 1)  # rounding may leave 1 + 1e-7
