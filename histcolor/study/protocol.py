"""The rules of the paper's user study (3.3, Figure 4): the questions, the pictures, and their order."""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

QUESTIONS = {
    "natural": "Which image is more natural?",
    "consistent": "Which image is more consistent with the exemplar image in color distribution?",
}  #: the paper's two questions (3.3), by their names in the file of answers
LONGEST = 100  #: characters of a participant's name
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"  #: what participants see in place of the methods' names


@dataclass(frozen=True, eq=False)
class Group:
    """The pictures that are judged together: a gray photo, an exemplar, and the results of several methods.

    Raises:
        ValueError: no name, fewer than 2 methods, or a picture that is not RGB ``[3, H, W]``.
    """

    name: str  #: unique in a study
    target: Tensor  #: the gray photo, RGB ``[3, H, W]`` in [0, 1]
    exemplar: Tensor  #: the reference image, RGB ``[3, H, W]`` in [0, 1]
    results: dict[str, Tensor]  #: method → the coloured photo, RGB ``[3, H, W]`` in [0, 1]

    def __post_init__(self):
        if not self.name.strip():
            raise ValueError("A group needs a name.")
        check_methods(self.results)
        for title, picture in {"target": self.target, "exemplar": self.exemplar, **self.results}.items():
            if picture.ndim != 3 or picture.shape[0] != 3:
                raise ValueError(f"{self.name}: {title} must be RGB [3, H, W], got shape {tuple(picture.shape)}.")


def check_methods(names: Iterable[str]) -> list[str]:
    """Check the names of a study's methods, and return them as a list.

    Raises:
        ValueError: fewer than 2 or more than 26 names; or two names are equal, or one is empty or contains ``|``.
    """
    names = list(names) if isinstance(names, Iterable) else []
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"The names of methods must be texts, got {reprlib.repr(names)}.")
    if not 2 <= len(set(names)) == len(names) <= len(LETTERS):
        raise ValueError(f"A study compares 2 to {len(LETTERS)} different methods, got {', '.join(names) or 'none'}.")
    if bad := [name for name in names if not name.strip() or "|" in name]:
        raise ValueError(f"A method's name must not be empty or hold '|', got {bad[0]!r}.")
    return names


def check_participant(name: str) -> str:
    """Check a participant's name, and return it without the blanks around it.

    Raises:
        ValueError: no name, or one of more than :data:`LONGEST` characters.
    """
    if not isinstance(name, str) or not name.strip():
        raise ValueError("The participant has no name; a code such as 'P07' will do.")
    if len(name.strip()) > LONGEST:
        raise ValueError(f"A participant's name has at most {LONGEST} characters, got {len(name.strip()):,}.")
    return name.strip()


def check_groups(groups: Sequence[Group]) -> list[str]:
    """Check that all groups have the same methods, and return the methods' names.

    Raises:
        ValueError: no groups, two groups with the same name, or different methods.
    """
    if not groups or len({group.name for group in groups}) < len(groups):
        raise ValueError("A study needs at least one group, and all groups need different names.")
    for group in groups:
        if set(group.results) != set(groups[0].results):
            has = [f"{g.name!r} has {', '.join(g.results)}" for g in (groups[0], group)]
            raise ValueError(f"All groups must have the same methods: {'; '.join(has)}.")
    return list(groups[0].results)


def _shuffled(items: Iterable, *key: object) -> list:
    """Sort items by a hash of key and item: it looks random, but is the same with every version of every library."""
    return sorted(items, key=lambda item: hashlib.sha256(repr((*key, item)).encode()).digest())


def plan(groups: Iterable[str], methods: Iterable[str], participant: str, seed: int = 0) -> list[tuple[str, list[str]]]:
    """Choose the order in which one participant sees the groups, and the methods in each group.

    The same names, seed and participant always give the same order, so a participant who comes back can go on. With M
    methods, in every M groups each method is at each position exactly once (a Latin square). So no method gains when
    people like to choose, say, the first picture.

    Returns:
        For each group: its name, and the methods in the order in which they are shown.

    Raises:
        ValueError: the participant does not pass :func:`check_participant`, or the methods :func:`check_methods`.
    """
    check_participant(participant)
    names, methods, steps = _shuffled(groups, seed, participant), check_methods(methods), []
    for start in range(0, len(names), len(methods)):
        row = _shuffled(methods, seed, participant, start)
        turns = _shuffled(range(len(methods)), seed, participant, start)
        for name, turn in zip(names[start : start + len(methods)], turns, strict=False):
            steps.append((name, row[turn:] + row[:turn]))
    return steps
