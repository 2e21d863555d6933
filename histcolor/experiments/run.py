"""The paper's tables as experiments: every method trained on the same photos with the same budget, measured alike.

Each method of an experiment (:mod:`histcolor.experiments.definition`) has with each seed a folder of its own,
``FOLDER/METHOD/seedN``: there are what training writes, ``run.json`` (what was planned, what it cost, on what) and
``photos.json.xz`` (the per-image results). A run may be killed at any moment and started again; several processes may
work in one folder at once.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from histcolor.backbone import PACKAGED, imagenet_weights
from histcolor.baselines.classical import UNTRAINED
from histcolor.checkpoint import load, load_metadata, save_model
from histcolor.data import Pack
from histcolor.evaluate import ColorizeFunction, evaluate, evenly, model_method, name_photos, summarise
from histcolor.experiments.definition import Experiment, Method
from histcolor.experiments.pictures import FIDELITY, PICTURES, fidelity, forget_pictures, save_pictures
from histcolor.experiments.provenance import about_machine, about_pack, cost, digest
from histcolor.experiments.recipe import Recipe
from histcolor.experiments.records import (
    MODEL,
    TABLE,
    find_twin,
    read_record,
    refuse_another,
    take_over,
    write_record,
)
from histcolor.experiments.statistics import differences, experiment_table
from histcolor.files import HeldError, clear_temporaries, hold
from histcolor.images import PACKED, find_images, read_table, write_table
from histcolor.metrics import DIGITS, PERFECT_PSNR
from histcolor.plots import save_sheet
from histcolor.train import train
from histcolor.validate import make_validator

GRAY = 1.0  #: colourfulness below which a photo is gray in tables that do not mark gray ones, as older ones


@dataclass
class Work:
    """How an experiment is worked on: the same for all of its methods."""

    packs: Sequence[Path]  #: to train on
    validation: Path | None  #: pack to measure on at every checkpoint
    photos: list[Path]  #: files that the tables are measured on
    size: int  #: pixels along each side that they are squashed to
    about: dict[str, Any]  #: what ``run.json`` says of packs and photos
    reuse: Sequence[Path] = ()  #: other experiments' folders, see :func:`find_twin`
    device: str = "cpu"
    minutes: float | None = None  #: stop after this time
    quiet: bool = False
    callback: Callable[[dict], None] | None = None

    def __post_init__(self) -> None:
        self.began = time.perf_counter()
        self.open = cache(Pack.open)  # several packs are joined in memory, once

    @property
    def left(self) -> float:
        """Minutes that are left."""
        return math.inf if self.minutes is None else self.minutes - (time.perf_counter() - self.began) / 60


def check_methods(experiment: Experiment, methods: Sequence[str]) -> None:
    """Refuse, by a ``ValueError``, methods that an experiment does not have."""
    if unknown := sorted(set(methods) - {method.name for method in experiment.methods}):
        names = ", ".join(repr(method.name) for method in experiment.methods)
        raise ValueError(f"[{experiment.name}] has no method {unknown[0]!r}; it has {names}.")


def run(
    experiment: Experiment,
    packs: Sequence[Path],
    validation: Path | None,
    folder: Path,
    *,
    photos: Path,
    methods: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    size: int = 256,
    limit: int | None = None,
    reuse: Sequence[Path] = (),
    minutes: float | None = None,
    device: str = "cpu",
    callback: Callable[[dict], None] | None = None,
    report: Callable[[str], None] = print,
    quiet: bool = False,
) -> list[str]:
    """Train and measure the methods of an experiment, or go on with it; what is done already is left alone.

    Seed by seed, so that every method has its first numbers early. What another process works on is left to it.

    Args:
        experiment: from :func:`histcolor.experiments.definition.read_experiment`.
        packs: photos to train on, the same for every method.
        validation: pack that training measures on at every checkpoint, if any.
        folder: where the methods' folders are.
        photos: folder of colour photos to measure on, with self-reference and with cross-reference.
        methods: only these, by name; by default all.
        seeds: instead of the experiment's.
        size: pixels along each side of the photos measured; training's own size is in the configuration.
        limit: measure only so many photos, spread evenly over the folder.
        reuse: folders of other experiments; a method that is the same there is copied, not trained again.
        minutes: stop after this time; a later call goes on.
        device: where to train and to colour.
        callback: called with each line of each history, ``method`` and ``seed`` added.
        report: called with a line for each method and seed.
        quiet: no progress bars.

    Returns:
        A line for each method that failed (the others go on), for each photo that could not be read, and for subfolders
        that could not.

    Raises:
        ValueError: there is no such method, or fewer than two photos to measure on.
        OSError: there is no photo, or a pack is incomplete.
    """
    failed: dict[str, None] = {}  # a photo that can not be read is met with every method
    files = evenly(find_images(photos, unread := []), limit)
    failed |= dict.fromkeys(unread)
    if len(files) < 2:
        raise ValueError(f"{photos}: cross-reference needs at least two photos, got {len(files)}.")
    check_methods(experiment, methods)
    names = "\n".join(f"{path.relative_to(photos).as_posix()} {path.stat().st_size}" for path in files)
    about = {
        "packs": [about_pack(path) for path in packs],
        "photos": {"folder": photos.name, "count": len(files), "size": size, "names": digest(os.fsencode(names))},
    }
    work = Work(packs, validation, files, size, about, reuse, device, minutes, quiet, callback)
    for method, seed, place in experiment.places(folder, seeds):
        if methods and method.name not in methods:
            continue
        if work.left <= 0:
            report("Time is up; the same command goes on.")
            break
        label = f"{method.name}, seed {seed}" if method.recipe else method.name
        try:
            with hold(place):
                said, unread = _work_on(experiment.name, method, seed, place, work)
                if experiment.pictures and seed == experiment.first_seed(method):
                    said += _leave_pictures(method, place, work)
                report(f"{label}: {said}.")
                failed |= dict.fromkeys(unread)
        except HeldError as error:
            report(f"{label}: left to {error.owner}.")
        except (ValueError, OSError, ArithmeticError, RuntimeError) as error:  # torch raises RuntimeErrors
            failed[f"{label}: {(str(error).splitlines() or [type(error).__name__])[0]}"] = None
            report(f"{label}: failed.")
    return list(failed)


def _work_on(experiment: str, method: Method, seed: int, place: Path, work: Work) -> tuple[str, list[str]]:
    """Bring a method with a seed as far as time allows; says how far, and which photos could not be read."""
    recipe = replace(method.recipe, train=replace(method.recipe.train, seed=seed)) if method.recipe else None
    plan = {"function": method.function, "packs": work.about["packs"] if recipe else [], "photos": work.about["photos"]}
    record = read_record(place)
    refuse_another(place, record, plan, recipe)
    if record.get("measured") and (place / TABLE).is_file():
        return "done before", []
    clear_temporaries(place)  # of a process that was killed; nobody else is here
    if not (record.get("trained") and (place / MODEL).is_file()):  # models may be left out of what is passed on
        record = {"experiment": experiment, "method": method.name, "seed": seed, **plan}
    record |= {"photos": plan["photos"], "measured": False}
    write_record(place, record)
    if recipe and not record.get("trained"):
        if twin := find_twin(work.reuse, seed, plan, recipe):
            return f"taken from {take_over(twin, place, experiment, method.name)}", []
        if (reached := _train(method.name, recipe, place, work)) < (steps := recipe.train.steps):
            return f"stopped at step {reached} of {steps}; the same command goes on", []
        _leave_out_backbone(recipe, place / MODEL)
        record |= {"trained": True, **cost(place / "history.csv"), **about_machine(work.device)}
        write_record(place, record)
    (place / "state.pt").unlink(missing_ok=True)  # nothing resumes from it any more, and it is four times the model
    if work.left <= 0:
        return "trained, but not measured yet; the same command goes on", []
    forget_pictures(place)  # of photos measured before: the next ones may be others
    table, unread = _measure(method, seed, place, work)
    write_table(table.round(DIGITS).assign(experiment=experiment), place / TABLE)
    write_record(place, {**record, **({} if recipe else about_machine(work.device)), "measured": True})
    means = summarise(table[table["reference_kind"] == "self"].drop(columns="reference_kind")).iloc[0]
    took = f" in {record['hours']:.2f} h" if recipe else ""
    return f"done{took}: {means['psnr']:.2f} dB, SSIM {means['ssim']:.4f}", unread


def _train(name: str, recipe: Recipe, place: Path, work: Work) -> int:
    """Train, or go on training; returns the step that the model was saved at, 0 without a model."""
    if not work.packs:
        raise ValueError("No pack was named to train on; make one with 'histcolor data pack'.")
    validate = None
    if work.validation:

        def look(step: int, sheet: list[Tensor]) -> None:
            if step == recipe.train.steps:
                save_sheet(sheet, place / "sheets" / f"{step:07d}.png")

        validate = make_validator(work.open(work.validation), size=recipe.train.size, look=look)
    backbone = imagenet_weights(recipe.model.backbone) if recipe.looks else None
    about = {"method": name, "seed": recipe.train.seed}
    pack = work.open(*work.packs)
    model, loss = recipe.make(pack, backbone=backbone)
    train(
        model,
        loss,
        pack,
        recipe.train,
        place,
        validate=validate,
        callback=(lambda line: work.callback({**about, **line})) if work.callback else None,
        minutes=None if work.minutes is None else work.left,
        device=work.device,
        quiet=work.quiet,
        lock=False,
    )
    file = place / MODEL
    return json.loads(load_metadata(file)["about"])["step"] if file.is_file() else 0


def _leave_out_backbone(recipe: Recipe, path: Path) -> None:
    """Write a trained model anew without its backbone, if that is frozen and a package has it: 1 MB instead of 7."""
    if recipe.train.backbone_lr == 0 and recipe.model.backbone == PACKAGED:
        about = json.loads(load_metadata(path)["about"])
        save_model(load(path), path, about=about, backbone=False)


def _function(method: Method, place: Path, work: Work) -> ColorizeFunction:
    """Give the function that colours; a network works at the size it was trained at, unless measured at less.

    What it paints there is joined to the whole L. Methods that lay the histogram's features over the photo know one
    size alone: trained at 128 pixels, the paper's baseline paints nonsense at 256.
    """
    if method.function:
        return UNTRAINED[method.function]
    return model_method(load(place / MODEL, work.device), size=min(work.size, method.recipe.train.size))


def _leave_pictures(method: Method, place: Path, work: Work) -> str:
    """Leave pictures and the fidelity curve where they are not there yet, and can be made; says so."""
    there = all((place / name).is_file() for name in (FIDELITY, PICTURES))
    can = read_record(place).get("measured") and (method.function or (place / MODEL).is_file())
    if there or not can:
        return ""
    table, function = read_table(place / TABLE), _function(method, place, work)
    table, named = (
        table[table["reference_kind"] == "self"],
        {name: path for path, name in name_photos(work.photos).items()},
    )
    files = [named[name] for name in table["photo"]]  # those that could be read
    write_table(fidelity(function, files, work.size).round(3), place / FIDELITY)
    psnr = table["psnr"].replace(math.inf, PERFECT_PSNR).tolist()
    save_pictures(function, files, psnr, place, place.parent.parent / "photos")
    return ", with pictures"


def _measure(method: Method, seed: int, place: Path, work: Work) -> tuple[pd.DataFrame, list[str]]:
    """Measure a method with both kinds of reference: per-image results, and the photos that could not be read."""
    function, tables, unread = {method.name: _function(method, place, work)}, [], []
    for kind in ("self", "cross"):
        table, failed = evaluate(work.photos, function, size=work.size, cross=kind == "cross", quiet=work.quiet)
        unused = ["earth_movers"] if kind == "self" else ["earth_movers", "colourfulness"]  # in no table or figure
        tables.append(table.drop(columns=unused).assign(seed=seed, reference_kind=kind))
        unread += failed
    return pd.concat(tables, ignore_index=True), unread


def collect(experiment: Experiment, folder: Path) -> pd.DataFrame:
    """Collect the per-image results of all methods and seeds that are done.

    Also those of other programs: what ``histcolor evaluate --predictions`` wrote into ``folder/others``. Photos that
    are gray themselves (:func:`histcolor.color.is_gray`) are left out, as they are in training: a method that leaves
    them as they are would count 100 dB for each, which says nothing of colours.

    Returns:
        The columns of ``photos.json.xz``: ``photo``, ``reference``, ``method``, numbers, ``seed``,
        ``reference_kind`` ("self" or "cross") and ``experiment``. Without any results: no line.

    Raises:
        ValueError: another program is named like one of the experiment's methods, its table lacks a column, or a table
            has several lines for a photo.
    """
    found, names = [], {method.name for method in experiment.methods}
    for method in experiment.methods:
        for path in sorted(folder.glob(f"{method.slug}/seed*/{TABLE}")):
            if read_record(path.parent).get("measured"):
                found.append(_check_lines(read_table(path).assign(method=method.name), path))
    for path in sorted(path for suffix in (".csv", PACKED) for path in folder.glob(f"others/*{suffix}")):
        table = read_table(path)
        if missing := {"photo", "reference", "method"} - set(table):
            raise ValueError(f"{path}: lacks the column {min(missing)!r}; write it with 'histcolor evaluate'.")
        if taken := set(table["method"]) & names:
            raise ValueError(f"{path}: has a method {min(taken)!r}, as [{experiment.name}] has; rename the folder.")
        kind = (table["photo"] == table["reference"]).map({True: "self", False: "cross"})
        found.append(_check_lines(table.assign(seed=0, reference_kind=kind, experiment=experiment.name), path))
    if not found:
        columns = {"method": str, "seed": int, "reference_kind": str}
        return pd.DataFrame(columns=list(columns)).astype(columns)
    table, gray = pd.concat(found, ignore_index=True), set().union(*map(_gray_photos, found))
    return table[~table["photo"].isin(gray) & ~table["reference"].isin(gray)].reset_index(drop=True)


def _check_lines(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Refuse a table of which lines would be lost, or that has one name for several photos: which is which?"""
    needed = {"photo", "reference", "method", "seed", "reference_kind"}
    own = table["reference_kind"] == "self" if needed <= set(table) else pd.Series(dtype=bool)
    if missing := (needed | ({"psnr"} if own.any() else set())) - set(table):
        raise ValueError(f"{path}: lacks the column {min(missing)!r}; measure it anew.")
    numbers = table[[name for name in table if name in DIGITS]]
    if wrong := [name for name in numbers if not pd.api.types.is_numeric_dtype(numbers[name])]:
        raise ValueError(f"{path}: the column {wrong[0]!r} holds something else than numbers; measure it anew.")
    holes = table[["photo", "method", "seed"]].isna().any(axis=None)
    if table.empty or holes or (own.any() and table.loc[own, "psnr"].isna().any()):
        raise ValueError(f"{path}: has no lines, or some without a photo, a method, a seed or a PSNR; measure it anew.")
    if "gray" in table and table["gray"].dtype != bool:
        raise ValueError(f"{path}: the column 'gray' holds something else than True and False; measure it anew.")
    if (doubled := table.duplicated(["method", "reference_kind", "photo"])).any():
        name = table.loc[doubled, "photo"].iloc[0]
        raise ValueError(f"{path}: has several lines for the photo {name!r} and one method; measure it anew.")
    return table


