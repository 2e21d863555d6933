"""Photos as Pillow pictures: opened safely, turned as EXIF says, brought to sRGB, whole or strip by strip.

This file imports no torch and nothing of ours, since it is also a program: a large photo is decoded, and encoded, in a
small process beside the one that holds the network, see :func:`histcolor.images.read_strips`.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageCms

MAX_PIXELS = 200_000_000  #: of a photo; larger ones are refused before they are decoded
MAX_SIDE = 250_000  #: pixels along a side, so that a strip of a photo is small whatever the photo's shape
MAX_BYTES = 4 * MAX_PIXELS  #: of a photo's file, and of the memory that its decoder takes
STRIP = 2**18  #: pixels that are converted at once
#: kinds of photos; other files, whatever their names, reach no decoder (Pillow's for EPS would start Ghostscript)
FORMATS = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
#: kinds that keep all pixels and colours of a result: an icon is scaled down, a GIF has 256 colours
WRITTEN = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000", "AVIF")
#: how a format is written: as Pillow does it by default, these have half of the colours' resolution along each axis
SAVED: dict[str | None, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}
#: how many times a decoder's memory is that of the picture; measured with Pillow 13
DECODERS = {"WEBP": 4, "JPEG2000": 6, "AVIF": 2.5}
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  #: what each orientation of EXIF asks for
PROFILES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  #: an ICC profile's colour space: the mode that it is used on

if Image.MAX_IMAGE_PIXELS is not None:  # Pillow refuses pictures of twice this number before we see their size
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MAX_PIXELS // 2)


class ImageError(OSError):
    """A file is no readable photo; the message names the file."""


@contextmanager
def named(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises in the block into an :class:`ImageError` of one sentence that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about large photos and odd metadata
            yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: too large, more than {MAX_PIXELS:,} pixels.") from error
    except FileNotFoundError as error:
        raise ImageError(f"{name}: there is no such file.") from error
    except PermissionError as error:
        raise ImageError(f"{name}: may not be read (permission denied).") from error
    except IsADirectoryError as error:
        raise ImageError(f"{name}: is a folder, not a photo.") from error
    except MemoryError as error:
        raise ImageError(f"{name}: there is too little memory to decode it.") from error
    except Exception as error:  # the decoders raise nearly everything for damaged files
        if isinstance(error, OSError) and error.strerror:  # the system's, as for a name too long
            raise ImageError(f"{name}: can not be read ({error.strerror}).") from error
        raise ImageError(f"{name}: is not a readable image, or is damaged.") from error


def open_picture(file: str | os.PathLike | IO[bytes], name: str) -> Image.Image:
    """Open a photo of one of :data:`FORMATS` within the limits; its pixels are not decoded yet.

    Raises:
        ImageError: no readable photo, or one that is too large; one sentence that names the file.
    """
    with named(name):
        if isinstance(file, (str, os.PathLike)):
            status = os.stat(file)
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):  # opening a pipe may wait forever
                raise ImageError(f"{name}: is a pipe or a device, not a photo.")
            if status.st_size > MAX_BYTES:
                raise ImageError(f"{name}: too large, more than {MAX_BYTES:,} bytes.")
        Image.init()
        picture = Image.open(file, formats=[kind for kind in FORMATS if kind in Image.OPEN])
        try:
            width, height = picture.size
            if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
                most = f"more than {MAX_PIXELS:,} pixels or {MAX_SIDE:,} a side"
                raise ImageError(f"{name}: too large, {width:,} × {height:,} is {most}.")
            if width * height * decoder_bytes(picture) > MAX_BYTES:
                kind = f"{width:,} × {height:,} pixels of this kind of {picture.format}"
                raise ImageError(f"{name}: too large, {kind} take too much memory to decode; save it as PNG.")
        except BaseException:
            picture.close()
            raise
        return picture


def decoder_bytes(picture: Image.Image) -> float:
    """Estimate the memory that decoding a picture takes: bytes for each pixel."""
    size = {"1": 1, "L": 1, "P": 1}.get(picture.mode, 2 if picture.mode.startswith("I;16") else 4)
    if picture.info.get("progressive"):  # the coefficients of the whole JPEG are kept, two bytes each
        shares = [h * v for _, h, v, *_ in picture.layer]
        return size + 2 * sum(shares) / max(shares)
    if picture.format == "TIFF" and picture.tile and picture.tile[0][0] == "libtiff":
        return size * 2.25  # all may be in one compressed strip
    return size * DECODERS.get(picture.format, 1)


def turned_size(picture: Image.Image) -> tuple[int, int]:
    """Return a picture's width and height after it is turned as EXIF says."""
    return picture.size[::-1] if picture.getexif().get(0x0112, 1) in (5, 6, 7, 8) else picture.size


