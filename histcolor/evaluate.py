"""The evaluation protocol, for the model and for any folder of predictions.

Protocol: a photo is resized to 256×256 whatever its shape (bilinear, antialiased). Its target histogram is taken from
the photo itself (self-reference) or from another photo of the set (cross-reference). Its L is coloured, the result is
rounded to 8-bit RGB, and compared with the photo and with the target histogram.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from histcolor.color import gray_rgb, is_gray, rgb_to_lab
from histcolor.colorize import EncodedPhoto, encode, join, move_to_target, own_size, pin, predict, resize
from histcolor.histogram import ab_histogram
from histcolor.images import ImageError, find_images, read_image
from histcolor.metrics import PERFECT_PSNR, measure, round8
from histcolor.model import Colorizer
from histcolor.points import Point


@dataclass
class Task:
    """What a method is given: the L of one photo, and the reference image, which has the target histogram."""

    L: Tensor  #: ``[1, H, W]`` in [0, 100]
    reference: Tensor  #: Lab of the reference image, ``[3, H, W]``
    #: the last model that saw the photo, its working size, and the photo encoded
    encoded: tuple[Colorizer, int, EncodedPhoto] | None = None
    predicted: dict = field(default_factory=dict)  #: what that model predicted, with and without the histogram

    def histogram(self, bins: int) -> Tensor:
        """Count the target histogram, ``[bins, bins]``."""
        return ab_histogram(self.reference[1:], bins)

    @property
    def gray(self) -> Tensor:
        """The gray photo, RGB ``[3, H, W]`` in [0, 1]."""
        return gray_rgb(self.L)


ColorizeFunction = Callable[[Task], Tensor]  #: how a method colours: a task → RGB [3, H, W] in [0, 1]


def model_method(
    model: Colorizer,
    *,
    transport: float = 0.0,
    flips: bool = False,
    size: int | None = None,
    automatic: bool = False,
    pins: int = 0,
) -> ColorizeFunction:
    """Make a method of a model: :func:`histcolor.colorize` with the target histogram.

    With ``automatic`` the model is not given the histogram and chooses the colours itself. So many ``pins`` tell it
    the reference image's colours, see :func:`true_points`; so this is for self-reference. The working size is
    ``size``, or else the longer side of the task's photo; for a network without attention the size that it was trained
    at, if that is known. Methods of one model and working size share what they compute for a task.
    """

    def method(task: Task) -> Tensor:
        working = size or own_size(model) or max(task.L.shape[-2:])
        if task.encoded is None or task.encoded[0] is not model or task.encoded[1] != working:
            task.encoded, task.predicted = (model, working, encode(model, task.gray, size=working)), {}
        photo, hist = task.encoded[2], None if automatic else task.histogram(model.config.bins)
        points = true_points(task.reference, pins)
        placed = pin(model, photo.features, photo.L.shape[-2:], points, given=not automatic)
        if (key := (automatic, flips, pins)) not in task.predicted:
            task.predicted[key] = predict(model, photo, hist, flips=flips, pins=placed)
        ab = task.predicted[key]
        if transport:
            ab = move_to_target(model, photo, ab, hist, transport)
        if placed:
            ab = placed.correct(ab)
        return join(photo.L, ab.cpu(), photo.features.L[0].cpu())[0]

    return method


def true_points(lab: Tensor, pins: int) -> list[Point]:
    """Choose pins that tell the true colours, as Zhang et al. 2017 do: each the mean ab of 7×7 pixels.

    Args:
        lab: the true photo, ``[3, H, W]``, of at least 7×7 pixels.
        pins: how many. Their places are drawn with a seed made of the photo's L: a photo always has the same ones, and
            the first of many are those of few.
    """
    means = F.avg_pool2d(lab[1:], 7, 1)  # the top left one has its centre at (3, 3)
    seed = crc32(lab[0].round().byte().numpy().tobytes())
    places = (np.random.default_rng(seed).random((pins, 2)) * means.shape[:0:-1]).astype(int).tolist()
    return [(x + 3, y + 3, tuple(means[:, y, x].tolist())) for x, y in places]


def find_predictions(
    folder: Path, photos: Iterable[Path], root: Path
) -> tuple[dict[Path, Path], dict[Path, str], list[str]]:
    """Find another program's result for each photo: the picture that has the photo's path, whatever its suffix.

    So ``root/cats/1.jpg`` has the result ``folder/cats/1.png``.

    Args:
        folder: the results.
        photos: all photos below ``root``.
        root: the folder of photos.

    Returns:
        The result of each photo that has one; a sentence for each photo that has none, or several; a sentence for each
        picture that belongs to no photo, and for folders that can not be read.

    Raises:
        OSError: there is no such folder, or it has no result for any photo.
        ValueError: two photos differ in nothing but their suffix.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder of predictions.")
    wanted: dict[Path, Path] = {}
    for photo in photos:
        name = photo.relative_to(root).with_suffix("")
        if (twin := wanted.setdefault(name, photo)) is not photo:
            raise ValueError(f"{photo}: differs from {twin.name} in its suffix alone: rename one, and its prediction.")
    found, missing, other = {name: [] for name in wanted}, {}, []
    for path in find_images(folder, other):
        if (name := path.relative_to(folder).with_suffix("")) in found:
            found[name].append(path)
        else:
            other.append(f"{path}: is the prediction of no photo; it would be that of {root / name} with any suffix.")
    for name, paths in found.items():
        if not paths:
            missing[wanted[name]] = f"{wanted[name]}: has no prediction; it should be {folder / name} with any suffix."
        elif len(paths) > 1:
            both = " and ".join(path.name for path in paths)
            missing[wanted[name]] = f"{wanted[name]}: has {len(paths)} predictions in {paths[0].parent}, {both}."
    if not any(found.values()):
        raise FileNotFoundError(f"{folder}: has no prediction for any photo; first: {next(iter(missing.values()))}")
    return {wanted[name]: paths[0] for name, paths in found.items() if len(paths) == 1}, missing, other


