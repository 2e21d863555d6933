"""The paper's user studies (3.2, Figure 4): questions, orders, answers that survive a crash, shares with intervals.

Answers that no person gave carry ``simulated`` = True, are never mixed with real ones, and every title says SIMULATED.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.special import expit, logit, stdtrit
from torch import Tensor

from histcolor import plots

QUESTIONS = {
    "natural": "Which image is more natural?",
    "consistent": "Which image is more consistent with the exemplar image in color distribution?",
}  #: the paper's two (3.2), by the word that stands in the CSV
COLUMNS = ["time", "participant", "group", "question", "method", "shown", "simulated"]
HEADER = ",".join(COLUMNS).encode() + b"\r\n"  # RFC 4180's line end: the csv module then quotes both \r and \n
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"  #: what participants see in place of methods' names


@dataclass(frozen=True, eq=False)
class Group:
    """What is judged together: one target, coloured by several methods after one exemplar; else a ``ValueError``."""

    name: str  #: unique in a study
    target: Tensor  #: the gray photo, RGB ``[3, H, W]`` in [0, 1]
    exemplar: Tensor  #: the photo whose colours are asked for, the same
    results: dict[str, Tensor]  #: method → the coloured target, the same

    def __post_init__(self):
        if not self.name.strip():
            raise ValueError("A group needs a name.")
        check_methods(self.results)
        for title, picture in {"target": self.target, "exemplar": self.exemplar, **self.results}.items():
            if picture.ndim != 3 or picture.shape[0] != 3:
                raise ValueError(f"{self.name}: {title} must be RGB [3, H, W], got shape {tuple(picture.shape)}.")


def check_methods(names: Iterable[str]) -> list[str]:
    """Names of 2 to 26 methods as a list; a ``ValueError`` if one is there twice, empty, or holds ``|``."""
    names = list(names)
    if not 2 <= len(set(names)) == len(names) <= len(LETTERS):
        raise ValueError(f"A study compares 2 to {len(LETTERS)} different methods, got {', '.join(names) or 'none'}.")
    if bad := [name for name in names if not name.strip() or "|" in name]:
        raise ValueError(f"A method's name must not be empty or hold '|', got {bad[0]!r}.")
    return names


def check_groups(groups: Sequence[Group]) -> list[str]:
    """The methods that all groups have; a ``ValueError`` if they differ, a name is there twice, or no group is."""
    if not groups or len({group.name for group in groups}) < len(groups):
        raise ValueError("A study needs at least one group, and a name of its own for each.")
    for group in groups:
        if set(group.results) != set(groups[0].results):
            has = [f"{g.name!r} has {', '.join(g.results)}" for g in (groups[0], group)]
            raise ValueError(f"All groups must have the same methods: {'; '.join(has)}.")
    return list(groups[0].results)


def _shuffled(items: Iterable, *key: object) -> list:
    """Items by their hash with a key: random to the eye, yet the same in every version of every library."""
    return sorted(items, key=lambda item: hashlib.sha256(repr((*key, item)).encode()).digest())


def plan(groups: Iterable[str], methods: Iterable[str], participant: str, seed: int = 0) -> list[tuple[str, list[str]]]:
    """One participant's order: the groups' names, each with the order in which its methods are shown.

    A pure function of names, seed and participant: who comes back goes on where they stopped. Among M groups in a row
    (M methods) every method stands at every position once (a Latin square), so a liking for one position helps none.
    A ``ValueError`` if the participant has no name.
    """
    if not participant.strip():
        raise ValueError("The participant has no name; a code such as 'P07' will do.")
    names, methods, steps = _shuffled(groups, seed, participant), check_methods(methods), []
    for start in range(0, len(names), len(methods)):
        row = _shuffled(methods, seed, participant, start)
        turns = _shuffled(range(len(methods)), seed, participant, start)
        for name, turn in zip(names[start : start + len(methods)], turns, strict=False):
            steps.append((name, row[turn:] + row[:turn]))
    return steps


def append_answer(
    path: str | os.PathLike,
    *,
    participant: str,
    group: str,
    question: str,
    method: str,
    shown: Sequence[str],
    simulated: bool = False,
    time: datetime | None = None,
) -> None:
    """Append an answer to the CSV (made when missing) in one write, and wait until it is on the disk.

    What the file holds is never changed; a line that a crash or a full disk cut is ended first, so it spoils no other.

    Args:
        path, participant, group: participant and group may hold commas, quotes and line breaks.
        question, method, shown: a key of :data:`QUESTIONS`; the choice; all methods in the order shown.
        simulated, time: whether no person gave it; when it was given (default now; written as UTC).

    Raises:
        ValueError: one of these is not as said, or the file is of another kind.
        OSError: the answer could not be written; ask again.
    """
    moment = (time or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
    record = [moment, participant, group, question, method, "|".join(check_methods(shown)), str(simulated)]
    if fault := _fault(record):
        raise ValueError(f"The answer can not be kept: {fault}.")
    line = io.StringIO(newline="")
    csv.writer(line).writerow(record)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+", buffering=0) as file:
            file.seek(0)
            data = _lead(file.read(), path) + line.getvalue().encode(errors="backslashreplace")
            if file.write(data) < len(data):
                raise OSError("the disk is full")
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(f"{path}: the answer could not be written ({error.strerror or error}); answer again.") from error


def _lead(before: bytes, path: str | os.PathLike) -> bytes:
    """What must stand between a file's content and the next answer."""
    if HEADER.startswith(before):  # a new file, or one that was cut within its header
        return HEADER[len(before) :]
    if before.split(b"\n")[0].rstrip(b"\r") != HEADER.rstrip():
        raise ValueError(f"{path}: is no file of answers; its first line must be {','.join(COLUMNS)}.")
    if before.count(b'"') % 2:  # cut within quotes, where a line break alone does not end the record
        return b'"\r\n'
    return b"" if before.endswith(b"\n") else b"\n" if before.endswith(b"\r") else b"\r\n"


