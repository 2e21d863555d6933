"""Packs: the photos of folders and tars as one uint8 array, which training reads.

A pack is a folder: ``images.npy`` (uint8 ``[N, size, size, 3]``, memory-mapped), ``manifest.csv`` (all files that were
found, each with its sha256, and with a reason if it was left out) and ``pack.json``. Crops, flips, Lab and histograms
are computed later, in batches on the training device.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from histcolor.color import is_gray
from histcolor.device import send
from histcolor.files import refuse_pipe, work_folder
from histcolor.images import MAX_BYTES, SUFFIXES, ImageError, find_images, open_rgb, to_tensor, write_table, write_text

MIN_BYTES = 3 * 1024  #: the paper leaves out files under 3 KB (3.1), JPEGs of full size; good small WebPs may have less
TARS = frozenset({".tar", ".tgz", ".tbz", ".tbz2", ".txz"})  #: a file whose name has one of these suffixes is a tar


def iterate_files(source: Path, failed: list[str] | None = None) -> Iterator[tuple[str, bytes | None]]:
    """Yield the name and the bytes of every image file in a folder or tar, in a fixed order; None: can not be read.

    Hidden files and subfolders are left out. ``failed`` is what :func:`histcolor.images.find_images` takes.

    Raises:
        OSError: the source is missing, holds no image, or is a damaged tar.
    """
    if source.is_file() and is_tar(source):
        try:
            with tarfile.open(source) as tar:
                for member in tar:
                    name = Path(member.name)
                    hidden = any(part.startswith(".") and part != ".." for part in name.parts)  # Path drops "."
                    if not member.isdir() and name.suffix.lower() in SUFFIXES and not hidden:
                        small = member.isfile() and member.size <= MAX_BYTES  # links are no photos of their own
                        yield f"{source.name}/{member.name}", tar.extractfile(member).read() if small else None
                # tarfile takes a damaged header for the end; the true end has zeros, and a checksum if compressed
                tar.fileobj.seek(tar.offset)
                if tar.fileobj.read(2**20)[: tarfile.BLOCKSIZE] != bytes(tarfile.BLOCKSIZE):
                    raise EOFError
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError) as error:
            raise OSError(f"{source}: is no readable tar, or is cut off.") from error
        return
    for path in find_images(source, failed):
        try:
            data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
        except OSError:
            data = None
        yield path.relative_to(source.parent).as_posix(), data


def is_tar(path: Path) -> bool:
    """Tell by a file's name whether it is a tar: ``a.tar``, ``a.tgz``, ``a.tar.gz``, but not ``a.tar.jpg``."""
    last = [suffix.lower() for suffix in path.suffixes[-2:]]
    return bool(TARS & set(last[-1:])) or (last[:1] == [".tar"] and last[-1] not in SUFFIXES)


def examine(data: bytes | None, name: str, min_bytes: int) -> tuple[Image.Image | None, str]:
    """Open a file's photo; returns the picture and "", or None and the reason why it is left out."""
    if data is None:
        return None, "unreadable"
    if len(data) < min_bytes:
        return None, f"under {min_bytes} bytes"
    try:
        picture = open_rgb(io.BytesIO(data), name)
    except ImageError:
        return None, "unreadable"
    gray = is_gray(to_tensor(picture.resize((64, 64), Image.Resampling.BILINEAR)))
    return (None, "gray") if gray else (picture, "")


def check_pack(output: Path | None, size: int, min_bytes: int = MIN_BYTES) -> None:
    """Refuse a pack that could not be made, before hours of work; ``output`` is None while its folder is not known.

    Raises:
        ValueError: ``size`` is below 32, ``min_bytes`` is negative, or ``output`` exists.
    """
    if size < 32:
        raise ValueError(f"A pack's photos need at least 32 pixels a side, got {size}.")
    if min_bytes < 0:
        raise ValueError(f"min_bytes must be 0 or more, got {min_bytes}.")
    if output and (os.path.lexists(output) or output.name in ("", "..")):  # a link to nothing is there, too
        raise ValueError(f"{output}: is there already; choose another name, or remove it first.")


def build_pack(
    sources: list[Path],
    output: Path,
    size: int,
    *,
    keep: str = "",
    min_bytes: int = MIN_BYTES,
    failed: list[str] | None = None,
    quiet: bool = False,
) -> dict:
    """Turn folders and tars of photos into a pack; the folder ``output`` appears when it is complete and checked.

    Args:
        sources: folders or tar files; a photo that lies in two of them (as in ``A`` and ``A/B``) is taken once.
        output: the pack's folder.
        size: pixels along each side.
        keep: take only files whose name contains this text (``imagenette/train``).
        min_bytes: files of fewer bytes are left out; 0 keeps all.
        failed: takes a sentence about the subfolders that can not be read; without it such a folder is an error.
        quiet: no progress bar.

    Returns:
        The contents of ``pack.json``: photos, size, min_bytes, rejected (a count for each reason), sources (names).

    Raises:
        OSError: a source is missing, or is a file but no readable photo or tar; no photo was left; another process
            makes the same pack (:class:`histcolor.files.HeldError`); what was written is not what the disk gives back.
        ValueError: ``size`` is below 32, ``min_bytes`` is negative, or ``output`` exists.
    """
    check_pack(output, size, min_bytes)
    with work_folder(output) as work:
        return _fill_pack(sources, work, size, keep, min_bytes, failed, quiet)


