"""What lesson 04 shows and asks: the versions of the network, the price of fidelity, and the stubs' checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import interpolate

from histcolor.checkpoint import build
from histcolor.experiments.charts import INK
from histcolor.experiments.definition import Experiment
from histcolor.experiments.statistics import gather
from histcolor.experiments.styling import BLUE, ORANGE
from histcolor.histogram import palette
from histcolor.images import read_image
from histcolor.lessons.notebook import project_root
from histcolor.lessons.stub import Stub
from histcolor.model import PRESETS

SWITCHES = ("palette", "attention", "readout", "balance")  #: of ModelConfig, in which Table 1's methods differ


def versions(experiment: Experiment) -> pd.DataFrame:
    """List an experiment's methods with their switches, and how many weights training changes."""
    lines = []
    for method in experiment.methods:
        config = method.recipe.model
        weights = sum(weight.numel() for weight in build(config).parameters() if weight.requires_grad)
        switches = {name: getattr(config, name) for name in SWITCHES}
        lines.append({"method": method.name, **switches, "weights": weights})
    return pd.DataFrame(lines)


@torch.no_grad()
def answer_to_a_shift(palette_given: bool, *, seed: int = 0) -> float:
    """Measure how much F_U' of a network with random weights changes if all colours move from blue to red.

    Args:
        palette_given: whether the network has R_P.
        seed: of its weights and of the photo.

    Returns:
        The length of the change over that of F_U': 0 if the network cannot notice.
    """
    torch.manual_seed(seed)
    model = build(replace(PRESETS["mini"], palette=palette_given, readout="features", balance=0)).eval()
    a, b = palette(model.config.bins).unbind(-1)
    spots = [torch.exp(-((a - x) ** 2 + (b - y) ** 2) / 200) for x, y in ((-30, -30), (25, 20))]
    f_t = model.encode(100 * torch.rand(1, 1, 96, 96)).f_t
    blue, red = (model.attend(f_t, model.tokens((spot / spot.sum())[None])) for spot in spots)
    return float((blue - red).norm() / blue.norm())