def _fault(record: Sequence[str]) -> str | None:
    """Why a record is no answer, or None."""
    if len(record) != len(COLUMNS):
        return f"it has {len(record)} fields, not {len(COLUMNS)}, so it was cut or edited"
    _, participant, group, question, method, shown, simulated = record
    faults = {
        "the participant has no name": not participant.strip(),
        "the group has no name": not group.strip(),
        f"there is no question {question!r}, only {', '.join(QUESTIONS)}": question not in QUESTIONS,
        f"the unknown method {method!r} is not among those shown, {shown}": method not in shown.split("|"),
        "simulated is neither True nor False": simulated not in ("True", "False"),
    }
    return next((fault for fault, found in faults.items() if found), None)


def read_answers(path: str | os.PathLike) -> tuple[pd.DataFrame, list[str]]:
    """Read a CSV of answers; a record that was cut in the middle, or is no answer, is skipped and reported.

    Returns:
        A row an answer, in the file's order, with :data:`COLUMNS` (text, but ``simulated`` is boolean); and a sentence
        for each skipped record.

    Raises:
        OSError: the file is missing or may not be read.
        ValueError: it is of another kind.
    """
    try:
        data = Path(path).read_bytes()
        _lead(data, path)
        reader = csv.reader(io.StringIO(data.decode(errors="replace"), newline=""))
        records = [(reader.line_num, record) for record in reader if record and record != COLUMNS]
    except OSError as error:
        raise type(error)(f"{path}: the answers can not be read ({error.strerror}).") from error
    except csv.Error as error:
        raise ValueError(f"{path}: is no CSV ({error}).") from error
    skipped = [f"{path}: line {n} was skipped: {fault}." for n, record in records if (fault := _fault(record))]
    rows = [[*record[:-1], record[-1] == "True"] for _, record in records if not _fault(record)]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"simulated": bool}), skipped


