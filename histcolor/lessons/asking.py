"""What lesson 07 shows and asks: groups of pictures, killed programs, simulated studies, and the stubs' checks."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from histcolor.color import rgb_to_lab
from histcolor.colorize import resize
from histcolor.demo import DEMO_PHOTOS, demo_photo
from histcolor.evaluate import Task
from histcolor.images import find_images, read_image
from histcolor.lessons.stub import Stub
from histcolor.plots import image_grid
from histcolor.study.analysis import shares, simulate_answers
from histcolor.study.protocol import LETTERS, QUESTIONS, Group, plan

BLUE, ORANGE, GRAY, INK = "#2b6cb0", "#d9622b", "#6b7280", "#1f2937"
#: ways to compute an interval, and the columns of its ends
KINDS = {
    "bootstrap over people": ("low", "high"),
    "… its percentiles alone": ("plain low", "plain high"),
    "votes as independent": ("naive low", "naive high"),
}
#: what the simulated people really prefer; invented, and about no method
INVENTED = {
    "natural": {f"method {i}": p for i, p in enumerate((0.31, 0.28, 0.17, 0.14, 0.10), 1)},
    "consistent": {f"method {i}": p for i, p in enumerate((0.40, 0.20, 0.16, 0.14, 0.10), 1)},
}
WRITER = """
import itertools, sys, time
from histcolor.study.answers import append_answer
answer = {"question": "natural", "method": "a", "shown": ["a", "b"], "simulated": True}
for number in itertools.count():
    append_answer(sys.argv[1], participant=sys.argv[2], group=f"group {number}", **answer)
    print(number, flush=True)  # acknowledged
    time.sleep(0.002)  # else the others wait long for their turn
"""


def read_photos(folder: str, size: int) -> dict[str, Tensor]:
    """Read a folder's photos, or those at hand if it is "": by name, RGB, ``size`` pixels at the longer side."""
    found = {}
    for source in find_images(Path(folder).expanduser()) if folder else DEMO_PHOTOS:
        rgb = read_image(source) if folder else demo_photo(source)
        scale = size / max(rgb.shape[1:])
        shape = tuple(max(1, round(side * scale)) for side in rgb.shape[1:])
        found[Path(source).stem] = resize(rgb, shape).clamp(0, 1)
    return found


def make_groups(photos: Mapping[str, Tensor], methods: Mapping[str, Callable], pairs: int) -> list[Group]:
    """Colour each photo after another one by each method, for at most ``pairs`` pairs."""
    names, groups = list(photos), []
    turned = [(name, names[(i + k) % len(names)]) for k in range(1, len(names)) for i, name in enumerate(names)]
    for target, exemplar in turned[:pairs]:
        task = Task(rgb_to_lab(photos[target])[:1], rgb_to_lab(photos[exemplar]))
        results = {name: method(task) for name, method in methods.items()}
        groups.append(Group(f"{target} after {exemplar}", task.gray, photos[exemplar], results))
    return groups


def group_figure(group: Group, shown: Sequence[str]) -> Figure:
    """Draw a group as a participant sees it, with the methods' names below, which participants never see."""
    pictures = [group.exemplar, group.target, *(group.results[method] for method in shown)]
    titles = ["exemplar", "gray photo", *LETTERS[: len(shown)]]
    notes = ["", "", *shown]
    half = (len(pictures) + 1) // 2
    rows = [pictures[:half], [*pictures[half:], *[None] * (2 * half - len(pictures))]]
    names = [titles[:half], [*titles[half:], *[""] * (2 * half - len(titles))]]
    below = [notes[:half], [*notes[half:], *[""] * (2 * half - len(notes))]]
    words = [[f"{a}: {b}" if b else a for a, b in zip(x, y, strict=True)] for x, y in zip(names, below, strict=True)]
    figure = image_grid(rows, [""] * half, notes=words, height=2.3)
    for axis in figure.axes:
        for text in axis.texts:
            text.set_size(11)
    return figure


def killed_writers(path: Path, names: Sequence[str], answers: int = 10) -> dict[str, set[str]]:
    """Let programs write answers into one file as fast as they can, and kill each of them amid its work.

    Returns:
        By program, the groups whose answers were acknowledged before the kill: at least ``answers`` of them, but for a
        program that waited too long for its turn.
    """
    for old in path.parent.glob(f"{path.name}*"):  # of an earlier run
        old.unlink()
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = {name: subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in names}
    acknowledged = {}
    try:
        for name, writer in writers.items():
            lines = [writer.stdout.readline() for _ in range(answers)]
            writer.kill()
            lines += writer.communicate()[0].splitlines()
            acknowledged[name] = {f"group {int(line)}" for line in lines if line.strip()}
    finally:
        for writer in writers.values():
            writer.kill()
            writer.wait()
    return acknowledged


