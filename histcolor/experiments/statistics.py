"""From numbers a photo to a table a heading: means, the spread over seeds, intervals of differences.

Everything works on the tables that :mod:`histcolor.experiments.run` writes: those of
:func:`histcolor.evaluate.evaluate` with the columns ``row``, ``seed`` and ``histogram`` ("true" or "foreign"). All rows
must be of the same photos.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from histcolor.metrics import PERFECT_PSNR

#: what a heading's table shows: the column, the histogram that was asked, the column measured, digits when printed
NUMBERS: dict[str, tuple[str, str, int]] = {
    "psnr": ("true", "psnr", 2),
    "ssim": ("true", "ssim", 4),
    "ssim_gauss": ("true", "ssim_gauss", 4),
    "hellinger": ("true", "hellinger", 3),
    "intersection": ("true", "intersection", 3),
    "colourfulness": ("true", "colourfulness", 1),
    "foreign_intersection": ("foreign", "intersection", 3),
    "foreign_hellinger": ("foreign", "hellinger", 3),
}
CHUNK = 100  #: resamples that are drawn at once, so that memory stays bounded


@dataclass(frozen=True)
class Measured:
    """A row's numbers under one kind of histogram."""

    seeds: tuple[int, ...]
    photos: list[tuple[str, str]]  #: photo and reference, in the order measured
    values: np.ndarray  #: ``[S, P, K]``: seeds, photos, the numbers asked for


def gather(table: pd.DataFrame, row: str, histogram: str, columns: Sequence[str]) -> Measured:
    """A row's numbers as an array; an infinite PSNR counts as 100 dB, as in :func:`histcolor.evaluate.summarise`.

    Raises:
        ValueError: the row was not measured, or its seeds were measured on different photos.
    """
    part = table[(table["row"] == row) & (table["histogram"] == histogram)]
    if part.empty:
        raise ValueError(f"{row}: was not measured with {histogram} histograms.")
    by_seed = {int(seed): one for seed, one in part.groupby("seed")}
    # names of photos may recur in different folders, their order does not change
    lists = [list(zip(one["photo"], one["reference"], strict=True)) for one in by_seed.values()]
    for seed, names in zip(by_seed, lists, strict=True):
        if names != lists[0]:
            raise ValueError(f"{row}: seed {seed} was measured on other photos than seed {min(by_seed)}.")
    values = np.stack([one[list(columns)].to_numpy(np.float64) for one in by_seed.values()])
    return Measured(tuple(by_seed), lists[0], np.where(np.isposinf(values), PERFECT_PSNR, values))


def heading_table(table: pd.DataFrame, rows: Iterable[str]) -> pd.DataFrame:
    """A line a row: the mean over photos and seeds of each of :data:`NUMBERS`, and the spread over seeds.

    Args:
        table: numbers a photo.
        rows: names in the order wanted; a row without numbers has 0 photos and NaN; one that was measured with one
            kind of histogram alone has NaN for the other.

    Returns:
        Columns ``row``, ``photos``, ``seeds`` (how many), then each number and ``NUMBER_spread``: the standard
        deviation (n - 1) of the seeds' means, NaN for one seed.

    Raises:
        ValueError: rows or seeds were measured on different photos; the message names the first.
    """
    lines, first = [], {}
    for row in rows:
        seeds = table.loc[table["row"] == row, "seed"].nunique()
        line = {"row": row, "photos": 0, "seeds": seeds}
        kinds = set(table.loc[table["row"] == row, "histogram"])
        measured = {kind: gather(table, row, kind, _columns(kind)) for kind in sorted(kinds)}
        for kind, one in measured.items():
            line["photos"] = len(one.photos)
            other, photos = first.setdefault(kind, (row, one.photos))
            if one.photos != photos:
                raise ValueError(f"{row}: was measured on other photos than {other}; measure both again.")
        for name, (kind, column, _) in NUMBERS.items():
            means = np.array([np.nan])
            if kind in measured:
                means = measured[kind].values[..., _columns(kind).index(column)].mean(1)
            line[name] = means.mean()
            line[f"{name}_spread"] = means.std(ddof=1) if len(means) > 1 else np.nan
        lines.append(line)
    return pd.DataFrame(lines)


def _columns(kind: str) -> list[str]:
    return [column for histogram, column, _ in NUMBERS.values() if histogram == kind]


def printed(table: pd.DataFrame) -> pd.DataFrame:
    """A heading's table as text: ``28.51 ± 0.03``; "–" where there is no number, or one seed and so no spread."""

    def text(value: float, digits: int) -> str:
        return "–" if pd.isna(value) else f"{value:.{digits}f}"

    out = table.drop(columns=[c for c in table if c.endswith("_spread")]).astype(object)
    for name, (_, _, digits) in NUMBERS.items():
        pairs = zip(table[name], table[f"{name}_spread"], strict=True)
        out[name] = ["–" if pd.isna(mean) else f"{text(mean, digits)} ± {text(s, digits)}" for mean, s in pairs]
    for name in out.columns.difference(["row", "photos", "seeds", *NUMBERS]):  # the paper's own numbers, and more
        out[name] = [text(v, 4).rstrip("0").rstrip(".") if isinstance(v, float) else v for v in out[name]]
    return out


