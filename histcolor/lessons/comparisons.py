"""What lesson 05 shows and asks: methods at hand, side by side; transport strength; the stubs' checks."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import interpolate

from histcolor.baselines import load
from histcolor.baselines.classical import UNTRAINED
from histcolor.color import rgb_to_lab
from histcolor.demo import demo_photo
from histcolor.evaluate import ColorizeFunction, Task, model_method
from histcolor.experiments.definition import Experiment
from histcolor.experiments.records import MODEL
from histcolor.experiments.run import GRAY
from histcolor.experiments.statistics import differences
from histcolor.histogram import ab_histogram, intersection, palette
from histcolor.images import read_table
from histcolor.lessons.notebook import project_root
from histcolor.lessons.stub import Stub
from histcolor.lessons.tables import Results
from histcolor.metrics import FIDELITY_BINS, PERFECT_PSNR, psnr, round8
from histcolor.plots import image_grid, show_histogram, show_image

#: names of methods without training, as ``experiments.toml`` has them
CLASSICAL = {"gray": "gray", "mean": "mean colour", "rank": "rank of L"}
CLASSICAL |= {"reinhard": "Reinhard et al. 2001", "welsh": "Welsh et al. 2002"}


def at_hand() -> dict[str, ColorizeFunction]:
    """Make the methods that need no training here: the classical ones, and the shipped model ``small``."""
    small = load("small")
    methods = {CLASSICAL[name]: function for name, function in UNTRAINED.items()}
    return methods | {"small": model_method(small), "small, transport 0.5": model_method(small, transport=0.5)}


def trained(results: Results, names: Sequence[str] = ("ablation", "comparison")) -> dict[str, ColorizeFunction]:
    """Load the methods of experiments whose checkpoints are among the results, each at the size it was trained at.

    Args:
        results: where they are.
        names: of the experiments; a method that several have is taken from the first.
    """
    found: dict[str, ColorizeFunction] = {}
    for name in names:
        experiment = results.experiment(name)
        for method, _, place in experiment.places(results.tables / name):
            if method.recipe and method.name not in found and (place / MODEL).is_file():
                found[method.name] = model_method(load(place / MODEL), size=method.recipe.train.size)
    return found


def square(name: str, size: int) -> Tensor:
    """Load the middle of one of scikit-image's photos, made ``size × size`` pixels: RGB ``[3, size, size]``."""
    rgb = demo_photo(name)
    side = min(rgb.shape[1:])
    top, left = ((n - side) // 2 for n in rgb.shape[1:])
    middle = rgb[None, :, top : top + side, left : left + side]
    return interpolate(middle, (size, size), mode="bilinear", antialias=True)[0].clamp(0, 1)


def make_task(photo: Tensor, reference: Tensor) -> Task:
    """Make a task of two photos, RGB ``[3, H, W]`` in [0, 1]: the L of the first, the colours of the second."""
    return Task(rgb_to_lab(photo)[:1], rgb_to_lab(reference))


def fidelity_of(result: Tensor, reference: Tensor) -> float:
    """Compute the intersection of two photos' histograms, RGB ``[3, H, W]``, in 16×16 bins: 1 if they are equal."""
    pair = (ab_histogram(rgb_to_lab(rgb)[1:], FIDELITY_BINS) for rgb in (reference, result))
    return float(intersection(*pair))


def side_by_side(
    photo: Tensor, reference: Tensor, methods: Mapping[str, ColorizeFunction], *, height: float = 2.6
) -> Figure:
    """Draw what methods make of one task: the gray photo, the reference image, then a picture a method.

    Below each is its PSNR if the photo is its own reference image, and its histogram fidelity (intersection).
    """
    task = make_task(photo, reference)
    row, notes = [task.gray, reference], ["", ""]
    for function in methods.values():
        row.append(made := round8(function(task)))
        score = f"{float(psnr(made, photo)):.1f} dB, " if reference is photo else ""
        notes.append(f"{score}intersection {fidelity_of(made, reference):.2f}")
    figure = image_grid([row], ["gray", "reference image", *methods], notes=[notes], height=height)
    for axes in figure.axes:
        axes.title.set_size(13)
        for text in axes.texts:
            text.set_size(12)
    return figure


def strengths_figure(photo: Tensor, reference: Tensor, pictures: Mapping[float, Tensor], price: pd.DataFrame) -> Figure:
    """Draw a photo at several transport strengths, its histogram below each; right, the reference image.

    Args:
        photo: the photo, RGB ``[3, H, W]``; only its L is told.
        reference: the reference image, RGB.
        pictures: transport strength → result, RGB ``[3, H, W]``.
        price: from :func:`price_of_transport`; its numbers stand below the histograms.
    """
    said = price.set_index("transport").to_dict("index")
    columns = [(f"transport {t:g}", made) for t, made in pictures.items()] + [("reference image", reference)]
    figure, axes = plt.subplots(2, len(columns), figsize=(3.3 * len(columns), 6.7))
    lightness = float(rgb_to_lab(photo)[0].mean())
    for i, (name, rgb) in enumerate(columns):
        show_image(axes[0, i], rgb)
        show_histogram(axes[1, i], ab_histogram(rgb_to_lab(rgb)[1:], 64), lightness)
        axes[1, i].set(xlim=(-80, 80), ylim=(-80, 80), xticks=(), yticks=(), xlabel="", ylabel="")
        axes[0, i].set_title(name, fontsize=14, fontweight="bold")
        if i < len(pictures):
            t = [*pictures][i]
            axes[1, i].set_title(f"intersection {fidelity_of(rgb, reference):.2f}", fontsize=13)
            if t in said:
                about = said[t]
                means = f"means of {about['photos']:,.0f} photos:\nself: {about['psnr']:.1f} dB\n"
                means += f"cross: intersection {about['cross_intersection']:.2f}"
                axes[1, i].text(0.5, -0.04, means, transform=axes[1, i].transAxes, ha="center", va="top", fontsize=12)
        else:
            axes[1, i].set_title("target histogram", fontsize=13)
    return figure


def price_of_transport(model: str = "small") -> pd.DataFrame:
    """Read what transport costs a shipped model: PSNR with self-reference, fidelity with cross-reference.

    Returns:
        Columns ``transport``, ``photos`` (how many), ``psnr`` (dB) and ``cross_intersection``: means over the committed
        per-image results, without gray photos.
    """
    tables = project_root() / "results/tables"
    own, cross = (read_table(tables / f"imagenette_val_{kind}.json.xz") for kind in ("self", "cross"))
    gray = own.loc[own["colourfulness_reference"] < GRAY, "photo"]
    own, cross = (table[~table["photo"].isin(gray)] for table in (own, cross))
    psnrs = own.replace(np.inf, PERFECT_PSNR).groupby("method")["psnr"].mean()
    met = cross.groupby("method")["intersection"].mean()
    names = {0.0: model, 0.5: f"{model} transport 0.5", 1.0: f"{model} transport 1"}
    photos = own["photo"].nunique()
    lines = [
        {"transport": t, "photos": photos, "psnr": psnrs[n], "cross_intersection": met[n]} for t, n in names.items()
    ]
    return pd.DataFrame(lines)


def method_table(experiment: Experiment) -> pd.DataFrame:
    """List an experiment's methods, what each is told of the colours, and a sentence about it."""
    found = [(method.name, method.told or "not run here", method.about) for method in experiment.methods]
    return pd.DataFrame(found, columns=["method", "told", "about"])


def gaps(budgets: Mapping[float, pd.DataFrame], methods: list[str], against: str) -> pd.DataFrame:
    """Compute how far methods are ahead of another one in PSNR, at several budgets, with 95 % intervals.

    Args:
        budgets: per-image results by the images seen in training, see :meth:`histcolor.lessons.tables.Results.budgets`.
        methods: names; one that a budget lacks has no line there.
        against: the other one.
    """
    found = []
    for seen, per_image in sorted(budgets.items()):
        lines = differences(per_image, [(method, against) for method in methods]).query("number == 'psnr'")
        found.append(lines.assign(images=f"{seen:,.0f}")[["images", "method", "seeds", "difference", "low", "high"]])
    return pd.concat(found, ignore_index=True)


def below(table: pd.DataFrame, methods: list[str], plain: list[str]) -> str:
    """Say how many of the methods have a lower PSNR than each of some plain ones, a line for each."""
    means = table.set_index("method")["psnr"]
    counts = {name: int((means[methods] < means[name]).sum()) for name in plain}
    return "\n".join(f"{count} of {len(methods)} trained methods are below “{name}”" for name, count in counts.items())


def measure_predictions(work: Path, name: str, size: int) -> pd.DataFrame:
    """Measure another program's pictures, by ``histcolor evaluate``, and print the command; adds a line to the table.

    Args:
        work: with the photos ``measured`` and the program's results ``predictions/NAME``; the numbers go to
            ``tables/others/NAME.csv``.
        name: of the program.
        size: pixels along each side that the photos are measured at.

    Raises:
        subprocess.CalledProcessError: they could not be measured.
    """
    output = work / "tables/others" / f"{name}.csv"
    command = ["evaluate", str(work / "measured"), "--predictions", str(work / "predictions" / name)]
    command += ["--size", str(size), "--output", str(output)]
    print("$ histcolor", shlex.join(command))
    subprocess.run([sys.executable, "-m", "histcolor", *command], check=True, capture_output=True)
    return read_table(output).replace(np.inf, PERFECT_PSNR)


def _some(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def _histogram() -> tuple[Tensor, Tensor]:
    hist = torch.zeros(8, 8)
    hist[5, 6], hist[2, 1], hist[5, 5], hist[1, 4] = 0.5, 0.2, 0.2, 0.1
    return hist, palette(8)


def _mean(R_H: Tensor, R_P: Tensor) -> Tensor:
    return (R_H[..., None] * R_P).sum((0, 1))


def _unweighted(R_H, R_P):
    """Every bin that is not empty counts alike here: weight it with its mass, R_H."""
    return R_P[R_H > 0].mean(0)


def _transposed(R_H, R_P):
    """a and b are swapped: axis 0 of the histogram is a, and so is axis 0 of the palette. (The authors' release makes
    this very mistake.)"""
    return _mean(R_H.T, R_P)


def _averaged(R_H, R_P):
    """You took the mean over the bins: the masses already sum to 1, so take the sum."""
    return (R_H[..., None] * R_P).mean((0, 1))


def _heaviest(R_H, R_P):
    """This is the heaviest bin's colour: the mean takes all bins, by their mass."""
    return R_P.flatten(0, 1)[R_H.argmax()]


MEAN_COLOUR = Stub("mean_colour", _mean, _histogram, (_unweighted, _transposed, _averaged, _heaviest))


def _pixels() -> tuple[Tensor, Tensor, Tensor]:
    return 100 * _some(7), 100 * _some(8)[:7], 100 * _some(7, 2) - 50


def _by_rank(L, L_reference, ab_reference):
    out = torch.empty_like(ab_reference)
    out[L.argsort()] = ab_reference[L_reference.argsort()]
    return out


def _argsort_as_rank(L, L_reference, ab_reference):
    """argsort tells which pixel is the k-th darkest, not which rank a pixel has: write to those places,
    out[L.argsort()] = …, instead of reading from them."""
    return ab_reference[L_reference.argsort()][L.argsort()]


def _reference_unsorted(L, L_reference, ab_reference):
    """The reference's colours are not in the order of their own L: sort them with L_reference.argsort()."""
    out = torch.empty_like(ab_reference)
    out[L.argsort()] = ab_reference
    return out


def _reversed(L, L_reference, ab_reference):
    """The darkest pixel got the brightest one's colour: sort both in the same direction."""
    return _by_rank(-L, L_reference, ab_reference)


def _nearest(L, L_reference, ab_reference):
    """You took the pixel with the nearest L: then a colour may be used often, or never, and the histogram is not met.
    Take the one with the same rank."""
    return ab_reference[(L[:, None] - L_reference).abs().argmin(1)]


BY_RANK = Stub("by_rank", _by_rank, _pixels, (_argsort_as_rank, _reference_unsorted, _reversed, _nearest))


def _share(ab: Tensor, true: Tensor) -> Tensor:
    return ab.norm(dim=0).mean() / true.norm(dim=0).mean()


def _of_means(ab, true):
    """You took the mean of a and b first, where red and green cancel: take each pixel's chroma first, then the mean."""
    return ab.mean((1, 2)).norm() / true.mean((1, 2)).norm()


def _mean_of_shares(ab, true):
    """You took the mean of the pixels' shares, so a pixel that is nearly gray decides: divide the two means."""
    return (ab.norm(dim=0) / true.norm(dim=0)).mean()


def _sums(ab, true):
    """Chroma is the length √(a² + b²), not |a| + |b|: use norm(dim=0)."""
    return ab.abs().mean() / true.abs().mean()


def _upside_down(ab, true):
    """It is upside down: the result's chroma over the true photo's."""
    return 1 / _share(ab, true)


CHROMA = Stub(
    "chroma_share",
    _share,
    lambda: (60 * _some(2, 5, 6) - 30, 100 * _some(2, 6, 5).transpose(1, 2) - 45),
    (_of_means, _mean_of_shares, _sums, _upside_down),
)
