"""``histcolor reproduce``: its options."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from histcolor.cli import options
from histcolor.cli.options import Subparsers, add_command
from histcolor.files import hold, lock_beside

REPRODUCE = """\
Run all notebooks headlessly and check the claims; writes the report results/reproduce/index.html.

  histcolor reproduce                     four minutes on two cores
  histcolor reproduce --profile smoke     about three minutes, for tests
"""


def add(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    sub = add_command(subparsers, "reproduce", REPRODUCE, reproduce)
    sub.add_argument("--profile", type=options.text, default="demo", help="smoke, demo or paper (default: %(default)s)")
    sub.add_argument("--output", type=options.path, default=Path("results/reproduce"), help="(default: %(default)s)")


def reproduce(args: argparse.Namespace) -> int:
    """``histcolor reproduce``: one at a time in a folder, which nothing else has filled."""
    from histcolor.lessons.notebook import project_root
    from histcolor.lessons.reproduce import reproduce as run
    from histcolor.lessons.runner import read_profile

    read_profile(project_root() / "notebooks", args.profile)  # is there such a one? Before a folder is made
    ours = os.path.isdir(args.output) and ((args.output / "executed").is_dir() or not any(args.output.iterdir()))
    if os.path.lexists(args.output) and not ours:
        raise ValueError(f"{args.output}: is there already, and this command did not make it; choose another --output.")
    with hold(args.output, lock_beside(args.output)):
        return run(args.profile, args.output)
