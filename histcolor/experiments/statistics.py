"""From per-image results to an experiment's table: means, the spread over seeds, intervals of differences.

Everything works on per-image results as :func:`histcolor.experiments.run.collect` gives them. All methods must have
been measured on the same photos.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from histcolor.metrics import PERFECT_PSNR

#: what an experiment's table shows: its column, the kind of reference, the column measured, digits when printed
NUMBERS: dict[str, tuple[str, str, int]] = {
    "psnr": ("self", "psnr", 2),
    "ssim": ("self", "ssim", 4),
    "ssim_gauss": ("self", "ssim_gauss", 4),
    "hellinger": ("self", "hellinger", 3),
    "intersection": ("self", "intersection", 3),
    "colourfulness": ("self", "colourfulness", 1),
    "cross_intersection": ("cross", "intersection", 3),
    "cross_hellinger": ("cross", "hellinger", 3),
}


@dataclass(frozen=True)
class Measured:
    """A method's results with one kind of reference."""

    seeds: tuple[int, ...]
    photos: list[tuple[str, str]]  #: photo and reference, in the order measured
    values: np.ndarray  #: ``[S, P, K]``: seeds, photos, columns


def gather(results: pd.DataFrame, method: str, kind: str, columns: Sequence[str]) -> Measured:
    """Put a method's results into an array; an infinite PSNR counts as 100 dB, as in ``evaluate.summarise``.

    Args:
        results: per-image results.
        method: its name.
        kind: of reference, "self" or "cross".
        columns: of ``results``, K of them.

    Raises:
        ValueError: the method was not measured, or its seeds were measured on different photos.
    """
    part = results[(results["method"] == method) & (results["reference_kind"] == kind)]
    if part.empty:
        raise ValueError(f"{method}: was not measured with {kind}-reference.")
    by_seed = {int(seed): one for seed, one in part.groupby("seed")}
    # names of photos may recur in different folders, their order does not change
    lists = [list(zip(one["photo"].tolist(), one["reference"].tolist(), strict=True)) for one in by_seed.values()]
    for seed, names in zip(by_seed, lists, strict=True):
        if names != lists[0]:
            raise ValueError(f"{method}: seed {seed} was measured on other photos than seed {min(by_seed)}.")
    values = np.stack([one[list(columns)].to_numpy(np.float64) for one in by_seed.values()])
    return Measured(tuple(by_seed), lists[0], np.where(np.isposinf(values), PERFECT_PSNR, values))


def experiment_table(results: pd.DataFrame, methods: Iterable[str]) -> pd.DataFrame:
    """Average over photos and seeds: a line a method, with each of :data:`NUMBERS` and its spread over seeds.

    Args:
        results: per-image results.
        methods: names in the order wanted; a method without results has 0 photos and NaN; one that was measured with
            one kind of reference alone has NaN for the other.

    Returns:
        Columns ``method``, ``photos`` and ``seeds`` (how many), then each number and ``NUMBER_spread``: the standard
        deviation (n - 1) of the seeds' means, NaN for one seed.

    Raises:
        ValueError: methods or seeds were measured on different photos; the message names the first.
    """
    lines, first = [], {}
    for method in methods:
        part = results[results["method"] == method]
        line = {"method": method, "photos": 0, "seeds": part["seed"].nunique()}
        # "self" last: its photos are the ones that are counted
        kinds = sorted(set(part["reference_kind"]))
        measured = {kind: gather(part, method, kind, _columns(kind)) for kind in kinds}
        for kind, one in measured.items():
            line["photos"] = len(one.photos)
            other, photos = first.setdefault(kind, (method, one.photos))
            if one.photos != photos:
                raise ValueError(f"{method}: was measured on other photos than {other}; measure both again.")
        for name, (kind, column, _) in NUMBERS.items():
            means = np.array([np.nan])
            if kind in measured:
                means = measured[kind].values[..., _columns(kind).index(column)].mean(1)
            line[name] = means.mean()
            line[f"{name}_spread"] = means.std(ddof=1) if len(means) > 1 else np.nan
        lines.append(line)
    return pd.DataFrame(lines)


def _columns(kind: str) -> list[str]:
    return [column for reference, column, _ in NUMBERS.values() if reference == kind]


def printed(table: pd.DataFrame) -> pd.DataFrame:
    """Print an experiment's table: ``28.51 ± 0.03``; "–" where there is no number, or one seed and so no spread."""

    def text(value: float, digits: int) -> str:
        return "–" if pd.isna(value) else f"{value:.{digits}f}"

    out = table.drop(columns=[c for c in table if c.endswith("_spread")]).astype(object)
    for name, (_, _, digits) in NUMBERS.items():
        pairs = zip(table[name], table[f"{name}_spread"], strict=True)
        out[name] = ["–" if pd.isna(mean) else f"{text(mean, digits)} ± {text(s, digits)}" for mean, s in pairs]
    for name in out.columns.difference(["method", "photos", "seeds", *NUMBERS]):  # the paper's own numbers, and more
        out[name] = [text(v, 4).rstrip("0").rstrip(".") if isinstance(v, float) else v for v in out[name]]
    return out


