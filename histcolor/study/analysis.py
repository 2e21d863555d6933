"""The analysis of a user study: each method's share of the votes, with an interval.

Simulated answers, to try the analysis, have ``simulated`` = True. They are never mixed with real ones, and every title
says SIMULATED.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.special import expit, logit, stdtrit

from histcolor import plots
from histcolor.study.answers import COLUMNS
from histcolor.study.protocol import QUESTIONS, check_methods, plan


def simulate_answers(
    groups: Sequence[str], preferences: Mapping[str, Mapping[str, float]], participants: int, *, likeness=0.1, seed=0
) -> pd.DataFrame:
    """Simulate answers, to try the analysis; they tell nothing about any method.

    Each participant has a taste: for each question, shares drawn from a Dirichlet distribution around the true ones.
    For each group, an answer is drawn with these shares.

    Args:
        groups: the groups' names.
        preferences: question → method → true share of the votes, above 0 and summing to 1.
        participants: how many people are simulated.
        likeness: how alike one person's answers are: the intraclass correlation, in [0, 1).
        seed: the same seed gives the same answers.

    Returns:
        One row for each answer, as from :func:`histcolor.study.answers.read_answers`; all have ``simulated`` = True.

    Raises:
        ValueError: a question is unknown, or the shares or the likeness are out of range.
    """
    rng, rows, start = np.random.default_rng(seed), [], datetime(2000, 1, 1, tzinfo=UTC)
    methods = check_methods(next(iter(preferences.values()), ()))
    true = {question: np.array([prefer.get(m, 0) for m in methods]) for question, prefer in preferences.items()}
    if not 0 <= likeness < 1 or any(p.min() <= 0 or abs(p.sum() - 1) > 1e-6 for p in true.values()):
        raise ValueError("Simulated shares must be above 0 and sum to 1, and the likeness must be in [0, 1).")
    if unknown := set(preferences) - set(QUESTIONS):
        raise ValueError(f"There is no question {unknown.pop()!r}, only {', '.join(QUESTIONS)}.")
    for name in (f"simulated {number + 1:03}" for number in range(participants)):
        tastes = {q: rng.dirichlet(p * (1 / likeness - 1)) if likeness else p for q, p in true.items()}
        votes = {q: rng.choice(len(methods), len(groups), p=taste) for q, taste in tastes.items()}
        for i, (group, shown) in enumerate(plan(groups, methods, name, seed)):
            for question in preferences:
                time = (start + timedelta(seconds=10 * len(rows))).isoformat()
                rows.append([time, name, group, question, methods[votes[question][i]], "|".join(shown), True])
    return pd.DataFrame(rows, columns=COLUMNS)


def shares(
    answers: pd.DataFrame, methods: Sequence[str] | None = None, *, resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Compute each method's share of the votes, with a 95 % interval: the table behind the paper's Figure 4.

    If a participant answered one question of one group several times, the **last** answer counts; the column
    ``replaced`` is the number of answers that do not count.

    The answers of one person are alike, so n people with k answers each are not n·k independent votes. Therefore the
    bootstrap draws whole participants with all their answers (a cluster bootstrap; Davison and Hinkley 1997, 3.8).
    Its standard error, times √(n / (n - 1)), gives an interval of Student's t on the scale of log odds, as in survey
    statistics (R's ``survey::svyciprop``): shares are skewed, and with 10 people the bootstrap's own percentiles are
    too narrow. A method with no votes, or with all of them, has no standard error: there each person counts as a single
    vote (Clopper and Pearson 1934). The interval is about other people and the same photos, not about other photos.

    Args:
        answers: from :func:`histcolor.study.answers.read_answers` or :func:`simulate_answers`.
        methods: all methods that were shown, in the order of the table's rows; default: by name.
        resamples: how many times the bootstrap draws.
        seed: of the bootstrap.

    Returns:
        One row for each question and method: question, method, votes, answers, share, low, high, chance (1 / methods),
        participants, replaced, simulated. The shares of a question sum to 1.

    Raises:
        ValueError: no answers, simulated mixed with real ones, an unknown question, different or unknown methods, or
            fewer than 2 participants.
    """
    if answers.empty:
        raise ValueError("There are no answers to analyse yet.")
    if answers["simulated"].nunique() > 1:
        raise ValueError("Simulated and real answers must not be mixed: keep the rows with one value of 'simulated'.")
    if odd := set(answers["question"]) - set(QUESTIONS):
        raise ValueError(f"There is no question {min(odd)!r}, only {', '.join(QUESTIONS)}.")
    sets = {frozenset(shown.split("|")) for shown in answers["shown"].unique()}
    if len(sets) > 1:
        raise ValueError("The answers are about groups with different methods: analyse those of one set at a time.")
    methods = check_methods(methods or sorted(*sets))
    if unknown := (set(methods) | set(answers["method"])) ^ set(*sets):
        raise ValueError(f"Unknown or left-out method {min(unknown)!r}; {', '.join(sorted(*sets))} were shown.")
    last, rows = answers.drop_duplicates(["participant", "group", "question"], keep="last"), []
    for question in sorted(last["question"].unique(), key=list(QUESTIONS).index):
        part = last[last["question"] == question]
        person, people = pd.factorize(part["participant"])
        if (n := len(people)) < 2:
            raise ValueError(f"An interval needs at least 2 participants; question {question!r} has 1.")
        votes = np.zeros((n, len(methods)))  # of each participant for each method
        np.add.at(votes, (person, [methods.index(m) for m in part["method"]]), 1)
        drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), resamples) @ votes
        share, (low, high) = votes.sum(0) / len(part), np.zeros((2, len(methods)))
        some = (share > 0) & (share < 1)
        error = (drawn / drawn.sum(1, keepdims=True)).std(0)[some] * np.sqrt(n / (n - 1))
        independent = np.sqrt(share * (1 - share) / len(part))[some]
        error = np.where(error > 1e-9, error, independent)  # few people who happen to vote alike prove nothing
        half = stdtrit(n - 1, 0.975) * error / (share * (1 - share))[some]  # on the scale of log odds
        low[some], high[some] = expit(logit(share[some]) - half), expit(logit(share[some]) + half)
        low[share == 1], high[share == 1], high[share == 0] = 0.025 ** (1 / n), 1, 1 - 0.025 ** (1 / n)
        table = {"question": question, "method": methods, "votes": votes.sum(0).astype(int), "answers": len(part)}
        table |= {"share": share, "low": low, "high": high, "chance": 1 / len(methods)}
        replaced = int((answers["question"] == question).sum()) - len(part)
        marks = {"participants": n, "replaced": replaced, "simulated": bool(answers["simulated"].iloc[0])}
        rows.append(pd.DataFrame(table | marks))
    return pd.concat(rows, ignore_index=True)


