"""``histcolor claims``: its options, the verdicts printed and written."""

from __future__ import annotations

import argparse
from pathlib import Path

from histcolor.cli import options
from histcolor.cli.options import Subparsers, add_command, show
from histcolor.lessons.notebook import project_root

CLAIMS = """\
Judge the claims of notebooks/experiments.toml from the per-image results of 'histcolor experiment': each with the 95 %
interval of its paired difference. It holds if all of the interval is above what is claimed, is refuted if all of
it is below, else it is open. Claims whose methods are not measured are left out.

  histcolor claims
  histcolor claims --tables my-tables --output my-claims.csv
"""


def add(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    sub = add_command(subparsers, "claims", CLAIMS, claims)
    sub.add_argument("--tables", type=options.path, default=Path("results/tables"), help="(default: %(default)s)")
    sub.add_argument("--output", type=options.table, default=Path("results/claims.csv"), help="(default: %(default)s)")
    sub.add_argument("--file", type=options.path, help="the experiments (default: notebooks/experiments.toml)")


def claims(args: argparse.Namespace) -> int:
    """``histcolor claims``: prints the verdicts, writes the table."""
    from histcolor.experiments.claims import write_claims
    from histcolor.experiments.statements import measure_statements

    options.is_ours(args.output, "claim")
    found = measure_statements(args.file or project_root() / "notebooks" / "experiments.toml", args.tables)
    if not found:
        raise FileNotFoundError(f"{args.tables}: has no measured method that a claim is about.")
    table = write_claims(found, args.output)
    show(table[["verdict", "claim", "number", "seeds", "expected", "measured", "low", "high"]].to_string(index=False))
    return 0
