"""What the folder of a method and seed holds, and whether it fits a plan; how the shipped models came to be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from histcolor.checks import flat, read_config
from histcolor.experiments.recipe import Recipe
from histcolor.images import PACKED, atomic, read_table, write_table, write_text

RECORD, TABLE, MODEL = "run.json", f"photos{PACKED}", "model.safetensors"
HISTORY = ("config.json", "history.csv")  # what else training leaves


def read_record(place: Path) -> dict[str, Any]:
    """Read a folder's ``run.json``; empty if there is none."""
    file = place / RECORD
    return read_config(file) if file.is_file() else {}


def write_record(place: Path, record: dict[str, Any]) -> None:
    """Write a folder's ``run.json``."""
    write_text(json.dumps(record, indent=2), place / RECORD)


def refuse_another(place: Path, record: dict, plan: dict, recipe: Recipe | None) -> None:
    """Refuse a folder that holds other work than planned: nothing that took hours is overwritten.

    Args:
        place: the folder.
        record: its ``run.json``, see :func:`read_record`.
        plan: what should stand there of function, packs and photos.
        recipe: what should have been trained, if anything.

    Raises:
        ValueError: names the first thing that differs, and what to do.
    """
    measured = record.get("measured") and (place / TABLE).is_file()
    if not measured and not (place / MODEL).is_file():
        return
    then, now = ({key: source.get(key) for key in plan} for source in (record, plan))
    if not measured:  # other photos to measure on are welcome
        then["photos"] = now["photos"]
    if recipe:
        then, now = then | read_options(place), now | options(recipe)
    if different := [key for key in now if then.get(key) != now[key]]:
        key = different[0]
        mend = f"remove its {TABLE} to measure it anew" if key == "photos" else "give the same"
        raise ValueError(f"{place}: was made with {key} = {then.get(key)}, not {now[key]}: {mend}, or another folder.")


def options(recipe: Recipe) -> dict[str, Any]:
    """Give a recipe's options as its run's file holds them, by names like ``model.bins``."""
    return flat(json.loads(json.dumps(recipe.as_dict())))


def read_options(place: Path) -> dict[str, Any]:
    """Read the options of the run in a folder; fields that came later stood at their defaults."""
    file = place / HISTORY[0]
    had = read_config(file) if file.is_file() else {}
    return options(Recipe()) | flat(had)


def find_twin(folders: Sequence[Path], seed: int, plan: dict[str, Any], recipe: Recipe) -> Path | None:
    """Find a run in other experiments' folders with the same configuration, packs and photos; None without one."""
    now = options(recipe)
    for there in (place for folder in folders for place in sorted(folder.glob(f"*/seed{seed}"))):
        record = read_record(there)
        whole = record.get("measured") and all((there / name).is_file() for name in (MODEL, TABLE, *HISTORY))
        had = record | read_options(there)
        if whole and all(had.get(key) == value for key, value in (now | plan).items()):
            return there
    return None


def take_over(twin: Path, place: Path, experiment: str, method: str) -> str:
    """Copy a twin's run (:func:`find_twin`) instead of computing the same numbers again; says where it is from."""
    names, source = {"experiment": experiment, "method": method}, "/".join(twin.parts[-3:])
    for name in (*HISTORY, MODEL):
        with atomic(place / name) as temporary:
            shutil.copyfile(twin / name, temporary)
    write_table(read_table(twin / TABLE).assign(**names), place / TABLE)
    write_record(place, {**read_record(twin), **names, "taken_from": source})
    return source


def stage_ends(results: Path, model: str) -> pd.DataFrame:
    """Say how a shipped model came to be: what was measured at the end of each stage, where the learning rate is 0.

    Args:
        results: the project's folder of results. ``MODEL/metrics.json`` in it lists the stages; one that was measured
            on images of many kinds afterwards says so there, the others have validation in their history.
        model: its name.

    Returns:
        Columns ``run``, ``photos`` (seen since the first stage, those of the model that it was grown from included),
        ``lambda_2`` (with self-reference), ``validation`` (``"ten kinds"`` or ``"many kinds"``: which images), ``psnr``
        and ``intersection_cross``, both at 128 pixels. A stage may have two lines, or none.

    Raises:
        OSError: the folder has no such file.
    """
    about = read_config(results / model / "metrics.json", "it is part of the project: git checkout results")
    lines, photos = [], 0
    for stage in about["stages"]:
        config, history = (results / stage["run"] / name for name in HISTORY)
        options = read_config(config)
        photos += stage["photos"]
        end = {"run": stage["run"], "photos": photos, "lambda_2": options["loss"]["lambda_2"]}
        # a stage without validation has no such columns
        checks = pd.read_csv(history).reindex(columns=["psnr", "intersection_cross"]).dropna(subset="psnr")
        if options["size"] == 128 and "many_kinds" not in stage:
            lines.append({**end, "validation": "ten kinds", **checks.iloc[-1]})
        if "many_kinds" in stage:
            lines.append({**end, "validation": "many kinds", **stage["many_kinds"]})
    return pd.DataFrame(lines)