def title_of(table: pd.DataFrame) -> str:
    """Write the title of a figure or table of shares: how many people answered, and SIMULATED if nobody did."""
    text = f"{table['participants'].max()} participants, {table['answers'].max()} answers to each question"
    return f"SIMULATED: {text}; no finding about any method" if table["simulated"].any() else text


def show_shares(table: pd.DataFrame) -> Figure:
    """Draw the table of :func:`shares` as bars with intervals, a panel for each question, like the paper's Figure 4."""
    with plt.rc_context(plots.STYLE):
        parts = list(table.groupby("question", sort=False))
        size = (4.6 * len(parts) + 1.2, 0.42 * table["method"].nunique() + 1.7)
        figure, axes = plt.subplots(1, len(parts), figsize=size, sharex=True, sharey=True, squeeze=False)
        for axis, (question, part) in zip(axes[0], parts, strict=True):
            share, low, high = (100 * part[column] for column in ("share", "low", "high"))
            names = part["method"].str.replace("$", r"\$")  # else matplotlib sets it as mathematics
            axis.barh(
                names, share, xerr=((share - low).clip(0), (high - share).clip(0)), height=0.6, alpha=0.6, capsize=3
            )
            for y, (value, end) in enumerate(zip(share, high, strict=True)):
                place = {"textcoords": "offset points", "va": "center", "bbox": {"fc": "white", "ec": "none", "pad": 1}}
                axis.annotate(f"{value:.1f}", (end, y), (6, 0), **place)
            chance = axis.axvline(100 * part["chance"].iloc[0], color="#1f2937", ls="--", lw=1.2, zorder=1.5)
            axis.set(xlabel="share of the votes, % (line: 95 % interval)", title=textwrap.fill(QUESTIONS[question], 48))
        axes[0, 0].invert_yaxis()
        axes[0, 0].set_xlim(0, min(100, 100 * table["high"].max()) * 1.15)
        figure.legend([chance], ["chance"], loc="outside lower center")
        figure.suptitle(title_of(table))
    return figure