def true_shares(table: pd.DataFrame) -> list[float]:
    """Look up the invented true share of each line of a table of shares."""
    return [INVENTED[question][method] for question, method in zip(table["question"], table["method"], strict=True)]


def percentiles(answers: pd.DataFrame, *, resamples: int = 1000, seed: int = 0) -> np.ndarray:
    """Compute the middle 95 % of stub 3's draws: the plain percentile bootstrap, too narrow for few people.

    Args:
        answers: each person answered each question of each group once.
        resamples: how many times people are drawn.
        seed: of the draws.

    Returns:
        Low and high in the order of :func:`histcolor.study.analysis.shares`, ``[questions · methods, 2]``.
    """
    methods, ends = sorted(answers["shown"].iloc[0].split("|")), []
    for question in (name for name in QUESTIONS if name in set(answers["question"])):
        part = answers[answers["question"] == question]
        person, people = pd.factorize(part["participant"])
        votes = np.zeros((len(people), len(methods)))  # of each participant for each method
        np.add.at(votes, (person, [methods.index(method) for method in part["method"]]), 1)
        drawn = np.random.default_rng(seed).integers(len(people), size=(resamples, len(people)))
        ends.append(np.quantile(votes[drawn].sum(1) / len(part), (0.025, 0.975), axis=0).T)
    return np.concatenate(ends)


def coverage_figure(studies: pd.DataFrame, truth: float) -> Figure:
    """Draw the intervals of many simulated studies for one method, computed in two ways: which of them cover the truth?

    Args:
        studies: a line a study, with study, share, low, high, naive low, naive high; shares in [0, 1].
        truth: the true share.
    """
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), sharey=True)
    first, *_, last = KINDS.items()
    for axis, (kind, ends) in zip(axes, (first, last), strict=True):
        covers = (studies[ends[0]] <= truth) & (truth <= studies[ends[1]])
        for part, colour, style in ((studies[covers], BLUE, "-"), (studies[~covers], ORANGE, (0, (2, 1)))):
            axis.vlines(part["study"], *(100 * part[end] for end in ends), colors=colour, lw=2.2, linestyles=style)
            axis.scatter(part["study"], 100 * part["share"], c=colour, s=10, zorder=3)
        axis.axhline(100 * truth, color=INK, ls="--", lw=1.2)
        axis.set(xlabel="simulated study", title=f"{kind}: {(~covers).sum()} of {len(studies)} miss")
    axes[0].set_ylabel("share of method 1, %")
    figure.suptitle("SIMULATED: 95 % intervals of small studies; dashed line: the true share")
    return figure


def simulated_half_width(people: int, photos: int, likeness: float, seed: int, repeats: int = 4) -> float:
    """Simulate studies, and average half the width of their intervals, in percentage points."""
    names, widths = [f"group {i}" for i in range(photos)], []
    for repeat in range(repeats):
        question = {"natural": INVENTED["natural"]}
        votes = simulate_answers(names, question, people, likeness=likeness, seed=seed + repeat)
        found = shares(votes, resamples=1000, seed=repeat)
        widths.append(50 * float((found["high"] - found["low"]).mean()))
    return float(np.mean(widths))