def rgb_strips(picture: Image.Image, rows: int) -> Iterator[Image.Image]:
    """Cut a picture of any mode, turned as EXIF says, into 8-bit sRGB strips of ``rows`` rows, from its top to its end.

    Only its first frame is used; alpha is laid over white; an embedded ICC profile is converted to sRGB.
    """
    picture.load()
    orientation = picture.getexif().get(0x0112, 1)
    (width, height), (_, down) = picture.size, turned_size(picture)
    convert = make_converter(picture)
    for top in range(0, down, rows):
        end = min(top + rows, down)
        first, last = (down - end, down - top) if orientation in (3, 4, 7, 8) else (top, end)
        box = (first, 0, last, height) if orientation in (5, 6, 7, 8) else (0, first, width, last)
        piece = convert(picture if box == (0, 0, width, height) else picture.crop(box))
        yield piece.transpose(TURNS[orientation]) if orientation in TURNS else piece


def to_rgb(picture: Image.Image) -> Image.Image:
    """Convert a whole picture to 8-bit sRGB, see :func:`rgb_strips`."""
    return next(rgb_strips(picture, max(picture.size)))


def make_converter(picture: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Make the function that converts pieces of a picture to 8-bit sRGB, all of them in the same way."""
    top = white_value(picture)
    transform, mode = to_srgb(picture)
    negative = top and tags(picture).get(262) == 0  # WhiteIsZero, which Pillow turns in pictures of 8 bits alone
    hole = picture.info.get("transparency")  # of a gray PNG of 16 bits: the value that is transparent

    def convert(piece: Image.Image) -> Image.Image:
        alpha = None
        if top:
            values = finite(piece)
            if negative:
                np.subtract(top, values, out=values)
            elif hole is not None:
                values[values == hole] = top
            values /= top
            values *= 255
            piece = Image.fromarray(values.clip(0, 255, out=values).round().astype(np.uint8))
        elif piece.has_transparency_data:
            piece = (piece.convert("LA") if piece.mode == "La" else piece).convert("RGBA")  # Pillow has no direct way
            alpha = piece.getchannel("A")
        rgb = ImageCms.applyTransform(piece.convert(mode), transform) if transform else piece.convert("RGB")
        if alpha is None:
            return rgb
        white = Image.new("RGB", rgb.size, "white")
        white.paste(rgb, mask=alpha)
        return white

    return convert


def finite(piece: Image.Image) -> np.ndarray:
    """Return the values of a picture with one channel as float64 ``[H, W]``; NaN and infinity become 0."""
    return np.nan_to_num(np.asarray(piece).astype(np.float64), posinf=0, neginf=0)


def tags(picture: Image.Image) -> Mapping[int, Any]:
    """Return the tags of a TIFF; other pictures have none."""
    return picture.tag_v2 if picture.format == "TIFF" else {}


def white_value(picture: Image.Image) -> float:
    """Return the value of white in a picture of integers or floating point numbers; 0 for those of 8 bits."""
    if picture.mode.startswith("I;16"):  # has 16 bits, or 12, however dark the photo is
        return 4095.0 if tags(picture).get(258) == (12,) else 65535.0
    if picture.mode not in ("I", "F"):  # which may have any range
        return 0.0
    (width, height), rows = picture.size, max(1, STRIP // picture.width)
    tops = range(0, height, rows)
    peak = max(finite(picture.crop((0, y, width, min(y + rows, height)))).max() for y in tops)
    if picture.mode == "F" and peak <= 2:  # floating point usually means 0 to 1, and highlights may lie above
        return 1.0
    return 255.0 if peak <= 255 else max(65535.0, peak)


def to_srgb(picture: Image.Image) -> tuple[Any, str]:
    """Make the transform from a picture's ICC profile to sRGB, and the mode it needs.

    The transform is None without a profile, or with one that is broken or made for another kind of picture: then the
    picture is taken as sRGB.
    """
    data = picture.info.get("icc_profile")
    if not data:
        return None, ""
    kind = "RGB"
    if picture.mode in ("1", "L", "LA", "La", "F") or picture.mode.startswith("I"):
        kind = "GRAY"
    elif picture.mode == "CMYK":
        kind = "CMYK"
    try:
        profile = ImageCms.getOpenProfile(io.BytesIO(data))
        if profile.profile.xcolor_space.strip() != kind:
            return None, ""
        mode = PROFILES[kind]
        return ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB"), mode
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None, ""


def open_rgb(file: str | os.PathLike | IO[bytes], name: str | None = None) -> Image.Image:
    """Open a photo as 8-bit sRGB with Pillow.

    Raises:
        ImageError: missing, empty, truncated, no image, or too large; one sentence that names the file.
    """
    name = name or str(file)
    with open_picture(file, name) as picture, named(name):
        return to_rgb(picture)


def check_suffix(path: str | os.PathLike) -> None:
    """Refuse a file's name if no picture can be written under it.

    Raises:
        ValueError: its suffix names none of :data:`WRITTEN`, or one that Pillow can not write here.
    """
    suffix = Path(path).suffix.lower()
    kind = Image.registered_extensions().get(suffix)
    if kind not in WRITTEN or kind not in Image.SAVE or suffix in (".pgm", ".pbm"):  # these two have no colours
        raise ValueError(
            f"{path}: {suffix or 'no suffix'} names no image format that can be written with all its colours; "
            "use .png or .jpg."
        )


def save(picture: Image.Image, path: str | os.PathLike) -> None:
    """Write a picture; the suffix of ``path`` is the format (JPEG and AVIF with quality 95, all others lossless)."""
    kind = Image.registered_extensions().get(Path(path).suffix.lower())
    picture.save(path, **SAVED.get(kind, {}))


def send(path: str) -> None:
    """Decode a photo, and send its width and height (uint32 each) and its pixels, 8-bit sRGB, to standard output."""
    out = sys.stdout.buffer
    with open_picture(path, path) as picture, named(path):
        picture.load()
        width, height = turned_size(picture)
        out.write(struct.pack("<2I", width, height))
        for piece in rgb_strips(picture, max(1, STRIP // width)):
            out.write(piece.tobytes())
    out.flush()


def receive(path: str, width: int, height: int) -> None:
    """Read the pixels of a picture, 8-bit RGB, from standard input, and write it as ``path``."""
    picture, rows = Image.new("RGB", (width, height)), max(1, STRIP // width)
    for top in range(0, height, rows):
        size = (width, min(rows, height - top))
        picture.paste(Image.frombytes("RGB", size, sys.stdin.buffer.read(3 * size[0] * size[1])), (0, top))
    save(picture, path)


if __name__ == "__main__":
    try:
        if sys.argv[1] == "send":
            send(sys.argv[2])
        else:
            receive(sys.argv[2], *map(int, sys.argv[3:]))
    except ImageError as error:  # as it is: blanks and line breaks may be part of the name
        sys.stderr.buffer.write(os.fsencode(str(error)))
        sys.exit(1)
    except Exception as error:
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
