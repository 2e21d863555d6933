"""Functions that edit ab histograms: paint, erase, move, rotate hue, scale saturation, mix, make from a palette.

Every function takes and returns ``[bins, bins]`` histograms (axis 0 is a, axis 1 is b, both ascending over
[-110, 110]). The input is checked by :func:`histcolor.histogram.check_histogram`, need not be normalised, and is
never changed. The result is a new float32 tensor, non-negative, without NaN, and sums to 1 up to float32 rounding.
Colours ``ab = (a, b)`` and radii are in units of ab. A bad argument raises a ``ValueError`` that says how to mend it.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from histcolor.color import AB_MAX, L_MAX, in_gamut, rgb_to_lab
from histcolor.histogram import as_numbers, bin_width, check_bins, check_histogram, splat

RADIUS = 12.0  #: default radius of paint, erase and move; as it is the same, erasing removes all that a stroke painted


def _short(value: object) -> str:
    """Write a bad argument in one short line, however long it is."""
    return " ".join(reprlib.repr(value).split())


def check_number(name: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number in [low, high] as float, else raise ``ValueError``; strings and booleans are refused."""
    try:
        number = math.nan if isinstance(value, str | bytes | bytearray | bool) else float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and low <= number <= high):
        span = f" in [{low:g}, {high:g}]" if math.isfinite(high) else f" ≥ {low:g}" if math.isfinite(low) else ""
        raise ValueError(f"{name} must be a finite number{span}, got {_short(value)}.")
    return number


def check_colour(name: str, ab: Iterable[float], limit: float = AB_MAX) -> tuple[float, float]:
    """Return a pair (a, b) within ±limit as floats, else raise ``ValueError``."""
    try:
        a, b = ab
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a pair (a, b), got {_short(ab)}.") from error
    return check_number(f"a of {name}", a, -limit, limit), check_number(f"b of {name}", b, -limit, limit)


def _path(ab: Iterable) -> list[tuple[float, float]]:
    """Return one colour, or the colours along a stroke, as a list of pairs."""
    try:
        entries = list(ab)
    except TypeError as error:
        raise ValueError(f"ab must be a pair (a, b) or a list of pairs, got {_short(ab)}.") from error
    if entries and (isinstance(entries[0], list | tuple) or getattr(entries[0], "ndim", 0)):
        return [check_colour(f"ab, entry {place},", entry) for place, entry in enumerate(entries, 1)]
    return [check_colour("ab", entries if isinstance(ab, Iterator) else ab)]


def _weights(weights: Iterable[float], things: str) -> list[float]:
    """Return numbers ≥ 0, not all 0, as floats."""
    try:
        entries = list(weights)
    except TypeError as error:
        raise ValueError(
            f"weights must be a list of numbers, one for each of the {things}, got {_short(weights)}."
        ) from error
    entries = [check_number(f"Weight {place}", weight, 0) for place, weight in enumerate(entries, 1)]
    if not any(entries):
        raise ValueError(f"The weights of the {things} must not all be 0.")
    return entries


def _histogram(hist: Tensor, *, allow_blank: bool = False) -> Tensor:
    """Check one histogram and return it as float64, so that an edit is rounded only once, at its end."""
    hist = as_numbers(hist)
    if hist.ndim != 2:
        raise ValueError(f"Give one histogram [bins, bins], not shape {tuple(hist.shape)}: edit them one by one.")
    if allow_blank and not hist.any():
        return torch.zeros_like(check_histogram(torch.ones_like(hist)), dtype=torch.float64)
    return check_histogram(hist).double()


def _offsets(bins: int, device: torch.device | None = None) -> Tensor:
    """Compute where each bin lies relative to gray, ``[bins, bins, 2]`` in bins: exact, as multiples of 1/2."""
    axis = torch.arange(bins, dtype=torch.float64, device=device) - (bins - 1) / 2
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)


def _warp(hist: Tensor, target: Tensor) -> Tensor:
    """Move each bin's mass to ``target``, shared bilinearly among the four nearest bins, as soft_ab_histogram does.

    ``target`` is ``[bins, bins, 2]``, relative to gray, in bins; beyond the outermost centres each axis is clamped.
    The mass is conserved. Without clamping, the mean colour is that of the targets. float64 → float32.
    """
    bins = hist.shape[-1]
    # Rounding must not give neighbours a mass of 1e-16: the network is shown the colour of every bin above zero.
    position = ((target + (bins - 1) / 2) * 2**20).round() / 2**20
    return splat(position.clamp(0, bins - 1).flatten(0, 1).T, bins, hist.flatten()).float()


