"""The attention explorer: which colours a place of the photo looks at, and which places look at a colour (2.2).

Both come from the same weights, softmax_j(M(i, j)) of equation (2) for places i and tokens j: those of a place are a
distribution over the histogram, those of a token a map over the photo. They are computed once, for many questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from histcolor.attention import token_colours
from histcolor.color import AB_MAX, lab_to_rgb, rgb_to_lab, unscale_ab
from histcolor.colorize import EncodedPhoto, resize
from histcolor.edit import RADIUS, check_colour, check_number
from histcolor.histogram import bin_width, check_histogram
from histcolor.images import to_uint8
from histcolor.model import Colorizer
from histcolor.plots import PLANE, frame_plane, plane_lab, show_histogram, show_image, tint, visible_mass

Pairs = Sequence[tuple[float, float]]


@dataclass(frozen=True, eq=False)
class AttentionMaps:
    """The attention of one photo to one histogram, on the CPU; :func:`attention_maps` makes it.

    The photo has h × w places, a quarter of the working size along each axis. The ab plane has t × t tokens of
    stride × stride bins; axis 0 is a, axis 1 is b. Tokens that the network does not keep have no attention.
    """

    weights: Tensor  #: softmax_j(M(i, j)) (2), float32 ``[h, w, t, t]`` in [0, 1], each place summing to 1
    colours: Tensor  #: mean colour of each token's mass, or the token's centre if it has none: ``[t, t, 2]``
    mass: Tensor  #: each token's share of the histogram, ``[t, t]``, summing to 1


@torch.no_grad()
def attention_maps(model: Colorizer, photo: EncodedPhoto, hist: Tensor, *, automatic: bool = False) -> AttentionMaps:
    """Compute the attention of every place of a photo to every token of a histogram, equation (2).

    These are places × tokens numbers: 16 MB for the small model at 256 × 256 pixels.

    Args:
        model: from :func:`histcolor.load`, with attention.
        photo: from :func:`histcolor.encode` with the same model.
        hist: ``[bins, bins]`` with the model's bins; normalised to sum to 1.
        automatic: ``hist`` is the average histogram, and no histogram is given.

    Raises:
        ValueError: a model without attention, a photo encoded by another model, several photos or histograms, or a
            wrong histogram (see :func:`histcolor.histogram.check_histogram`).
    """
    config = model.config
    if not (isinstance(model, Colorizer) and config.attention):
        raise ValueError("This model has no attention to explore: use another one.")
    if not isinstance(photo, EncodedPhoto) or photo.features.f_t is None:
        raise ValueError("photo must be what histcolor.encode made of it with the same model.")
    f_t = photo.features.f_t
    if f_t.ndim != 4 or len(f_t) != 1 or f_t.shape[1] != config.channels:
        raise ValueError(f"One photo with {config.channels} channels is needed, its F_T is {tuple(f_t.shape)}.")
    hist = check_histogram(hist, config.bins)
    if hist.ndim != 2:
        raise ValueError(f"Give one histogram [bins, bins], not shape {tuple(hist.shape)}: explore them one by one.")
    given = torch.tensor([not automatic], device=f_t.device)
    weights = model.attention_weights(photo.features, hist[None].to(f_t.device), given)[0]
    mass, colours = token_colours(hist[None].cpu(), config.stride)
    side = config.bins // config.stride
    return AttentionMaps(weights.cpu(), unscale_ab(colours[0]).unflatten(0, (side, side)), mass.view(side, side))


def colours_at(maps: AttentionMaps, x: float, y: float, radius: float = 0.02) -> tuple[Tensor, tuple[float, float]]:
    """Find which colours a place of the photo looks at: the mean attention of the place and its close neighbours.

    The expected colour is the mean of the tokens' colours, weighted by that attention. With the palette readout, the
    network C gets it as the last two channels of :meth:`histcolor.Colorizer.attend` (there divided by 110) and corrects
    it; with the features readout, the network does not use it.

    Args:
        maps: from :func:`attention_maps`.
        x: in [0, 1], a fraction of the photo's width, 0 at the left edge.
        y: in [0, 1], a fraction of the photo's height, 0 at the top edge.
        radius: in [0, 0.5], a fraction of the photo's shorter side. Places whose middle is at most this far from (x, y)
            count, and always the place that holds (x, y); with 0, only that one.

    Returns:
        The attention ``[t, t]`` in [0, 1], axis 0 is a, axis 1 is b, summing to 1; and the expected colour (a, b).

    Raises:
        ValueError: x, y or the radius is NaN or out of its range.
    """
    h, w = maps.weights.shape[:2]
    x, y, radius = check_number("x", x, 0, 1), check_number("y", y, 0, 1), check_number("radius", radius, 0, 0.5)
    down, right = torch.arange(h) + 0.5 - y * h, torch.arange(w) + 0.5 - x * w  # in places, which are nearly square
    near = torch.hypot(down[:, None], right) <= radius * min(h, w)
    near[min(int(y * h), h - 1), min(int(x * w), w - 1)] = True
    attention = maps.weights[near].mean(0)
    a, b = torch.einsum("ij,ijc->c", attention, maps.colours).tolist()
    return attention, (a, b)


def tokens_near(maps: AttentionMaps, ab: tuple[float, float], radius: float = RADIUS) -> Tensor:
    """Find the tokens whose mean colour is within ``radius`` of ab, and the one that holds ab: boolean ``[t, t]``.

    The arguments and errors are those of :func:`places_of`.
    """
    ab, radius = check_colour("ab", ab), check_number("radius", radius, 0)
    side = len(maps.mass)
    near = (maps.colours - torch.tensor(ab)).norm(dim=-1) <= radius
    i, j = (min(int((value + AB_MAX) / bin_width(side)), side - 1) for value in ab)
    near[i, j] = True
    return near


def places_of(maps: AttentionMaps, ab: tuple[float, float], radius: float = RADIUS) -> Tensor:
    """Find where in the photo a colour goes: the share of each place's attention that the colour's tokens get.

    At place i the number is Σ_j softmax_j(M(i, j)) over the tokens j of :func:`tokens_near`: 0 where the place looks
    at none of them, 1 where it looks at nothing else. The mean over all places is the colour's share of all attention.
    In a model with :func:`histcolor.attention.balance` it is near these tokens' share of the histogram,
    ``maps.mass[tokens_near(maps, ab, radius)].sum()``; without balance it can be very different.

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