def _gray_photos(table: pd.DataFrame) -> set[str]:
    if "gray" in table:
        return set(table.loc[table["gray"], "photo"])
    if "colourfulness_reference" not in table:
        return set()
    return set(table.loc[(table["reference_kind"] == "self") & (table["colourfulness_reference"] < GRAY), "photo"])


def tabulate(experiment: Experiment, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give an experiment's table, with the paper's numbers where it has any, and its pairs' differences.

    ``paper_psnr`` and ``paper_ssim`` are the paper's own: its runs, its photos; not to be compared with the others.
    Where methods are told different things of the colours, ``told`` says what. Other programs come last.

    Raises:
        ValueError: methods were measured on different photos, or see :func:`collect`.
    """
    results, paper = collect(experiment, folder), {method.name: method.paper for method in experiment.methods}
    table = experiment_table(results, dict.fromkeys([*paper, *results["method"]]))
    for name in ("psnr", "ssim"):
        table[f"paper_{name}"] = [paper.get(method, {}).get(name, math.nan) for method in table["method"]]
    told = {**experiment.others, **{method.name: method.told for method in experiment.methods}}
    if len({kind for kind in told.values() if kind}) > 1:
        table.insert(1, "told", [told.get(method) or "–" for method in table["method"]])
    return table, differences(results, experiment.pairs)
