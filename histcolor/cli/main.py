"""The command line: ``histcolor`` or ``python -m histcolor``."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from histcolor.cli import commands
from histcolor.cli import experiment as experiment_command
from histcolor.cli.datasets import DATASETS
from histcolor.colorize import SIZES
from histcolor.model import PRESETS

COLORIZE = """\
Colour gray photos with an ab histogram: of a reference photo, from a file, or made of a few colours. Without any of
these the network chooses the colours.

  histcolor colorize old.jpg --reference autumn.jpg --output coloured.png
  histcolor colorize scans/*.jpg --palette '#7a9e4f,#c9b18a,#5b86b5' --output coloured/
  histcolor colorize old.jpg --histogram painted.npy --match 0.5 --output coloured.png
  histcolor colorize scans/ --output coloured/
"""
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
    for name, source in DATASETS.items()
)
DATA_GET = f"""\
Download data sets through torchvision (checked by hash) into a folder; needs a network. Says the command that makes a
pack of each; with --pack it makes one pack of all that were named.

  histcolor data get imagenette voc2012 --root data
  histcolor data get imagenette --root data --pack data/imagenette-144 --size 144

The data sets, their downloads and their terms:

{SOURCES}
"""
TRAIN = """\
Train a model. Started again with the same options, it goes on from the last checkpoint, to the same numbers.

  histcolor train --preset small --data data/train --validation data/val --run results/mine
  torchrun --nproc-per-node 2 -m histcolor train --preset base --data data/train --run results/base --device cuda

Any field of the configuration is an option (--lr, --bins, --lambda-2 …); the preset gives the others.
"""
EVALUATE = """\
Measure colours by the protocol: photos squashed to 256×256, their true histograms asked (or those of other
photos), outputs rounded to 8 bits. Writes a CSV a photo and prints the means.

  histcolor evaluate photos/ --output results/mine.csv
  histcolor evaluate photos/ --predictions outputs-of-another-program/ --output results/theirs.csv
  histcolor evaluate photos/ --rows model,gray,mean,transport --foreign --match 0.5 --output results/control.csv
"""
CLAIMS = """\
Judge the claims of notebooks/experiments.toml from the numbers a photo that 'histcolor experiment' left: each with the
95 % interval of its paired difference. It holds if all of the interval is above what is claimed, is refuted if all of
it is below, else it is open. Claims whose rows are not measured are left out.

  histcolor claims
  histcolor claims --tables my-tables --output my-claims.csv
"""
REPRODUCE = """\
Run all notebooks headlessly and check the claims; writes results/reproduce/index.html.

  histcolor reproduce                     about four minutes on two cores
  histcolor reproduce --profile smoke     a minute or two, for tests
"""


def first_sentence(text: str) -> str:
    """The first sentence of a command's help, on one line."""
    return " ".join(re.split(r"\.\s", text)[0].split()).rstrip(".") + "."


def build_parser() -> argparse.ArgumentParser:
    """The whole command line's parser."""
    parser = argparse.ArgumentParser(prog="histcolor", description="Histogram-guided semantic-aware colorization.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(where, name: str, text: str, run) -> argparse.ArgumentParser:
        sub = where.add_parser(
            name,
            help=first_sentence(text).replace("%", "%%"),
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    sub = add(subparsers, "colorize", COLORIZE, commands.colorize)
    sub.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="photos, or folders of photos")
    source = sub.add_mutually_exclusive_group()
    source.add_argument("--reference", type=Path, metavar="IMAGE", help="take this photo's histogram")
    source.add_argument("--histogram", type=Path, metavar="FILE.npy", help="a square array, axis 0 = a, axis 1 = b")
    source.add_argument("--palette", metavar="'#c33,#2a6'", help="colours, separated by commas")
    sub.add_argument("--output", type=Path, required=True, help="a file for one photo, a folder for several")
    sub.add_argument("--model", default="small", help="small, base or a checkpoint (default: %(default)s)")
    sub.add_argument(
        "--flips", action="store_true", help="colour the mirrored photo as well, and take the mean (twice the work)"
    )
    sub.add_argument(
        "--match", type=float, default=0.0, help="0: the network's word … 1: as near to the histogram as sRGB allows"
    )
    pixels = sub.add_mutually_exclusive_group()
    pixels.add_argument(
        "--size", type=int, default=SIZES["full"], help="pixels that the network works at (default: %(default)s)"
    )
    pixels.add_argument(
        "--fast", action="store_const", dest="size", const=SIZES["fast"],
        help="work at %(const)s pixels, for folders: about half the time, and hardly a difference to be seen",
    )  # fmt: skip
    sub.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")

    data = subparsers.add_parser("data", help="Make packs of photos for training, or download data sets.")
    data_parsers = data.add_subparsers(dest="data_command", required=True, metavar="COMMAND")
    sub = add(data_parsers, "pack", DATA_PACK, commands.data_pack)
    sub.add_argument("sources", nargs="+", type=Path, metavar="FOLDER_OR_TAR")
    sub.add_argument("--output", type=Path, required=True, help="the pack's folder; must not exist")
    sub.add_argument("--size", type=int, default=144, help="pixels along each side (default: %(default)s)")
    sub.add_argument("--keep", default="", help="only files whose name contains this")
    sub.add_argument(
        "--min-bytes",
        type=int,
        default=commands.MIN_BYTES,
        metavar="N",
        help="leave out smaller files; the paper's rule for originals, use 0 for small WebPs (default: %(default)s)",
    )
    sub = add(data_parsers, "get", DATA_GET, commands.data_get)
    sub.add_argument("names", nargs="+", choices=list(DATASETS), metavar="NAME", help="see the list above")
    sub.add_argument("--root", type=Path, default=Path("data"), help="folder to download into (default: %(default)s)")
    sub.add_argument("--pack", type=Path, metavar="FOLDER", help="also make this pack of them; must not exist")
    sub.add_argument("--size", type=int, default=144, help="pixels along each side of a pack (default: %(default)s)")
    sub.set_defaults(keep="", min_bytes=commands.MIN_BYTES)

    sub = add(subparsers, "train", TRAIN, commands.train)
    sub.add_argument("--preset", default="small", choices=PRESETS, help="the model (default: %(default)s)")
    sub.add_argument("--data", type=Path, nargs="+", required=True, metavar="PACK", help="packs to train on")
    sub.add_argument("--validation", type=Path, metavar="PACK", help="pack to measure on, at every checkpoint")
    sub.add_argument("--run", type=Path, required=True, dest="folder", help="folder of this run")
    sub.add_argument("--init", metavar="MODEL", help="start from this model's weights; a narrower one is widened")
    sub.add_argument("--backbone-weights", metavar="FILE", help="ImageNet weights (safetensors), if not the usual ones")
    sub.add_argument("--minutes", type=float, help="stop after this time; the same command goes on later")
    sub.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    sub.add_argument(
        "--sheet-every", type=int, default=1000, help="steps between contact sheets (default: %(default)s)"
    )
    sub.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="use torch.compile (default: on a GPU; runs without where it fails)",
    )
    commands.add_config_options(sub)

    sub = add(subparsers, "evaluate", EVALUATE, commands.evaluate)
    sub.add_argument("photos", type=Path, metavar="FOLDER", help="colour photos")
    sub.add_argument("--model", default="small", help="small, base or a checkpoint (default: %(default)s)")
    sub.add_argument("--predictions", type=Path, metavar="FOLDER", help="score these files instead, matched by stem")
    sub.add_argument(
        "--rows",
        default="model",
        help="of model, automatic (the model without a histogram), gray, mean, transport, reinhard, welsh, by commas "
        "(default: %(default)s)",
    )
    sub.add_argument("--foreign", action="store_true", help="ask each photo the histogram of another one")
    sub.add_argument(
        "--flips", action="store_true", help="colour the mirrored photo as well, and take the mean (twice the work)"
    )
    sub.add_argument("--match", default="0", help="for the model's row; several by commas (default: %(default)s)")
    sub.add_argument("--size", type=int, default=256, help="pixels along each side (default: %(default)s)")
    sub.add_argument("--limit", type=int, help="only so many photos, spread evenly over the folder")
    sub.add_argument("--sheet", type=Path, metavar="FILE.png", help="also a contact sheet of the model's colours")
    sub.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE.csv",
        help="a row a photo and method; FILE.json.xz is smaller",
    )

    experiment_command.add_options(
        add(subparsers, "experiment", experiment_command.EXPERIMENT, experiment_command.experiment)
    )

    sub = add(subparsers, "claims", CLAIMS, experiment_command.claims)
    sub.add_argument("--tables", type=Path, default=Path("results/tables"), help="(default: %(default)s)")
    sub.add_argument("--output", type=Path, default=Path("results/claims.csv"), help="(default: %(default)s)")
    sub.add_argument("--file", type=Path, help="the experiments (default: notebooks/experiments.toml)")

    sub = add(subparsers, "reproduce", REPRODUCE, commands.reproduce)
    sub.add_argument("--profile", default="demo", help="smoke, demo or paper (default: %(default)s)")
    sub.add_argument("--output", type=Path, default=Path("results/reproduce"), help="(default: %(default)s)")
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
