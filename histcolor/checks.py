"""Checks of what comes from outside: numbers in their range, words of a list, tables in TOML and JSON files, names."""

from __future__ import annotations

import json
import math
import os
import reprlib
import tomllib
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from histcolor.files import refuse_pipe


@dataclass(frozen=True)
class Range:
    """The numbers that an option or a field may hold: from ``low`` to ``high``, never NaN or infinity."""

    low: float
    high: float = math.inf
    whole: bool = False  #: whole numbers alone
    above: bool = False  #: ``low`` itself is left out
    below: bool = False  #: ``high`` itself is left out

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real) or value == math.inf:
            return False
        low = self.low < value if self.above else self.low <= value
        return low and (value < self.high if self.below else value <= self.high)  # NaN is in no range

    def __str__(self) -> str:
        low, high = f"{self.low:,.12g}", f"{self.high:,.12g}"
        if self.high == math.inf:
            words = f"above {low}" if self.above else f"of at least {low}"
        elif not (self.above or self.below):
            words = f"from {low} to {high}"
        else:
            low = f"above {low}" if self.above else f"of at least {low}"
            words = f"{low} and {'below' if self.below else 'at most'} {high}"
        return f"a {'whole ' if self.whole else ''}number {words}"

    def read(self, text: str) -> int | float:
        """Read a number from text.

        Raises:
            ValueError: it is no such number; the message says the range.
        """
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            value = None
        if value not in self:
            raise ValueError(f"must be {self}, got {reprlib.repr(text)}")
        return value


# fields of a configuration, of the default's type as dataclasses.field says; ``about`` is also the help of the option


def within(default: float, low: float, high: float, about: str, *, above: bool = False, below: bool = False) -> Any:
    """Make a dataclass's field for a number that knows its :class:`Range`; it is whole if the default is."""
    allowed = Range(low, high, isinstance(default, int), above, below)
    return field(default=default, metadata={"range": allowed, "about": about})


def one_of(default: str, choices: tuple[str, ...], about: str) -> Any:
    """Make a dataclass's field for a word from a list."""
    return field(default=default, metadata={"choices": choices, "about": about})


def switch(default: bool, about: str) -> Any:
    """Make a dataclass's field that is true or false."""
    return field(default=default, metadata={"about": about})


def check_fields(config: Any) -> None:
    """Check the values of a dataclass against what its fields allow: :func:`within`, :func:`one_of`, true or false.

    Raises:
        ValueError: names the field, what it may hold and what it holds.
    """
    for f in fields(config):
        value, choices, allowed = getattr(config, f.name), f.metadata.get("choices"), f.metadata.get("range")
        if choices and value not in choices:
            raise ValueError(f"{f.name} must be one of {', '.join(choices)}, got {reprlib.repr(value)}.")
        if allowed and value not in allowed:
            raise ValueError(f"{f.name} must be {allowed}, got {reprlib.repr(value)}.")
        if isinstance(f.default, bool) and not isinstance(value, bool):
            raise ValueError(f"{f.name} must be true or false, got {reprlib.repr(value)}.")


def read_config(path: str | os.PathLike, mend: str = "") -> dict[str, Any]:
    """Read a table of names and values from a TOML file, or from a JSON file, whose suffix says so.

    Args:
        path: the file.
        mend: what to do if it is missing; it ends the sentence.

    Raises:
        OSError: there is no such file, or it may not be read.
        ValueError: it is no TOML or JSON, or it holds something else than a table; names the file.
    """
    path = Path(path)
    kind, loads = ("JSON", json.loads) if path.suffix == ".json" else ("TOML", tomllib.loads)
    try:
        refuse_pipe(path)
        values = loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: is missing{mend and '; ' + mend}.") from error
    except (ValueError, RecursionError) as error:  # neither text, nor TOML or JSON, nor nested within reason
        raise ValueError(f"{path}: is no valid {kind}: {error}.") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: must hold a table of names and values, got {reprlib.repr(values)}.")
    return values


def flat(values: Any, name: str = "") -> dict[str, Any]:
    """Make one dictionary of nested ones, with names like ``model.bins``."""
    if not isinstance(values, dict):
        return {name: values}
    return {k: v for key, value in values.items() for k, v in flat(value, f"{name}.{key}".lstrip(".")).items()}


def visible(said: object) -> str:
    """Escape what a terminal would obey or hide: control characters, as a file's name may hold them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(said))
