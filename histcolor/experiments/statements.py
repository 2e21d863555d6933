"""What the paper's tables state, measured from the per-image results, each with a paired interval.

The statements stand in ``notebooks/experiments.toml`` under ``[[claims]]``; what came out in ``results/claims.csv``.
``histcolor reproduce`` computes it again from the per-image results in ``results/tables``.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from histcolor.checks import Range, read_config
from histcolor.experiments.claims import Claim, claims_table, read_claims
from histcolor.experiments.definition import MEND, read_experiment
from histcolor.experiments.run import collect
from histcolor.experiments.statistics import NUMBERS, differences

FIELDS = {"claim": str, "source": str, "experiment": str, "method": str, "against": list, "number": str, "over": float}


def read_statements(path: Path) -> list[dict[str, Any]]:
    """Read the ``[[claims]]`` of ``experiments.toml``: ``method`` is above each of ``against`` by more than ``over``.

    Raises:
        OSError: there is no such file.
        ValueError: a field is missing, unknown or of the wrong kind, or there is no such number.
    """
    found, tables = [], read_config(path, MEND).get("claims", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"{path}: claims must be tables, each below [[claims]], got {reprlib.repr(tables)}.")
    for i, table in enumerate(tables, start=1):
        statement = {"number": "psnr", "over": 0.0, **table}
        if set(statement) != set(FIELDS) or any(type(statement[key]) is not kind for key, kind in FIELDS.items()):
            kinds = ", ".join(f"{key} ({kind.__name__})" for key, kind in FIELDS.items())
            raise ValueError(f"{path}: claim {i} must have just {kinds}.")
        if statement["number"] not in NUMBERS:
            raise ValueError(f"{path}: claim {i}: there is no {statement['number']!r}; there are {', '.join(NUMBERS)}.")
        names = statement["against"]
        if not names or not all(isinstance(name, str) for name in names) or statement["over"] not in Range(-100, 100):
            raise ValueError(f"{path}: claim {i}: against must name methods, and over be a number from -100 to 100.")
        found.append(statement)
    return found


def measure_statement(statement: Mapping[str, Any], results: pd.DataFrame) -> Claim | None:
    """Measure a statement from per-image results; None where a method is not measured yet.

    Of several methods it is compared with, one counts: that which refutes it most clearly, or else that which its
    interval leaves nearest to doing so.
    """
    pairs = [(statement["method"], against) for against in statement["against"]]
    kind, _, _ = NUMBERS[statement["number"]]
    table = differences(results[results["reference_kind"] == kind], pairs)
    table = table[table["number"] == statement["number"]]
    if len(table) < len(pairs):
        return None
    refuting = table[table["high"] <= statement["over"]]
    least = refuting.loc[refuting["high"].idxmin()] if len(refuting) else table.loc[table["low"].idxmin()]
    about = {name: statement[name] for name in ("claim", "source", "experiment", "method", "number")}
    interval = {"measured": least["difference"], "low": least["low"], "high": least["high"]}
    pair = {"against": least["against"], "seeds": least["seeds"]}
    return Claim(**about, **interval, **pair, relation=">", expected=statement["over"])


def measure_statements(file: Path, tables: Path) -> list[Claim]:
    """Measure all statements of a file that the tables have the methods for, with a paired 95 % interval.

    Args:
        file: ``experiments.toml``.
        tables: the folder with a folder for each experiment, as ``histcolor experiment`` leaves them.
    """
    collected = cache(lambda name: collect(read_experiment(file, name), tables / name))
    found = [measure_statement(one, collected(one["experiment"])) for one in read_statements(file)]
    return [claim for claim in found if claim]


def check_committed(file: Path, results: Path, now: list[Claim] | None = None) -> list[Claim]:
    """Make claims of the verdicts of ``results/claims.csv``, on numbers computed again from the per-image results.

    A claim that was refuted, or that the numbers leave open, is listed as that: what is checked is the verdict.
    ``now`` is what :func:`measure_statements` gave for these tables, if it is at hand.

    Raises:
        ValueError: ``claims.csv`` has other statements than the file, or lacks one.
    """
    if not (results / "claims.csv").is_file():
        return []
    said = read_claims(results / "claims.csv")
    now = measure_statements(file, results / "tables") if now is None else now
    if said["claim"].tolist() != [claim.claim for claim in now]:
        raise ValueError(f"{results / 'claims.csv'}: has other claims than {file.name} and the tables give.")
    claims = []
    for claim, verdict in zip(now, said["verdict"], strict=True):
        words = f"{verdict}: {claim.claim}"
        if verdict == "open":
            outside = max(claim.low - claim.expected, claim.expected - claim.high)  # above 0: it is not in the interval
            claims.append(Claim(f"{words} (how far outside the interval)", claim.source, outside, "<=", 0.0))
        else:
            claims.append(replace(claim, claim=words, relation={"holds": ">", "refuted": "<="}[verdict]))
    columns = ["measured", "low", "high"]
    error = float((said[columns] - claims_table(now)[columns]).abs().to_numpy().max())
    return [*claims, Claim("claims.csv against the per-image results: largest difference", "ours", error, "<", 1e-4)]
