"""The command line: ``histcolor`` or ``python -m histcolor``. Here errors become a sentence and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress

from histcolor.cli import claims, colorize, data, evaluate, experiment, reproduce, train
from histcolor.cli.options import Parser, complain, of_system
from histcolor.cli.signals import stoppable

DEBUG = "HISTCOLOR_DEBUG"  #: the environment variable that, set to 1, shows where an error arose


def build_parser() -> Parser:
    """The whole command line's parser."""
    parser = Parser(
        prog="histcolor",
        description="Histogram-guided semantic-aware colorization.",
        epilog=f"With {DEBUG}=1 in the environment, an error shows its traceback.",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (colorize, data, train, evaluate, experiment, claims, reproduce):
        command.add(subparsers)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run a command, and turn whatever it raises into one line on stderr.

    Returns:
        The exit code: 0; 1 after an error; 130 after Ctrl-C, 143 after SIGTERM; 141 if nobody reads the output.

    Raises:
        SystemExit: with 0 after ``--help``, with 2 for wrong options.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # a terminal that knows ASCII alone gets \u2026 for an ellipsis
            stream.reconfigure(errors="backslashreplace")
    try:
        with stoppable():
            try:
                args = build_parser().parse_args(argv)
                args.words = sys.argv[1:] if argv is None else argv  # for processes that do the same
                return args.run(args) or 0
            finally:
                if sys.stdout:
                    sys.stdout.flush()  # here, where what goes wrong is still caught
    except KeyboardInterrupt as stop:
        complain("stopped.")
        return getattr(stop, "code", 130)
    except BrokenPipeError:  # as of `histcolor … | head -1`
        drop_output()
        return 141
    except Exception as error:  # libraries raise what they like
        if os.environ.get(DEBUG, "0") not in ("", "0"):
            traceback.print_exc()
        complain(sentence(error))
        if isinstance(error, OSError):
            drop_output()  # it may be stdout that is full
        return 1


def sentence(error: Exception) -> str:
    """Say in one sentence what went wrong. The library's own errors are sentences already."""
    if isinstance(error, ImportError) and error.name:
        return f"{error.name.split('.')[0]} is not installed; install it with: pip install 'histcolor[notebooks]'."
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return "There is not enough memory for this."
    if text := of_system(error):
        return text
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, ValueError | OSError | ArithmeticError):
        return "\n".join(lines)  # a line break is part of a file's name, and is shown escaped
    return f"{type(error).__name__}: {lines[0].rstrip('.')} ({DEBUG}=1 shows where)."


def drop_output() -> None:
    """Send what stdout still holds nowhere if it can not be written: else Python complains once more as it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (AttributeError, ValueError):  # there is none, or it is closed
        pass
