"""``histcolor data pack`` and ``histcolor data get``: their options, and what they print."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from histcolor.cli import datasets, options
from histcolor.cli.options import Subparsers, add_command, quiet_bars, report_failed, show
from histcolor.data import MIN_BYTES, build_pack, check_pack

DATA_PACK = """\
Turn folders or tars of photos into a pack for training. Gray photos, files under 3072 bytes (--min-bytes) and damaged
files are left out; the pack's manifest.csv says which and why.

  histcolor data pack ~/Photos --output data/mine --size 144
  histcolor data pack imagenette.tar --keep train --output data/imagenette-train --size 144
  histcolor data pack small-webps.tar --min-bytes 0 --output data/webps --size 144
"""
SOURCES = "\n".join(
    f"  {name:<13} {source.holds}: {source.photos:,} photos, "
    f"{f'about {source.megabytes:,} MB' if source.megabytes else 'its archives fetched by hand'}; {source.terms}"
    for name, source in datasets.DATASETS.items()
)
DATA_GET = f"""\
Download data sets through torchvision (checked by hash) into a folder; needs a network. Says the command that makes a
pack of each; with --pack it makes one pack of all that were named.

  histcolor data get imagenette voc2012 --root data
  histcolor data get imagenette --root data --pack data/imagenette-144 --size 144

The data sets, their downloads and their terms:

{SOURCES}
"""


def add(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    data = subparsers.add_parser("data", help="Make packs of photos for training, or download data sets.")
    data_parsers = data.add_subparsers(dest="data_command", required=True, metavar="COMMAND")
    sub = add_command(data_parsers, "pack", DATA_PACK, data_pack)
    sub.add_argument("sources", nargs="+", type=options.path, metavar="FOLDER_OR_TAR")
    sub.add_argument("--output", type=options.path, required=True, help="the pack's folder; must not exist")
    sub.add_argument("--size", type=options.pixels, default=144, help="pixels along each side (default: %(default)s)")
    sub.add_argument("--keep", type=options.text, help="only files whose name contains this")
    sub.add_argument(
        "--min-bytes",
        type=options.count(0),
        default=MIN_BYTES,
        metavar="N",
        help="leave out smaller files; the paper's rule for originals, use 0 for small WebPs (default: %(default)s)",
    )
    sub = add_command(data_parsers, "get", DATA_GET, data_get)
    sub.add_argument("names", nargs="+", choices=list(datasets.DATASETS), metavar="NAME", help="see the list above")
    sub.add_argument(
        "--root", type=options.path, default=Path("data"), help="folder to download into (default: %(default)s)"
    )
    sub.add_argument("--pack", type=options.path, metavar="FOLDER", help="also make this pack of them; must not exist")
    sub.add_argument(
        "--size", type=options.pixels, default=144, help="pixels along each side of a pack (default: %(default)s)"
    )
    sub.set_defaults(keep=None, min_bytes=MIN_BYTES)


def data_pack(args: argparse.Namespace) -> int:
    """``histcolor data pack``: exit code 1 if a subfolder could not be read."""
    failed: list[str] = []
    given = {"keep": args.keep or "", "min_bytes": args.min_bytes, "failed": failed, "quiet": quiet_bars}
    about = build_pack(args.sources, args.output, args.size, **given)
    left_out = ", ".join(f"{count} {reason}" for reason, count in about["rejected"].items()) or "none"
    show(f"{args.output}: {about['photos']} photos of {args.size}×{args.size}; left out: {left_out}.")
    return report_failed(failed)


def data_get(args: argparse.Namespace) -> int:
    """``histcolor data get``: what can not be got is listed at the end; a pack is made of all or none."""
    check_pack(args.pack, args.size)
    folders, failed = [], []
    for name in dict.fromkeys(args.names):
        try:
            folders.append(datasets.get_dataset(name, args.root))
        except OSError as error:
            failed.append(str(error))
            continue
        if not args.pack:
            words = ["histcolor", "data", "pack", folders[-1], "--output", args.root / f"{name}-{args.size}"]
            show(f"{folders[-1]}: ready; next: {shlex.join(map(str, [*words, '--size', args.size]))}")
    if args.pack and not failed:
        args.sources, args.output = folders, args.pack
        return data_pack(args)
    return report_failed(failed)
