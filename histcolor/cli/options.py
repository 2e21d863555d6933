"""What the commands share: how one is added to the command line, progress bars, and what was skipped."""

from __future__ import annotations

import argparse
import re
import sys

Subparsers = argparse._SubParsersAction
quiet_bars = not sys.stderr.isatty()  # progress bars are for people; batch logs stay readable


def first_sentence(text: str) -> str:
    """The first sentence of a command's help, on one line."""
    return " ".join(re.split(r"\.\s", text)[0].split()).rstrip(".") + "."


def add_command(subparsers: Subparsers, name: str, text: str, run) -> argparse.ArgumentParser:
    """Add a command that calls ``run(args)``; its help begins with the first sentence of ``text``."""
    parser = subparsers.add_parser(
        name,
        help=first_sentence(text).replace("%", "%%"),
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def report_failed(failed: list[str], total: int = 1) -> int:
    """List on stderr what failed, and how many of several photos; the exit code is 1 if anything did."""
    for line in failed:
        print(f"histcolor: {line}", file=sys.stderr)
    if failed and total > 1:
        print(f"histcolor: {len(failed)} of {total} photos were skipped.", file=sys.stderr)
    return 1 if failed else 0
