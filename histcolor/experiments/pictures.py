"""What a row of a table shows beside its numbers: pictures to look at, and how far its colours follow the histogram.

For each row, in its folder: ``pictures/`` with ``pictures.csv``, and ``control.json.xz``. The photos themselves are in
``photos/`` beside the rows' folders, once for all. Which photos are shown is decided by their place in the list and by
the numbers measured, never by hand; they are named by their number in the list of photos measured. Of those in
``results/tables`` the ones that no lesson shows were left out, to keep the project small.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from PIL import Image, JpegPresets
from torch import Tensor

from histcolor.color import rgb_to_lab
from histcolor.evaluate import Method, Task, squash
from histcolor.histogram import ab_histogram, earth_movers, hellinger
from histcolor.images import PACKED, atomic, read_image, to_uint8, write_table
from histcolor.metrics import CONTROL_BINS, round8

SHOWN = 6  #: photos shown with their own histograms
ASKED = 4  #: histograms of other photos that one of them is shown with
WORST = 4  #: photos shown for their low PSNR
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)  #: how far the control's histograms move from the photo's own to another's
PICTURE = 128  #: pixels along each side of a picture
CONTROL, PICTURES = f"control{PACKED}", "pictures.csv"


def spread(count: int, number: int) -> list[int]:
    """So many places spread evenly over a list, its ends left out; all of a shorter list."""
    number = min(count, number)
    return [int((i + 0.5) * count / number) for i in range(number)]


def mixed(own: Tensor, other: Tensor, t: float, seed: int) -> Tensor:
    """A reference whose histogram is (1 - t) of one photo's and t of another's: each pixel from either, by lot.

    Args:
        own: Lab ``[3, H, W]``.
        other: likewise, of the same size.
        t: from 0 (``own``) to 1 (``other``).
        seed: of the lots.
    """
    lots = torch.rand(own.shape[1:], generator=torch.Generator().manual_seed(seed))
    return torch.where(lots < t, other, own)


def control(method: Method, files: Sequence[Path], size: int, *, photos: int = 40) -> pd.DataFrame:
    """How far a method's colours move while the asked histogram moves from the photo's own to another photo's.

    Args:
        method: how to colour.
        files: the photos measured; so many of them are taken, each with the one half a list on.
        size: pixels along each side.
        photos: how many.

    Returns:
        A row a photo and step ``t``. ``asked`` is the earth mover's distance, in units of ab and 16 bins, between the
        photo's own histogram and the asked one, ``achieved`` the one between its own and that of the picture that came
        out, ``missed`` the one between asked and achieved; ``*_hellinger`` are the Hellinger distances.
    """
    rows = []
    for i in spread(len(files), photos):
        own, other = (rgb_to_lab(squash(read_image(files[k % len(files)]), size)) for k in (i, i + len(files) // 2))
        for t in STEPS:
            task = Task(own[:1], mixed(own, other, t, seed=i))
            coloured = rgb_to_lab(round8(method(task)))
            first, asked, last = (ab_histogram(x[1:], CONTROL_BINS) for x in (own, task.reference, coloured))
            pairs = {"asked": (first, asked), "achieved": (first, last), "missed": (asked, last)}
            row = {"photo": i, "t": t} | {name: float(earth_movers(*pair)) for name, pair in pairs.items()}
            rows.append(row | {f"{name}_hellinger": float(hellinger(*pair)) for name, pair in pairs.items()})
    return pd.DataFrame(rows)


def choose(psnr: Sequence[float]) -> pd.DataFrame:
    """Which pictures are shown: columns ``kind`` ("own", "foreign", "worst"), ``photo``, ``reference``, ``psnr``.

    Args:
        psnr: of each photo measured, with its own histogram, in order.

    Returns:
        Photos spread evenly with their own histograms; two of them with those of photos spread evenly between them;
        and those with the lowest PSNR.
    """
    own, count = spread(len(psnr), SHOWN), len(psnr)
    rows = [("own", i, i) for i in own]
    for i in own[1::3]:
        rows += [("foreign", i, (i + round(count * k / (ASKED + 1))) % count) for k in range(1, ASKED + 1)]
    rows += [("worst", i, i) for i in sorted(range(count), key=lambda i: (psnr[i], i))[:WORST]]
    table = pd.DataFrame(rows, columns=["kind", "photo", "reference"])
    return table.assign(psnr=[psnr[i] if kind != "foreign" else float("nan") for kind, i, _ in rows])


def save_picture(rgb: Tensor, path: Path) -> None:
    """Write a small JPEG: lightness coarsely, as all rows share it, and colour finely, as it is what rows differ in."""
    coarse, fine = (JpegPresets.presets[name]["quantization"] for name in ("web_medium", "web_very_high"))
    with atomic(path) as temporary:
        Image.fromarray(to_uint8(rgb)).save(temporary, qtables=[coarse[0], fine[1]], subsampling=2, optimize=True)


def save_pictures(method: Method, files: Sequence[Path], psnr: Sequence[float], place: Path, photos: Path) -> None:
    """Colour the chosen photos at a size to look at, and write them with ``pictures.csv``.

    Args:
        method: how to colour a task of any size.
        files: the photos measured.
        psnr: their numbers, see :func:`choose`.
        place: the row's folder.
        photos: the folder for the true photos, shared by all rows.
    """
    table = choose(psnr)
    for kind, photo, reference in table[["kind", "photo", "reference"]].itertuples(index=False):
        truth, asked = (squash(read_image(files[i]), PICTURE) for i in (photo, reference))
        for i, picture in ((photo, truth), (reference, asked)):
            if not (photos / f"{i:04d}.jpg").is_file():
                save_picture(picture, photos / f"{i:04d}.jpg")
        coloured = method(Task(rgb_to_lab(truth)[:1], rgb_to_lab(asked)))
        save_picture(coloured, place / "pictures" / f"{kind}-{photo:04d}-{reference:04d}.jpg")
    write_table(table.round(3), place / PICTURES)