def main_colours(shares: Tensor, colours: Tensor, radius: float = RADIUS) -> list[tuple[float, ...]]:
    """Find the few colours that hold most of a sum: rings (a, b, radius, share), the largest first.

    Each ring lies around the largest share outside of the rings before; at most five, of 3 % or more.

    Args:
        shares: ``[n, n]``, summing to 1, axis 0 is a: a place's attention (:func:`colours_at`), or a histogram.
        colours: of the shares, ``[n, n, 2]`` in units of ab: ``maps.colours``, or a histogram's bin centres.
        radius: of the rings, in units of ab.
    """
    left, colours, found = shares.flatten().clone(), colours.flatten(0, 1), []
    for _ in range(5):
        centre = colours[left.argmax()]
        inside = (colours - centre).norm(dim=-1) <= radius
        share = float(left[inside].sum())
        if share < 0.03:
            break
        a, b = (left[inside] @ colours[inside] / share).tolist()
        found.append((a, b, radius, share))
        left[inside] = 0
    return sorted(found, key=lambda ring: -ring[3])


def tinted(L: Tensor, heat: Tensor, ab: tuple[float, float]) -> Tensor:
    """Tint the places of a colour with it, over the gray photo, which is darker elsewhere: RGB ``[3, H, W]`` in [0, 1].

    Args:
        L: ``[1, H, W]`` in [0, 100].
        heat: ``[h, w]`` in [0, 1], from :func:`places_of`; enlarged bilinearly.
        ab: the colour.
    """
    heat = F.interpolate(heat[None, None], L.shape[-2:], mode="bilinear", align_corners=False)[0]
    colour = torch.tensor(ab)[:, None, None]
    return lab_to_rgb(torch.cat([L * (0.45 + 0.4 * heat) + 15 * heat, heat.sqrt() * colour]))


