"""Read and write photos, and write all files atomically: a crash never leaves half a file."""

from __future__ import annotations

import json
import lzma
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from histcolor.files import temporary_file

PACKED = ".json.xz"  #: tables with this suffix are stored column by column, and compressed
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"})


class ImageError(OSError):
    """A file is no readable photo; the message names the file."""


@contextmanager
def atomic(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; if the block ends well, that file becomes ``path`` in one step.

    Whatever happens, ``path`` is either the old file or the complete new one.

    Raises:
        OSError: the folder can not be made or written to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(path.parent, path.suffix) as temporary:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes it private
        os.replace(temporary, path)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Convert a PIL picture of any mode to 8-bit RGB: its first frame, turned as EXIF says, with alpha over white."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.nan_to_num(np.asarray(picture).astype(np.float64))
        peak = values.max(initial=0)
        if picture.mode == "F" and peak <= 1:  # floating point usually means 0 to 1
            top = 1.0
        else:  # I;16 has 16 bits, however dark the photo is; I and F may have any range
            top = 65535.0 if picture.mode.startswith("I;16") or peak > 255 else 255.0
        return Image.fromarray((values / top * 255).clip(0, 255).round().astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")


def open_rgb(file: str | os.PathLike | IO[bytes], name: str | None = None) -> Image.Image:
    """Open a photo as 8-bit RGB with PIL.

    Raises:
        ImageError: missing, empty, truncated, no image, or too large; one sentence that names the file.
    """
    name = name or str(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about large photos and odd metadata
            with Image.open(file) as picture:
                return to_rgb(picture)
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: too large, more than {2 * Image.MAX_IMAGE_PIXELS:,} pixels.") from error
    except FileNotFoundError as error:
        raise ImageError(f"{name}: there is no such file.") from error
    except PermissionError as error:
        raise ImageError(f"{name}: may not be read (permission denied).") from error
    except IsADirectoryError as error:
        raise ImageError(f"{name}: is a folder, not a photo.") from error
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, LookupError, RuntimeError, struct.error) as error:
        # PIL's plugins raise any of these for damaged files
        raise ImageError(f"{name}: is not a readable image, or is damaged.") from error


def read_image(path: str | os.PathLike | IO[bytes]) -> Tensor:
    """Read a photo of any PIL mode as RGB, turned as its EXIF says.

    Returns:
        float32 ``[3, H, W]`` in [0, 1].

    Raises:
        ImageError: (an ``OSError``) one sentence that names the file.
    """
    return to_tensor(open_rgb(path))


def to_tensor(picture: Image.Image) -> Tensor:
    """Turn an RGB picture of PIL into a tensor: float32 ``[3, H, W]`` in [0, 1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div_(255)


def to_uint8(rgb: Tensor) -> np.ndarray:
    """Turn RGB ``[3, H, W]`` in [0, 1] into 8-bit pixels: uint8 ``[H, W, 3]``, rounded (not truncated) and clipped."""
    pixels = np.empty((*rgb.shape[1:], 3), np.uint8)
    for channel, values in enumerate(rgb.detach().cpu()):  # one at a time: a large photo's copies are large
        pixels[..., channel] = (values.clamp(0, 1) * 255).round_().numpy()
    return pixels


def write_image(rgb: Tensor, path: str | os.PathLike) -> None:
    """Write RGB ``[3, H, W]`` in [0, 1] as an 8-bit image; the suffix of ``path`` is the format (JPEG with quality 95).

    Raises:
        ValueError: wrong shape, or no format with this suffix can be written.
        OSError: the file can not be written.
    """
    if rgb.ndim != 3 or rgb.shape[0] != 3:
        raise ValueError(f"write_image needs RGB [3, H, W], got shape {tuple(rgb.shape)}.")
    suffix = Path(path).suffix.lower()
    if Image.registered_extensions().get(suffix) not in Image.SAVE:  # some formats can only be read
        raise ValueError(f"{path}: {suffix or 'no suffix'} names no image format; use .png or .jpg.")
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if suffix in (".jpg", ".jpeg") else {}
    with atomic(path) as temporary:
        Image.fromarray(to_uint8(rgb)).save(temporary, **options)


def find_images(folder: str | os.PathLike, failed: list[str] | None = None) -> list[Path]:
    """List all photos in a folder and its subfolders, sorted by path; or the one file that is given.

    Hidden files and subfolders, whose names begin with a dot, are left out.

    Args:
        folder: the folder, or a photo.
        failed: a list that takes a sentence about the subfolders that can not be read, whose photos are left out.
            Without it such a folder is an error.

    Raises:
        OSError: there is no such folder, it holds no photo, or it can not be read.
    """
    folder = Path(folder)
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such file or folder.")
    found, unread = [], []
    for place, folders, names in os.walk(folder, onerror=unread.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                try:
                    found += [path] if (path := Path(place, name)).is_file() else []
                except OSError as error:  # in a folder that may be listed, but not entered
                    unread.append(error)
    if unread:
        named = ", ".join(f"{error.filename} ({error.strerror})" for error in unread)
        sentence = f"{folder}: can not read {len(unread)} of the folders and files in it, so leaves them out: {named}."
        if failed is None or not found:
            raise PermissionError(sentence.replace(", so leaves them out", ""))
        failed.append(sentence)
    if not found:
        raise FileNotFoundError(f"{folder}: the folder holds no photo ({', '.join(sorted(SUFFIXES))}).")
    return sorted(found)


def write_text(text: str, path: str | os.PathLike) -> None:
    """Write a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_table(table: Any, path: str | os.PathLike) -> None:
    """Write a pandas table atomically: as CSV, or with the suffix :data:`PACKED` as compressed columns.

    Columns compress far better than lines, since the same names repeat. Equal tables give equal files, and
    ``pandas.read_json`` reads them, too.
    """
    with atomic(path) as temporary:
        if str(path).endswith(PACKED):
            text = json.dumps(table.to_dict("list"), separators=(",", ":"))
            temporary.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
        else:
            table.to_csv(temporary, index=False)


def read_table(path: str | os.PathLike) -> Any:
    """Read per-image results that :func:`write_table` wrote; the names of photos stay strings, even "0001"."""
    import pandas as pd

    if str(path).endswith(PACKED):
        return pd.DataFrame(json.loads(lzma.decompress(Path(path).read_bytes())))
    return pd.read_csv(path, dtype={"photo": str, "reference": str})