def _pull_in(target: Tensor) -> Tensor:
    """Move targets beyond the outermost bins straight towards gray; clamping each axis alone would change the hue."""
    reach = (target.shape[0] - 1) / 2
    return target / (target.abs().amax(-1, keepdim=True) / reach).clamp(min=1)


def _disc(ab: tuple[float, float], radius: float, bins: int, device: torch.device | None = None) -> Tensor:
    """Choose the bins whose centre is within ``radius`` of ab, and the one that holds ab: boolean ``[bins, bins]``."""
    width = bin_width(bins)
    away = _offsets(bins, device) * width - torch.tensor(ab, dtype=torch.float64, device=device)
    disc = away.norm(dim=-1) <= radius + 1e-6  # the same disc everywhere, despite rounding
    i, j = (min(max(int((x + AB_MAX) / width), 0), bins - 1) for x in ab)
    disc[i, j] = True  # a small brush on a coarse grid still has a bin
    return disc


def _blob(ab: tuple[float, float], radius: float, bins: int, device: torch.device | None = None) -> Tensor:
    """Make a round Gaussian brush of mass 1 with sigma = radius / 3 that ends at the radius: ``[bins, bins]`` float64.

    Each bin gets the integral over its area, so that even a narrow blob on a coarse grid has its mass.
    """
    sigma = min(max(radius / 3, 1e-6), 1e4)  # beyond these a bin, or the plane, looks the same
    edges = torch.linspace(-AB_MAX, AB_MAX, bins + 1, dtype=torch.float64, device=device)
    along_a, along_b = (torch.special.ndtr((edges - x) / sigma).diff() for x in ab)
    mass = along_a[:, None] * along_b * _disc(ab, radius, bins, device)
    return mass / mass.sum()


def paint(
    hist: Tensor,
    ab: tuple[float, float] | Sequence[tuple[float, float]],
    *,
    radius: float = RADIUS,
    strength: float = 0.1,
) -> Tensor:
    """Add a Gaussian blob of one colour, or a stroke along several: ``[bins, bins]`` → ``[bins, bins]``.

    The input may be all zero here; the result is then the stroke alone.

    Args:
        ab: the colour (a, b), each in [-110, 110], or a sequence of colours, the stroke's path: each gets a blob, and
            all blobs have the same mass. A blob that is cut by the plane's edge keeps its mass.
        radius: where a blob ends, at three sigma, ≥ 0. 0 paints only the bin that holds ``ab``.
        strength: the stroke's mass divided by the mass before, ≥ 0 (0 changes nothing).

    Raises ``ValueError``: not a histogram, a colour outside of the plane, a negative or NaN radius or strength.
    """
    path, radius = _path(ab), check_number("radius", radius, 0)
    strength = check_number("strength", strength, 0)
    hist = _histogram(hist, allow_blank=strength > 0)
    share = strength / (float(hist.any()) + strength)
    stroke = torch.stack([_blob(colour, radius, len(hist), hist.device) for colour in path]).mean(0)
    return (hist * (1 - share) + stroke * share).float()


def erase(
    hist: Tensor,
    ab: tuple[float, float] | Sequence[tuple[float, float]],
    *,
    radius: float = RADIUS,
    strength: float = 1.0,
) -> Tensor:
    """Remove mass around one colour or a stroke, and scale up the rest: ``[bins, bins]`` → ``[bins, bins]``.

    Args:
        ab: the colour (a, b), each in [-110, 110], or a sequence of colours, the stroke's path.
        radius: bins whose centre is at most this far from ``ab`` lose mass, and always the bin that holds ``ab``; ≥ 0.
        strength: the part of their mass that is removed, in [0, 1]. If no other bin has mass, < 1 changes nothing.

    Raises ``ValueError``: no mass would be left, or a bad argument.
    """
    path, radius = _path(ab), check_number("radius", radius, 0)
    strength, hist = check_number("strength", strength, 0, 1), _histogram(hist)
    under = torch.stack([_disc(colour, radius, len(hist), hist.device) for colour in path]).any(0)
    kept = hist * (1 - strength * under.double())
    if not kept.any():
        raise ValueError(
            f"Erasing within {radius:g} of ({path[0][0]:g}, {path[0][1]:g}) leaves no colour at all: "
            "paint another colour first, or use a smaller radius or a strength below 1."
        )
    return (kept / kept.sum()).float()


