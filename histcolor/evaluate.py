"""Metrics and the evaluation protocol, for the model and for any folder of predictions.

Protocol: a photo is squashed to 256×256 (bilinear, antialiased), a histogram is taken from it (``true``) or from
another photo of the set (``foreign``), its L is coloured, the result is rounded to 8-bit RGB and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from skimage.metrics import structural_similarity
from torch import Tensor
from tqdm import tqdm

from histcolor.color import lab_to_rgb, rgb_to_lab
from histcolor.colorize import EncodedPhoto, encode, join, match_asked, predict, resize
from histcolor.histogram import ab_histogram, earth_movers, hellinger, intersection
from histcolor.images import ImageError, read_image
from histcolor.model import Colorizer

CONTROL_BINS = 16  #: bins along each axis in which asked and achieved histograms are compared
#: decimals that tables keep of a photo's numbers; what rounding does to a mean over photos can not be seen
DIGITS = {"psnr": 3, "ssim": 4, "ssim_gauss": 4, "hellinger": 3, "intersection": 3, "earth_movers": 3}
DIGITS |= {"colourfulness": 2, "colourfulness_reference": 2}


@dataclass
class Task:
    """What a method is asked: this photo's L, with the histogram of that reference."""

    L: Tensor  #: ``[1, H, W]`` in [0, 100]
    reference: Tensor  #: Lab of the photo that the histogram is taken from, ``[3, H, W]``
    encoded: tuple[Colorizer, EncodedPhoto] | None = None  #: the photo's part of the last model that saw it
    predicted: dict = field(default_factory=dict)  #: what that model predicted, with and without the histogram

    def histogram(self, bins: int) -> Tensor:
        """The asked histogram, ``[bins, bins]``."""
        return ab_histogram(self.reference[1:], bins)

    @property
    def gray(self) -> Tensor:
        """The gray photo, RGB ``[3, H, W]`` in [0, 1]."""
        return self.coloured(torch.zeros(2))

    def coloured(self, ab: Tensor) -> Tensor:
        """L with one colour, ``[2]``, everywhere: RGB ``[3, H, W]`` in [0, 1]."""
        return lab_to_rgb(torch.cat([self.L, ab[:, None, None].expand(2, *self.L.shape[1:])]))


Method = Callable[[Task], Tensor]  #: a way to colour: a task → RGB [3, H, W] in [0, 1]


def model_method(
    model: Colorizer, *, match: float = 0.0, flips: bool = False, size: int | None = None, automatic: bool = False
) -> Method:
    """The model's row: ``colorize`` with the asked histogram; rows of one model share what they have in common.

    With ``automatic`` the asked histogram is not shown to the model, which chooses the colours itself.
    The network works at the task's size, or at ``size``.
    """

    def method(task: Task) -> Tensor:
        if task.encoded is None or task.encoded[0] is not model:
            task.encoded = (model, encode(model, task.gray, size=size or max(task.L.shape[-2:])))
            task.predicted = {}
        photo, hist = task.encoded[1], None if automatic else task.histogram(model.config.bins)
        if (key := (automatic, flips)) not in task.predicted:
            task.predicted[key] = predict(model, photo, hist, flips=flips)
        ab = task.predicted[key]
        if match:
            ab = match_asked(model, photo, ab, hist, match)
        return join(photo.L, ab.cpu(), photo.features.L[0].cpu())[0]

    return method


def prediction_method(folder: Path, names: Iterable[Path], size: int) -> dict[Path, Method]:
    """Rows for the outputs of any other program: for each photo the file of the same stem anywhere below ``folder``.

    Predictions are squashed to the protocol's size, like the photos; they may have any format.

    Raises:
        OSError: there is no such folder, or it has no prediction for some photos; the message names the first.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder of predictions.")
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        found.setdefault(path.stem, path)
    missing = [path for path in names if path.stem not in found]
    if missing:
        raise FileNotFoundError(f"{folder}: has no prediction for {len(missing)} photos, first {missing[0].stem!r}.")
    return {name: lambda task, file=found[name.stem]: squash(read_image(file), size) for name in names}


def squash(rgb: Tensor, size: int) -> Tensor:
    """Squash RGB ``[3, H, W]`` to ``[3, size, size]``, rounded to 8 bits, in [0, 1]."""
    return round8(resize(rgb, (size, size)))


def round8(rgb: Tensor) -> Tensor:
    """Clip and round RGB to the 256 values that a file can hold, in [0, 1]."""
    return (rgb.clamp(0, 1) * 255).round() / 255


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB over the last three axes of RGB ``[..., 3, H, W]`` in [0, 1]; ∞ for equals."""
    return -10 * torch.log10(((x - y) ** 2).mean((-3, -2, -1)))


