"""The command line: ``histcolor`` or ``python -m histcolor``. Here errors become a sentence and an exit code."""

from __future__ import annotations

import argparse
import sys

from histcolor.cli import claims, colorize, data, evaluate, experiment, reproduce, train


def build_parser() -> argparse.ArgumentParser:
    """The whole command line's parser."""
    parser = argparse.ArgumentParser(prog="histcolor", description="Histogram-guided semantic-aware colorization.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (colorize, data, train, evaluate, experiment, claims, reproduce):
        command.add(subparsers)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 after an error (one line on stderr), 2 for wrong options."""
    args = build_parser().parse_args(argv)
    args.words = sys.argv[1:] if argv is None else argv  # for processes that do the same
    try:
        return args.run(args) or 0
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"histcolor: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("histcolor: stopped.", file=sys.stderr)
        return 130
