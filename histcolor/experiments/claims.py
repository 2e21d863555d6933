"""The statements that the tables are there for, each with a paired interval from the numbers a photo, and a verdict.

What is stated stands in ``notebooks/experiments.toml`` under ``[[claims]]``; what came out in ``results/claims.csv``.
``histcolor reproduce`` computes it again from the numbers a photo in ``results/tables``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from histcolor.experiments.definition import read_heading
from histcolor.experiments.run import collect
from histcolor.experiments.statistics import NUMBERS, differences
from histcolor.lessons.notebook import Claim

COLUMNS = ["claim", "source", "heading", "row", "against", "number", "over", "difference", "low", "high", "verdict"]
FIELDS = {"claim": str, "source": str, "heading": str, "row": str, "against": list, "number": str, "over": float}


def read_statements(path: Path) -> list[dict[str, Any]]:
    """The ``[[claims]]`` of ``experiments.toml``: ``row`` is above each row of ``against`` by more than ``over``.

    Raises:
        OSError: there is no such file.
        ValueError: a field is missing, unknown or of the wrong kind, or there is no such number.
    """
    found = []
    for i, table in enumerate(tomllib.loads(path.read_text(encoding="utf-8")).get("claims", []), start=1):
        statement = {"number": "psnr", "over": 0.0, **table}
        if set(statement) != set(FIELDS) or any(type(statement[key]) is not kind for key, kind in FIELDS.items()):
            kinds = ", ".join(f"{key} ({kind.__name__})" for key, kind in FIELDS.items())
            raise ValueError(f"{path}: claim {i} must have just {kinds}.")
        if statement["number"] not in NUMBERS:
            raise ValueError(f"{path}: claim {i}: there is no {statement['number']!r}; there are {', '.join(NUMBERS)}.")
        found.append(statement)
    return found


def judge(statement: Mapping[str, Any], numbers: pd.DataFrame) -> dict[str, Any] | None:
    """A line of ``claims.csv``, or None where a row is not measured yet.

    Of several rows it is compared with, the one that it is least ahead of counts. The verdict is "holds" where the
    whole 95 % interval is above ``over``, "refuted" where it is below, else "open".
    """
    pairs = [(statement["row"], against) for against in statement["against"]]
    table = differences(numbers, pairs)
    table = table[table["number"] == statement["number"]]
    if len(table) < len(pairs):
        return None
    least = table.loc[table["low"].idxmin()]
    low, high, over = least["low"], least["high"], statement["over"]
    verdict = "holds" if low > over else "refuted" if high < over else "open"
    line = {**statement, **least[["against", "difference", "low", "high"]].to_dict(), "verdict": verdict}
    return {name: line[name] for name in COLUMNS}


def judge_all(file: Path, tables: Path) -> pd.DataFrame:
    """All statements of a file that the tables have the rows for, see :func:`judge`; columns :data:`COLUMNS`.

    Args:
        file: ``experiments.toml``.
        tables: the folder with a folder for each heading, as ``histcolor experiment`` leaves them.
    """
    measured: dict[str, pd.DataFrame] = {}
    lines = []
    for statement in read_statements(file):
        name = statement["heading"]
        if name not in measured:
            measured[name] = collect(read_heading(file, name), tables / name)
        lines.append(judge(statement, measured[name]))
    return pd.DataFrame([line for line in lines if line], columns=COLUMNS)


def check_committed(file: Path, results: Path) -> list[Claim]:
    """The verdicts of ``results/claims.csv`` as claims on numbers computed again from the tables a photo.

    A claim that was refuted, or that the numbers leave open, is listed as that: what is checked is the verdict.

    Raises:
        ValueError: ``claims.csv`` has other statements than the file, or lacks one.
    """
    if not (results / "claims.csv").is_file():
        return []
    said, now = pd.read_csv(results / "claims.csv"), judge_all(file, results / "tables")
    if said["claim"].tolist() != now["claim"].tolist():
        raise ValueError(f"{results / 'claims.csv'}: has other claims than {file.name} and the tables give.")
    claims = []
    for line, verdict in zip(now.itertuples(), said["verdict"], strict=True):
        outside = max(line.low - line.over, line.over - line.high)  # above 0: the interval does not contain it
        text, measured, relation, expected = {
            "holds": ("lower end", line.low, ">", line.over),
            "refuted": ("upper end", line.high, "<", line.over),
            "open": ("how far outside", outside, "<=", 0.0),
        }[verdict]
        claims.append(Claim(f"{verdict}: {line.claim} (95 %, {text})", line.source, measured, relation, expected))
    numbers = ["difference", "low", "high"]
    error = float((said[numbers] - now[numbers]).abs().to_numpy().max())
    return [*claims, Claim("claims.csv against the numbers a photo: largest difference", "ours", error, "<", 1e-4)]
