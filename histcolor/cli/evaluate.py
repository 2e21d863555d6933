"""``histcolor evaluate``: its options, the table and the contact sheet."""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import torch

from histcolor.checkpoint import load
from histcolor.cli.options import Subparsers, add_command, quiet_bars, report_failed
from histcolor.color import rgb_to_lab
from histcolor.evaluate import evenly
from histcolor.images import find_images, read_image, write_table
from histcolor.model import Colorizer

EVALUATE = """\
Measure colours by the protocol: photos squashed to 256×256, the target histogram from each photo itself (or, with
--cross, from another one), outputs rounded to 8 bits. Writes a CSV with a line an image and method, prints the means.

  histcolor evaluate photos/ --output results/mine.csv
  histcolor evaluate photos/ --predictions outputs-of-another-program/ --output results/theirs.csv
  histcolor evaluate photos/ --methods model,automatic --pins 0,1,5,20 --output results/pins.csv
  histcolor evaluate photos/ --methods model,gray,mean,rank --cross --transport 0.5 --output results/cross.csv
"""


def add(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    sub = add_command(subparsers, "evaluate", EVALUATE, evaluate)
    sub.add_argument("photos", type=Path, metavar="FOLDER", help="colour photos")
    sub.add_argument("--model", default="small", help="small, base or a checkpoint (default: %(default)s)")
    sub.add_argument("--predictions", type=Path, metavar="FOLDER", help="score these files instead, matched by stem")
    sub.add_argument(
        "--methods",
        default="model",
        help="of model, automatic (the model without a histogram), gray, mean, rank, reinhard, welsh, by commas "
        "(default: %(default)s)",
    )
    sub.add_argument("--cross", action="store_true", help="take each photo's target histogram from another photo")
    sub.add_argument(
        "--flips", action="store_true", help="colour the mirrored photo as well, and take the mean (twice the work)"
    )
    sub.add_argument(
        "--transport", default="0", help="transport strength of the model; several by commas (default: %(default)s)"
    )
    sub.add_argument(
        "--pins",
        type=counts,
        default=[0],
        metavar="N",
        help="so many pins tell the model true colours, at places drawn for each photo; several by commas",
    )
    sub.add_argument("--size", type=int, default=256, help="pixels along each side (default: %(default)s)")
    sub.add_argument("--limit", type=int, help="only so many photos, spread evenly over the folder")
    sub.add_argument("--sheet", type=Path, metavar="FILE.png", help="also a contact sheet of the model's colours")
    sub.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE.csv",
        help="a line an image and method; FILE.json.xz is smaller",
    )


def evaluate(args: argparse.Namespace) -> int:
    """``histcolor evaluate``: prints the means, writes the table a photo."""
    from histcolor import evaluate as ev
    from histcolor.baselines.classical import UNTRAINED
    from histcolor.metrics import DIGITS

    if args.cross and any(args.pins):
        raise ValueError("--pins tell true colours, which --cross does not want: leave one of them out.")
    photos = evenly(find_images(args.photos), args.limit)
    methods: dict = {}
    if args.predictions:
        methods[args.predictions.name] = ev.prediction_method(args.predictions, photos, args.size)
    else:
        for method in args.methods.split(","):
            if method in ("model", "automatic"):
                model = load(args.model)
                strengths = [0.0] if method == "automatic" else [float(x) for x in args.transport.split(",")]
                for strength, count in product(strengths, args.pins):
                    name = Path(args.model).stem + " automatic" * (method == "automatic")
                    name += (f" transport {strength:g}" if strength else "") + " flips" * args.flips
                    name += f" pins {count}" if count else ""
                    methods[name] = ev.model_method(
                        model, transport=strength, flips=args.flips, automatic=method == "automatic", pins=count
                    )
            elif method in UNTRAINED:
                methods[method] = UNTRAINED[method]
            else:
                raise ValueError(f"There is no method {method!r}; there are model, automatic, {', '.join(UNTRAINED)}.")
    table, failed = ev.evaluate(photos, methods, size=args.size, cross=args.cross, quiet=quiet_bars)
    write_table(table.round(DIGITS), args.output)
    if args.sheet:
        write_sheet(photos, load(args.model), args.sheet, args.size)
    print(ev.summarise(table).round(4).to_string(index=False))
    return report_failed(failed, len(photos))


def counts(text: str) -> list[int]:
    """Read whole numbers of at least 0, with commas between them."""
    if not all(part.strip().isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0, or several by commas")
    return [int(part) for part in text.split(",")]


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
