"""``histcolor evaluate``: its options, the table and the contact sheet."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import torch

from histcolor.checkpoint import load
from histcolor.cli import options
from histcolor.cli.options import Subparsers, add_command, identity, quiet_bars, report_failed, show, warn_of_size
from histcolor.color import gray_rgb, rgb_to_lab
from histcolor.evaluate import ColorizeFunction, evenly
from histcolor.images import find_images, read_image, write_table

EVALUATE = """\
Measure colours by the protocol: photos squashed to 256×256, the target histogram from each photo itself (or, with
--cross, from another one), outputs rounded to 8 bits. Writes a CSV with a line an image and method, prints the means.

Predictions are found by their path, whatever their suffix: that of photos/cats/1.jpg is outputs/cats/1.png.
A file that is there already is replaced only if this command made it.

  histcolor evaluate photos/ --output results/mine.csv
  histcolor evaluate photos/ --predictions outputs-of-another-program/ --output results/theirs.csv
  histcolor evaluate photos/ --methods model,automatic --pins 0,1,5,20 --output results/pins.csv
  histcolor evaluate photos/ --methods model,gray,mean,rank --cross --transport 0.5 --output results/cross.csv
"""
#: the options that --predictions, or some methods, have no use for; and what those are that are not given
DEFAULTS = {
    "model": "small", "methods": ["model"], "transport": [0.0], "flips": False, "working_size": None, "pins": [0]
}  # fmt: skip


def add(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    sub = add_command(subparsers, "evaluate", EVALUATE, evaluate)
    sub.add_argument("photos", type=options.path, metavar="FOLDER", help="colour photos")
    sub.add_argument("--model", type=options.text, help="small, base or a checkpoint (default: small)")
    sub.add_argument("--predictions", type=options.path, metavar="FOLDER", help="score these pictures instead")
    sub.add_argument(
        "--methods",
        type=options.listed(options.text),
        help="of model, automatic (the model without a histogram), gray, mean, rank, reinhard, welsh, by commas "
        "(default: model)",
    )
    sub.add_argument("--cross", action="store_true", help="take each photo's target histogram from another photo")
    sub.add_argument(
        "--flips", action="store_true", help="colour the mirrored photo as well, and take the mean (twice the work)"
    )
    sub.add_argument(
        "--transport",
        type=options.listed(options.number(0, 1)),
        help="transport strength of the method model; several by commas (default: 0)",
    )
    sub.add_argument("--size", type=options.pixels, default=256, help="pixels along each side (default: %(default)s)")
    sub.add_argument(
        "--working-size",
        type=options.pixels,
        metavar="SIZE",
        help="pixels that the network works at, as 'histcolor colorize --size' (default: --size; for a network "
        "without attention the size that it was trained at)",
    )
    sub.add_argument("--limit", type=options.count(), help="only so many photos, spread evenly over the folder")
    sub.add_argument(
        "--sheet",
        type=options.path,
        metavar="FILE.png",
        help="also a contact sheet of the predictions, or of one method: the first of the model, or else the first",
    )
    sub.add_argument(
        "--pins",
        type=options.listed(options.count(0, 1000)),
        metavar="N",
        help="so many pins tell the model true colours, at places drawn for each photo; several by commas",
    )
    sub.add_argument(
        "--output",
        type=options.table,
        required=True,
        metavar="FILE.csv",
        help="a line an image and method; FILE.json.xz is smaller",
    )


def evaluate(args: argparse.Namespace) -> int:
    """``histcolor evaluate``: prints the means, writes the table a photo; exit code 1 if anything was left out."""
    from histcolor import evaluate as ev
    from histcolor.baselines.classical import UNTRAINED
    from histcolor.metrics import DIGITS

    check_options(args)
    if args.cross and any(args.pins):
        raise ValueError("--pins tell true colours, which --cross does not want: leave one of them out.")
    if args.predictions and identity(args.predictions) == identity(args.photos) is not None:
        raise ValueError(f"{args.predictions}: is the folder of the photos themselves; name the predictions' folder.")
    every = find_images(args.photos, unread := [])
    for made in (args.predictions, args.sheet):  # which may lie among the photos, and are none
        if made and args.photos.resolve() in (made := made.resolve()).parents:
            every = [path for path in every if made not in (path.resolve(), *path.resolve().parents)]
    check_outputs(args)
    photos, methods, missing, other = evenly(every, args.limit), {}, {}, []
    if args.predictions:
        root = args.photos if args.photos.is_dir() else args.photos.parent
        found, missing, other = ev.find_predictions(args.predictions, every, root)
        other = other if args.photos.is_dir() else []  # the photos beside the one given are not looked at
        methods[args.predictions.resolve().name] = ev.prediction_method(found, args.size)
    else:
        if {"model", "automatic"} & {*args.methods}:
            model = load(args.model)
            warn_of_size(model, args.working_size, "--working-size")
        for method in dict.fromkeys(args.methods):
            if method in ("model", "automatic"):
                strengths = [0.0] if method == "automatic" else args.transport
                for strength, count in product(strengths, args.pins):
                    name = Path(args.model).stem + " automatic" * (method == "automatic")
                    name += (f" transport {strength:g}" if strength else "") + " flips" * args.flips
                    name += f" pins {count}" if count else ""
                    if name in methods or name in {*args.methods} & {*UNTRAINED}:
                        raise ValueError(f"Two methods would be named {name!r}; leave one out, or rename the model.")
                    methods[name] = ev.model_method(
                        model, transport=strength, flips=args.flips, automatic=method == "automatic", pins=count,
                        size=args.working_size,
                    )  # fmt: skip
            else:
                methods[method] = UNTRAINED[method]
    table, failed = ev.evaluate(photos, methods, size=args.size, cross=args.cross, quiet=quiet_bars)
    write_table(table.round(DIGITS), args.output)
    if args.sheet:
        shown = min(methods, key=lambda name: methods[name] in UNTRAINED.values())  # the first, if possible a model's
        files, lines = {name: path for path, name in ev.name_photos(photos).items()}, table[table["method"] == shown]
        others = lines["reference"] if args.cross else np.roll(lines["photo"], -(len(lines) // 2))
        pairs = [(files[photo], files[other]) for photo, other in zip(lines["photo"], others, strict=True)]
        both = not args.predictions and not args.pins[0]  # these fit the histogram alone that they were measured with
        write_sheet(pairs, methods[shown], args.sheet, args.size, own=both or not args.cross, cross=both or args.cross)
    show(ev.summarise(table).round(4).to_string(index=False))
    failed = [missing[photo] for photo in photos if photo in missing] + failed
    return report_failed(failed, len(photos)) | report_failed(unread + other)


def check_options(args: argparse.Namespace) -> None:
    """Refuse options that would change nothing, and methods that there are not; fill in what was not given.

    Raises:
        ValueError: the message names them.
    """
    from histcolor.baselines.classical import UNTRAINED

    given = {name for name in DEFAULTS if getattr(args, name) not in (None, False)}
    vars(args).update({name: default for name, default in DEFAULTS.items() if name not in given})
    methods = set() if args.predictions else set(args.methods)
    for method in args.methods:
        if method not in ("model", "automatic", *UNTRAINED):
            raise ValueError(f"There is no method {method!r}; there are model, automatic, {', '.join(UNTRAINED)}.")
    used = dict.fromkeys(DEFAULTS, methods & {"model", "automatic"})
    used |= {"model": methods, "methods": methods, "transport": methods & {"model"}}
    if unused := [f"--{name.replace('_', '-')}" for name in DEFAULTS if name in given and not used[name]]:
        choice = "--predictions" if args.predictions else f"--methods {','.join(args.methods)}"
        raise ValueError(f"{choice} makes no use of {', '.join(unused)}: leave out what would change nothing.")


def check_outputs(args: argparse.Namespace) -> None:
    """Refuse, before any work, to replace what this command did not make: a table, or a contact sheet.

    Raises:
        ValueError: something else is there, or the contact sheet is no PNG, which alone tells who made it.
    """
    options.is_ours(args.output, "photo")
    if args.sheet and args.sheet.suffix.lower() != ".png":
        raise ValueError(f"{args.sheet}: the contact sheet's name must end in .png.")
    if args.sheet and os.path.lexists(args.sheet):
        from histcolor.plots import is_sheet  # matplotlib takes a second to load

        if is_sheet(args.sheet):
            return
        raise ValueError(f"{args.sheet}: is there already, and this command did not make it; choose another name.")


def write_sheet(
    pairs: list[tuple[Path, Path]],
    method: ColorizeFunction | Mapping[Path, ColorizeFunction],
    path: Path,
    size: int,
    *,
    own: bool = True,
    cross: bool = True,
    rows: int = 8,
) -> None:
    """A contact sheet of photos spread over the folder, each with its ``own`` histogram and that of its reference."""
    from histcolor.evaluate import Task, squash
    from histcolor.plots import save_sheet

    columns = []
    for i in np.linspace(0, len(pairs) - 1, min(rows, len(pairs))).round().astype(int):
        truth, reference = (squash(read_image(file), size) for file in pairs[i])
        L, empty = rgb_to_lab(truth)[:1], torch.ones_like(truth)
        colour = method[pairs[i][0]] if isinstance(method, Mapping) else method
        results = [colour(Task(L, rgb_to_lab(truth))) if own else empty]
        results += [colour(Task(L, rgb_to_lab(reference))), reference] if cross else [empty, empty]
        columns.append((gray_rgb(L), truth, *results))
    save_sheet([torch.stack(x) for x in zip(*columns, strict=True)], path)