def narrowing(per_image: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> float:
    """Compute the spread of paired PSNR differences over what it would be unpaired: the median over pairs."""
    found = []
    for pair in pairs:
        x, y = (gather(per_image, name, "self", ["psnr"]).values[..., 0].mean(0) for name in pair)
        found.append(np.std(x - y) / np.hypot(np.std(x), np.std(y)))
    return float(np.median(found))


def read_price() -> pd.DataFrame:
    """Read what histogram fidelity costs, trained and transported; the lab book says how it was measured.

    Returns:
        Columns ``lambda_2`` (of a network of the experiment of the losses), ``transport`` (the strength), ``psnr`` (dB)
        and ``intersection`` with self-reference, and ``cross_intersection``.
    """
    return pd.read_csv(project_root() / "results/tables/losses/transport.csv")


def two(pictures: pd.DataFrame, photo: int, one: str, other: str) -> Tensor:
    """Join the true photo and what two methods made of it (self-reference): RGB ``[3, H, W]`` in [0, 1].

    ``pictures`` are from :func:`histcolor.experiments.figures.find_pictures`, ``photo`` is one of its numbers.
    """
    found = pictures[(pictures["kind"] == "self") & (pictures["photo"] == photo)].set_index("method")
    row = [read_image(path) for path in (found.loc[one, "truth"], *found.loc[[one, other], "picture"])]
    return interpolate(torch.cat(row, dim=2)[None], scale_factor=2, mode="bilinear")[0].clamp(0, 1)


def price_figure(price: pd.DataFrame) -> Figure:
    """Draw PSNR over histogram fidelity: along the dashed line λ2 grows, along a coloured one the transport strength.

    Args:
        price: from :func:`read_price`, with the strength 0 for each λ2.
    """
    figure, axes = plt.subplots(figsize=(9.6, 5.8))
    networks = dict(list(price.sort_values(["lambda_2", "transport"]).groupby("lambda_2")))
    shades = LinearSegmentedColormap.from_list("", [BLUE, ORANGE])(np.linspace(0, 1, len(networks)))
    place = {"textcoords": "offset points", "fontsize": 12}
    starts = pd.concat([network[network["transport"] == 0] for network in networks.values()])
    axes.plot("cross_intersection", "psnr", data=starts, color=INK, lw=1.4, ls=(0, (4, 3)), zorder=1)
    named = max(networks, key=lambda lambda_2: networks[lambda_2]["psnr"].iloc[-1])  # above it there is room for words
    for (lambda_2, network), colour in zip(networks.items(), shades, strict=True):
        thick = not lambda_2  # the one that never saw L_H: transport alone
        axes.plot("cross_intersection", "psnr", data=network, color=colour, lw=2.6 if thick else 1.6, marker="o", ms=5)
        start = network.iloc[0]
        axes.plot(start["cross_intersection"], start["psnr"], "s", color=colour, ms=10)
        text = f"$\\lambda_2$ = {lambda_2:g}"
        axes.annotate(text, (start["cross_intersection"], start["psnr"]), (-9, -7), ha="right", va="top", color=colour,
                      fontweight="bold", **place)  # fmt: skip
        for i, line in enumerate(network.iloc[1:].itertuples() if lambda_2 == named else ()):
            text = f"transport {line.transport:g}" if i == 0 else f"{line.transport:g}"
            axes.annotate(text, (line.cross_intersection, line.psnr), (5, 5), color=colour, **place)
    axes.set(xlabel="histogram fidelity: intersection, cross-reference", ylabel="PSNR with self-reference, dB")
    axes.set_title("The same fidelity costs less if it is transported", fontsize=15, fontweight="bold", loc="left")
    axes.margins(0.14, 0.1)
    axes.tick_params(labelsize=12)
    axes.xaxis.label.set_size(13)
    axes.yaxis.label.set_size(13)
    return figure


def _some(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def _psnrs() -> tuple[Tensor, Tensor]:
    """Make the PSNR of two methods on the same 50 photos: photos differ much, methods little."""
    photos = 25 + 4 * _some(50)
    return photos + 0.5 + 0.3 * _some(2, 50)[0], photos + 0.3 * _some(2, 50)[1]


def _unpaired(x, y):
    """You added the variances of x and y, as if each had been measured on photos of its own: subtract photo by photo
    first, so that what is hard for both cancels."""
    return ((x.var() + y.var()) / len(x)).sqrt()


def _of_a_photo(x, y):
    """This is the spread of single photos: the mean of n photos spreads less, by the square root of n."""
    return (x - y).std()


def _by_n(x, y):
    """You divided by n: the error of a mean falls with the square root of n."""
    return (x - y).std() / len(x)


def _mean_itself(x, y):
    """This is the mean difference: what is asked is how far it may be off."""
    return (x - y).mean()


def _population(x, y):
    """Nearly: the spread is that of a whole population, divided by n, as numpy's std does. These photos are a sample,
    which lies nearer to its own mean than to the true one: divide by n − 1 (ddof=1)."""
    return (x - y).std(correction=0) / len(x) ** 0.5


STANDARD_ERROR = Stub(
    "standard_error",
    lambda x, y: (x - y).std() / len(x) ** 0.5,
    _psnrs,
    (_unpaired, _of_a_photo, _by_n, _mean_itself, _population),
)


def _ends(values: Tensor, tail: float = 0.025) -> Tensor:
    return torch.quantile(values, torch.tensor([tail, 1 - tail]))


def _of_photos(differences, draws):
    """These are quantiles of the photos, which say where a single photo lies: take those of the resampled means."""
    return _ends(differences)


def _wrong_axis(differences, draws):
    """You took the mean over the repeats (dim=0): each repeat, a row of draws, gives one mean (dim=1)."""
    return _ends(differences[draws].mean(0))


def _ninety(differences, draws):
    """5 % on each side leave the middle 90 %: cut 2.5 % on each side."""
    return _ends(differences[draws].mean(1), 0.05)


def _extremes(differences, draws):
    """Smallest and largest mean grow apart the more you draw: cut 2.5 % on each side."""
    return torch.stack(differences[draws].mean(1).aminmax())


INTERVAL = Stub(
    "interval",
    lambda differences, draws: _ends(differences[draws].mean(1)),
    lambda: (0.4 + _some(40), torch.randint(40, (2000, 40), generator=torch.Generator().manual_seed(0))),
    (_of_photos, _wrong_axis, _ninety, _extremes),
    tolerance=5e-3,  # whoever sorts may take the mean beside the quantile
)


def _by_the_middle(low, high):
    """You judged by the middle: an interval that contains 0 leaves the sign open, whatever its middle is."""
    return (low + high).sign()


def _swapped(low, high):
    """Holds and refuted are swapped: a claim holds if even the lower end is above 0."""
    return (high < 0).int() - (low > 0).int()


def _upper_end(low, high):
    """You looked at the upper end alone: high > 0 says that above is possible, not that all of it is above."""
    return torch.where(high > 0, 1, -1)


def _never_refuted(low, high):
    """No claim can be refuted here: give −1 where even the upper end is below 0."""
    return (low > 0).int()


def _judged(low: Tensor, high: Tensor) -> Tensor:
    return (low > 0).int() - (high < 0).int()


VERDICT = Stub(
    "verdict",
    _judged,
    lambda: (torch.tensor([0.2, -0.7, -0.1, 0.5, -0.3]), torch.tensor([0.6, -0.2, 0.4, 0.9, 0.1])),
    (_by_the_middle, _swapped, _upper_end, _never_refuted),
)
