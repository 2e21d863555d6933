"""``histcolor train``: its options, also under ``torchrun``."""

from __future__ import annotations

import argparse
import os
from contextlib import contextmanager
from pathlib import Path

import torch

from histcolor.checkpoint import load
from histcolor.cli.commands import add_config_options, find_backbone, train_config
from histcolor.cli.options import Subparsers, add_command, quiet_bars
from histcolor.model import PRESETS

TRAIN = """\
Train a model. Started again with the same options, it goes on from the last checkpoint, to the same numbers.

  histcolor train --preset small --data data/train --validation data/val --run results/mine
  torchrun --nproc-per-node 2 -m histcolor train --preset base --data data/train --run results/base --device cuda

Any field of the configuration is an option (--lr, --bins, --lambda-2 …); the preset gives the others.
"""


def add(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    sub = add_command(subparsers, "train", TRAIN, train)
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
    add_config_options(sub)


def train(args: argparse.Namespace) -> int:
    """``histcolor train``: also under ``torchrun``."""
    from histcolor.data import Pack
    from histcolor.train import train as train_model

    config, pack = train_config(args), Pack.open(*args.data)
    validate = None
    if args.validation:
        from histcolor.validate import make_validator

        validate = make_validator(
            Pack.open(args.validation), args.folder, size=config.size, sheet_every=args.sheet_every
        )
    init = load(args.init) if args.init else None
    backbone = None
    if config.model.attention and (init is None or init.config.backbone != config.model.backbone):
        backbone = find_backbone(config.model.backbone, args.backbone_weights)

    def log(row: dict) -> None:
        if quiet_bars:
            shown = ("step", "photos", "loss", "psnr", "intersection_foreign", "photos_per_second")
            print("  ".join(f"{k} {row[k]:.5g}" for k in shown if k in row), flush=True)

    with processes(args.device) as device:
        train_model(
            config,
            pack,
            args.folder,
            backbone=backbone,
            init=init,
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