def move(hist: Tensor, start: tuple[float, float], end: tuple[float, float], *, radius: float = RADIUS) -> Tensor:
    """Move the mass around one colour to another colour: ``[bins, bins]`` → ``[bins, bins]``.

    All of it moves by end - start. A move by whole bins is exact, and moving an isolated blob back undoes it; else each
    bin's mass is shared bilinearly. Mass that would leave the plane stays at its edge. The mass at the end stays there.

    Args:
        start: the colour (a, b) whose surroundings move, each in [-110, 110].
        end: the colour (a, b) to which ``start`` moves; it may lie outside of the plane.
        radius: bins whose centre is at most this far from ``start`` move, and always the bin that holds it; ≥ 0.

    Raises ``ValueError``: not a histogram, ``start`` outside of the plane, NaN, a negative radius.
    """
    start, end = check_colour("start", start), check_colour("end", end, math.inf)
    radius = check_number("radius", radius, 0)
    hist = _histogram(hist)
    # clamped to the plane's width, which moves everything to the edge: huge numbers would be rounded
    shift = [min(max(q - p, -2 * AB_MAX), 2 * AB_MAX) / bin_width(len(hist)) for p, q in zip(start, end, strict=True)]
    moving = _disc(start, radius, len(hist), hist.device).double().unsqueeze(-1)
    return _warp(hist, _offsets(len(hist), hist.device) + moving * moving.new_tensor(shift))


def rotate_hue(hist: Tensor, degrees: float) -> Tensor:
    """Turn the hue of every colour by an angle and keep its chroma: ``[bins, bins]`` → ``[bins, bins]``.

    ``degrees`` counts from +a (red) towards +b (yellow). Quarter turns are exact; others change the chroma by less than
    a bin. Mass that would leave the plane stays at its edge with the new hue.
    Raises ``ValueError``: not a histogram, or an angle that is not a finite number.
    """
    angle, hist = math.radians(check_number("degrees", degrees) % 360), _histogram(hist)
    a, b = _offsets(len(hist), hist.device).unbind(-1)
    turned = [math.cos(angle) * a - math.sin(angle) * b, math.sin(angle) * a + math.cos(angle) * b]
    return _warp(hist, _pull_in(torch.stack(turned, dim=-1)))


def scale_saturation(hist: Tensor, factor: float) -> Tensor:
    """Multiply every colour's chroma by a factor and keep its hue: ``[bins, bins]`` → ``[bins, bins]``.

    ``factor`` ≥ 0: 0 puts all mass on the bins next to gray, 1 changes nothing. Mass that would leave the plane
    stays at its edge with its hue (:func:`clip_to_gamut` moves it to colours that a screen can show).
    Raises ``ValueError``: not a histogram, or a factor that is negative or not a finite number.
    """
    factor, hist = check_number("factor", factor, 0), _histogram(hist)
    # 2·bins already moves every bin but gray beyond the edge; more would only overflow
    return _warp(hist, _pull_in(_offsets(len(hist), hist.device) * min(factor, 2 * len(hist))))


def mix(hists: Iterable[Tensor], weights: Iterable[float]) -> Tensor:
    """Mix histograms linearly, Σ_k w_k · hist_k / Σ_k w_k: several ``[bins, bins]`` → ``[bins, bins]``.

    ``weights`` are numbers ≥ 0, one for each histogram, not all 0. If only one weight is above 0, the result is exactly
    that histogram, normalised.
    Raises ``ValueError``: not histograms, different numbers of bins, or bad weights.
    """
    hists, weights = [_histogram(hist) for hist in hists], _weights(weights, "histograms")
    if len(hists) != len(weights):
        raise ValueError(f"{len(hists)} histograms need as many weights, got {len(weights)}.")
    if len(sizes := dict.fromkeys(len(hist) for hist in hists)) > 1:
        raise ValueError(f"The histograms have {' and '.join(map(str, sizes))} bins an axis: use resize_histogram.")
    shares = [weight / max(weights) for weight in weights]  # first, so that sums cannot overflow
    total = sum(share * hist.to(hists[0].device) for share, hist in zip(shares, hists, strict=True) if share)
    return (total / sum(shares)).float()


def blend(first: Tensor, second: Tensor, t: float = 0.5) -> Tensor:
    """Mix two histograms ``[bins, bins]``, (1 - t) · first + t · second; t in [0, 1] is the second's part.

    Raises ``ValueError``: not histograms, different numbers of bins, or t outside of [0, 1].
    """
    t = check_number("t", t, 0, 1)
    return mix((first, second), (1 - t, t))


