"""``histcolor experiment``: its options, and what it prints and writes."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from histcolor.cli import options
from histcolor.cli.options import Subparsers, add_command, quiet_bars, report_failed, show
from histcolor.images import write_table
from histcolor.lessons.notebook import project_root
from histcolor.model import PRESETS
from histcolor.optimize import TrainConfig

EXPERIMENT = """\
Train and measure the methods of one of the paper's tables: same photos, same budget, same protocol. The experiments and
their methods stand in notebooks/experiments.toml: ablation (Table 1), comparison (Table 2), shorter and longer (the
same with fewer and more images), losses, bins, temperature, readout.

  histcolor experiment ablation --data data/imagenette-144 data/caltech-144 --validation data/val-144 \\
      --photos imagenette/val --output results/ablation
  histcolor experiment losses … --output results/losses --steps 600 --limit 100      a first look
  histcolor experiment ablation … --methods 'Baseline + R_P' --seeds 0,1             a part of it

Each method and seed has a folder in the output: the model, config.json (options), run.json (hours, hardware, commit)
and photos.json.xz (the per-image results). Networks work at the size they were trained at. table.csv there has the
means and their spread over seeds, differences.csv the paired differences with intervals. Killed at any moment and
started again, it goes on; what is done is left alone.

Several processes may work in one output folder; each takes methods that no other has. --processes 2 starts two, each
with half of the CPU's cores, or with a GPU of its own.

A line for any other program, from its pictures of the same photos, found by their path:
  histcolor evaluate imagenette/val --predictions its-outputs --output results/comparison/others/its-name.csv
"""


TABLES = ("table.csv", "differences.csv")  #: in the output folder


def add(subparsers: Subparsers) -> None:
    """Add the command to the command line."""
    parser = add_command(subparsers, "experiment", EXPERIMENT, experiment)
    parser.add_argument(
        "experiment",
        type=options.text,
        metavar="EXPERIMENT",
        help="ablation, comparison, shorter, longer, losses, bins, temperature or readout",
    )
    parser.add_argument("--data", type=options.path, nargs="+", default=[], metavar="PACK", help="packs to train on")
    parser.add_argument(
        "--validation", type=options.path, metavar="PACK", help="pack to measure on, at every checkpoint"
    )
    parser.add_argument(
        "--photos", type=options.path, required=True, metavar="FOLDER", help="colour photos for the table"
    )
    parser.add_argument(
        "--output", type=options.path, required=True, metavar="FOLDER", help="a folder of its own for each experiment"
    )
    parser.add_argument(
        "--methods",
        action="append",
        type=options.text,
        default=[],
        metavar="NAME",
        dest="methods",
        help="only this one; may be given again",
    )
    parser.add_argument("--seeds", type=seeds, metavar="0,1,2", help="instead of the experiment's")
    parser.add_argument("--limit", type=options.count(), metavar="N", help="measure only so many photos, spread evenly")
    parser.add_argument(
        "--protocol-size",
        type=options.pixels,
        default=256,
        metavar="N",
        help="pixels to measure at (default: %(default)s)",
    )
    parser.add_argument(
        "--reuse",
        type=options.path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="other experiments' outputs: take equal runs over",
    )
    parser.add_argument(
        "--minutes", type=options.number(0), metavar="M", help="stop after this time; the same command goes on"
    )
    parser.add_argument("--device", type=options.device, default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument(
        "--processes",
        type=options.count(1, 64),
        default=1,
        metavar="N",
        help="methods at a time (default: %(default)s)",
    )
    parser.add_argument("--file", type=options.path, help="the experiments (default: notebooks/experiments.toml)")
    budget = parser.add_argument_group("budget (default: the experiment's; a method's own options stay)")
    budget.add_argument("--preset", choices=PRESETS, help="the model that the methods are variants of")
    for name in ("steps", "batch_size", "size", "lr"):
        budget.add_argument("--" + name.replace("_", "-"), **options.of_field(TrainConfig, name))


def experiment(args: argparse.Namespace) -> int:
    """``histcolor experiment``: exit code 1 if a method failed or a photo could not be read."""
    for name in TABLES:  # before hours of work
        options.is_ours(args.output / name, "method")
    from histcolor.experiments.definition import read_experiment
    from histcolor.experiments.run import check_methods, run, tabulate
    from histcolor.experiments.statistics import printed

    names = ("preset", "steps", "batch_size", "size", "lr")
    budget = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    found = read_experiment(args.file or project_root() / "notebooks" / "experiments.toml", args.experiment, budget)
    check_methods(found, args.methods)
    began, minutes, code = time.monotonic(), args.minutes, 0
    if args.processes > 1:
        if not run_processes(args.words, args.processes, args.device):
            show("A process could not do all of its work, see above; the tables have what is done.")
            code = 1
        elif minutes is not None:  # they have used some of it
            minutes = max(0.0, minutes - (time.monotonic() - began) / 60)

    def log(line: dict) -> None:
        if quiet_bars:
            shown = ("step", "loss", "psnr", "intersection_cross", "photos_per_second")
            numbers = "  ".join(f"{k} {line[k]:.5g}" for k in shown if k in line)
            show(f"{line['method']}, seed {line['seed']}: {numbers}")

    failed: list[str] = []
    if not code:
        failed = run(
            found,
            args.data,
            args.validation,
            args.output,
            photos=args.photos,
            methods=args.methods,
            seeds=args.seeds,
            size=args.protocol_size,
            limit=args.limit,
            reuse=args.reuse,
            minutes=minutes,
            device=args.device,
            callback=log,
            report=show,
            quiet=quiet_bars,
        )
    table, pairs = tabulate(found, args.output)
    for name, numbers in zip(TABLES, (table, pairs), strict=True):
        write_table(numbers.round(6), args.output / name)
    show(printed(table).to_string(index=False))
    return report_failed(failed) or code


def run_processes(words: Sequence[str], count: int, device: str) -> bool:
    """Run a command in several processes at once, each with its share of the machine; waits for all of them.

    Args:
        words: what was given after ``histcolor``; ``--processes`` in it is overruled.
        count: how many.
        device: on "cuda" each process sees one GPU, the i-th the i-th, over again if there are fewer; on "cuda:1" all
            see that one; on "cpu" each has its share of the cores, or as many threads as OMP_NUM_THREADS says (sums
            depend on it).

    Returns:
        Whether all of them ended without a failure.
    """
    kind, _, number = device.partition(":")
    seen, children = visible_gpus() if kind == "cuda" else [], []
    end = words.index("--") if "--" in words else len(words)  # of the options
    for i in range(count):
        if seen:
            share = {"CUDA_VISIBLE_DEVICES": seen[int(number) if number else i % len(seen)]}
        else:
            share = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))}
        command = [sys.executable, "-m", "histcolor", *words[:end], "--processes", "1", "--device", kind, *words[end:]]
        children.append(subprocess.Popen(command, env=os.environ | share))
    try:
        return not any([child.wait() for child in children])
    finally:  # Ctrl-C ends all of them
        for child in children:
            child.terminate()
            child.wait()


def visible_gpus() -> list[str]:
    """List the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    allowed = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return [name.strip() for name in allowed.split(",") if name.strip()] or [
        str(i) for i in range(max(1, torch.cuda.device_count()))
    ]


def seeds(value: str) -> list[int]:
    """The type of ``--seeds``: different whole numbers from 0 up."""
    found = options.listed(options.count(0, 2**32 - 1))(value)
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"must be different, got {value!r}")
    return found