def simulate_answers(
    groups: Sequence[str], preferences: Mapping[str, Mapping[str, float]], participants: int, *, likeness=0.1, seed=0
) -> pd.DataFrame:
    """Made-up answers, to try the analysis on: no finding about any method. All have ``simulated`` = True.

    Each participant has a taste of their own, for each question from a Dirichlet distribution around the true shares,
    and answers by it, each group anew.

    Args:
        groups: their names.
        preferences: question → method → true share of the votes, above 0 and summing to 1.
        participants: how many.
        likeness: how alike one person's answers are: the intraclass correlation, in [0, 1).
        seed: decides everything.

    Raises:
        ValueError: unknown questions, shares or a likeness that are not as said.
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
    """The table behind the paper's Figure 4: each method's share of the votes, with a 95 % interval.

    Of several answers of one participant to one question of one group the **last** counts; ``replaced`` says how many
    gave way. One person's answers share that person's taste, so n people with k answers are not n·k independent votes:
    the bootstrap draws whole participants with all their answers (a cluster bootstrap; Davison and Hinkley 1997, 3.8).
    Its standard error, times √(n / (n - 1)), makes an interval of Student's t on the scale of log odds, as in survey
    statistics (R's ``survey::svyciprop``): shares are skewed, and the bootstrap's own percentiles cover too little with
    10 people. A method with no vote, or with all, shows no spread: there each person counts as a single vote
    (Clopper and Pearson 1934). The interval speaks of other people before the same photos, not of other photos.

    Args:
        answers: from :func:`read_answers` or :func:`simulate_answers`.
        methods: all that were shown, in the order wished; default: by name.
        resamples: how often the bootstrap draws.
        seed: of the bootstrap.

    Returns:
        A row a question and method: question, method, votes, answers, share, low, high, chance (1 / methods),
        participants, replaced, simulated. The shares of a question sum to 1.

    Raises:
        ValueError: no answers, simulated mixed with real ones, different or unknown methods, fewer than 2 participants.
    """
    if answers.empty:
        raise ValueError("There are no answers to analyse yet.")
    if answers["simulated"].nunique() > 1:
        raise ValueError("Simulated and real answers must not be mixed: keep the rows with one value of 'simulated'.")
    asked = {frozenset(shown.split("|")) for shown in answers["shown"].unique()}
    if len(asked) > 1:
        raise ValueError("The answers are about groups with different methods: analyse those of one set at a time.")
    methods = check_methods(methods or sorted(*asked))
    if unknown := (set(methods) | set(answers["method"])) ^ set(*asked):
        raise ValueError(f"Unknown or left-out method {min(unknown)!r}; {', '.join(sorted(*asked))} were shown.")
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
        half = stdtrit(n - 1, 0.975) * error / (share * (1 - share))[some]  # on the scale of log odds
        low[some], high[some] = expit(logit(share[some]) - half), expit(logit(share[some]) + half)
        low[share == 1], high[share == 1], high[share == 0] = 0.025 ** (1 / n), 1, 1 - 0.025 ** (1 / n)
        table = {"question": question, "method": methods, "votes": votes.sum(0).astype(int), "answers": len(part)}
        table |= {"share": share, "low": low, "high": high, "chance": 1 / len(methods)}
        replaced = int((answers["question"] == question).sum()) - len(part)
        marks = {"participants": n, "replaced": replaced, "simulated": bool(answers["simulated"].iloc[0])}
        rows.append(pd.DataFrame(table | marks))
    return pd.concat(rows, ignore_index=True)


def heading(table: pd.DataFrame) -> str:
    """What must stand above any figure or table of :func:`shares`: how many answered, and SIMULATED when nobody did."""
    text = f"{table['participants'].max()} participants, {table['answers'].max()} answers a question"
    return f"SIMULATED: {text}; no finding about any method" if table["simulated"].any() else text


def show_shares(table: pd.DataFrame) -> Figure:
    """Bars of :func:`shares`, a panel a question, with intervals and the chance level, as in the paper's Figure 4."""
    with plt.rc_context(plots.STYLE):
        parts = list(table.groupby("question", sort=False))
        size = (4.6 * len(parts) + 1.2, 0.42 * table["method"].nunique() + 1.7)
        figure, axes = plt.subplots(1, len(parts), figsize=size, sharex=True, sharey=True, squeeze=False)
        for axis, (question, part) in zip(axes[0], parts, strict=True):
            share, low, high = (100 * part[column] for column in ("share", "low", "high"))
            axis.barh(part["method"], share, xerr=(share - low, high - share), height=0.6, alpha=0.6, capsize=3)
            for y, (value, end) in enumerate(zip(share, high, strict=True)):
                place = {"textcoords": "offset points", "va": "center", "bbox": {"fc": "white", "ec": "none", "pad": 1}}
                axis.annotate(f"{value:.1f}", (end, y), (6, 0), **place)
            chance = axis.axvline(100 * part["chance"].iloc[0], color="#1f2937", ls="--", lw=1.2, zorder=1.5)
            axis.set(xlabel="share of the votes, % (line: 95 % interval)", title=textwrap.fill(QUESTIONS[question], 48))
        axes[0, 0].invert_yaxis()
        axes[0, 0].set_xlim(0, min(100, 100 * table["high"].max()) * 1.15)
        figure.legend([chance], ["chance"], loc="outside lower center")
        figure.suptitle(heading(table))
    return figure
