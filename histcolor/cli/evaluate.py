"""``histcolor evaluate``: its options, the table and the contact sheet."""

from __future__ import annotations

import argparse
import os
from itertools import product
from pathlib import Path

import numpy as np
import torch

from histcolor.checkpoint import load
from histcolor.cli import options
from histcolor.cli.options import Subparsers, add_command, identity, quiet_bars, report_failed, show
from histcolor.color import rgb_to_lab
from histcolor.evaluate import evenly
from histcolor.images import find_images, read_image, write_table
from histcolor.model import Colorizer

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


def add(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    sub = add_command(subparsers, "evaluate", EVALUATE, evaluate)
    sub.add_argument("photos", type=options.path, metavar="FOLDER", help="colour photos")
    sub.add_argument(
        "--model", type=options.text, default="small", help="small, base or a checkpoint (default: %(default)s)"
    )
    sub.add_argument("--predictions", type=options.path, metavar="FOLDER", help="score these pictures instead")
    sub.add_argument(
        "--methods",
        type=options.listed(options.text),
        default="model",
        help="of model, automatic (the model without a histogram), gray, mean, rank, reinhard, welsh, by commas "
        "(default: %(default)s)",
    )
    sub.add_argument("--cross", action="store_true", help="take each photo's target histogram from another photo")
    sub.add_argument(
        "--flips", action="store_true", help="colour the mirrored photo as well, and take the mean (twice the work)"
    )
    sub.add_argument(
        "--transport",
        type=options.listed(options.number(0, 1)),
        default="0",
        help="transport strength of the model; several by commas (default: %(default)s)",
    )
    sub.add_argument("--size", type=options.pixels, default=256, help="pixels along each side (default: %(default)s)")
    sub.add_argument(
        "--working-size",
        type=options.pixels,
        metavar="SIZE",
        help="pixels that the network works at, as 'histcolor colorize --size' (default: --size)",
    )
    sub.add_argument("--limit", type=options.count(), help="only so many photos, spread evenly over the folder")
    sub.add_argument(
        "--sheet", type=options.path, metavar="FILE.png", help="also a contact sheet of the model's colours"
    )
    sub.add_argument(
        "--pins",
        type=options.listed(options.count(0, 1000)),
        default="0",
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

    if args.cross and any(args.pins):
        raise ValueError("--pins tell true colours, which --cross does not want: leave one of them out.")
    if args.predictions and identity(args.predictions) == identity(args.photos) is not None:
        raise ValueError(f"{args.predictions}: is the folder of the photos themselves; name the predictions' folder.")
    every = find_images(args.photos, unread := [])
    check_outputs(args)
    photos, methods, missing, other = evenly(every, args.limit), {}, {}, []
    if args.predictions:
        root = args.photos if args.photos.is_dir() else args.photos.parent
        found, missing, other = ev.find_predictions(args.predictions, every, root)
        other = other if args.photos.is_dir() else []  # the photos beside the one given are not looked at
        methods[args.predictions.resolve().name] = ev.prediction_method(found, args.size)
    else:
        for method in dict.fromkeys(args.methods):
            if method in ("model", "automatic"):
                model = load(args.model)
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
            elif method in UNTRAINED:
                methods[method] = UNTRAINED[method]
            else:
                raise ValueError(f"There is no method {method!r}; there are model, automatic, {', '.join(UNTRAINED)}.")
    table, failed = ev.evaluate(photos, methods, size=args.size, cross=args.cross, quiet=quiet_bars)
    write_table(table.round(DIGITS), args.output)
    if args.sheet:
        names, measured = ev.name_photos(photos), set(table["photo"])  # others could not be read
        write_sheet([path for path in photos if names[path] in measured], load(args.model), args.sheet, args.size)
    show(ev.summarise(table).round(4).to_string(index=False))
    failed = [missing[photo] for photo in photos if photo in missing] + failed
    return report_failed(failed, len(photos)) | report_failed(unread + other)


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


def write_sheet(photos: list[Path], model: Colorizer, path: Path, size: int, rows: int = 8) -> None:
    """A contact sheet of photos spread over the folder, each also with the histogram of the one half a folder on."""
    from histcolor.evaluate import Task, model_method, squash
    from histcolor.plots import save_sheet

    colour, columns = model_method(model), []
    for i in np.linspace(0, len(photos) - 1, min(rows, len(photos))).round().astype(int):
        truth, reference = (squash(read_image(photos[k % len(photos)]), size) for k in (i, i + len(photos) // 2))
        own, cross = (Task(rgb_to_lab(truth)[:1], rgb_to_lab(x)) for x in (truth, reference))
        columns.append((own.gray, truth, colour(own), colour(cross), reference))
    save_sheet([torch.stack(x) for x in zip(*columns, strict=True)], path)
