"""Colour photos of any size: colours are computed at the working size, then joined to the full-size L."""

from __future__ import annotations

import math
import os
import reprlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from histcolor.checks import Range
from histcolor.color import AB_MAX, lab_to_rgb, rgb_to_lab, unscale_ab
from histcolor.histogram import as_numbers, check_histogram
from histcolor.images import STRIP, check_photo, read_strips, to_tensor, to_uint8, write_strips
from histcolor.model import Colorizer, PhotoFeatures
from histcolor.points import Pins, Point, place_pins, read_points
from histcolor.transport import guided, move_to_histogram

SIZES = {"preview": 160, "fast": 192, "full": 256}  #: working sizes by name, in pixels along each side
MAX_SIZE = 1024  #: the largest working size; the network's memory grows with its square


@dataclass
class EncodedPhoto:
    """A photo with the features that the network computes from it alone (:func:`encode`), for many histograms."""

    L: Tensor  #: full size, ``[1, H, W]`` in [0, 100], on the CPU
    features: PhotoFeatures  #: at the working size, for one photo
    model: Colorizer  #: that computed them


def working_size(height: int, width: int, size: int) -> tuple[int, int]:
    """Choose the working size of a photo, height and width: multiples of 32, with an area of about size².

    The shape is nearly the photo's, but very long photos are squeezed: no side is above 4 × size.
    """
    scale = size / math.sqrt(height * width)
    sides = (round(side * scale / 32) * 32 for side in (height, width))
    h, w = (min(max(side, 32), 4 * size // 32 * 32) for side in sides)
    return h, w


def check_size(size: int | str) -> int:
    """Return a working size in pixels, from a number or a name of :data:`SIZES`; ``ValueError`` if it is neither."""
    if isinstance(size, str):
        if size not in SIZES:
            raise ValueError(f"size must be a number of pixels or one of {', '.join(SIZES)}, got {size!r}.")
        return SIZES[size]
    if size not in Range(32, MAX_SIZE, whole=True):
        raise ValueError(f"size must be from 32 to {MAX_SIZE:,} pixels, got {size}.")
    return size


def knows_one_size(model: Colorizer) -> bool:
    """Tell whether a network knows no working size but that of its training.

    Without attention it lays the histogram's features over the photo: trained at 128 pixels, it paints nonsense at 256.
    """
    return isinstance(model, Colorizer) and not model.config.attention


def own_size(model: Colorizer) -> int | None:
    """Return the one working size that a network knows; None: it works at any, or it is not known which."""
    return model.trained_size if knows_one_size(model) else None


def choose_size(model: Colorizer, size: int | str | None) -> int:
    """Return the working size in pixels, see :func:`encode`; ``ValueError`` as of :func:`check_size`."""
    return check_size(own_size(model) or "full" if size is None else size)


def lightness(image: Tensor) -> Tensor:
    """Compute L ``[1, H, W]`` in [0, 100] of RGB ``[3, H, W]`` in [0, 1], strip by strip."""
    rows = max(1, STRIP // image.shape[2])
    return torch.cat([rgb_to_lab(strip)[:1] for strip in image.split(rows, dim=1)], dim=1)


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize ``[C, H, W]`` to ``[C, h, w]``, bilinear and antialiased; a tensor of that size is returned as it is."""
    if tuple(x.shape[-2:]) == size:
        return x
    return F.interpolate(x[None], size, mode="bilinear", align_corners=False, antialias=True)[0]


@torch.no_grad()
def encode(model: Colorizer, image: Tensor, *, size: int | str | None = None) -> EncodedPhoto:
    """Compute what depends on the photo alone, once; give the result to :func:`colorize` in place of the photo.

    Args:
        model: from :func:`histcolor.load`.
        image: RGB ``[3, H, W]`` in [0, 1], of any size; only its L is used.
        size: the working size: the network sees about size × size pixels, in the photo's shape. A number of pixels, or
            a name of :data:`SIZES`. None: ``"full"``; for a network without attention, which knows one size alone, the
            size that it was trained at, if its checkpoint says it.

    Raises:
        ValueError: no tensor, wrong shape, values out of [0, 1], NaN, a size that is not 32 to 1,024, or an unknown
            name.
    """
    size = choose_size(model, size)
    check_photo(image)
    device = next(model.parameters()).device
    L = lightness(image.float())
    small = resize(L, working_size(*L.shape[-2:], size)).to(device)
    return EncodedPhoto(L.cpu(), model.encode(small[None]), model)


@torch.no_grad()
def colorize(
    model: Colorizer,
    image: Tensor | EncodedPhoto,
    hist: Tensor | None = None,
    *,
    points: Sequence[Point] = (),
    transport: float = 0.0,
    flips: bool = False,
    size: int | str | None = None,
) -> Tensor:
    """Colour a photo with an ab histogram, or with a batch of them.

    Args:
        model: from :func:`histcolor.load`.
        image: RGB ``[3, H, W]`` in [0, 1], of which only L is used, or what :func:`encode` made of it.
        hist: the target histogram, ``[bins, bins]`` or ``[N, bins, bins]``, with the model's bins; normalised to sum to
            1. None: automatic, the network chooses the colours (if it was trained to, see ``model.automatic``).
        points: pins, places of the photo that hold a colour, which spreads to places that are near and look alike:
            ``(x, y, "#c33")`` in pixels of ``image``, see :func:`histcolor.points.read_points`.
        transport: the transport strength: how far the network's colours are then moved towards the target histogram,
            from 0 (not at all) to 1 (all the way).
        flips: colour the mirrored photo as well and take the mean: a little better, and twice the work.
        size: the working size, see :func:`encode`; an encoded photo has its own.

    Returns:
        RGB ``[3, H, W]``, or ``[N, 3, H, W]`` for a batch, in [0, 1], at the full size of ``image``, on the CPU.

    Raises:
        ValueError: a wrong photo, histogram (see :func:`histcolor.histogram.check_histogram`), pin or transport
            strength; no histogram, although the model or the transport needs one; one without transport, although the
            model sees none; or pins, although the model has no attention.
    """
    hist = None if hist is None else as_numbers(hist)
    check_options(model, hist, transport=transport, size=size)
    photo = image if isinstance(image, EncodedPhoto) else encode(model, image, size=size)
    if photo.model is not model:
        raise ValueError("The photo was encoded by another model: its features mean nothing to this one.")
    pins = pin(model, photo.features, photo.L.shape[-2:], points, given=hist is not None)
    ab = colours(model, photo, hist, transport=transport, flips=flips, pins=pins)
    out = join(photo.L, ab.cpu(), photo.features.L[0].cpu())
    return out[0] if hist is None or hist.ndim == 2 else out


@torch.no_grad()
def colorize_file(
    model: Colorizer,
    photo: str | os.PathLike,
    output: str | os.PathLike,
    hist: Tensor | None = None,
    *,
    transport: float = 0.0,
    flips: bool = False,
    size: int | str | None = None,
    points: Sequence[Point] = (),
    replace: bool = True,
) -> None:
    """Colour a photo from file to file, strip by strip, so that memory stays bounded for photos of any size.

    The result is that of :func:`colorize`. The full-size L waits in a temporary file, on disk if the photo is large.

    Args:
        model: from :func:`histcolor.load`.
        photo: a file of any format and size that :func:`histcolor.images.read_strips` takes.
        output: the file to write; its suffix is the format.
        hist: the target histogram, ``[bins, bins]``, or None, see :func:`colorize`.
        transport: see :func:`colorize`.
        flips: see :func:`colorize`.
        size: the working size, see :func:`encode`.
        points: pins, see :func:`colorize`.
        replace: whether ``output`` may replace a file; the photo itself is never replaced.

    Raises:
        ImageError: (an ``OSError``) no readable photo, or above 200 megapixels; one sentence that names the file.
        OSError: the result can not be written, or a file is there that must not be replaced.
        ValueError: see :func:`colorize`.
    """
    if hist is not None and (hist := as_numbers(hist)).ndim != 2:
        raise ValueError(f"A file takes one histogram, [bins, bins], got shape {list(hist.shape)}.")
    check_options(model, hist, transport=transport, size=size)
    if os.path.exists(photo) and os.path.exists(output) and os.path.samefile(photo, output):
        raise ValueError(f"{output}: is the photo itself, which is not replaced; choose another name.")
    with tempfile.SpooledTemporaryFile(max_size=2**26) as full_L:
        with read_strips(photo) as (height, width, strips):
            shape, top = working_size(height, width, choose_size(model, size)), 0
            narrow = torch.empty(1, height, shape[1])  # L, strip by strip as narrow as the network needs it
            for strip in strips:
                L = rgb_to_lab(to_tensor(strip))[:1]
                full_L.write(L.numpy().tobytes())
                rows = L.shape[1]
                narrow[:, top : top + rows] = resize(L, (rows, shape[1]))
                top += rows
        small = resize(narrow, shape)
        encoded = EncodedPhoto(small, model.encode(small[None].to(next(model.parameters()).device)), model)
        pins = pin(model, encoded.features, (height, width), points, given=hist is not None)
        ab = colours(model, encoded, hist, transport=transport, flips=flips, pins=pins).cpu()
        colour_strip, rows = make_joiner(ab, small, height, width), max(1, STRIP // width)
        full_L.seek(0)
        with write_strips(output, height, width, replace=replace) as write:
            for top in range(0, height, rows):
                L = torch.frombuffer(bytearray(full_L.read(4 * rows * width)), dtype=torch.float32)
                write(to_uint8(colour_strip(0, L.view(1, -1, width), top)))


def check_options(
    model: Colorizer, hist: Tensor | None, *, transport: float = 0.0, size: int | str | None = None
) -> None:
    """Refuse what :func:`colorize` can not do, before any photo is read; see there."""
    if transport not in Range(0, 1):
        raise ValueError(f"transport must be in [0, 1], got {reprlib.repr(transport)}.")
    if hist is None and transport:
        raise ValueError("transport needs a target histogram: give one, or leave transport at 0.")
    if hist is not None and not transport and not model.sees_histogram:
        raise ValueError(
            "This model sees no histogram: give none, or say by transport (--transport) how far its colours move to it."
        )
    choose_size(model, size)
    checked(model, hist)


@torch.no_grad()
def colours(
    model: Colorizer,
    photo: EncodedPhoto,
    hist: Tensor | None,
    *,
    transport: float = 0.0,
    flips: bool = False,
    pins: Pins | None = None,
) -> Tensor:
    """Compute a photo's colours at the working size, ``[N, 2, h, w]`` in units of ab; see :func:`colorize`."""
    ab = predict(model, photo, hist, flips=flips, pins=pins)
    if transport:
        ab = move_to_target(model, photo, ab, hist, transport)
    return pins.correct(ab) if pins else ab  # last, so that transport can not undo them


def pin(
    model: Colorizer, features: PhotoFeatures, shape: tuple[int, int], points: Sequence[Point], *, given: bool
) -> Pins | None:
    """Prepare pins for an encoded photo; None: there are no pins.

    Args:
        model: the one that encoded the photo.
        features: the encoded photo's.
        shape: the photo's full height and width, in pixels.
        points: see :func:`histcolor.points.read_points`.
        given: whether there is a target histogram.

    Raises:
        ValueError: a wrong pin (:func:`histcolor.points.read_points`), or the model has no attention.
    """
    try:
        points = list(points if points is not None else ())  # an array says not by itself whether it holds any
    except TypeError as error:
        raise ValueError(f"points must be a list of (x, y, colour), got {reprlib.repr(points)}.") from error
    if not points:
        return None
    check_attention(model)
    place, ab = (x[None].to(features.L) for x in read_points(points, *shape))
    return place_pins(place, ab, features.L, features.f_t, given=given)


def check_attention(model: Colorizer) -> None:
    """Refuse pins, by a ``ValueError``, for a model without attention."""
    if not (isinstance(model, Colorizer) and model.config.attention):
        raise ValueError("points need a model with attention, which tells what places are alike; this one has none.")


def checked(model: Colorizer, hist: Tensor | None) -> Tensor:
    """Check histograms, and bring them to ``[N, bins, bins]``; None gives the average one. See :func:`colorize`."""
    hist = model.average_histogram() if hist is None else check_histogram(hist, model.config.bins)
    if hist.ndim > 3:
        raise ValueError(f"hist must be [bins, bins] or [N, bins, bins], got shape {tuple(hist.shape)}.")
    return (hist if hist.ndim == 3 else hist[None]).to(next(model.parameters()).device)


@torch.no_grad()
def predict(
    model: Colorizer, photo: EncodedPhoto, hist: Tensor | None, *, flips: bool = False, pins: Pins | None = None
) -> Tensor:
    """Predict the colours of a photo for histograms (see :func:`colorize`): ``[N, 2, h, w]`` in units of ab."""
    batch, more = checked(model, hist), {"pins": pins} if pins else {}  # baselines know no pins
    given = torch.full((len(batch),), hist is not None, device=batch.device)
    y_ab = model.decode(photo.features.expand(len(batch)), batch, given, **more).float()
    if flips:
        mirrored = model.encode(photo.features.L.flip(-1))
        if pins:
            place = pins.place * pins.place.new_tensor([-1, 1])
            more = {"pins": place_pins(place, pins.ab, mirrored.L, mirrored.f_t, given=hist is not None)}
        y_ab = (y_ab + model.decode(mirrored.expand(len(batch)), batch, given, **more).float().flip(-1)) / 2
    return unscale_ab(y_ab)


@torch.no_grad()
def move_to_target(model: Colorizer, photo: EncodedPhoto, ab: Tensor, hist: Tensor, transport: float) -> Tensor:
    """Move predicted colours ``[N, 2, h, w]`` towards their target histograms; see :func:`colorize`."""
    return move_to_histogram(ab, checked(model, hist), photo.features.L, transport)


def join(L: Tensor, ab: Tensor, small_L: Tensor) -> Tensor:
    """Join ab of the working size to the full-size L, strip by strip; colours follow the edges of the full-size L.

    Args:
        L: ``[1, H, W]`` in [0, 100].
        ab: ``[N, 2, h, w]``.
        small_L: L at the working size, ``[1, h, w]``.

    Returns:
        RGB ``[N, 3, H, W]`` in [0, 1].
    """
    n, (height, width) = len(ab), L.shape[-2:]
    colour_strip = make_joiner(ab, small_L, height, width)
    out = torch.empty(n, 3, height, width)
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        for i in range(n):
            out[i, :, top : top + rows] = colour_strip(i, L[:, top : top + rows], top)
    return out


def make_joiner(ab: Tensor, small_L: Tensor, height: int, width: int) -> Callable[[int, Tensor, int], Tensor]:
    """Make the function that colours a strip of a photo of ``height`` × ``width`` pixels; see :func:`join`.

    It takes which of the N colourings, the strip's L ``[1, rows, W]`` and the strip's first row in the photo, and
    returns RGB ``[3, rows, W]`` in [0, 1].
    """
    same = (height, width) == tuple(ab.shape[-2:])
    if not same:
        maps = torch.cat([ab, guided(ab, small_L[None])[0], small_L.expand(len(ab), 1, -1, -1)], dim=1)
    # grid_sample's coordinates: -1 and 1 are the outer edges of the corner pixels
    xs = (torch.arange(width) + 0.5) * 2 / width - 1
    ys = (torch.arange(height) + 0.5) * 2 / height - 1

    def colour_strip(i: int, strip: Tensor, top: int) -> Tensor:
        if same:
            colours = ab[i, :, top : top + strip.shape[1]]
        else:
            y, x = torch.meshgrid(ys[top : top + strip.shape[1]], xs, indexing="ij")
            grid = torch.stack([x, y], dim=-1)[None]
            up = F.grid_sample(maps[i : i + 1], grid, padding_mode="border", align_corners=False)[0]
            colours = up[:2] + up[2:4] * (strip - up[4:])
        return lab_to_rgb(torch.cat([strip, colours.clamp(-AB_MAX, AB_MAX)]))

    return colour_strip
