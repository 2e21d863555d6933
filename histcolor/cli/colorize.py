"""``histcolor colorize``: its options, and what it reads and writes."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from histcolor.checkpoint import load
from histcolor.cli import options
from histcolor.cli.options import Subparsers, add_command, quiet_bars, report_failed
from histcolor.color import rgb_to_lab
from histcolor.colorize import SIZES
from histcolor.colorize import colorize as colour
from histcolor.edit import from_palette, parse_palette
from histcolor.histogram import ab_histogram, check_histogram, resize_histogram
from histcolor.images import ImageError, find_images, read_image, write_image

COLORIZE = """\
Colour gray photos with an ab histogram: of a reference photo, from a file, or made of a few colours. Without any of
these the network chooses the colours.

  histcolor colorize old.jpg --reference autumn.jpg --output coloured.png
  histcolor colorize scans/*.jpg --palette '#7a9e4f,#c9b18a,#5b86b5' --output coloured/
  histcolor colorize old.jpg --histogram painted.npy --transport 0.5 --output coloured.png
  histcolor colorize old.jpg --point 120,80,#c33 --point 300,40,gray --output coloured.png
  histcolor colorize scans/ --output coloured/
"""


def add(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    sub = add_command(subparsers, "colorize", COLORIZE, colorize)
    sub.add_argument("photos", nargs="+", type=options.path, metavar="PHOTO", help="photos, or folders of photos")
    source = sub.add_mutually_exclusive_group()
    source.add_argument("--reference", type=options.path, metavar="IMAGE", help="take this photo's histogram")
    source.add_argument(
        "--histogram", type=options.path, metavar="FILE.npy", help="a square array, axis 0 = a, axis 1 = b"
    )
    source.add_argument("--palette", type=options.text, metavar="'#c33,#2a6'", help="colours, separated by commas")
    sub.add_argument(
        "--point",
        type=point,
        action="append",
        default=[],
        metavar="X,Y,#HEX",
        help="this place of the one photo, in pixels from its top left, and what is like it has this colour, or gray "
        "(X,Y,gray); can be given several times",
    )
    sub.add_argument("--output", type=options.path, required=True, help="a file for one photo, a folder for several")
    sub.add_argument(
        "--model", type=options.text, default="small", help="small, base or a checkpoint (default: %(default)s)"
    )
    sub.add_argument(
        "--flips", action="store_true", help="colour the mirrored photo as well, and take the mean (twice the work)"
    )
    sub.add_argument(
        "--transport",
        type=options.number(0, 1),
        default=0.0,
        metavar="STRENGTH",
        help="how far colours are moved to the histogram: 0: not … 1: all of the way, as near as sRGB allows",
    )
    pixels = sub.add_mutually_exclusive_group()
    pixels.add_argument(
        "--size",
        type=options.pixels,
        default=SIZES["full"],
        help="pixels that the network works at (default: %(default)s)",
    )
    pixels.add_argument(
        "--fast", action="store_const", dest="size", const=SIZES["fast"],
        help="work at %(const)s pixels, for folders: about half the time, and hardly a difference to be seen",
    )  # fmt: skip
    sub.add_argument("--device", type=options.device, default="cpu", help="cpu or cuda (default: %(default)s)")


def colorize(args: argparse.Namespace) -> int:
    """``histcolor colorize``: bad photos are skipped, counted and listed at the end."""
    model = load(args.model, args.device)
    hist = target_histogram(args, model.config.bins)
    targets, failed = find_targets(args.photos, args.output)
    if args.point and len(targets) > 1:
        raise ValueError(f"--point names places of one photo, but {len(targets)} photos were given.")
    total = len(targets) + len(failed)
    for path, target in tqdm(targets, desc="colorize", unit=" photos", disable=quiet_bars or len(targets) == 1):
        try:
            image = read_image(path)
            options = {"transport": args.transport, "flips": args.flips, "size": args.size}
            write_image(colour(model, image, hist, points=args.point, **options), target)
        except ImageError as error:
            failed.append(str(error))
    return report_failed(failed, total)


def point(text: str) -> tuple[float, float, str]:
    """Read ``X,Y,#HEX``; whether it lies on the photo is checked later."""
    try:
        x, y, colour = text.split(",")
        return float(x), float(y), colour.strip()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,#HEX, such as 120,80,#c33 or 120,80,gray") from None


def find_targets(sources: list[Path], output: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Find the photos and say where each one's result goes; and a sentence for each source that has none.

    Raises:
        ValueError: a file is named for the results of several photos, or two results would have the same name.
    """
    photos, failed = [], []  # each photo with its name below the output folder
    for source in sources:
        try:
            base = source if source.is_dir() else source.parent
            photos += [(path, path.relative_to(base)) for path in find_images(source, failed)]
        except OSError as error:
            failed.append(str(error))
    if output.suffix and not output.is_dir():
        if len(sources) > 1 or sources[0].is_dir():
            raise ValueError(f"{output}: names a file, but several photos were given: name a folder.")
        return [(path, output) for path, _ in photos], failed
    targets = [(path, (output / name).with_suffix(".png")) for path, name in photos]
    if doubled := [target for target, count in Counter(target for _, target in targets).items() if count > 1]:
        raise ValueError(f"Several photos would be written to {min(doubled)}: colour them folder by folder.")
    return targets, failed


def target_histogram(args: argparse.Namespace, bins: int) -> Tensor | None:
    """Make the target histogram that the options name; None: they name none."""
    if args.reference:
        return ab_histogram(rgb_to_lab(read_image(args.reference))[1:], bins)
    if args.histogram:
        return read_histogram(args.histogram, bins)
    return from_palette(parse_palette(args.palette), bins) if args.palette else None


def read_histogram(path: Path, bins: int) -> Tensor:
    """Read a histogram from ``.npy`` and bring it to ``bins``.

    Raises:
        OSError: no such file, or no array.
        ValueError: no histogram; the message says why, and names the file.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: there is no such file.") from error
    except (OSError, ValueError, EOFError) as error:
        raise OSError(f"{path}: is no .npy file with an array of numbers.") from error
    if not (np.issubdtype(values.dtype, np.number) or values.dtype == bool) or values.ndim != 2:
        raise ValueError(f"{path}: a histogram must be a square array of numbers, got {values.dtype} {values.shape}.")
    try:
        return resize_histogram(check_histogram(torch.from_numpy(values)), bins)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
