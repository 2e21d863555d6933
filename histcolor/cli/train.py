"""``histcolor train``: its options, also under ``torchrun``."""

from __future__ import annotations

import argparse
import os
from contextlib import contextmanager

import torch
from torch import Tensor

from histcolor.backbone import imagenet_weights
from histcolor.checkpoint import METHODS, load
from histcolor.cli import options
from histcolor.cli.options import Subparsers, add_command, quiet_bars, show
from histcolor.data import Pack
from histcolor.experiments.recipe import make_recipe, option_fields
from histcolor.losses import Loss
from histcolor.model import PRESETS, ModelConfig
from histcolor.optimize import TrainConfig
from histcolor.train import train as train_model
from histcolor.validate import make_validator

TRAIN = """\
Train a model. Started again with the same options, it goes on from the last checkpoint, on the same CPU to the same
numbers (but for --until, whose schedule follows the clock); on another device they are the same up to rounding.

  histcolor train --preset small --data data/train --validation data/val --run results/mine
  torchrun --nproc-per-node 2 -m -- histcolor train --preset base --data data/train --run results/base --device cuda

Any number or word of the configuration is an option (--lr, --bins, --lambda-2 …); the preset gives the others.
A method that sees no histogram is trained with --cross 0, and a classifier (zhang2016, larsson2016) with its own loss.
"""


def add(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    sub = add_command(subparsers, "train", TRAIN, train)
    sub.add_argument("--preset", default="small", choices=PRESETS, help="the model (default: %(default)s)")
    sub.add_argument(
        "--method", default="colorizer", choices=list(METHODS), help="the network or a baseline (default: %(default)s)"
    )
    sub.add_argument("--data", type=options.path, nargs="+", required=True, metavar="PACK", help="packs to train on")
    sub.add_argument("--validation", type=options.path, metavar="PACK", help="pack to measure on, at every checkpoint")
    sub.add_argument("--run", type=options.path, required=True, dest="folder", help="folder of this run")
    sub.add_argument(
        "--init", type=options.text, metavar="MODEL", help="start from this model's weights, where names and shapes fit"
    )
    sub.add_argument(
        "--backbone-weights",
        type=options.path,
        metavar="FILE",
        help="ImageNet weights (safetensors), not the package's",
    )
    sub.add_argument("--minutes", type=options.number(0), help="stop after this time; the same command goes on later")
    sub.add_argument("--device", type=options.device, default="cpu", help="cpu or cuda (default: %(default)s)")
    sub.add_argument(
        "--sheet-every", type=options.count(), default=1000, metavar="STEPS",
        help="with --validation: a contact sheet after so many steps, when they are next saved (default: %(default)s)",
    )  # fmt: skip
    sub.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="use torch.compile (default: on a GPU, if --minutes or --until says at least 15 minutes)",
    )
    add_config_options(sub)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Make an option of every field of the configurations; what is not given keeps the preset's value."""
    groups = {
        ModelConfig: parser.add_argument_group("model (default: the preset's)"),
        Loss: parser.add_argument_group("loss"),
        TrainConfig: parser.add_argument_group("training"),
    }
    for name, (kind, _) in option_fields().items():
        about = options.of_field(kind, name)
        if kind is not ModelConfig:
            about["help"] += f" (default: {getattr(kind, name)})"
        groups[kind].add_argument("--" + name.replace("_", "-"), **about)


def train(args: argparse.Namespace) -> int:
    """``histcolor train``: also under ``torchrun``."""
    recipe = make_recipe(vars(args))
    unused = [name for name, (kind, _) in option_fields().items() if kind is Loss and getattr(args, name) is not None]
    if recipe.classifies and unused:
        raise ValueError(f"--{unused[0].replace('_', '-')} is of no use: {recipe.method} brings its own loss.")
    pack = Pack.open(*args.data)
    validate = None
    if args.validation:
        from histcolor.plots import save_sheet  # matplotlib takes a second to load

        def look(step: int, sheet: list[Tensor]) -> None:
            if step % args.sheet_every < recipe.train.save_every:  # the first saved one since it was due
                save_sheet(sheet, args.folder / "sheets" / f"{step:07d}.png")

        validate = make_validator(Pack.open(args.validation), size=recipe.train.size, look=look)
    init = load(args.init) if args.init else None
    backbone = None
    known = getattr(init, "photo", None) is not None and init.config.backbone == recipe.model.backbone
    if args.backbone_weights and (known or not recipe.looks):
        raise ValueError(
            f"--backbone-weights is of no use: {'--init brings its own' if known else 'the method has no backbone'}."
        )
    if recipe.looks and not known:  # a method without a backbone has its name in the configuration, but no weights
        backbone = imagenet_weights(recipe.model.backbone, args.backbone_weights)
    model, loss = recipe.make(pack, backbone=backbone, init=init)

    def log(line: dict) -> None:
        if quiet_bars:
            shown = ("step", "photos", "loss", "psnr", "intersection_cross", "photos_per_second")
            show("  ".join(f"{k} {line[k]:.5g}" for k in shown if k in line))

    with processes(args.device) as device:
        train_model(
            model,
            loss,
            pack,
            recipe.train,
            args.folder,
            validate=validate,
            callback=log,
            minutes=args.minutes,
            device=device,
            compile=args.compile,
            quiet=quiet_bars,
        )
    return 0


@contextmanager
def processes(device: str):
    """Join the processes that ``torchrun`` started, if it did; gives the device of this one."""
    if "LOCAL_RANK" not in os.environ:
        yield device
        return
    import torch.distributed as dist

    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()
