"""What every notebook needs: where results go, the versions, and the record of its claims."""

from __future__ import annotations

import operator
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from histcolor.images import write_table

_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


@dataclass(frozen=True)
class Claim:
    """A statement that a number can refute: ``Claim("loss falls", "3.1", measured, "<", 0.9)``."""

    claim: str  #: one line, in words
    source: str  #: the section of the paper, or "ours"
    measured: float
    relation: str  #: one of >=, <=, >, <
    expected: float

    @property
    def holds(self) -> bool:
        """Whether the measured number stands in the relation to the expected one; NaN never does."""
        return bool(_COMPARE[self.relation](self.measured, self.expected))


def project_root() -> Path:
    """The project's folder: the nearest upwards with ``notebooks`` and ``pyproject.toml``; else the current one."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return here


def begin(results: str) -> Path:
    """Start a notebook: set the look of figures, print the versions, give the folder for results.

    Args:
        results: folder for figures, tables and claims; relative to the project, wherever the notebook is run.
    """
    from histcolor.plots import use_style

    use_style()
    names = ("histcolor", "torch", "scikit-image", "matplotlib", "pandas")
    print(f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names), sep=" · ")
    folder = project_root() / results
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def claims_table(claims: list[Claim]) -> pd.DataFrame:
    """Claims as a table: claim, source, expected, measured, holds."""
    return pd.DataFrame(
        [
            {
                "claim": c.claim,
                "source": c.source,
                "expected": f"{c.relation} {c.expected:g}",
                "measured": float(f"{c.measured:.4g}"),
                "holds": "yes" if c.holds else "no",
            }
            for c in claims
        ]
    )


def record_claims(folder: Path, notebook: str, claims: list[Claim]) -> pd.DataFrame:
    """Write a notebook's claims to ``folder/claims/NOTEBOOK.csv`` for the runner, and return them as a table."""
    table = claims_table(claims)
    write_table(table, folder / "claims" / f"{notebook}.csv")
    return table
