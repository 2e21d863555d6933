"""What a method shows beside its numbers: pictures to look at, and the fidelity curve.

For each method, in its folder: ``pictures/`` with ``pictures.csv``, and ``fidelity.json.xz``. The photos themselves are
in ``photos/`` beside the methods' folders, once for all. Which photos are shown is decided by their place in the list
and by the numbers measured, never by hand; they are named by their number in the list of photos measured. Of those in
``results/tables`` the ones that no lesson shows were left out, to keep the project small.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from PIL import Image, JpegPresets
from torch import Tensor

from histcolor.color import rgb_to_lab
from histcolor.evaluate import ColorizeFunction, Task, squash
from histcolor.histogram import ab_histogram, earth_movers, hellinger
from histcolor.images import PACKED, atomic, read_image, to_uint8, write_table
from histcolor.metrics import FIDELITY_BINS, round8

SHOWN = 6  #: photos shown with self-reference
REFERENCES = 4  #: other photos that are the reference image of one of them
WORST = 4  #: photos shown for their low PSNR
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)  #: how far the target moves from the photo's own histogram to another's
PICTURE = 256  #: pixels along each side of a picture, at most
FIDELITY, PICTURES = f"fidelity{PACKED}", "pictures.csv"


def spread(count: int, number: int) -> list[int]:
    """Choose ``number`` places spread evenly over a list of ``count``, its ends left out; all of a shorter list."""
    number = min(count, number)
    return [int((i + 0.5) * count / number) for i in range(number)]


def fidelity(function: ColorizeFunction, files: Sequence[Path], size: int, *, photos: int = 40) -> pd.DataFrame:
    """Measure how far colours follow while the target histogram moves from the photo's own to another photo's.

    At step ``t`` the reference image takes each pixel from one of the two photos, by lot, the share t from the other.

    Args:
        function: how to colour.
        files: the photos measured; ``photos`` of them are taken, each with the one half a list on.
        size: pixels along each side.
        photos: how many.

    Returns:
        A line a photo and step ``t``. Earth mover's distances, in units of ab and 16 bins: ``target``, from the photo's
        own histogram to the target; ``achieved``, from its own to that of the result; ``missed``, from the target to
        that of the result. ``*_hellinger`` are the Hellinger distances.
    """
    lines = []
    for i in spread(len(files), photos):
        photo, other = (rgb_to_lab(squash(read_image(files[k % len(files)]), size)) for k in (i, i + len(files) // 2))
        lots = torch.rand(photo.shape[1:], generator=torch.Generator().manual_seed(i))
        for t in STEPS:
            task = Task(photo[:1], torch.where(lots < t, other, photo))
            result = rgb_to_lab(round8(function(task)))
            own, target, achieved = (ab_histogram(x[1:], FIDELITY_BINS) for x in (photo, task.reference, result))
            pairs = {"target": (own, target), "achieved": (own, achieved), "missed": (target, achieved)}
            line = {"photo": i, "t": t} | {name: float(earth_movers(*pair)) for name, pair in pairs.items()}
            lines.append(line | {f"{name}_hellinger": float(hellinger(*pair)) for name, pair in pairs.items()})
    return pd.DataFrame(lines)


def choose(psnr: Sequence[float]) -> pd.DataFrame:
    """Choose the pictures that are shown.

    Args:
        psnr: of each photo measured, with self-reference, in order.

    Returns:
        Columns ``kind``, ``photo``, ``reference``, ``psnr``. Kind "self": photos spread evenly. "cross": two of them,
        with other photos spread evenly as reference images. "worst": those with the lowest PSNR with self-reference.
    """
    photos, count = spread(len(psnr), SHOWN), len(psnr)
    lines = [("self", i, i) for i in photos]
    for i in photos[1::3]:
        lines += [("cross", i, (i + round(count * k / (REFERENCES + 1))) % count) for k in range(1, REFERENCES + 1)]
    lines += [("worst", i, i) for i in sorted(range(count), key=lambda i: (psnr[i], i))[:WORST]]
    table = pd.DataFrame(lines, columns=["kind", "photo", "reference"])
    return table.assign(psnr=[psnr[i] if kind != "cross" else float("nan") for kind, i, _ in lines])


def save_picture(rgb: Tensor, path: Path) -> None:
    """Write a small JPEG: lightness coarsely, as all methods share it, and colour finely, as they differ in it."""
    coarse, fine = (JpegPresets.presets[name]["quantization"] for name in ("web_medium", "web_very_high"))
    with atomic(path) as temporary:
        Image.fromarray(to_uint8(rgb)).save(temporary, qtables=[coarse[0], fine[1]], subsampling=2, optimize=True)


def forget_pictures(place: Path) -> None:
    """Remove a method's pictures and its fidelity curve, before it is measured anew."""
    for name in (FIDELITY, PICTURES):
        (place / name).unlink(missing_ok=True)
    shutil.rmtree(place / "pictures", ignore_errors=True)


def save_pictures(
    function: ColorizeFunction, files: Sequence[Path], psnr: Sequence[float], place: Path, photos: Path
) -> None:
    """Colour the chosen photos at a size to look at, and write them with ``pictures.csv``.

    Args:
        function: how to colour a task of any size.
        files: the photos measured.
        psnr: their numbers, see :func:`choose`.
        place: the method's folder.
        photos: the folder for the true photos, shared by all methods.
    """
    table = choose(psnr)
    for kind, photo, reference in table[["kind", "photo", "reference"]].itertuples(index=False):
        truth, other = (squash(read_image(files[i]), PICTURE) for i in (photo, reference))
        for i, picture in ((photo, truth), (reference, other)):
            save_picture(picture, photos / f"{i:04d}.jpg")  # anew: one that is there may be another list's
        result = function(Task(rgb_to_lab(truth)[:1], rgb_to_lab(other)))
        save_picture(result, place / "pictures" / f"{kind}-{photo:04d}-{reference:04d}.jpg")
    write_table(table.round(3), place / PICTURES)
