"""What the commands share: types of options that know their range, progress bars, and what is said to the user."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from histcolor.checks import Range, visible
from histcolor.images import PACKED, read_table

Subparsers = argparse._SubParsersAction
quiet_bars = not (sys.stderr and sys.stderr.isatty())  # progress bars are for people; batch logs stay readable

# --- the command line ---


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong with the options, and not the usage besides."""

    def print_help(self, file: Any = None) -> None:
        """Print the help; argparse's own says nothing if that fails, as on a full disk."""
        print(self.format_help(), end="", file=file)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; ``--option=--``, which argparse takes for an option with an empty list, is refused."""
        for word in sys.argv[1:] if args is None else args:
            if re.fullmatch(r"-[^=]+=--", word):
                self.error(f"argument {word[:-3]}: must have another value than '--'")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(2, f"histcolor: {visible(message).rstrip('.')}; see '{self.prog} --help'.\n")


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


# --- types of options: each turns text into a value, or says why it can not ---


def in_range(allowed: Range) -> Callable[[str], Any]:
    """The type of a number that must lie in a range; NaN and infinity lie in none."""

    def read(value: str) -> float:
        try:
            return allowed.read(value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def number(low: float, high: float = math.inf, **ends: bool) -> Callable[[str], float]:
    """The type of a number from ``low`` to ``high``; ``above=True``, ``below=True``: without these two themselves."""
    return in_range(Range(low, high, **ends))


def count(low: int = 1, high: int = 10**9) -> Callable[[str], int]:
    """The type of a whole number from ``low`` to ``high``."""
    return in_range(Range(low, high, whole=True))


#: the type of pixels along each side of what a network sees
pixels = count(32, 1024)


def listed(read: Callable[[str], Any]) -> Callable[[str], list]:
    """The type of several values by commas, each of the type ``read``."""
    return lambda value: [read(word.strip()) for word in value.split(",")]


def text(value: str) -> str:
    """The type of a text that says something. An unset variable of the shell gives an empty one."""
    if not value.strip() or "\0" in value:
        raise argparse.ArgumentTypeError("must not be empty" if not value.strip() else "must not hold a zero byte")
    return value


def path(value: str) -> Path:
    """The type of a file or folder."""
    return Path(text(value))


def table(value: str) -> Path:
    """The type of a table that is written; its suffix makes sure that it is no photo or model that is replaced."""
    if not value.endswith((".csv", PACKED)):
        raise argparse.ArgumentTypeError(f"must end in .csv or {PACKED}, got {value!r}")
    return path(value)


def device(value: str) -> str:
    """The type of a device that this machine has: cpu, cuda, or one of several GPUs, as cuda:1."""
    if value == "cpu":
        return value
    if not (found := re.fullmatch(r"cuda(?::(\d{1,3}))?", value)):
        raise argparse.ArgumentTypeError(f"must be cpu, cuda or one of several GPUs, as cuda:1, got {value!r}")
    import torch

    if (there := torch.cuda.device_count() if torch.cuda.is_available() else 0) <= int(found[1] or 0):
        raise argparse.ArgumentTypeError(f"{value} is not here ({there} GPUs that torch can use); use cpu")
    return value


def of_field(kind: type, name: str) -> dict[str, Any]:
    """What ``add_argument`` needs for a dataclass's field: the same rule as :func:`histcolor.checks.check_fields`."""
    (field,) = (field for field in fields(kind) if field.name == name)
    about = {"help": field.metadata["about"].replace("%", "%%")}
    if isinstance(field.default, bool):
        return {**about, "action": argparse.BooleanOptionalAction, "default": None}
    if "choices" in field.metadata:
        return {**about, "choices": field.metadata["choices"]}
    return {**about, "type": in_range(field.metadata["range"]), "metavar": type(field.default).__name__.upper()}


# --- files that a command must not replace ---


def identity(path: Path) -> tuple[int, int] | None:
    """Tell which file a path leads to, through links and whatever the name's case; None: there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def is_ours(output: Path, column: str) -> bool:
    """Tell whether a table is there already that this command made: its first column has this name.

    Raises:
        ValueError: something else is there.
    """
    if not os.path.lexists(output):
        return False
    with suppress(OSError, ValueError, LookupError):
        if read_table(output).columns[0] == column:
            return True
    raise ValueError(f"{output}: is there already, and this command did not make it; choose another --output.")


# --- what is said ---


def of_system(error: Exception) -> str:
    """Say an error of the system, which has a number, in one sentence; empty for any other."""
    if not (isinstance(error, OSError) and error.strerror):
        return ""
    return f"{f'{error.filename}: ' if error.filename else ''}{error.strerror}."


def show(said: object) -> None:
    """Print lines on stdout, each made :func:`visible`, at once."""
    print("\n".join(map(visible, str(said).split("\n"))), flush=True)


def complain(said: object) -> None:
    """Print one line on stderr, made :func:`visible`."""
    with suppress(OSError, ValueError):  # nobody reads it any more
        print(f"histcolor: {visible(said)}", file=sys.stderr) if sys.stderr else None


def warn_of_size(model: Any, size: int | None, option: str) -> None:
    """Say on stderr that a network knows one size alone, where it is not that one that it will work at, or not known.

    Args:
        model: from :func:`histcolor.load`.
        size: the working size that ``option`` gives, if it is given.
        option: as it is written.
    """
    from histcolor.colorize import knows_one_size

    trained = model.trained_size
    if knows_one_size(model) and ((size is None) if trained is None else (size not in (None, trained))):
        pixels = f", {trained} pixels" if trained else ""
        complain(f"this network has no attention and knows the size it was trained at{pixels}; give it with {option}.")


def report_failed(failed: list[str], total: int = 1) -> int:
    """List on stderr what failed, and how many of several photos; the exit code is 1 if anything did."""
    for line in failed:
        complain(line)
    if failed and total > 1:
        complain(f"{len(failed)} of {total} photos were skipped.")
    return 1 if failed else 0
