"""The paper's tables as experiments: every row trained on the same photos with the same budget, measured the same way.

Each row of a heading (:mod:`histcolor.experiments.definition`) has with each seed a folder of its own,
``FOLDER/ROW/seedN``: there are what training writes, ``run.json`` (what was asked, what it cost, on what) and
``photos.json.xz`` (the numbers a photo). A run may be killed at any moment and started again; several processes may
work in one folder at once.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from histcolor.backbone import imagenet_weights
from histcolor.baselines.classical import UNTRAINED
from histcolor.checkpoint import load, load_tensors
from histcolor.data import Pack
from histcolor.evaluate import Method, evaluate, evenly, model_method
from histcolor.experiments.definition import Heading, Row
from histcolor.experiments.pictures import CONTROL, PICTURES, control, save_pictures
from histcolor.experiments.provenance import about_machine, about_pack, cost, digest
from histcolor.experiments.recipe import Recipe
from histcolor.experiments.records import (
    MODEL,
    TABLE,
    find_twin,
    hold,
    read_record,
    refuse_another,
    take_over,
    write_record,
)
from histcolor.experiments.statistics import differences, heading_table
from histcolor.images import PACKED, clear_temporaries, find_images, read_table, write_table
from histcolor.metrics import DIGITS
from histcolor.plots import save_sheet
from histcolor.train import train
from histcolor.validate import make_validator

STATE = "state.pt"
GRAY = 1.0  #: colourfulness below which a photo counts as gray: the tables do not hold what packs decide it by


@dataclass
class Work:
    """How an experiment is worked on: the same for all of its rows."""

    packs: Sequence[Path]  #: to train on
    validation: Path | None  #: pack to measure on at every checkpoint
    photos: list[Path]  #: files that the tables are measured on
    size: int  #: pixels along each side that they are squashed to
    about: dict[str, Any]  #: what ``run.json`` says of packs and photos
    reuse: Sequence[Path] = ()  #: other headings' folders, see :func:`find_twin`
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


def run(
    heading: Heading,
    packs: Sequence[Path],
    validation: Path | None,
    folder: Path,
    *,
    photos: Path,
    rows: Sequence[str] = (),
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
    """Train and measure the rows of a heading, or go on with it; what is done already is left alone.

    Seed by seed, so that every row has its first numbers early. A row that another process is working on is left to it.

    Args:
        heading: from :func:`histcolor.experiments.definition.read_heading`.
        packs: photos to train on, the same for every row.
        validation: pack that training measures on at every checkpoint, if any.
        folder: where the rows' folders are.
        photos: folder of colour photos to measure on, with true and with foreign histograms.
        rows: only these, by name; by default all.
        seeds: instead of the heading's.
        size: pixels along each side of the photos measured; training's own size is in the configuration.
        limit: measure only so many photos, spread evenly over the folder.
        reuse: folders of other headings; a row that is the same there is copied, not trained again.
        minutes: stop after this time; a later call goes on.
        device: where to train and to colour.
        callback: called with each row of each history, ``row`` and ``seed`` added.
        report: called with a line for each row and seed.
        quiet: no progress bars.

    Returns:
        A line for each row that failed (the others go on) and for each photo that could not be read.

    Raises:
        ValueError: there is no such row, or fewer than two photos to measure on.
        OSError: there is no photo, or a pack is incomplete.
    """
    files = evenly(find_images(photos), limit)
    if len(files) < 2:
        raise ValueError(f"{photos}: measuring with foreign histograms needs at least two photos, got {len(files)}.")
    if unknown := sorted(set(rows) - {row.name for row in heading.rows}):
        names = ", ".join(repr(row.name) for row in heading.rows)
        raise ValueError(f"[{heading.name}] has no row {unknown[0]!r}; it has {names}.")
    names = "\n".join(f"{path.relative_to(photos).as_posix()} {path.stat().st_size}" for path in files)
    about = {
        "packs": [about_pack(path) for path in packs],
        "photos": {"folder": photos.name, "count": len(files), "size": size, "names": digest(names.encode())},
    }
    work = Work(packs, validation, files, size, about, reuse, device, minutes, quiet, callback)
    failed: dict[str, None] = {}  # a photo that can not be read is met with every row
    for row, seed, place in places(heading, folder, heading.seeds if seeds is None else seeds):
        if rows and row.name not in rows:
            continue
        if work.left <= 0:
            report("Time is up; the same command goes on.")
            break
        label = f"{row.name}, seed {seed}" if row.recipe else row.name
        with hold(place) as owner:
            if owner:
                report(f"{label}: left to {owner}.")
                continue
            try:
                said, unread = _work_on(heading, row, seed, place, work)
                report(f"{label}: {said}")
                failed |= dict.fromkeys(unread)
            except (ValueError, OSError, ArithmeticError, RuntimeError) as error:  # torch raises RuntimeErrors
                failed[f"{label}: {(str(error).splitlines() or [type(error).__name__])[0]}"] = None
                report(f"{label}: failed.")
    return list(failed)


def places(heading: Heading, folder: Path, seeds: Sequence[int]) -> Iterator[tuple[Row, int, Path]]:
    """Row, seed and folder of all that is measured, seed by seed; a row that is not trained has seed 0 alone."""
    for i, seed in enumerate(seeds):
        for row in heading.rows:
            if row.recipe or (row.method and not i):
                number = seed if row.recipe else 0
                yield row, number, folder / row.slug / f"seed{number}"


def _work_on(heading: Heading, row: Row, seed: int, place: Path, work: Work) -> tuple[str, list[str]]:
    """Bring a row with a seed as far as time allows; says how far, and which photos could not be read."""
    recipe = replace(row.recipe, train=replace(row.recipe.train, seed=seed)) if row.recipe else None
    asked = {"method": row.method, "packs": work.about["packs"] if recipe else [], "photos": work.about["photos"]}
    record = read_record(place)
    refuse_another(place, record, asked, recipe)
    if record.get("measured") and (place / TABLE).is_file():
        return f"done before{_exhibit(heading, row, seed, place, work)}.", []
    clear_temporaries(place)  # of a process that was killed; nobody else is here
    if not (record.get("trained") and (place / MODEL).is_file()):  # models may be left out of what is passed on
        record = {"heading": heading.name, "row": row.name, "seed": seed, **asked}
    record |= {"photos": asked["photos"], "measured": False}
    write_record(place, record)
    if recipe and not record.get("trained") and (twin := find_twin(work.reuse, seed, asked, recipe)):
        source = take_over(twin, place, heading, row)
        return f"taken from {source}{_exhibit(heading, row, seed, place, work)}.", []
    if recipe and not record.get("trained"):
        if (reached := _train(row.name, recipe, place, work)) < (steps := recipe.train.steps):
            return f"stopped at step {reached} of {steps}; the same command goes on.", []
        record |= {"trained": True, **cost(place / "history.csv"), **about_machine(work.device)}
        write_record(place, record)
    (place / STATE).unlink(missing_ok=True)  # nothing resumes from it any more, and it is four times the model
    if work.left <= 0:
        return "trained, but not measured yet; the same command goes on.", []
    table, unread = measure(row, seed, place, work)
    write_table(table.round(DIGITS).assign(heading=heading.name), place / TABLE)
    write_record(place, {**record, **({} if recipe else about_machine(work.device)), "measured": True})
    means = table[table["histogram"] == "true"].replace(float("inf"), 100.0)
    took = (f" in {record['hours']:.2f} h" if recipe else "") + _exhibit(heading, row, seed, place, work)
    return f"done{took}: {means['psnr'].mean():.2f} dB, SSIM {means['ssim'].mean():.4f}.", unread


def _train(name: str, recipe: Recipe, place: Path, work: Work) -> int:
    """Train, or go on training; returns the step reached."""
    if not work.packs:
        raise ValueError("No pack was named to train on; make one with 'histcolor data pack'.")
    validate = None
    if work.validation:

        def look(step: int, sheet: list[Tensor]) -> None:
            if step == recipe.train.steps:
                save_sheet(sheet, place / "sheets" / f"{step:07d}.png")

        validate = make_validator(work.open(work.validation), size=recipe.train.size, look=look)
    backbone = imagenet_weights(recipe.model.backbone) if recipe.looks else None
    about = {"row": name, "seed": recipe.train.seed}
    pack = work.open(*work.packs)
    model, loss = recipe.make(pack, backbone=backbone)
    train(
        model,
        loss,
        pack,
        recipe.train,
        place,
        validate=validate,
        callback=(lambda row: work.callback({**about, **row})) if work.callback else None,
        minutes=None if work.minutes is None else work.left,
        device=work.device,
        quiet=work.quiet,
    )
    return _step(place)


def _step(place: Path) -> int:
    """The step that a folder's model was saved at; 0 without a model."""
    if not (place / MODEL).is_file():
        return 0
    return int(json.loads(load_tensors(place / MODEL)[1]["about"])["step"])


