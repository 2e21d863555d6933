"""Claims: statements that a measured number, or its interval, can refute; judged, written and read in one way."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pandas as pd

from histcolor.images import read_csv, write_table

COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
SHOWN = ["claim", "source", "expected", "measured", "low", "high", "verdict"]  #: of a file of claims, what pages show
#: of a file of claims; the fields that a claim does not have are empty
COLUMNS = [*SHOWN[:2], "experiment", "method", "against", "number", "seeds", *SHOWN[2:]]


@dataclass(frozen=True)
class Claim:
    """A statement that a number can refute: ``Claim("loss falls", "3.1", measured, "<", 0.9)``."""

    claim: str  #: one line, in words
    source: str  #: the section or table of the paper, or "ours"
    measured: float
    relation: str  #: one of >=, <=, >, <
    expected: float
    low: float | None = None  #: lower end of the 95 % interval; None: the number has no interval
    high: float | None = None  #: upper end
    experiment: str | None = None  #: in which ``number`` of ``method`` less that of ``against`` was measured
    method: str | None = None
    against: str | None = None
    number: str | None = None  #: one of :data:`histcolor.experiments.statistics.NUMBERS`
    seeds: str | None = None  #: how many of each method, "3 and 3"; with "1 and 1" the interval is about photos alone

    @property
    def verdict(self) -> str:
        """The judgement: "holds" if the whole interval does, "refuted" if none of it does, else "open".

        A number without an interval is an interval of no length: never open. NaN is always refuted.
        """
        ends = [self.measured if end is None else end for end in (self.low, self.high)]
        stands = [COMPARE[self.relation](end, self.expected) for end in ends]
        return "holds" if all(stands) else "open" if any(stands) else "refuted"

    @property
    def holds(self) -> bool:
        """Whether the verdict is "holds"."""
        return self.verdict == "holds"


def claims_table(claims: Iterable[Claim]) -> pd.DataFrame:
    """Put claims into a table, columns :data:`COLUMNS`; numbers have six digits."""
    lines = [{**asdict(c), "expected": f"{c.relation} {c.expected:g}", "verdict": c.verdict} for c in claims]
    table = pd.DataFrame(lines, columns=COLUMNS)
    for name in ("measured", "low", "high"):
        table[name] = [float(f"{x:.6g}") for x in table[name].astype(float)]
    return table


def write_claims(claims: Iterable[Claim], path: str | os.PathLike) -> pd.DataFrame:
    """Write claims as CSV, and return them as a table."""
    table = claims_table(claims)
    write_table(table, path)
    return table


def read_claims(path: str | os.PathLike) -> pd.DataFrame:
    """Read a file of claims, columns :data:`COLUMNS`; a source is text, even "2.1"."""
    return read_csv(path, dtype={"source": str})
