"""From per-image results to an experiment's table: means, the spread over seeds, intervals of differences.

Everything works on per-image results as :func:`histcolor.experiments.run.collect` gives them. All methods must have
been measured on the same photos.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

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
CHUNK = 100  #: resamples that are worked on at once, so that memory stays bounded


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


def paired_bootstrap(
    x: np.ndarray,
    y: np.ndarray,
    *,
    seeds_x: Sequence[int] | None = None,
    seeds_y: Sequence[int] | None = None,
    repeats: int = 2000,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute the mean difference of two methods on the same photos, with its 95 % percentile interval (Efron 1979).

    Each repeat draws photos with replacement, the same ones for both methods, and, crossed with them, seeds: the same
    ones for methods trained with the same seeds (a seed decides the order of photos and the crops), else for each its
    own. With S seeds a drawn seed's deviation is scaled by √(S/(S-1)) (Rao and Wu 1988), else three seeds would
    look a third less variable than they are. Three seeds still tell little about seeds: where photos dominate, an
    interval of 95 % holds the truth about 95 times in 100; where seeds do, with three of them, about 80 times; and it
    is too wide where what varies is one photo from seed to seed (Owen 2007).

    Args:
        x: ``[S, P]`` or ``[S, P, K]``: seeds, photos, and several numbers, each with an interval of its own.
        y: likewise; other seeds are allowed, the photos must be the same in the same order.
        seeds_x: the seeds of ``x``, by default 0 … S-1.
        seeds_y: the seeds of ``y``.
        repeats: how many resamples.
        seed: of the resampling: the same seed gives the same interval.

    Returns:
        mean(x) - mean(y), and the interval's lower and upper end: scalars, or ``[K]`` each.

    Raises:
        ValueError: the methods have different photos, or no number at all.
    """
    if x.shape[1:] != y.shape[1:] or not x.size or not y.size:
        raise ValueError(f"Paired methods need the same photos, got {x.shape[1:]} and {y.shape[1:]}.")
    sides = [
        (values, seed_weights(range(len(values)) if seeds is None else seeds, repeats, seed))
        for values, seeds in ((x, seeds_x), (y, seeds_y))
    ]
    photos = x.shape[1]
    counts, resampled = photo_counts(photos, repeats, seed), []
    for start in range(0, repeats, CHUNK):
        part = slice(start, start + CHUNK)
        weights = counts[part] / photos  # [n, P]
        means = [
            np.einsum("ns,sn...->n...", w[part], np.stack([weights @ one for one in values])) for values, w in sides
        ]
        resampled.append(means[0] - means[1])
    low, high = np.quantile(np.concatenate(resampled), [0.025, 0.975], axis=0)
    return x.mean((0, 1)) - y.mean((0, 1)), low, high


@lru_cache(maxsize=1)  # the pairs of a table have the same photos, and drawing takes most of the time
def photo_counts(photos: int, repeats: int, seed: int) -> np.ndarray:
    """Draw photos with replacement, and give how often each was drawn: uint16 ``[repeats, photos]``."""
    draw, chances = np.random.default_rng([seed, 0]), np.full(photos, 1 / photos)
    sizes = [min(CHUNK, repeats - start) for start in range(0, repeats, CHUNK)]
    return np.concatenate([draw.multinomial(photos, chances, size=n).astype(np.uint16) for n in sizes])


def seed_weights(seeds: Sequence[int], repeats: int, seed: int) -> np.ndarray:
    """Draw seeds with replacement, and give their weights, deviations scaled: ``[repeats, S]``, each summing to 1.

    They follow from the seeds' numbers, so that methods with the same seeds get the same draws.
    """
    count = len(seeds)
    if count == 1:
        return np.ones((repeats, 1))
    draw = np.random.default_rng([seed, 1, *seeds])
    weights = draw.multinomial(count, np.full(count, 1 / count), size=repeats) / count
    return 1 / count + (weights - 1 / count) * np.sqrt(count / (count - 1))


def differences(results: pd.DataFrame, pairs: Iterable[tuple[str, str]], *, repeats: int = 2000) -> pd.DataFrame:
    """Compute the paired difference of each of :data:`NUMBERS` for pairs of methods; see :func:`paired_bootstrap`.

    Args:
        results: per-image results.
        pairs: (method, the method it is compared with); pairs of which one is not measured yet are left out.
        repeats: how many resamples.

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
            ends = paired_bootstrap(x.values, y.values, seeds_x=x.seeds, seeds_y=y.seeds, repeats=repeats)
            names = [name for name, (reference, _, _) in NUMBERS.items() if reference == kind]
            seeds = f"{len(x.seeds)} and {len(y.seeds)}"
            lines += [(method, against, *numbers, len(x.photos), seeds) for numbers in zip(names, *ends, strict=True)]
    columns = ["method", "against", "number", "difference", "low", "high", "photos", "seeds"]
    return pd.DataFrame(lines, columns=columns)
