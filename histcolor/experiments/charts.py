"""Figures about experiments: seeds, paired differences and their intervals, curves; one look with plots."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator

from histcolor.experiments.statistics import NUMBERS, gather
from histcolor.experiments.statistics import differences as paired_differences
from histcolor.experiments.styling import BLUE, GRAY, GREEN, OCHRE, ORANGE, PURPLE, interval_text, label, name_of

#: of methods, in their order: an experiment's first one is its plainest
SHADES = (GRAY, OCHRE, PURPLE, BLUE, ORANGE, GREEN)
INK, FAINT = "#374151", "#e5e7eb"
CHOICES = ("psnr", "cross_intersection")  #: quality and histogram fidelity


def seed_means(results: pd.DataFrame, methods: Iterable[str], number: str = "psnr") -> pd.DataFrame:
    """Average over photos, for each seed (the index) and each method that was measured (the columns).

    Args:
        results: per-image results, as :func:`histcolor.experiments.run.collect` gives.
        methods: names in the order wanted; those without results are left out.
        number: one of :data:`histcolor.experiments.statistics.NUMBERS`; an infinite PSNR counts as 100 dB.
    """
    kind, column, _ = NUMBERS[number]
    there = {name: gather(results, name, kind, [column]) for name in methods if name in set(results["method"])}
    return pd.DataFrame({name: pd.Series(m.values[..., 0].mean(1), index=m.seeds) for name, m in there.items()})


def seeds(results: pd.DataFrame, methods: Sequence[str], numbers: Sequence[str] = ("psnr", "ssim")) -> Figure:
    """Draw a panel a number: for each method a dot a seed, the mean over photos, and a bar at the mean of the seeds.

    Args:
        results: see :func:`seed_means`.
        methods: names from top to bottom; those without results are left out, the others keep their colours.
        numbers: each one of :data:`histcolor.experiments.statistics.NUMBERS`.

    Raises:
        ValueError: none of the methods was measured.
    """
    if not (there := [name for name in methods if name in set(results["method"])]):
        raise ValueError("None of these methods was measured yet: there is nothing to draw.")
    options = {"figsize": (3.4 * len(numbers) + 2.0, 0.62 * len(there) + 1.0), "squeeze": False}
    figure, axes = plt.subplots(1, len(numbers), sharey=True, **options)
    for axis, number in zip(axes[0], numbers, strict=True):
        for y, (name, values) in enumerate(seed_means(results, there, number).items()):
            colour = SHADES[list(methods).index(name) % len(SHADES)]
            axis.plot([values.mean()] * 2, [y - 0.3, y + 0.3], color=colour, lw=2.2, alpha=0.55, zorder=1.5)
            axis.plot(values.dropna(), [y] * values.count(), "o", ms=8, color=colour, mec="white", mew=0.8)
        axis.set_title(name_of(number), fontsize=12)
        axis.set_yticks(range(len(there)), [label(name, 24) for name in there], fontsize=12)
        axis.grid(axis="y", color=FAINT, lw=0.8)
        axis.tick_params(axis="y", length=0)
        axis.margins(x=0.12)
        axis.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes[0, 0].set_ylim(len(there) - 0.5, -0.5)
    return figure


def intervals(differences: pd.DataFrame, number: str = "psnr", *, paper: Mapping[str, float] | None = None) -> Figure:
    """Draw paired differences with their intervals, one below the other, and a line at zero: a forest plot.

    Blue where all of the interval is above zero, orange where all is below, gray where it contains zero.

    Args:
        differences: from :func:`histcolor.experiments.statistics.differences`.
        number: which of its numbers is drawn.
        paper: the paper's own numbers of methods that have one: an open diamond at the difference of two.

    Raises:
        ValueError: there is no difference of that number.
    """
    part = differences[differences["number"] == number]
    if part.empty:
        raise ValueError(f"There is no difference of {number!r} to draw: both methods of a pair must be measured.")
    figure, axes = plt.subplots(figsize=(9, 0.55 * len(part) + 0.9))
    _forest(axes, part, number, paper or {})
    axes.set_xlabel(f"difference in {name_of(number)}")
    return figure


def forests(
    tables: Mapping[str, pd.DataFrame], numbers: Sequence[str] = CHOICES, *, noise: Mapping[str, float] | None = None
) -> Figure:
    """Draw forest plots (:func:`intervals`) of several tables: a row of panels a table, a column a number.

    Args:
        tables: a title and differences for each; a table without any gets panels that say so.
        noise: how large a difference of a number may be and mean nothing: shaded on both sides of zero.
    """
    heights = [max(2, (table["number"] == numbers[0]).sum()) + 0.6 for table in tables.values()]
    options = {"figsize": (6.2 * len(numbers), 0.55 * sum(heights) + 0.6), "height_ratios": heights}
    figure, grid = plt.subplots(len(tables), len(numbers), sharex="col", squeeze=False, **options)
    for panels, (title, table) in zip(grid, tables.items(), strict=True):
        for axes, number in zip(panels, numbers, strict=True):
            part, limit = table[table["number"] == number], (noise or {}).get(number, 0.0)
            if len(part) and limit > 0:
                axes.axvspan(-limit, limit, color=FAINT, lw=0, zorder=0)
            _forest(axes, part, number, {})
            axes.tick_params(labelleft=axes is panels[0])
        panels[0].set_title(title, loc="left", fontweight="bold")
    for axes, number in zip(grid[-1], numbers, strict=True):
        axes.set_xlabel(f"difference in {name_of(number)}")
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    return figure


def _forest(axes: Axes, part: pd.DataFrame, number: str, paper: Mapping[str, float]) -> None:
    """Draw the lines of a table of differences, the first at the top."""
    if part.empty:
        axes.text(0.5, 0.5, "not measured yet", transform=axes.transAxes, ha="center", va="center", color=GRAY)
    else:
        axes.axvline(0, color=INK, lw=0.9, zorder=1)
    for y, line in enumerate(part.itertuples()):
        colour = BLUE if line.low > 0 else ORANGE if line.high < 0 else GRAY
        axes.plot([line.low, line.high], [y, y], color=colour, lw=2.2, solid_capstyle="round", zorder=2)
        axes.plot(line.difference, y, "o", color=colour, ms=7, mec="white", mew=0.9, zorder=4)
        options = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 11, "color": INK}
        axes.text(1.03, y, interval_text(line, number), **options)
        if line.method in paper and line.against in paper:
            axes.plot(paper[line.method] - paper[line.against], y, "D", ms=6, mfc="none", mec=INK, mew=1.1, zorder=3)
    names = [f"{label(line.method)}\n− {label(line.against)}" for line in part.itertuples()]
    axes.set(ylim=(max(1, len(part)) - 0.5, -0.5), yticks=range(len(part)), yticklabels=names)
    axes.tick_params(axis="y", length=0, labelsize=11)
    axes.margins(x=0.06)
    axes.spines["left"].set_visible(False)


def curves(histories: pd.DataFrame, methods: Sequence[str], column: str, against: str, *, smooth: int = 3) -> Figure:
    """Draw a term of the loss over the photos seen: left as it is, right as a share of what one method has.

    Methods with the same seed see the same photos in the same order, so in the share what makes a batch easy or hard
    cancels. Means over the seeds that both have; on the right a band from the lowest to the highest seed.

    Args:
        histories: each run's ``history.csv``, below one another, with ``method`` and ``seed``.
        methods: names in the order of their colours; those without such numbers are left out.
        column: of the history.
        against: the method that the others are divided by.
        smooth: over how many lines of the history the running mean is taken.

    Raises:
        ValueError: ``against`` has no such numbers.
    """
    measured = set(histories.dropna(subset=column)["method"])
    there = [name for name in methods if name in measured]
    if against not in there:
        raise ValueError(f"{against!r} has no {column!r} in its history: there is nothing to compare with.")
    tables = {}
    for name in there:
        table = histories[histories["method"] == name].pivot_table(index="photos", columns="seed", values=column)
        tables[name] = table.rolling(smooth, min_periods=1).mean()
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.8))
    ends = {}
    for name, table in tables.items():
        colour = SHADES[list(methods).index(name) % len(SHADES)]
        shared = table.columns.intersection(tables[against].columns)
        share = (table[shared] / tables[against][shared]).dropna()
        left.plot(table.index, table, color=colour, lw=1.3, alpha=0.75)
        if share.empty:  # no seed in common, or no photos
            continue
        right.fill_between(share.index, share.min(axis=1), share.max(axis=1), color=colour, alpha=0.15, lw=0)
        right.plot(share.index, share.mean(axis=1), color=colour, lw=2.6)
        ends[name] = (share.index[-1], share.mean(axis=1).iloc[-1], colour)
    _name_ends(right, ends)
    for axis, title in ((left, "every run"), (right, f"as a share of “{label(against)}”, on the same photos")):
        axis.set_title(title, fontsize=13)
        axis.set_xlabel("photos seen", fontsize=12)
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.margins(x=0)
    left.set_ylim(0, None)
    left.set_ylabel({"gt": "$L_{GT}$", "grad": "$L_{Grad}$", "hist": "$L_H$"}.get(column, column), fontsize=12)
    return figure


def _name_ends(axes: Axes, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Write each line's name beside its end, ``(x, y, colour)``, in its colour; names do not lie upon one another."""
    apart, lowest = 0.055 * (axes.get_ylim()[1] - axes.get_ylim()[0]), -math.inf
    for name, (x, y, colour) in sorted(ends.items(), key=lambda one: one[1][1]):
        lowest = max(y, lowest + apart)
        options = {"color": colour, "va": "center", "fontsize": 12, "annotation_clip": False}
        axes.annotate(label(name), (x, lowest), xytext=(8, 0), textcoords="offset points", **options)