def prediction_method(predictions: Mapping[Path, Path], size: int) -> dict[Path, ColorizeFunction]:
    """Make a method of another program's results, by photo; they are resized to the protocol's size, as photos are."""
    return {photo: lambda task, file=file: squash(read_image(file), size) for photo, file in predictions.items()}


def name_photos(photos: Sequence[Path]) -> dict[Path, str]:
    """Give each photo the name that it has in tables.

    It is the file's name without suffix if all of these differ, else the path below the photos' common folder: without
    suffix, unless photos differ in nothing else.
    """
    whole = [path.absolute() for path in photos]
    root = os.path.commonpath([path.parent for path in whole]) if whole else ""
    below = [path.relative_to(root) for path in whole]
    for names in ([path.stem for path in below], [path.with_suffix("").as_posix() for path in below]):
        if len(set(names)) == len(names):
            break
    else:
        names = [path.as_posix() for path in below]
    return dict(zip(photos, names, strict=True))


def evenly(photos: list[Path], limit: int | None) -> list[Path]:
    """Choose at most ``limit`` photos, spread evenly over the list; None chooses all of them."""
    if limit is None:
        return photos
    if limit < 1:
        raise ValueError(f"--limit must be at least 1, got {limit}.")
    return [photos[i] for i in np.linspace(0, len(photos) - 1, min(limit, len(photos))).round().astype(int)]


def squash(rgb: Tensor, size: int) -> Tensor:
    """Resize RGB ``[3, H, W]`` to ``[3, size, size]``, whatever its shape, and round it to 8 bits, in [0, 1]."""
    return round8(resize(rgb, (size, size)))


def evaluate(
    photos: list[Path],
    methods: dict[str, ColorizeFunction | dict[Path, ColorizeFunction]],
    *,
    size: int = 256,
    cross: bool = False,
    quiet: bool = False,
) -> tuple[pd.DataFrame, list[str]]:
    """Measure methods on photos, and return per-image results: a table with a line for each photo and method.

    Args:
        photos: the files. With ``cross``, the reference of photo i of n is photo (i + n // 2) mod n.
        methods: by name, a function, or a function for each photo; where it has none for a photo, the line is left out.
        size: pixels along each side.
        cross: take the target histogram from another photo (cross-reference), not from the photo itself.
        quiet: no progress bar.

    Returns:
        The table (columns ``photo`` and ``reference``, named by :func:`name_photos`; ``method``; ``gray``, whether the
        photo is; then those of :func:`histcolor.metrics.measure`), and one sentence for each photo or prediction that
        could not be read, or whose reference could not; such lines are left out.

    Raises:
        OSError: there was nothing to measure.
        ValueError: ``cross`` with fewer than two photos.
    """
    if cross and len(photos) < 2:
        raise ValueError("Cross-reference needs at least two photos.")
    lines, failed, names = [], [], name_photos(photos)
    for i, path in enumerate(tqdm(photos, desc="evaluate", unit=" photos", disable=quiet)):
        other = photos[(i + len(photos) // 2) % len(photos)] if cross else path
        functions = {name: x.get(path) if isinstance(x, Mapping) else x for name, x in methods.items()}
        if not any(functions.values()):
            continue
        lost = ""
        try:
            truth = squash(read_image(path), size)
            lost = f"{path}: its reference image could not be read: "
            reference = squash(read_image(other), size) if cross else truth
        except ImageError as error:
            failed.append(f"{lost}{error}")
            continue
        task = Task(rgb_to_lab(truth)[:1], rgb_to_lab(reference))
        about = {"photo": names[path], "reference": names[other], "gray": is_gray(resize(truth, (64, 64)))}
        for name, function in functions.items():
            if function is None:
                continue
            try:
                numbers = measure(function(task), task.reference, None if cross else truth)
            except ImageError as error:  # of a prediction
                failed.append(str(error))
                continue
            lines.append({**about, "method": name, **numbers})
    if not lines:
        raise OSError(
            f"None of the {len(photos)} photos could be measured; first: {failed[0] if failed else 'none given'}"
        )
    return pd.DataFrame(lines), failed


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Average per-image results over photos: one line for each method, in their order; an infinite PSNR is 100 dB.

    Gray photos and references are left out if the table tells them (``gray``), unless all are: a method that leaves
    them as they are would count 100 dB for each.
    """
    if "gray" in table and not table["gray"].all():
        gray = set(table.loc[table["gray"], "photo"])
        table = table[~table["photo"].isin(gray) & ~table["reference"].isin(gray)]
    numbers = table.drop(columns=["photo", "reference", "gray"], errors="ignore").replace(np.inf, PERFECT_PSNR)
    means = numbers.groupby("method", sort=False).mean()
    means.insert(0, "photos", numbers.groupby("method", sort=False).size())
    return means.reset_index()
