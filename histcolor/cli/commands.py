"""What the commands do: read files, call the library, write files. Errors are raised; ``__main__`` prints them."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from histcolor import data as data_module
from histcolor.backbone import imagenet_weights
from histcolor.checkpoint import load
from histcolor.cli import datasets as sources
from histcolor.color import rgb_to_lab
from histcolor.histogram import ab_histogram, check_histogram, resize_histogram
from histcolor.images import ImageError, find_images, read_image, write_image, write_table
from histcolor.model import Colorizer, ModelConfig

MIN_BYTES = data_module.MIN_BYTES
quiet_bars = not sys.stderr.isatty()  # progress bars are for people; batch logs stay readable


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


def asked_histogram(args: argparse.Namespace, bins: int) -> Tensor | None:
    """The histogram that the options name; None: they name none."""
    if args.reference:
        return ab_histogram(rgb_to_lab(read_image(args.reference))[1:], bins)
    if args.histogram:
        return read_histogram(args.histogram, bins)
    if not args.palette:
        return None
    from histcolor.edit import from_palette, parse_palette

    return from_palette(parse_palette(args.palette), bins)


def colorize(args: argparse.Namespace) -> int:
    """``histcolor colorize``: bad photos are skipped, counted and listed at the end."""
    from histcolor.colorize import colorize as colorize_photo

    model = load(args.model, args.device)
    hist = asked_histogram(args, model.config.bins)
    photos: list[tuple[Path, Path]] = []  # the photo and its name below the output folder
    failed: list[str] = []
    for source in args.photos:
        try:
            base = source if source.is_dir() else source.parent
            photos += [(path, path.relative_to(base)) for path in find_images(source)]
        except OSError as error:
            failed.append(str(error))
    total = len(photos) + len(failed)
    one_file = len(args.photos) == 1 and not args.photos[0].is_dir() and args.output.suffix and not args.output.is_dir()
    if not one_file and args.output.suffix and not args.output.is_dir():
        raise ValueError(f"{args.output}: names a file, but several photos were given: name a folder.")
    targets = [args.output if one_file else (args.output / name).with_suffix(".png") for _, name in photos]
    if doubled := {t for t in targets if targets.count(t) > 1}:
        raise ValueError(f"Several photos would be written to {sorted(doubled)[0]}: colour them folder by folder.")
    for (path, _), target in zip(
        tqdm(photos, desc="colorize", unit=" photos", disable=quiet_bars or len(photos) == 1), targets, strict=True
    ):
        try:
            write_image(
                colorize_photo(model, read_image(path), hist, match=args.match, flips=args.flips, size=args.size),
                target,
            )
        except ImageError as error:
            failed.append(str(error))
    return report_failed(failed, total)


def report_failed(failed: list[str], total: int) -> int:
    """List what was skipped on stderr; the exit code is 1 if anything was."""
    for line in failed:
        print(f"histcolor: {line}", file=sys.stderr)
    if failed and total > 1:
        print(f"histcolor: {len(failed)} of {total} photos were skipped.", file=sys.stderr)
    return 1 if failed else 0


def data_pack(args: argparse.Namespace) -> int:
    """``histcolor data pack``."""
    about = data_module.build_pack(
        args.sources, args.output, args.size, keep=args.keep, min_bytes=args.min_bytes, quiet=quiet_bars
    )
    left_out = ", ".join(f"{count} {reason}" for reason, count in about["rejected"].items()) or "none"
    print(f"{args.output}: {about['photos']} photos of {args.size}×{args.size}; left out: {left_out}.")
    return 0


def data_get(args: argparse.Namespace) -> int:
    """``histcolor data get``: what can not be got is listed at the end; a pack is made of all or none."""
    data_module.check_pack(args.pack, args.size)
    folders, failed = [], []
    for name in dict.fromkeys(args.names):
        try:
            folders.append(sources.get_dataset(name, args.root))
        except OSError as error:
            failed.append(str(error))
            continue
        if not args.pack:
            words = ["histcolor", "data", "pack", folders[-1], "--output", args.root / f"{name}-{args.size}"]
            print(f"{folders[-1]}: ready; next: {shlex.join(map(str, [*words, '--size', args.size]))}")
    if args.pack and not failed:
        args.sources, args.output = folders, args.pack
        return data_pack(args)
    for line in failed:
        print(f"histcolor: {line}", file=sys.stderr)
    return 1 if failed else 0


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Make an option of every field of the configurations; what is not given keeps the preset's value."""
    from histcolor.experiments.recipe import option_fields
    from histcolor.losses import Loss
    from histcolor.train import TrainConfig

    groups = {
        ModelConfig: parser.add_argument_group("model (default: the preset's)"),
        Loss: parser.add_argument_group("loss"),
        TrainConfig: parser.add_argument_group("training"),
    }
    defaults = {f.name: f.default for kind in groups for f in fields(kind) if f.default is not MISSING}
    for name, (kind, type_) in option_fields().items():
        option = "--" + name.replace("_", "-")
        text = "" if kind is ModelConfig else f"(default: {defaults[name]})"
        if type_ is bool:
            groups[kind].add_argument(option, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            groups[kind].add_argument(option, type=type_, default=None, metavar=type_.__name__.upper(), help=text)


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


def train(args: argparse.Namespace) -> int:
    """``histcolor train``: also under ``torchrun``."""
    from histcolor.data import Pack
    from histcolor.experiments.recipe import make_recipe
    from histcolor.train import train as train_model

    recipe, pack = make_recipe(vars(args)), Pack.open(*args.data)
    validate = None
    if args.validation:
        from histcolor.plots import save_sheet
        from histcolor.validate import make_validator

        def look(step: int, sheet: list[Tensor]) -> None:
            if step % args.sheet_every == 0:
                save_sheet(sheet, args.folder / "sheets" / f"{step:07d}.png")

        validate = make_validator(Pack.open(args.validation), size=recipe.train.size, look=look)
    init = load(args.init) if args.init else None
    backbone = None
    if recipe.looks and (init is None or init.config.backbone != recipe.model.backbone):
        backbone = imagenet_weights(recipe.model.backbone, args.backbone_weights)
    model, loss = recipe.make(pack, backbone=backbone, init=init)

    def log(row: dict) -> None:
        if quiet_bars:
            shown = ("step", "photos", "loss", "psnr", "intersection_foreign", "photos_per_second")
            print("  ".join(f"{k} {row[k]:.5g}" for k in shown if k in row), flush=True)

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


def evaluate(args: argparse.Namespace) -> int:
    """``histcolor evaluate``: prints the means, writes the table a photo."""
    from histcolor import evaluate as ev
    from histcolor.baselines.classical import UNTRAINED
    from histcolor.metrics import DIGITS

    photos = ev.evenly(find_images(args.photos), args.limit)
    methods: dict = {}
    if args.predictions:
        methods[args.predictions.name] = ev.prediction_method(args.predictions, photos, args.size)
    else:
        for row in args.rows.split(","):
            if row == "model":
                model = load(args.model)
                for match in map(float, args.match.split(",")):
                    name = Path(args.model).stem + (f" match {match:g}" if match else "") + " flips" * args.flips
                    methods[name] = ev.model_method(model, match=match, flips=args.flips)
            elif row == "automatic":
                methods[f"{Path(args.model).stem} automatic"] = ev.model_method(load(args.model), automatic=True)
            elif row in UNTRAINED:
                methods[row] = UNTRAINED[row]
            else:
                raise ValueError(f"There is no row {row!r}; there are model, automatic, {', '.join(UNTRAINED)}.")
    table, failed = ev.evaluate(photos, methods, size=args.size, foreign=args.foreign, quiet=quiet_bars)
    write_table(table.round(DIGITS), args.output)
    if args.sheet:
        write_sheet(photos, load(args.model), args.sheet, args.size)
    print(ev.summarise(table).round(4).to_string(index=False))
    return report_failed(failed, len(photos))


def write_sheet(photos: list[Path], model: Colorizer, path: Path, size: int, rows: int = 8) -> None:
    """A contact sheet of photos spread over the folder, each also with the histogram of the one half a folder on."""
    from histcolor.evaluate import Task, model_method, squash
    from histcolor.plots import save_sheet

    colour, columns = model_method(model), []
    for i in np.linspace(0, len(photos) - 1, min(rows, len(photos))).round().astype(int):
        truth, reference = (squash(read_image(photos[k % len(photos)]), size) for k in (i, i + len(photos) // 2))
        own, foreign = (Task(rgb_to_lab(truth)[:1], rgb_to_lab(x)) for x in (truth, reference))
        columns.append((own.gray, truth, colour(own), colour(foreign), reference))
    save_sheet([torch.stack(x) for x in zip(*columns, strict=True)], path)


def reproduce(args: argparse.Namespace) -> int:
    """``histcolor reproduce``."""
    from histcolor.lessons.reproduce import reproduce as run

    return run(args.profile, args.output)