def learning_curve(
    results: Mapping[float, pd.DataFrame],
    methods: Sequence[str],
    against: str,
    *,
    paper: Mapping[str, float] | None = None,
) -> Figure:
    """Draw how methods learn: their PSNR at several budgets, and how far each is from one of them.

    Left the means over images and seeds, self-reference; right the paired differences from ``against``, with their
    95 % intervals. The order of the lines at their right end is the order of the methods at the largest budget; a
    dotted line leads each of them to the paper's own difference, and to its name.

    Args:
        results: by the images seen in training, per-image results as :func:`histcolor.experiments.run.collect` gives.
        methods: names in the order of their colours; those that a budget lacks are left out there.
        against: the one that the others are compared with.
        paper: PSNR that the paper printed; its differences are diamonds beyond the largest budget.

    Raises:
        ValueError: ``against`` was measured at no budget.
    """
    budgets = {n: table for n, table in sorted(results.items()) if against in set(table["method"])}
    if not budgets:
        raise ValueError(f"{against!r} was not measured: there is nothing to compare with.")
    means = pd.DataFrame({n: seed_means(table, methods).mean() for n, table in budgets.items()})
    pairs = [(name, against) for name in methods if name != against]
    apart = pd.concat([paired_differences(table, pairs).assign(images=n) for n, table in budgets.items()])
    apart = apart[apart["number"] == "psnr"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.8))
    ends: dict[str, tuple[float, float, str]] = {against: (max(budgets), 0.0, INK)}
    right.plot([*budgets], [0.0] * len(budgets), color=INK, lw=2.2)
    for i, name in enumerate(methods):
        colour, line = INK if name == against else SHADES[i % len(SHADES)], means.loc[name].dropna()
        left.plot(line.index, line, "o-", color=colour, lw=2.2, ms=7, mec="white")
        if len(part := apart[apart["method"] == name]):
            bars = [part["difference"] - part["low"], part["high"] - part["difference"]]
            aside = part["images"] * 1.02 ** (i - len(methods) // 2)  # intervals do not lie upon one another
            right.errorbar(aside, part["difference"], bars, fmt="o-", color=colour, lw=2.2, ms=7, mec="white")
            ends[name] = (part["images"].iloc[-1], part["difference"].iloc[-1], colour)
    for axes, title in ((left, "PSNR, dB"), (right, f"difference from “{label(against)}”, dB")):
        axes.set_title(title, fontsize=13)
        axes.set(xscale="log", xlabel="images seen in training")
        axes.set_xticks([*budgets], [f"{n:,.0f}" for n in budgets])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(x=0.08)
    if paper and against in paper:
        beyond = max(budgets) * (max(budgets) / min(budgets)) ** 0.22 if len(budgets) > 1 else 2 * max(budgets)
        right.axvline((max(budgets) * beyond) ** 0.5, color=GRAY, lw=1, ls=(0, (2, 3)))
        for name in (name for name in ends if name in paper):
            (x, y, colour), far = ends[name], paper[name] - paper[against]
            right.plot((x, beyond), (y, far), color=colour, lw=1.2, ls=(0, (1, 2)), zorder=1)
            right.plot(beyond, far, "D", ms=8, mfc="white", mec=colour, mew=1.8)
            ends[name] = (beyond, far, colour)
        right.set_xticks([*budgets, beyond], [*(f"{n:,.0f}" for n in budgets), "the paper,\nits photos"])
        ends = {name: (1.05 * beyond, y, colour) for name, (_, y, colour) in ends.items()}
    _name_ends(right, ends)
    return figure


def tenfold(ends: pd.DataFrame) -> float:
    """Estimate what ten times the photos would bring, in dB, if PSNR rose with their logarithm as it last did.

    The slope between the last two of the ends of stages (:func:`histcolor.experiments.records.stage_ends`).

    Raises:
        ValueError: fewer than two stages.
    """
    if len(ends) < 2:
        raise ValueError("Two stages are needed to tell how PSNR rises with the photos.")
    (x, y), (x_last, y_last) = ends[["photos", "psnr"]].to_numpy()[-2:]
    return float((y_last - y) / math.log10(x_last / x))


def shipped_curves(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the PSNR at the end of each stage of the shipped models over the photos that they saw by then.

    Args:
        tables: by model, :func:`histcolor.experiments.records.stage_ends`. Each kind of validation images has a panel
            of its own, as their numbers can't be compared. A stage that two models share is drawn once, in the first
            one's colour; the other's line begins there.
    """
    figure, axes = plt.subplots(1, 2, figsize=(11.4, 4.6))
    drawn: set[str] = set()
    for axis, kinds in zip(axes, ("ten kinds", "many kinds"), strict=True):
        for colour, (name, table) in zip((BLUE, ORANGE, GREEN, PURPLE), tables.items(), strict=False):
            part = table[table["validation"] == kinds]
            own = part[~part["run"].isin(drawn)]
            line = part[max(0, len(part) - len(own) - 1) :] if len(own) else own
            axis.plot(line["photos"], line["psnr"], color=colour, lw=2.2, zorder=1)
            axis.plot(own["photos"], own["psnr"], "o", color=colour, ms=10, mfc="white", mew=2.2, label=name)
            side = {"xytext": (10, -14)} if colour == BLUE else {"xytext": (-10, 10), "ha": "right"}
            for end in own.itertuples():
                where = {"textcoords": "offset points", "color": colour, "fontsize": 11, **side}
                axis.annotate(rf"$\lambda_2$ = {end.lambda_2:g}", (end.photos, end.psnr), **where)
            drawn |= set(part["run"])
        axis.set_title(f"on validation images of {kinds}", fontsize=12)
        axis.set(xscale="log", xlabel="photos seen", ylabel="PSNR, dB")
        axis.margins(x=0.2, y=0.12)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.xaxis.set_minor_formatter(NullFormatter())
    curves = [stages["psnr"] for table in tables.values() for _, stages in table.groupby("validation")]
    if all(curve.is_monotonic_increasing for curve in curves):
        figure.suptitle("Every stage measured here ends with a higher PSNR than the one before", fontsize=14)
    axes[0].legend(loc="upper left", fontsize=12)
    return figure