def ssim(x: Tensor, y: Tensor, *, gauss: bool = False) -> float:
    """Structural similarity of RGB ``[3, H, W]`` in [0, 1], by scikit-image on 8-bit values.

    ``gauss=False``: its default 7×7 window; ``gauss=True``: the window of Wang et al. 2004 (sigma 1.5).
    """
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False} if gauss else {}
    a, b = ((v * 255).round().permute(1, 2, 0).numpy() for v in (x, y))
    return float(structural_similarity(a, b, data_range=255, channel_axis=2, **options))


def colourfulness(rgb: Tensor) -> float:
    """Colourfulness of RGB ``[3, H, W]`` in [0, 1] (Hasler and Süsstrunk 2003): 0 gray, about 60 quite colourful."""
    r, g, b = (rgb * 255).double()
    rg, yb = r - g, (r + g) / 2 - b
    spread = torch.sqrt(rg.var(correction=0) + yb.var(correction=0))
    return float(spread + 0.3 * torch.sqrt(rg.mean() ** 2 + yb.mean() ** 2))


def measure(output: Tensor, reference: Tensor, truth: Tensor | None = None) -> dict[str, float]:
    """Measure one result: how near it is to the true photo, and how near its histogram is to the target histogram.

    Args:
        output: the result, RGB ``[3, H, W]`` in [0, 1]; it is rounded to 8 bits first.
        reference: Lab ``[3, h, w]`` of the photo that the target histogram is taken from.
        truth: RGB ``[3, H, W]`` in [0, 1]; without it, as with another photo's histogram, there is no PSNR or SSIM.

    Returns:
        ``psnr`` in dB, ``ssim``, ``ssim_gauss``, ``hellinger``, ``intersection``, ``earth_movers`` in units of ab,
        ``colourfulness`` of the result, ``colourfulness_reference``.
    """
    output = round8(output)
    target = ab_histogram(reference[1:], CONTROL_BINS)
    achieved = ab_histogram(rgb_to_lab(output)[1:], CONTROL_BINS)
    row: dict[str, float] = {}
    if truth is not None:
        row["psnr"] = float(psnr(output, truth))
        row["ssim"], row["ssim_gauss"] = ssim(output, truth), ssim(output, truth, gauss=True)
    return row | {
        "hellinger": float(hellinger(target, achieved)),
        "intersection": float(intersection(target, achieved)),
        "earth_movers": float(earth_movers(target, achieved)),
        "colourfulness": colourfulness(output),
        "colourfulness_reference": colourfulness(lab_to_rgb(reference)),
    }


def evaluate(
    photos: list[Path],
    methods: dict[str, Method | dict[Path, Method]],
    *,
    size: int = 256,
    foreign: bool = False,
    quiet: bool = False,
) -> tuple[pd.DataFrame, list[str]]:
    """Measure methods on photos.

    Args:
        photos: the files. With ``foreign``, photo i of n is asked the histogram of photo (i + n // 2) mod n.
        methods: by name, a function, or a function for each photo.
        size: pixels along each side.
        foreign: histograms of other photos instead of the photo's own.
        quiet: no progress bar.

    Returns:
        A row a photo and method (columns ``photo``, ``reference``, ``method``, then the numbers), and
        a line for each photo that could not be read; those are left out.

    Raises:
        OSError: no photo could be read.
        ValueError: foreign histograms are asked with fewer than two photos.
    """
    if foreign and len(photos) < 2:
        raise ValueError("Foreign histograms need at least two photos.")
    rows, failed = [], []
    for i, path in enumerate(tqdm(photos, desc="evaluate", unit=" photos", disable=quiet)):
        other = photos[(i + len(photos) // 2) % len(photos)] if foreign else path
        try:
            truth = squash(read_image(path), size)
            reference = squash(read_image(other), size) if foreign else truth
        except ImageError as error:
            failed.append(str(error))
            continue
        task = Task(rgb_to_lab(truth)[:1], rgb_to_lab(reference))
        for name, method in methods.items():
            output = (method[path] if isinstance(method, dict) else method)(task)
            numbers = measure(output, task.reference, None if foreign else truth)
            rows.append({"photo": path.stem, "reference": other.stem, "method": name, **numbers})
    if not rows:
        raise OSError(
            f"None of the {len(photos)} photos could be measured; first: {failed[0] if failed else 'none given'}"
        )
    return pd.DataFrame(rows), failed


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Means over photos, a row a method, in the order met; an infinite PSNR counts as 100 dB."""
    numbers = table.drop(columns=["photo", "reference"]).replace(np.inf, 100.0)
    means = numbers.groupby("method", sort=False).mean()
    means.insert(0, "photos", numbers.groupby("method", sort=False).size())
    return means.reset_index()