def _fill_pack(
    sources: list[Path], work: Path, size: int, keep: str, min_bytes: int, failed: list[str] | None, quiet: bool
) -> dict:
    rows, sums, seen = [], [], set()
    about = {"descr": "|u1", "fortran_order": False, "shape": (0, size, size, 3)}
    with open(work / "images.npy", "wb") as pixels:  # not mapped: a full disk would kill us
        np.lib.format.write_array_header_1_0(pixels, about)
        for source in map(Path, sources):
            whole = os.path.realpath(source)
            for name, data in tqdm(iterate_files(source, failed), desc=source.name, unit=" photos", disable=quiet):
                path = os.path.normpath(os.path.join(whole, name[len(source.name) :].lstrip("/")))
                if keep not in name or path in seen:
                    continue
                seen.add(path)
                picture, reason = examine(data, name, min_bytes)
                if reason == "unreadable" and name == source.name:  # the source itself, not a file in it
                    known = ", ".join(sorted(TARS))
                    raise OSError(f"{source}: is no readable photo, and no tar by its name ({known}).")
                if picture:  # the middle square, its side scaled to the pack's
                    square = np.asarray(ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)).tobytes()
                    sums.append(zlib.crc32(square))
                    pixels.write(square)
                rows.append((name, "" if data is None else hashlib.sha256(data).hexdigest(), reason))
    rejected = dict(Counter(reason for _, _, reason in rows if reason))
    count = len(sums)
    if not count:
        raise OSError(f"{', '.join(map(str, sources))}: no photo was left of {len(rows)} files ({rejected}).")
    with open(work / "images.npy", "r+b") as pixels:  # how many there are; numpy leaves room for it
        np.lib.format.write_array_header_1_0(pixels, about | {"shape": (count, size, size, 3)})
    import pandas as pd

    table = pd.DataFrame(rows, columns=["file", "sha256", "rejected"])
    write_table(table, work / "manifest.csv")
    about = {"photos": count, "size": size, "min_bytes": min_bytes, "rejected": rejected}
    about["sources"] = [Path(source).name for source in sources]
    write_text(json.dumps(about, indent=2), work / "pack.json")
    if [zlib.crc32(square) for square in open_images(work)] != sums:
        raise OSError(f"{work.parent}: the photos read back are not those written; is the disk sound?")
    return about


def open_images(path: Path) -> np.ndarray:
    """Map a pack's photos into memory, uint8 ``[N, size, size, 3]``, after a look whether they can be a pack's.

    Raises:
        OSError: there is no pack, it is incomplete, or it holds other numbers; the message says which.
    """
    import pandas as pd

    try:
        refuse_pipe(path / "images.npy")
        refuse_pipe(path / "manifest.csv")
        images = open_memmap(path / "images.npy", "r")
        rejected = pd.read_csv(path / "manifest.csv", usecols=["rejected"], keep_default_na=False)["rejected"]
    except PermissionError as error:
        raise OSError(f"{path}: may not be read (permission denied).") from error
    except Exception as error:  # damaged files give numpy and pandas many kinds
        raise OSError(f"{path}: is not a complete pack; make one with 'histcolor data pack'.") from error
    count, fault = int((rejected == "").sum()), ""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
        fault = f"a pack's are uint8 [N, size, size, 3], these {images.dtype} {list(images.shape)}"
    elif not len(images) or len(images) != count:
        fault = f"its manifest lists {count} photos, the file holds {len(images)}"
    if fault:
        raise OSError(f"{path}: images.npy is not a pack's: {fault}; make it anew with 'histcolor data pack'.")
    return images


