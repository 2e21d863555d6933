"""``histcolor colorize``: its options, and what it reads and writes."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from histcolor.checkpoint import load
from histcolor.cli import options
from histcolor.cli.options import Subparsers, add_command, identity, quiet_bars, report_failed, warn_of_size
from histcolor.color import rgb_to_lab
from histcolor.colorize import SIZES, check_options, colorize_file
from histcolor.edit import from_palette, parse_palette
from histcolor.histogram import ab_histogram, read_histogram, resize_histogram
from histcolor.images import check_suffix, find_images, read_strips, to_tensor

COLORIZE = """\
Colour gray photos with an ab histogram: of a reference photo, from a file, or made of a few colours. Without any of
these the network chooses the colours.

  histcolor colorize old.jpg --reference autumn.jpg --output coloured.png
  histcolor colorize scans/*.jpg --palette '#7a9e4f,#c9b18a,#5b86b5' --output coloured/
  histcolor colorize old.jpg --histogram painted.npy --transport 0.5 --output coloured.png
  histcolor colorize old.jpg --point 120,80,#c33 --point 300,40,gray --output coloured.png
  histcolor colorize scans/ --output coloured/

Results in a folder are PNGs. A file that is there already is replaced only with --overwrite, and a file that is
read never. Photos have at most 200 megapixels (those that take much memory to decode fewer: WebP 50); embedded colour
profiles are converted to sRGB.
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
    sub.add_argument("--overwrite", action="store_true", help="replace files that are there already")
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
        help="how far colours are moved to the histogram: 0: not … 1: all of the way",
    )
    pixels = sub.add_mutually_exclusive_group()
    pixels.add_argument(
        "--size",
        type=options.pixels,
        help=f"pixels that the network works at (default: {SIZES['full']}; without attention: as it was trained)",
    )
    pixels.add_argument(
        "--fast", action="store_const", dest="size", const=SIZES["fast"],
        help="work at %(const)s pixels, for folders: about half the time, and hardly a difference to be seen",
    )  # fmt: skip
    sub.add_argument("--device", type=options.device, default="cpu", help="cpu or cuda (default: %(default)s)")


def colorize(args: argparse.Namespace) -> int:
    """``histcolor colorize``: photos that fail are skipped, counted and listed at the end."""
    model = load(args.model, args.device)
    hist = target_histogram(args, model.config.bins)
    options = {"transport": args.transport, "size": args.size}
    check_options(model, hist, **options)
    warn_of_size(model, args.size, "--size")
    options |= {"flips": args.flips, "replace": args.overwrite}
    targets, failed = find_targets(args.photos, args.output)
    if args.point and len(targets) > 1:
        raise ValueError(f"--point names places of one photo, but {len(targets)} photos were given.")
    total = len(targets) + len(failed)
    inputs = [*(path for path, _ in targets), args.reference, args.histogram, Path(args.model)]
    taken = {identity(path) for path in inputs if path} - {None}  #: files that no result may replace
    for path, target in tqdm(targets, desc="colorize", unit=" photos", disable=quiet_bars or len(targets) == 1):
        try:
            check_target(target, taken, args.overwrite)
            colorize_file(model, path, target, hist, points=args.point, **options)
            taken.add(identity(target))
        except Exception as error:  # whatever is wrong with one photo, the others go on
            failed.append(sentence(path, error))
    return report_failed(failed, total)


def point(text: str) -> tuple[float, float, str]:
    """Read ``X,Y,#HEX``; whether it lies on the photo is checked later."""
    try:
        x, y, colour = text.split(",")
        return float(x), float(y), colour.strip()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,#HEX, such as 120,80,#c33 or 120,80,gray") from None


def sentence(path: Path, error: Exception) -> str:
    """Say on one line what went wrong with a photo."""
    text, expected = options.of_system(error) or str(error), isinstance(error, (OSError, ValueError))
    if expected and str(path) in text:  # as it is: blanks and line breaks may be part of the name
        return text
    text = " ".join(text.split())
    expected = expected and text
    text = text if expected else f"could not be coloured ({type(error).__name__}{': ' * bool(text)}{text})."
    return f"{path}: {text}"


def check_target(target: Path, taken: set, overwrite: bool) -> None:
    """Refuse a file for a result, before any work.

    Raises:
        ValueError: it is an input or another photo's result, is there already, or no picture can have its name.
    """
    check_suffix(target)
    if identity(target) in taken:
        raise ValueError(f"{target}: is a file that this command reads or wrote; choose another --output.")
    if os.path.lexists(target) and not overwrite:
        raise ValueError(f"{target}: is there already; choose another --output, or say --overwrite.")


def find_targets(sources: list[Path], output: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Find the photos and say where each one's result goes; and a sentence for each source that has none.

    If the folder of results lies in a folder of photos, what is in it are results of an earlier time, and no photos.

    Raises:
        ValueError: a file is named for the results of several photos, or two results would have the same name; or the
            results would lie among the photos.
    """
    photos, failed = {}, []  # each photo with its name below the output folder; by path, since one may be named twice
    results, known = identity(output), cache(identity)
    for source in sources:
        is_folder = os.path.isdir(source)  # unlike Path's own it never raises
        if is_folder and results == identity(source):
            raise ValueError(
                f"{output}: is the folder of the photos; choose another --output, as {output / 'coloured'}."
            )
        try:
            base = source if is_folder else source.parent
            found = [(path, path.relative_to(base)) for path in find_images(source, failed)]
        except OSError as error:
            failed.append(sentence(source, error))
            continue
        if is_folder and results:
            inside = [any(known(base / up) == results for up in name.parents) for _, name in found]
            if any(inside):
                print(f"histcolor: {output}: its {sum(inside)} pictures are results and not coloured.", file=sys.stderr)
            found = [pair for pair, is_result in zip(found, inside, strict=True) if not is_result]
        for path, name in found:
            photos.setdefault(os.path.abspath(path), (path, name))
    if output.suffix and not os.path.isdir(output):
        if len(photos) + len(failed) > 1 or os.path.isdir(sources[0]):
            raise ValueError(
                f"{output}: names a file, but several photos were given: name a folder; one with a dot in its name "
                "has to be there already."
            )
        return [(path, output) for path, _ in photos.values()], failed
    common = Counter(name.with_suffix("") for _, name in photos.values())  # a.jpg beside a.png: a.jpg.png and a.png.png
    names = [name if common[name.with_suffix("")] > 1 else name.with_suffix("") for _, name in photos.values()]
    targets = [(path, output / f"{name}.png") for (path, _), name in zip(photos.values(), names, strict=True)]
    if doubled := [target for target, count in Counter(target for _, target in targets).items() if count > 1]:
        raise ValueError(f"Several photos would be written to {min(doubled)}: colour them one by one.")
    return targets, failed


def target_histogram(args: argparse.Namespace, bins: int) -> Tensor | None:
    """Make the target histogram that the options name; None: they name none."""
    if args.reference:
        return photo_histogram(args.reference, bins)
    if args.histogram:
        return resize_histogram(read_histogram(args.histogram), bins)
    return from_palette(parse_palette(args.palette), bins) if args.palette else None


def photo_histogram(path: Path, bins: int) -> Tensor:
    """Count the ab histogram of a photo of any size, ``[bins, bins]``, strip by strip; see :func:`ab_histogram`."""
    counts = torch.zeros(bins, bins, dtype=torch.float64)
    with read_strips(path) as (height, width, strips):
        for strip in strips:
            share = ab_histogram(rgb_to_lab(to_tensor(strip))[1:], bins).double()
            counts += (share * strip.shape[0] * width).round()
    return (counts / (height * width)).float()