def paired_interval(
    x: np.ndarray, y: np.ndarray, *, seeds_x: Sequence[int] | None = None, seeds_y: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the mean difference of two methods on the same photos, with its 95 % interval over photos and trainings.

    Two things would be others if all were done again: the photos, and the trainings, each with its seed. The variances
    of a mean over the one and over the other are added, and their degrees of freedom (Satterthwaite 1946) choose the
    quantile of Student's t: 2.0 where photos dominate, 4.3 where three seeds do. Methods trained with the same seeds
    are paired by seed, too (a seed decides the order of photos and the crops); of others the seeds' variance is
    pooled, so that a method with one seed is taken to vary as the other one does. Where each has just one seed,
    nothing says how trainings vary: **the interval is about photos alone**. What varies by photo *and* seed is counted
    on both sides, so intervals are too wide rather than too narrow (Owen 2007).

    Args:
        x: ``[S, P]`` or ``[S, P, K]``: seeds, photos, and several numbers, each with an interval of its own.
        y: likewise; other seeds are allowed, the photos must be the same in the same order.
        seeds_x: the seeds of ``x``, by default 0 … S-1.
        seeds_y: the seeds of ``y``.

    Returns:
        mean(x) - mean(y), and the interval's lower and upper end: scalars, or ``[K]`` each.

    Raises:
        ValueError: the methods have different photos, or fewer than two.
    """
    if x.shape[1:] != y.shape[1:] or not x.size or not y.size:
        raise ValueError(f"Paired methods need the same photos, got {x.shape[1:]} and {y.shape[1:]}.")
    if x.shape[1] < 2:
        raise ValueError("An interval needs at least two photos.")
    ways = [(x.mean(0) - y.mean(0)).var(0, ddof=1) / x.shape[1]], [x.shape[1] - 1]
    if seeds := _variance_over_seeds(x.mean(1), y.mean(1), seeds_x, seeds_y):
        for way, value in zip(ways, seeds, strict=True):
            way.append(value)
    variances, freedom = np.stack(ways[0]), np.array(ways[1]).reshape(-1, *[1] * (x.ndim - 2))
    total = variances.sum(0)
    certain = total == 0  # then any quantile does
    degrees = np.where(certain, 1, total) ** 2 / np.where(certain, 1, (variances**2 / freedom).sum(0))
    half = stdtrit(degrees, 0.975) * np.sqrt(total)
    difference = x.mean((0, 1)) - y.mean((0, 1))
    return difference, difference - half, difference + half


def _variance_over_seeds(
    x: np.ndarray, y: np.ndarray, seeds_x: Sequence[int] | None, seeds_y: Sequence[int] | None
) -> tuple[np.ndarray, int] | None:
    """Estimate the variance of the difference of two means over seeds, and its degrees of freedom.

    Args:
        x: each seed's mean, ``[S, …]``.
        y: the other method's.
        seeds_x: the seeds of ``x``, by default 0 … S-1.
        seeds_y: the seeds of ``y``.

    Returns:
        The variance, and its degrees of freedom; None if each method has one seed.
    """
    first, second = (list(range(len(m)) if seeds is None else seeds) for m, seeds in ((x, seeds_x), (y, seeds_y)))
    if len(x) == len(y) == 1:
        return None
    if first == second:
        return (x - y).var(0, ddof=1) / len(x), len(x) - 1
    freedom = len(x) + len(y) - 2
    pooled = (x.var(0) * len(x) + y.var(0) * len(y)) / freedom
    return pooled * (1 / len(x) + 1 / len(y)), freedom


def differences(results: pd.DataFrame, pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """Compute the paired difference of each of :data:`NUMBERS` for pairs of methods; see :func:`paired_interval`.

    Args:
        results: per-image results.
        pairs: (method, the method it is compared with); pairs of which one is not measured yet are left out.

    Returns:
        Columns ``method``, ``against``, ``number``, ``difference`` (method minus against), ``low`` and ``high`` (the
        95 % interval), ``photos``, and ``seeds`` ("3 and 3").

    Raises:
        ValueError: the two methods of a pair were measured on different photos.
    """
    lines = []
    there = set(results[["method", "reference_kind"]].drop_duplicates().itertuples(index=False, name=None))
    for method, against in pairs:
        for kind in ("self", "cross"):
            if not {(method, kind), (against, kind)} <= there:
                continue
            x, y = (gather(results, name, kind, _columns(kind)) for name in (method, against))
            if x.photos != y.photos:
                raise ValueError(f"{method}: was measured on other photos than {against}; measure both again.")
            ends = paired_interval(x.values, y.values, seeds_x=x.seeds, seeds_y=y.seeds)
            names = [name for name, (reference, _, _) in NUMBERS.items() if reference == kind]
            seeds = f"{len(x.seeds)} and {len(y.seeds)}"
            lines += [(method, against, *numbers, len(x.photos), seeds) for numbers in zip(names, *ends, strict=True)]
    columns = ["method", "against", "number", "difference", "low", "high", "photos", "seeds"]
    return pd.DataFrame(lines, columns=columns)