def paired_bootstrap(
    x: np.ndarray,
    y: np.ndarray,
    *,
    seeds_x: Sequence[int] | None = None,
    seeds_y: Sequence[int] | None = None,
    repeats: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean difference of two rows on the same photos, with its percentile interval (Efron 1979).

    Each repeat draws photos with replacement, the same ones for both rows, and, crossed with them, seeds: the same
    ones for rows trained with the same seeds (a seed decides the order of photos and the crops), else each row its own.
    With S seeds a drawn seed's deviation is scaled by √(S/(S-1)) (Rao and Wu 1988), else three seeds would
    look a third less variable than they are. Three seeds still tell little about seeds: where photos dominate, an
    interval of 95 % holds the truth about 95 times in 100; where seeds do, with three of them, about 80 times; and it
    is too wide where what varies is one photo from seed to seed (Owen 2007).

    Args:
        x: ``[S, P]`` or ``[S, P, K]``: seeds, photos, and several numbers, each with an interval of its own.
        y: likewise; other seeds are allowed, the photos must be the same in the same order.
        seeds_x: the seeds of ``x``, by default 0 … S-1.
        seeds_y: the seeds of ``y``.
        repeats: how many resamples.
        level: the interval's coverage.
        seed: of the resampling: the same seed gives the same interval.

    Returns:
        mean(x) - mean(y), and the interval's lower and upper end: scalars, or ``[K]`` each.

    Raises:
        ValueError: the rows have different photos, or no number at all.
    """
    if x.shape[1:] != y.shape[1:] or not x.size or not y.size:
        raise ValueError(f"Paired rows need the same photos, got {x.shape[1:]} and {y.shape[1:]}.")
    sides = [
        (values, seed_weights(range(len(values)) if seeds is None else seeds, repeats, seed))
        for values, seeds in ((x, seeds_x), (y, seeds_y))
    ]
    photos, draw = x.shape[1], np.random.default_rng([seed, 0])
    resampled = []
    for start in range(0, repeats, CHUNK):
        n = min(CHUNK, repeats - start)
        weights = draw.multinomial(photos, np.full(photos, 1 / photos), size=n) / photos  # [n, P]
        means = [
            np.einsum("ns,sn...->n...", w[start : start + n], np.stack([weights @ one for one in values]))
            for values, w in sides
        ]
        resampled.append(means[0] - means[1])
    tail = (1 - level) / 2
    low, high = np.quantile(np.concatenate(resampled), [tail, 1 - tail], axis=0)
    return x.mean((0, 1)) - y.mean((0, 1)), low, high


def seed_weights(seeds: Sequence[int], repeats: int, seed: int) -> np.ndarray:
    """Weights of seeds drawn with replacement, their deviations scaled: ``[repeats, S]``, each summing to 1.

    They follow from the seeds' numbers, so that rows with the same seeds get the same draws.
    """
    count = len(seeds)
    if count == 1:
        return np.ones((repeats, 1))
    draw = np.random.default_rng([seed, 1, *seeds])
    weights = draw.multinomial(count, np.full(count, 1 / count), size=repeats) / count
    return 1 / count + (weights - 1 / count) * np.sqrt(count / (count - 1))


def differences(
    table: pd.DataFrame, pairs: Iterable[tuple[str, str]], *, repeats: int = 2000, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """The paired difference of each of :data:`NUMBERS` for named pairs of rows; see :func:`paired_bootstrap`.

    Args:
        table: numbers a photo.
        pairs: (row, the row it is compared with); pairs of which a row is not measured yet are left out.
        repeats: how many resamples.
        level: the interval's coverage.
        seed: of the resampling.

    Returns:
        Columns ``row``, ``against``, ``number``, ``difference`` (row minus against), ``low``, ``high``, ``photos``,
        and ``seeds`` ("3 and 3").

    Raises:
        ValueError: the two rows of a pair were measured on different photos.
    """
    lines, there = [], set(zip(table["row"], table["histogram"], strict=True))
    for row, against in pairs:
        for kind in ("true", "foreign"):
            if not {(row, kind), (against, kind)} <= there:
                continue
            x, y = (gather(table, name, kind, _columns(kind)) for name in (row, against))
            if x.photos != y.photos:
                raise ValueError(f"{row}: was measured on other photos than {against}; measure both again.")
            options = {"repeats": repeats, "level": level, "seed": seed}
            ends = paired_bootstrap(x.values, y.values, seeds_x=x.seeds, seeds_y=y.seeds, **options)
            names = [name for name, (histogram, _, _) in NUMBERS.items() if histogram == kind]
            about = {"photos": len(x.photos), "seeds": f"{len(x.seeds)} and {len(y.seeds)}"}
            for name, difference, low, high in zip(names, *ends, strict=True):
                line = {"row": row, "against": against, "number": name}
                lines.append({**line, "difference": difference, "low": low, "high": high, **about})
    columns = ["row", "against", "number", "difference", "low", "high", "photos", "seeds"]
    return pd.DataFrame(lines, columns=columns)