def _method(row: Row, place: Path, work: Work) -> Method:
    """How a row colours; a network works at the size measured at, however large the picture."""
    if row.method:
        return UNTRAINED[row.method]
    return model_method(load(place / MODEL, work.device), size=work.size)


def _exhibit(heading: Heading, row: Row, seed: int, place: Path, work: Work) -> str:
    """Leave what the heading wants shown of its first seed, where it is not there yet; says so."""
    there = all((place / name).is_file() for name in (CONTROL, PICTURES))
    if not heading.exhibits or seed != heading.seeds[0] or there or not (row.method or (place / MODEL).is_file()):
        return ""
    table, method, left = read_table(place / TABLE), _method(row, place, work), iter(work.photos)
    table = table[table["histogram"] == "true"]
    files = [next(path for path in left if path.stem == name) for name in table["photo"]]  # those that could be read
    write_table(control(method, files, work.size).round(3), place / CONTROL)
    psnr = table["psnr"].replace(math.inf, 100.0).tolist()
    save_pictures(method, files, psnr, place, place.parent.parent / "photos")
    return ", with pictures"


def measure(row: Row, seed: int, place: Path, work: Work) -> tuple[pd.DataFrame, list[str]]:
    """Measure a row, with true and with foreign histograms: a line a photo, and the photos that could not be read."""
    method = _method(row, place, work)
    tables, unread = [], []
    for kind in ("true", "foreign"):
        foreign = kind == "foreign"
        table, failed = evaluate(work.photos, {row.name: method}, size=work.size, foreign=foreign, quiet=work.quiet)
        unused = ["earth_movers", *["colourfulness"] * foreign]  # no table or figure shows them
        table = table.drop(columns=unused)
        tables.append(table.assign(row=row.name, seed=seed, histogram=kind))
        unread += failed
    return pd.concat(tables, ignore_index=True), unread