def _page(rows: Sequence[Sequence[float]]) -> tuple[Figure, list[list[Axes]]]:
    """Make a figure with rows of axes, all as high as their row; ``rows`` holds each axes' width over its height."""
    gap, end, above, below = 0.42, 0.5, 0.3, 0.36  # inches
    width = max(7.2, *(end + gap * len(row) + 0.9 * sum(row) for row in rows))  # a page, or wider if axes would be tiny
    heights = [min(2.2, (width - end - gap * len(row)) / sum(row)) for row in rows]
    y = height = sum(heights) + len(rows) * (above + below)
    figure, grid = plt.figure(figsize=(width, height), layout="none"), []
    for row, h in zip(rows, heights, strict=True):
        y -= above + h
        boxes = [((gap * (i + 1) + sum(row[:i]) * h) / width, y / height, w * h / width) for i, w in enumerate(row)]
        grid.append([figure.add_axes((*box, h / height)) for box in boxes])
        y -= below
    return figure, grid


def _badge(axes: Axes, mark: str, xy: tuple[float, float], fill="white", title: str = "") -> None:
    """Draw a letter or number in a disc at a point of the data, or above the axes with a title beside it."""
    coords, offset = ("axes fraction", (6, 10)) if title else ("data", (0, 0))
    style = {"textcoords": "offset points", "va": "center"}
    disc = {"boxstyle": "circle,pad=0.2", "fc": fill, "lw": 0.8}
    axes.annotate(mark, xy, offset, coords, ha="center", fontsize=7.5, bbox=disc, **style)
    axes.annotate(title.replace("-", "−"), xy, (17, 10), coords, fontsize=9, **style)