def clip_to_gamut(hist: Tensor, L: float) -> Tensor:
    """Move colours that sRGB cannot show at lightness ``L`` in [0, 100] towards gray, to the gamut's edge.

    ``[bins, bins]`` → ``[bins, bins]``. A bin is in gamut when its centre is; the bins next to gray always count as in
    gamut, since near L = 0 and 100 the gamut is thinner than a bin. Mass in gamut stays; all other mass moves towards
    gray, to the first bin that is in gamut. Clipping again changes nothing.
    Raises ``ValueError``: not a histogram, or L outside of [0, 100].
    """
    L, hist = check_number("L", L, 0, L_MAX), _histogram(hist)
    bins, target = len(hist), _offsets(len(hist), hist.device)
    lab = torch.cat([torch.full_like(target[..., :1], L), target * bin_width(bins)], dim=-1)
    shown = in_gamut(lab.movedim(-1, 0)) | (target.abs().amax(-1) < 1)
    leaves = ~shown & (hist > 0)  # a few bins of most histograms: fast enough to follow a slider
    hidden = target[leaves]
    landing = torch.zeros_like(hidden)
    for step in range(1, bins):  # from gray outwards by half a bin at most; the last shown bin on the way counts
        index = (hidden * (step / bins) + (bins - 1) / 2).round().long()
        lands = shown[index[:, 0], index[:, 1]]
        landing[lands] = index[lands].double() - (bins - 1) / 2
    target[leaves] = landing
    return _warp(hist, target)


def parse_palette(colours: str | Iterable[str]) -> list[str]:
    """Read hex colours: ``'#c33, 2A6'`` → ``['#cc3333', '#22aa66']``.

    ``colours`` is a string with commas between entries, or a list of entries. Each has three or six hex digits, in
    upper or lower case, with or without ``#``; blanks around it are ignored.
    Raises ``ValueError``: there is no entry, or one is not a colour; the message names it and its place.
    """
    try:
        entries = colours.split(",") if isinstance(colours, str) else list(colours)
    except TypeError as error:
        raise ValueError(f"A palette is a string such as '#c33,#2a6' or a list, got {_short(colours)}.") from error
    if not entries:
        raise ValueError("The palette is empty: give at least one colour, such as '#c33'.")
    palette = []
    for place, entry in enumerate(entries, 1):
        found = re.fullmatch(r"\s*#?([0-9a-f]{6}|[0-9a-f]{3})\s*", entry, re.I) if isinstance(entry, str) else None
        if found is None:
            raise ValueError(
                f"Palette entry {place} is {_short(entry)}, not a colour: write three or six hex digits, such as "
                "'#c33' or '#cc3333', with commas between colours."
            )
        digits = found[1] if len(found[1]) == 6 else "".join(2 * digit for digit in found[1])
        palette.append(f"#{digits.lower()}")
    return palette


def palette_rgb(colours: str | Iterable[str]) -> Tensor:
    """Give hex colours as pixels side by side: RGB ``[3, 1, N]`` in [0, 1], double precision.

    ``colours`` are those of :func:`parse_palette`, as are the reasons for a ``ValueError``.
    """
    rgb = [list(bytes.fromhex(entry[1:])) for entry in parse_palette(colours)]
    return torch.tensor(rgb, dtype=torch.float64).T[:, None] / 255


def from_palette(
    colours: str | Iterable[str], bins: int, *, weights: Iterable[float] | None = None, radius: float = RADIUS
) -> Tensor:
    """Make a histogram ``[bins, bins]`` of a few colours: each gets a blob at its ab, as in :func:`paint`.

    Lightness is not part of a histogram: ``#000``, ``#888`` and ``#fff`` all give gray, of which most photos have much.

    Args:
        colours: hex colours as :func:`parse_palette` takes them.
        bins: bins along each axis, at least 2.
        weights: the colours' shares of the mass: a number ≥ 0 for each, not all 0. None: equal shares.
        radius: where a blob ends, ≥ 0, in units of ab; 0 gives each colour one bin.

    Raises ``ValueError``: a bad entry, number of bins, weight or radius; the message says which.
    """
    entries, radius = parse_palette(colours), check_number("radius", radius, 0)
    check_bins(bins)
    weights = [1.0] * len(entries) if weights is None else _weights(weights, "colours")
    if len(weights) != len(entries):
        raise ValueError(f"{len(entries)} colours need as many weights, got {len(weights)}.")
    shares = torch.tensor(weights, dtype=torch.float64) / max(weights)  # first, so that sums cannot overflow
    ab = rgb_to_lab(palette_rgb(entries))[1:, 0].T.tolist()
    blobs = torch.stack([_blob((a, b), radius, bins) for a, b in ab])
    return torch.einsum("n,nij->ij", shares / shares.sum(), blobs).float()
