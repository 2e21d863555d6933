"""Read and write photos, and write all files atomically: a crash never leaves half a file."""

from __future__ import annotations

import errno
import json
import lzma
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from histcolor import pictures
from histcolor.files import make_folder, naming, refuse_pipe, temporary_file
from histcolor.pictures import MAX_BYTES, STRIP, ImageError, check_suffix, open_picture, open_rgb, to_rgb

__all__ = ["MAX_BYTES", "STRIP", "ImageError", "open_rgb", "to_rgb"]  # used from here

PACKED = ".json.xz"  #: tables with this suffix are stored column by column, and compressed
#: of the files that are taken for photos: the usual ones of :data:`histcolor.pictures.FORMATS`
SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff", ".webp", ".avif", ".bmp", ".gif", ".jp2", ".j2k",
    ".ppm", ".pgm", ".pbm", ".pnm",
))  # fmt: skip
LARGE = 2**25  #: pixels; a larger photo is decoded and encoded in a process of its own


@contextmanager
def atomic(path: str | os.PathLike, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; if the block ends well, that file becomes ``path`` in one step.

    Whatever happens, ``path`` is either the old file or the complete new one. Without ``replace`` an old file stays,
    even one that came into being during the block.

    Raises:
        OSError: the folder can not be made or written to, or the file can or must not be replaced; names ``path``.
    """
    path = Path(path)
    with ExitStack() as stack:
        try:
            make_folder(path.parent)
            temporary = stack.enter_context(temporary_file(path.parent, path.suffix))
        except OSError as error:  # names the temporary file, which nobody knows
            raise OSError(error.errno, error.strerror, str(path)) from error
        stack.enter_context(naming(path))
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes it private
        try:
            os.replace(temporary, path) if replace else _place(temporary, path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error


def _place(temporary: Path, path: Path) -> None:
    """Give a file a second name, which must be new; the first one goes with the temporary file."""
    taken = FileExistsError(errno.EEXIST, "is there already; choose another name", str(path))
    try:
        os.link(temporary, path)  # unlike a rename it replaces nothing
    except FileExistsError as error:
        raise taken from error
    except OSError as error:  # some drives know no links
        if os.path.lexists(path):
            raise taken from error
        os.replace(temporary, path)


def read_image(path: str | os.PathLike | IO[bytes]) -> Tensor:
    """Read a photo of any PIL mode as RGB, turned as its EXIF says.

    Returns:
        float32 ``[3, H, W]`` in [0, 1].

    Raises:
        ImageError: (an ``OSError``) one sentence that names the file.
    """
    return to_tensor(open_rgb(path))


def to_tensor(picture: Image.Image | np.ndarray) -> Tensor:
    """Turn an RGB picture of PIL, or uint8 ``[H, W, 3]``, into a tensor: float32 ``[3, H, W]`` in [0, 1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div_(255)


def to_uint8(rgb: Tensor) -> np.ndarray:
    """Turn RGB ``[3, H, W]`` in [0, 1] into 8-bit pixels: uint8 ``[H, W, 3]``, rounded (not truncated) and clipped."""
    pixels = np.empty((*rgb.shape[1:], 3), np.uint8)
    for channel, values in enumerate(rgb.detach().cpu()):  # one at a time: a large photo's copies are large
        pixels[..., channel] = (values.clamp(0, 1) * 255).round_().numpy()
    return pixels


def check_photo(rgb: Tensor, *, clips: bool = False) -> None:
    """Refuse what is no photo: it is floating point, RGB ``[3, H, W]`` in [0, 1], with at least one pixel.

    With ``clips``, all finite values are allowed, since those outside of [0, 1] will be clipped.

    Raises:
        ValueError: no tensor, wrong shape, integers, NaN, or values out of [0, 1]; the message says which.
    """
    if not isinstance(rgb, Tensor):
        kind = type(rgb).__name__
        raise ValueError(f"A photo must be a tensor, RGB [3, H, W], got {kind}: read_image makes one of a file.")
    if rgb.ndim != 3 or rgb.shape[0] != 3 or rgb.numel() == 0:
        raise ValueError(f"A photo must be RGB [3, H, W] with at least one pixel, got shape {tuple(rgb.shape)}.")
    if not rgb.is_floating_point():
        raise ValueError(f"A photo's values must be floating point in [0, 1], got {rgb.dtype}: divide by 255.")
    low, high = rgb.detach().aminmax()
    if clips and low.isfinite() and high.isfinite():
        return
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # false for NaN as well
        raise ValueError(
            f"A photo's values must be in [0, 1], got {low:.3g} to {high:.3g}: divide 8-bit pixels by 255."
        )


def write_image(rgb: Tensor, path: str | os.PathLike) -> None:
    """Write RGB ``[3, H, W]`` in [0, 1] as an 8-bit image; the suffix of ``path`` is the format (JPEG with quality 95).

    Values outside of [0, 1] are clipped.

    Raises:
        ValueError: wrong shape, integers, NaN or infinity, or no format with this suffix can be written.
        OSError: the file can not be written.
    """
    check_photo(rgb, clips=True)
    check_suffix(path)
    with atomic(path) as temporary:
        _save(Image.fromarray(to_uint8(rgb)), temporary, path)


def _save(picture: Image.Image, temporary: Path, path: str | os.PathLike) -> None:
    """Write a picture as a temporary file; if its format can not hold it, an ``OSError`` names the file to be."""
    try:
        pictures.save(picture, temporary)
    except Exception as error:  # encoders raise many kinds
        if isinstance(error, OSError) and error.errno:  # the disk's
            raise
        raise OSError(f"{path}: could not be written: {error}") from error


@contextmanager
def read_strips(path: str | os.PathLike) -> Iterator[tuple[int, int, Iterator[np.ndarray]]]:
    """Read a photo of any size in bounded memory: yields its height, its width, and its pixels strip by strip.

    The strips are uint8 ``[rows, W, 3]`` of sRGB, from top to bottom, each of about :data:`STRIP` pixels. A photo above
    :data:`LARGE` pixels is decoded in a process of its own, which never holds the network.

    Raises:
        ImageError: no readable photo, or one that is too large; one sentence that names the file.
    """
    name = str(path)
    with open_picture(path, name) as picture:
        if picture.width * picture.height <= LARGE:
            with pictures.named(name):
                picture.load()
                width, height = pictures.turned_size(picture)
            yield height, width, _strips(picture, max(1, STRIP // width), name)
            return
    command = [sys.executable, "-P", pictures.__file__, "send", os.fspath(path)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            width, height = struct.unpack("<2I", _receive(child, 8, name))
            yield height, width, _received_strips(child, height, width, name)
        finally:
            child.kill()


def _strips(picture: Image.Image, rows: int, name: str) -> Iterator[np.ndarray]:
    pieces = pictures.rgb_strips(picture, rows)
    while True:
        with pictures.named(name):  # only Pillow's errors: not those of the code that uses the strips
            piece = next(pieces, None)
        if piece is None:
            return
        yield np.array(piece)


def _received_strips(child: subprocess.Popen, height: int, width: int, name: str) -> Iterator[np.ndarray]:
    step = max(1, STRIP // width)
    for top in range(0, height, step):
        rows = min(step, height - top)
        yield np.frombuffer(bytearray(_receive(child, rows * width * 3, name)), np.uint8).reshape(rows, width, 3)


def _receive(child: subprocess.Popen, count: int, name: str) -> bytes:
    data = child.stdout.read(count)
    if len(data) < count:
        reason = os.fsdecode(child.stderr.read()).strip()
        raise ImageError(reason if name in reason else f"{name}: could not be decoded, perhaps for want of memory.")
    return data


@contextmanager
def write_strips(
    path: str | os.PathLike, height: int, width: int, *, replace: bool = True
) -> Iterator[Callable[[np.ndarray], None]]:
    """Write a picture strip by strip: yields the function that takes the strips, uint8 ``[rows, W, 3]``, in order.

    The file appears when all of them have come. Above :data:`LARGE` pixels it is encoded in a process of its own.
    ``replace`` is that of :func:`atomic`.

    Raises:
        ValueError: no format with this suffix can be written.
        OSError: the file can not be written.
    """
    check_suffix(path)
    with atomic(path, replace=replace) as temporary:
        if height * width <= LARGE:
            strips: list[np.ndarray] = []
            yield strips.append
            _save(Image.fromarray(np.concatenate(strips)), temporary, path)
            return
        command = [sys.executable, "-P", pictures.__file__, "receive", os.fspath(temporary), str(width), str(height)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            try:
                yield lambda strip: child.stdin.write(strip.tobytes())
                child.stdin.close()
            except BaseException as error:
                if not isinstance(error, BrokenPipeError):
                    child.kill()
                with suppress(BrokenPipeError):
                    child.stdin.close()
                if not isinstance(error, BrokenPipeError):  # else it has ended, and says why
                    raise
            problem = child.stderr.read().decode(errors="replace").strip()
        if child.returncode:
            raise OSError(f"{path}: could not be written: {problem or 'the encoder was stopped'}")


def find_images(folder: str | os.PathLike, failed: list[str] | None = None) -> list[Path]:
    """List all photos in a folder and its subfolders, sorted by path; or the one file that is given.

    Hidden files and subfolders, whose names begin with a dot, are left out.

    Args:
        folder: the folder, or a photo.
        failed: a list that takes a sentence about what can not be read and is left out: subfolders, links that lead to
            nothing or to a folder elsewhere, pipes named like a photo. Without it these are an error.

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
                path = Path(place, name)
                try:
                    if not stat.S_ISREG(path.stat().st_mode):
                        raise OSError(errno.EINVAL, "is no file", str(path))
                    found.append(path)
                except OSError as error:  # such as a link to nothing, or in a folder that may not be entered
                    unread.append(error)
        for name in folders:  # os.walk follows no links, which may lead in circles
            path = Path(place, name)
            if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
                unread.append(OSError(errno.EINVAL, "a link to a folder elsewhere, name it itself", str(path)))
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
    ``pandas.read_json`` reads them, too. In a CSV a text that a spreadsheet would compute gets a ``'`` before it, see
    :func:`defused`; :func:`read_csv` takes it off.
    """
    with atomic(path) as temporary:
        if str(path).endswith(PACKED):
            text = json.dumps(table.to_dict("list"), separators=(",", ":"))
            temporary.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
        else:
            defused(table).to_csv(temporary, index=False, errors="backslashreplace")  # old names may be no UTF-8


def defused(table: Any) -> Any:
    """Put a ``'`` before the texts in a pandas table that begin with ``=``, ``+``, ``-`` or ``@``.

    A spreadsheet would compute them, and names of photos come from anywhere.
    """
    texts = table.select_dtypes(exclude=["number", "bool"]).columns
    return table.assign(**{name: table[name].replace(r"^(?=[=+\-@\t\r])", "'", regex=True) for name in texts})


def read_csv(path: str | os.PathLike, **options: Any) -> Any:
    """Read a CSV that :func:`write_table` wrote by ``pandas.read_csv``, and take off what :func:`defused` put on."""
    import pandas as pd

    table = pd.read_csv(path, **options)
    texts = table.select_dtypes(exclude=["number", "bool"]).columns
    return table.assign(**{name: table[name].replace(r"^'(?=[=+\-@\t\r])", "", regex=True) for name in texts})


def read_table(path: str | os.PathLike) -> Any:
    """Read per-image results that :func:`write_table` wrote; the names of photos stay strings, even "0001" and "NA".

    Raises:
        OSError: there is no such file, or it may not be read.
        ValueError: it holds no table; names the file.
    """
    import pandas as pd

    try:
        refuse_pipe(path)
        if str(path).endswith(PACKED):
            return pd.DataFrame(json.loads(lzma.decompress(Path(path).read_bytes())))
        names = ("photo", "reference", "method")  # where NA and 2020 are names as well
        empty = {column: [""] if column in names else ["", "nan", "NaN"] for column in pd.read_csv(path, nrows=0)}
        return read_csv(path, dtype=dict.fromkeys(names, str), keep_default_na=False, na_values=empty)
    except OSError:
        raise
    except Exception as error:  # what is no table gives lzma, json and pandas many kinds
        raise ValueError(f"{path}: is no table of per-image results, or is damaged; measure it anew.") from error