def attention_figure(
    image: Tensor, coloured: Tensor, hist: Tensor, maps: AttentionMaps, places: Pairs = (), colours: Pairs = ()
) -> Figure:
    """Draw which colours some places of a photo look at and, below, which places look at some colours (2.2).

    Each place has a number in the coloured photo, and an ab plane with three things: the target histogram in light
    gray; the attended tokens in their colours (at the place's L within [40, 65]), more opaque with more attention; and
    a cross at the expected colour, which is also the title. Each colour has a letter and a ring in the target
    histogram, and a map of the photo tinted with the colour itself (:func:`histcolor.plots.tint`), with its shares of
    the target and of all attention.

    Args:
        image: RGB ``[3, H, W]`` in [0, 1]; only its L is used.
        coloured: RGB ``[3, H, W]`` in [0, 1], the model's result.
        hist: the target histogram ``[bins, bins]``, summing to 1.
        maps: from :func:`histcolor.editor.explore.attention_maps`.
        places: (x, y) in [0, 1] each, as in :func:`histcolor.editor.explore.colours_at`.
        colours: (a, b) in [-110, 110] each, as in :func:`histcolor.editor.explore.places_of`.

    Raises:
        ValueError: neither a place nor a colour, or one out of its range.
    """
    if not (places or colours):
        raise ValueError("attention_figure needs at least one place or one colour to show.")
    answers, heats = [colours_at(maps, *place) for place in places], [places_of(maps, ab) for ab in colours]
    shrink = min(1, 640 / max(image.shape[1:]))  # no more pixels than a page shows
    height, width = (max(1, round(n * shrink)) for n in image.shape[1:])
    image, coloured = resize(image, (height, width)), resize(coloured, (height, width))
    L, aspect = rgb_to_lab(image)[0], width / height
    cell = max(aspect, 0.75)  # a narrow photo leaves room for its title
    rows = [[cell] + [1] * len(places)] * bool(places) + [[1] + [cell] * len(colours)] * bool(colours)
    figure, grid = _page(rows)
    planes = grid[0][1:] * bool(places) + grid[-1][:1] * bool(colours)
    for i, ((x, y), (attention, (a, b)), axes) in enumerate(zip(places, answers, planes, strict=False), 1):
        column, row = min(int(x * width), width - 1), min(int(y * height), height - 1)
        _badge(grid[0][0], str(i), (column, row))
        colour = lab_to_rgb(plane_lab(float(L[row, column].clamp(40, 65)), len(attention)))
        attended = torch.cat([colour, (attention / attention.max()).sqrt()[None]]).permute(2, 1, 0)
        square = {"extent": PLANE, "origin": "lower", "interpolation": "nearest"}
        axes.imshow(visible_mass(hist).T.numpy(), cmap="Greys", vmin=0, vmax=6, **square)
        axes.imshow(attended.numpy(), **square)
        axes.plot(a, b, "+", ms=11, mew=2.6, color="white")
        axes.plot(a, b, "+", ms=10, mew=1.1, color="black")
        _badge(axes, str(i), (0, 1), title=f"a {round(a)}, b {round(b)}")
    for letter, (a, b), heat, axes in zip(ascii_uppercase, colours, heats, grid[-1][1:], strict=False):
        planes[-1].add_patch(Circle((a, b), RADIUS, fill=False, lw=0.8))
        _badge(planes[-1], letter, (a, b))
        show_image(axes, tint(image, heat, (a, b)))
        axes.set_anchor("W")
        fill = to_uint8(lab_to_rgb(torch.tensor([65.0, a, b])[:, None, None]))[0, 0] / 255
        _badge(axes, letter, (0, 1), fill, title=f"a {round(a)}, b {round(b)}")
        share, gets = 100 * float(maps.mass[tokens_near(maps, (a, b))].sum()), 100 * float(heat.mean())
        note = f"{share:.1f} % of the target\n{gets:.1f} % of the attention"
        axes.annotate(note, (0, 0), (0, -4), "axes fraction", "offset points", va="top", fontsize=7.5)
    if places:
        show_image(grid[0][0], coloured)
        grid[0][0].set_anchor("W")
        grid[0][0].set_title("coloured photo", loc="left", fontsize=9, pad=8)
    if colours:
        show_histogram(planes[-1], hist, gamut=False)
        planes[-1].set_title("target histogram", loc="left", fontsize=9, pad=8)
        bar = grid[-1][-1].inset_axes((1 + 0.06 / aspect, 0, 0.06 / aspect, 1))
        ramp = tint(torch.full((3, 128, 1), 0.5), torch.linspace(0, 1, 128)[:, None], colours[-1])
        bar.imshow(to_uint8(ramp), extent=(0, 1, 0, 1), aspect="auto", origin="lower")
        bar.set(xticks=[], yticks=(0, 0.5, 1), yticklabels=("0", "50 %", "100 %"))
        bar.tick_params(labelsize=7.5, length=2, pad=2, left=False, labelleft=False, right=True, labelright=True)
    # all planes show the same square: gray, the histogram's colours, the colours of questions and answers
    ends = [(a + d, b + d) for a, b in colours for d in (-RADIUS, RADIUS)] + [ab for _, ab in answers]
    used = torch.cat([maps.colours[maps.mass > 1e-4], torch.tensor([(0.0, 0.0), *ends])])
    low, high = used.amin(0), used.amax(0)
    (a, b), half = ((low + high) / 2).tolist(), float((high - low).max()) / 2 + 8
    for axes in planes:
        frame_plane(axes, "")
        axes.set(xlim=(a - half, a + half), ylim=(b - half, b + half))
        axes.tick_params(labelsize=7.5, length=2, pad=2)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
            axis.label.set_size(8)
            axis.labelpad = 0
    return figure