@dataclass(frozen=True)
class Pack:
    """Photos ready for training: ``images`` is uint8 ``[N, size, size, 3]``, on disk or in memory."""

    images: np.ndarray
    resident: Tensor | None = None  #: the same on a device, after :meth:`to` has copied it there

    @staticmethod
    def open(*paths: str | Path) -> Pack:
        """Open packs of one size, joined in the given order.

        Raises:
            OSError: there is no pack, or it is incomplete or none, see :func:`open_images`.
            ValueError: the packs differ in size.
        """
        arrays = [open_images(Path(path)) for path in paths]
        if not arrays:
            raise OSError("No pack was named; make one with 'histcolor data pack'.")
        if len({a.shape[1:] for a in arrays}) != 1:
            raise ValueError("The packs hold photos of different sizes; pack them anew with one --size.")
        return Pack(arrays[0] if len(arrays) == 1 else np.concatenate(arrays))

    def __len__(self) -> int:
        return len(self.images)

    def fingerprint(self) -> str:
        """Describe the photos, to tell packs apart: their number and size, and a checksum of 16 of them."""
        some = self.images[np.linspace(0, len(self) - 1, 16).astype(int)]
        return f"{len(self)} of {self.images.shape[1]} pixels, {zlib.crc32(some.tobytes()):08x}"

    def to(self, device: str | torch.device) -> Pack:
        """Copy the pack into a GPU's memory, if it fits into half of what is free there; else return it as it is.

        The GPU then cuts its crops itself, and only a few numbers for each photo are sent to it at each step.
        """
        device = torch.device(device)
        if device.type != "cuda" or self.images.nbytes > torch.cuda.mem_get_info(device)[0] // 2:
            return self
        return self.reside(device)

    def reside(self, device: str | torch.device) -> Pack:
        """Copy the pack into a device's memory, whatever its size."""
        resident = torch.empty(self.images.shape, dtype=torch.uint8, device=device)
        for start in range(0, len(self), 1000):  # not all of it twice in memory
            part = slice(start, start + 1000)
            resident[part] = torch.from_numpy(np.array(self.images[part]))
        return Pack(self.images, resident)

    def crops(
        self, index: np.ndarray, corner: np.ndarray, flip: np.ndarray, size: int, extent: np.ndarray | None = None
    ) -> Tensor:
        """Cut photos out of the pack.

        Args:
            index: photos to take, ``[N]``.
            corner: ``[N, 2]`` in [0, 1): where the crop lies, from the photo's top left to its bottom right.
            flip: ``[N]`` booleans: whether the crop is mirrored left to right.
            size: pixels along each side of the crop, at most the pack's.
            extent: the part of the photo's height and width that the crop shows, ``[N, 2]``; it is resized to ``size``.
                None: the crop is ``size`` × ``size`` of the photo's pixels.

        Returns:
            uint8 ``[N, 3, size, size]``; with ``extent``, float32 in [0, 1].

        Raises:
            ValueError: the pack's photos are smaller than ``size``.
        """
        room = self.images.shape[1] - size
        if room < 0:
            raise ValueError(
                f"The pack's photos have {self.images.shape[1]} pixels a side, too few for crops of {size}."
            )
        if extent is not None:
            return self._resized_crops(index, corner, flip, size, extent)
        corner = (corner * (room + 1)).astype(int)
        if self.resident is not None:
            return self._resident_crops(index, corner, flip, size)
        cuts = []
        for i, (y, x), mirrored in zip(index, corner, flip, strict=True):
            cut = self.images[i, y : y + size, x : x + size]
            cuts.append(np.ascontiguousarray(cut[:, ::-1] if mirrored else cut))
        return torch.from_numpy(np.stack(cuts)).permute(0, 3, 1, 2)

    def _resident_crops(self, index: np.ndarray, corner: np.ndarray, flip: np.ndarray, size: int) -> Tensor:
        along = np.arange(size)
        columns = corner[:, 1:] + np.where(flip[:, None], along[::-1], along)
        where = np.concatenate([index[:, None], corner[:, :1] + along, columns], axis=1)  # all three in one transfer
        where = send(torch.from_numpy(where), self.resident.device)
        photo, row, column = where[:, 0], where[:, 1 : 1 + size], where[:, 1 + size :]
        return self.resident[photo[:, None, None], row[:, :, None], column[:, None, :]].permute(0, 3, 1, 2)

    def _resized_crops(
        self, index: np.ndarray, corner: np.ndarray, flip: np.ndarray, size: int, extent: np.ndarray
    ) -> Tensor:
        """Cut and resize crops of any extent: linear interpolation, by a matrix product along each axis."""
        side, on_device = self.images.shape[1], self.resident is not None
        length = extent * side  # [N, 2]
        start, step = corner * (side - length), length / size
        where = start[:, :, None] + (np.arange(size) + 0.5) * step[:, :, None] - 0.5  # [N, 2, size]
        where[:, 1] = np.where(flip[:, None], where[:, 1, ::-1], where[:, 1])
        table = torch.from_numpy(np.concatenate([where.reshape(len(index), -1), step, index[:, None]], axis=1))
        table = send(table.float(), self.resident.device) if on_device else table.float()  # float32: exact below 2^24
        where, step = table[:, : 2 * size].unflatten(1, (2, size)), table[:, 2 * size : -1]
        photos = self.resident[table[:, -1].long()] if on_device else torch.from_numpy(self.images[index])
        # a triangle as wide as a pixel of the crop, or as a pixel of the photo if that is larger: no aliasing
        grid, width = torch.arange(side, dtype=torch.float32, device=table.device), step.clamp(min=1)[..., None, None]
        weights = (1 - (where.clamp(0, side - 1)[..., None] - grid).abs() / width).clamp(min=0)
        rows, columns = (weights / weights.sum(-1, keepdim=True)).unbind(1)  # [N, size, side] each
        photos = photos.permute(0, 3, 1, 2).float() / 255
        return ((rows[:, None] @ photos) @ columns[:, None].transpose(2, 3)).clamp(0, 1)