def people_figure(
    by_people: Mapping[int, float], by_photos: Mapping[int, float], formula: Callable[[float, float], float]
) -> Figure:
    """Draw half the width of an interval over the number of people and of photos, simulated and by the formula.

    Args:
        by_people: people → percentage points, with 30 groups each.
        by_photos: groups each → percentage points, with 30 people.
        formula: people and groups each → percentage points.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True)
    panels = (
        ("30 groups for each, more people", "people", by_people, lambda n: formula(n, 30)),
        ("30 people, more groups for each", "groups for each person", by_photos, lambda k: formula(30, k)),
    )
    for axis, (title, what, found, curve) in zip(axes, panels, strict=True):
        many = np.geomspace(0.9 * min(found), 1.1 * max(found), 60)
        axis.plot(many, [curve(n) for n in many], color=GRAY, lw=1.4, label="formula")
        axis.plot(list(found), list(found.values()), "o", color=BLUE, ms=7, label="simulated studies")
        axis.set(xscale="log", xlabel=what, ylim=(0, None), title=title)
        axis.set_xticks(list(found), [str(count) for count in found])
        axis.minorticks_off()
        axis.legend()
    axes[1].axhline(formula(30, np.inf), color=GRAY, ls=":", lw=1.4)
    axes[1].text(min(by_photos), 0.92 * formula(30, np.inf), "never below this line", va="top", color="#4b5563")
    axes[0].set_ylabel("± percentage points")
    figure.suptitle("SIMULATED: half the width of a 95 % interval, likeness 0.1")
    return figure


def most_uneven(groups: Sequence[str], methods: Sequence[str], people: int, seed: int) -> int:
    """Count how unevenly methods are spread over positions: largest less smallest count, over all participants."""
    uneven = []
    for number in range(people):
        steps = plan(groups, methods, f"P{number}", seed)
        for position in range(len(methods)):
            count = Counter(shown[position] for _, shown in steps)
            uneven.append(max(count.values()) - min(count.get(method, 0) for method in methods))
    return max(uneven)


def _half(p: Tensor, people: int, photos: int, likeness: float) -> Tensor:
    return 1.96 * (p * (1 - p) / (people * photos) * (1 + (photos - 1) * likeness)).sqrt()


def _independent(p, people, photos, likeness):
    """The design effect D is missing: this counts all votes as independent."""
    return _half(p, people, photos, 0.0)


def _people_alone(p, people, photos, likeness):
    """n is the number of votes, people × photos."""
    return _half(p, people, photos, likeness) * photos**0.5


def _outside(p, people, photos, likeness):
    """D multiplies the variance: it stands under the root."""
    return _half(p, people, photos, 0.0) * (1 + (photos - 1) * likeness)


def _all_photos(p, people, photos, likeness):
    """A vote is alike to the *other* votes of its person: D = 1 + (k − 1)ϱ, with k − 1."""
    return 1.96 * (p * (1 - p) / (people * photos) * (1 + photos * likeness)).sqrt()


def _one_error(p, people, photos, likeness):
    """This is one standard error: 95 % of a bell curve are within 1.96 of them."""
    return _half(p, people, photos, likeness) / 1.96


HALF_WIDTH = Stub(
    "half_width",
    _half,
    lambda: (torch.tensor([0.3056, 0.4033]), 30, 20, 0.1),
    (_independent, _people_alone, _outside, _all_photos, _one_error),
)


def _square(M: int) -> Tensor:
    return (torch.arange(M)[:, None] + torch.arange(M)) % M


def _same_rows(M):
    """All rows are alike, so method 0 is always the first: turn each row by one more."""
    return torch.arange(M).repeat(M, 1)


def _not_round(M):
    """There are numbers from M up: go round in a circle, with % M."""
    return torch.arange(M)[:, None] + torch.arange(M)


def _backwards(M):
    """This is a Latin square, too, but it turns the other way: row r begins with method r."""
    return (torch.arange(M) - torch.arange(M)[:, None]) % M


LATIN = Stub("latin", lambda M: _square(M).float(), lambda: (7,), (_same_rows, _not_round, _backwards))


def _drawn() -> tuple[Tensor, Tensor]:
    votes = torch.tensor([[3.0, 1, 0], [0, 2, 8], [5, 5, 0], [1, 0, 1]])
    return votes, torch.tensor([1, 1, 1, 0])


def _each_once(votes, drawn):
    """Somebody who is drawn twice must count twice: index with drawn as it is."""
    return votes[drawn.unique()].sum(0) / votes[drawn.unique()].sum()


def _all_people(votes, drawn):
    """You counted everybody once: take the people that were drawn, votes[drawn]."""
    return votes.sum(0) / votes.sum()


def _counts(votes, drawn):
    """These are votes: shares are votes divided by their sum."""
    return votes[drawn].sum(0)


def _old_total(votes, drawn):
    """You divided by all votes of the study: divide by the votes of those who were drawn."""
    return votes[drawn].sum(0) / votes.sum()


def _mean_of_shares(votes, drawn):
    """You took the mean of each person's shares: add up the votes first, so that each vote counts alike."""
    return (votes[drawn] / votes[drawn].sum(1, keepdim=True)).mean(0)


DRAWN_SHARES = Stub(
    "drawn_shares",
    lambda votes, drawn: votes[drawn].sum(0) / votes[drawn].sum(),
    _drawn,
    (_each_once, _all_people, _counts, _old_total, _mean_of_shares),
)
