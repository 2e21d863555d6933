"""To go on with a run exactly where it was stopped, and to keep runs apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from histcolor.checkpoint import load_state, on_other_photos
from histcolor.checks import flat, read_config
from histcolor.data import Pack
from histcolor.files import clear_temporaries
from histcolor.images import write_text
from histcolor.optimize import MovingAverage, TrainConfig


def describe(model: nn.Module, loss: Callable, config: TrainConfig) -> dict[str, Any]:
    """Collect everything that decides a run's numbers, as ``config.json`` holds it."""
    about_loss = {k: v for k, v in vars(loss).items() if isinstance(v, int | float | str)}
    about = {"method": model.method, "init": getattr(model, "origin", ""), "model": asdict(model.config)}
    return {**about, "loss": about_loss, **asdict(config)}


def resume(
    run: Path,
    about: dict[str, Any],
    model: nn.Module,
    average: MovingAverage,
    optimizer: torch.optim.AdamW,
    pack: Pack,
    *,
    chief: bool,
) -> tuple[int, float, list[dict]]:
    """Go on from a run's folder, or begin in it. Returns the step, the seconds since the start, and the history.

    Raises:
        ValueError: the folder holds a run of another model or configuration, or on other photos, or other files.
    """
    step, seconds, history = 0, 0.0, []
    about = {**about, "pack": pack.fingerprint()}
    if (run / "state.pt").is_file():
        check_same_run(about, run / "config.json")
        step, seconds = load_state(run / "state.pt", model, average, optimizer, pack.fingerprint())
        history = read_history(run / "history.csv", step)
    elif chief:
        check_unused(about, run)
        write_text(json.dumps(about, indent=2), run / "config.json")
    if chief:
        clear_temporaries(run)
    return step, seconds, history


def read_history(path: Path, step: int) -> list[dict]:
    """Read a run's history up to a step; without the file it is empty.

    Raises:
        ValueError: it is damaged.
    """
    if not path.is_file():
        return []
    try:
        table = pd.read_csv(path)
        lines = table[table["step"] <= step].to_dict("records")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: is damaged, or is no history; without it the run goes on, with a new one."
        ) from error
    return [{k: v for k, v in line.items() if v == v} for line in lines]


def check_unused(config: dict, run: Path) -> None:
    """Refuse to begin in a folder with another program's files, or with a model of another run.

    Raises:
        ValueError: there is one of these; the message names it.
        OSError: the file can not be read.
    """
    path, model = run / "config.json", run / "model.safetensors"
    taken = [] if path.exists() else [run / name for name in ("history.csv", "sheets") if (run / name).exists()]
    if taken or (path.exists() and not is_runs(read_config(path))):
        raise ValueError(f"{[*taken, path][0]}: is there already, and is no run's; choose another folder.")
    if model.exists() or (run / "history.csv").exists():  # of a run without its state, as a finished one may be
        check_same_run(config, path)


def is_runs(config: dict) -> bool:
    """Tell whether a table is a run's ``config.json``; many programs have a file of that name with a model in it."""
    return {"loss", "steps"} <= set(config) and "backbone" in flat(config.get("model"))


def check_same_run(config: dict, path: Path) -> None:
    """Compare a configuration with the ``config.json`` of the run that is to be resumed.

    Raises:
        ValueError: they differ, the message names the first such field; or the file is damaged.
        OSError: the file is missing.
    """
    now = flat(json.loads(json.dumps(config)))
    # older runs do not tell what they started from, and their photos only in state.pt
    then = {"init": now.get("init"), "pack": now.get("pack"), **flat(read_config(path))}
    if different := [k for k in sorted({**then, **now}) if then.get(k) != now.get(k)]:
        key = different[0]
        if different == ["pack"]:
            raise ValueError(on_other_photos(path.parent, then[key], now[key]))
        raise ValueError(
            f"{path.parent}: holds a run with {key} = {then.get(key)}, now it is {now.get(key)}: "
            "start it again with the same options, or choose another folder."
        )