def collect(heading: Heading, folder: Path) -> pd.DataFrame:
    """The numbers a photo of all rows and seeds that are done; the columns of ``photos.json.xz``, or none at all.

    Also those of other programs: what ``histcolor evaluate --predictions`` wrote into ``folder/others``. Photos that
    are gray themselves (:data:`GRAY`) are left out, as they are in training: a row that leaves them as they are would
    count 100 dB for each, which says nothing of colours.

    Raises:
        ValueError: another program's row is named like one of the heading's, or its table lacks a column.
    """
    found = []
    for row in heading.rows:
        for path in sorted(folder.glob(f"{row.slug}/seed*/{TABLE}")):
            if read_record(path.parent).get("measured"):
                found.append(read_table(path).assign(row=row.name))
    for path in sorted(path for suffix in (".csv", PACKED) for path in folder.glob(f"others/*{suffix}")):
        table = read_table(path)
        if missing := {"photo", "reference", "method"} - set(table):
            raise ValueError(f"{path}: lacks the column {min(missing)!r}; write it with 'histcolor evaluate'.")
        if taken_names := set(table["method"]) & {row.name for row in heading.rows}:
            raise ValueError(f"{path}: has a row {min(taken_names)!r}, as [{heading.name}] has; rename the folder.")
        kind = (table["photo"] == table["reference"]).map({True: "true", False: "foreign"})
        found.append(table.assign(row=table["method"], seed=0, histogram=kind, heading=heading.name))
    if not found:
        columns = {"row": str, "seed": int, "histogram": str}
        return pd.DataFrame(columns=list(columns)).astype(columns)
    table = pd.concat(found, ignore_index=True)
    gray = set(table.loc[(table["histogram"] == "true") & (table["colourfulness_reference"] < GRAY), "photo"])
    return table[~table["photo"].isin(gray) & ~table["reference"].isin(gray)].reset_index(drop=True)


def tabulate(heading: Heading, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The heading's table, with the paper's numbers where it has any, and its pairs' differences.

    ``paper_psnr`` and ``paper_ssim`` are the paper's own: its runs, its photos; not to be compared with the others.
    Rows of other programs come last.

    Raises:
        ValueError: rows were measured on different photos, or see :func:`collect`.
    """
    numbers = collect(heading, folder)
    table = heading_table(numbers, dict.fromkeys([*(row.name for row in heading.rows), *numbers["row"]]))
    paper = {row.name: row.paper for row in heading.rows}
    for name in ("psnr", "ssim"):
        table[f"paper_{name}"] = [paper.get(row, {}).get(name, float("nan")) for row in table["row"]]
    return table, differences(numbers, heading.pairs)
