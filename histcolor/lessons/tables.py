"""What lessons 04 and 05 read: results of experiments, where they come from, and photos for a tiny run."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from histcolor.checks import flat
from histcolor.data import build_pack
from histcolor.demo import save_demo_crops
from histcolor.experiments.claims import claims_table
from histcolor.experiments.definition import Experiment, read_experiment
from histcolor.experiments.records import read_record
from histcolor.experiments.run import collect, tabulate
from histcolor.experiments.statements import measure_statements
from histcolor.images import read_csv
from histcolor.lessons.notebook import project_root

#: options of ``histcolor experiment`` that change what the methods are, and their types
BUDGET = {"preset": str, "steps": int, "batch_size": int, "size": int, "lr": float}


def _shared(runs: pd.DataFrame) -> str:
    """Say which of the runs are another experiment's as well."""
    taken = runs["taken_from"].dropna() if "taken_from" in runs else []
    return f" ({len(taken)} of them shared with {taken.iloc[0].split('/')[0]})" if len(taken) else ""


@dataclass(frozen=True)
class Results:
    """Where the experiments of ``experiments.toml`` and their results lie."""

    file: Path  #: experiments.toml
    tables: Path  #: a folder for each experiment
    budget: dict[str, Any] = field(default_factory=dict)  #: options that all methods were retrained with

    def experiment(self, name: str) -> Experiment:
        """Read what an experiment is."""
        return read_experiment(self.file, name, self.budget)

    def read(self, name: str, *, least: int = 0) -> tuple[Experiment, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Read an experiment, its per-image results, its table and the paired differences of its methods.

        Raises:
            FileNotFoundError: fewer than ``least`` methods were measured.
        """
        experiment, folder = self.experiment(name), self.tables / name
        per_image = collect(experiment, folder)
        if per_image["method"].nunique() < least:
            raise FileNotFoundError(
                f"{folder}: fewer than {least} methods are measured. The tables are part of the project: bring them "
                f"back with 'git checkout results/tables', or measure them with 'histcolor experiment {name}'."
            )
        return experiment, per_image, *tabulate(experiment, folder)

    def verdicts(self) -> pd.DataFrame:
        """Judge all claims of ``experiments.toml``."""
        return claims_table(measure_statements(self.file, self.tables))

    def histories(self, experiment: Experiment) -> pd.DataFrame:
        """Join what training wrote of all methods and seeds, with ``method`` and ``seed``."""
        places = [(m.name, s, p / "history.csv") for m, s, p in experiment.places(self.tables / experiment.name)]
        found = [pd.read_csv(path).assign(method=name, seed=seed) for name, seed, path in places if path.is_file()]
        return pd.concat(found, ignore_index=True)

    def runs(self, experiment: Experiment) -> pd.DataFrame:
        """List what each measured run recorded (``run.json``), with ``place``, its folder."""
        places = [place for _, _, place in experiment.places(self.tables / experiment.name)]
        found = [{**read_record(place), "place": place} for place in places]
        return pd.DataFrame([record for record in found if record.get("measured")])

    def costs(self, experiment: Experiment) -> pd.DataFrame:
        """Compute what training a method costs: runs, minutes each, photos a second."""
        trained = self.runs(experiment).dropna(subset="hours")
        groups = trained.assign(minutes=60 * trained["hours"]).groupby("method", sort=False)
        rate = ("photos_per_second", "mean")
        found = groups.agg(runs=("hours", "size"), minutes_each=("minutes", "mean"), photos_a_second=rate)
        return found.rename(columns=lambda name: name.replace("_", " ")).reset_index()

    def budgets(self, names: Sequence[str]) -> dict[float, pd.DataFrame]:
        """Read the per-image results of experiments that differ in their budget, by the images seen in training."""
        found = {}
        for name in names:
            experiment = self.experiment(name)
            if len(runs := self.runs(experiment)):
                found[float(runs["photos_seen"].max())] = collect(experiment, self.tables / name)
        return found

    def facts(self, experiment: Experiment) -> str:
        """Say what an experiment's numbers come from, as its runs recorded it, and the command that repeats it."""
        runs = self.runs(experiment).dropna(subset="hours")
        one, on = runs.iloc[0], runs.iloc[0]["photos"]
        config = json.loads((one["place"] / "config.json").read_text(encoding="utf-8"))
        packs = " and ".join(f"{pack['name']} ({pack['photos']:,} photos)" for pack in one["packs"])
        side, seen = "{0}×{0}".format, f"{one['photos_seen']:,.0f} photos"
        lines = {
            "seen in training": f"{seen} of {side(config['size'])}, in {config['steps']:,} steps",
            "drawn from": packs,
            "measured on": f"{on['count']} photos of {on['folder']} at {side(on['size'])}, without those that are gray",
            "cost": f"{len(runs)} runs, {runs['hours'].sum():.1f} hours of training{_shared(runs)}",
        }
        lines |= {name: ", ".join(map(str, runs[name].unique())) for name in ("hardware", "threads", "torch")}
        lines["commit"] = ", ".join(runs["commit"].str[:7].unique())
        words = [f"histcolor experiment {experiment.name} --data", *(f"data/{pack['name']}" for pack in one["packs"])]
        words += [
            "--validation data/PACK --photos",
            on["folder"],
            "--protocol-size",
            on["size"],
            "--limit",
            on["count"],
        ]
        given = {name: config[name] for name in ("steps", "batch_size", "size", "lr")}
        plain = next(method.recipe for method in experiment.methods if method.recipe).train
        words += [f"--{n.replace('_', '-')} {value}" for n, value in given.items() if getattr(plain, n) != value]
        words += [f"--output results/again/{experiment.name}"]
        return "\n".join(
            [*(f"{name:17} {fact}" for name, fact in lines.items()), "", " ".join(map(str, ["$", *words]))]
        )

    def unlike(self, experiment: Experiment, switches: Sequence[str]) -> set[str]:
        """List the options in which an experiment's runs differ, beside the model's ``switches`` and the seed."""
        files = [place / "config.json" for place in self.runs(experiment)["place"]]
        configs = [flat(json.loads(file.read_text(encoding="utf-8"))) for file in files if file.is_file()]
        may = {f"model.{name}" for name in switches} | {"seed"}
        return {key for one in configs for key in one.keys() - may if one[key] != configs[0].get(key)}

    def drift(self, names: Sequence[str]) -> float:
        """Compute the largest difference between experiments' ``table.csv`` and the same table computed again."""
        found = [0.0]
        for name in names:
            if (file := self.tables / name / "table.csv").is_file():
                said, now = read_csv(file).set_index("method"), self.read(name)[2].set_index("method")
                counts = ["photos", "seeds"]
                shared = [one for one in said.index if one in now.index]
                same = [one for one in shared if all(said.loc[one, counts] == now.loc[one, counts])]
                apart = (said.loc[same].select_dtypes("number") - now.loc[same].select_dtypes("number")).abs()
                found.append(float(apart.max().max()) if same else 0.0)
        return max(found)

    def changed_verdicts(self, verdicts: pd.DataFrame) -> int | None:
        """Count verdicts that differ from ``results/claims.csv``; None if the tables are not the committed ones."""
        file = project_root() / "results/claims.csv"
        if self.tables != project_root() / "results/tables" or not file.is_file():
            return None
        said, now = (table.set_index("claim")["verdict"] for table in (read_csv(file), verdicts))
        return int((now.reindex(said.index) != said).sum())


def open_results(folder: Path, tables: str, retrain: str, names: Sequence[str]) -> Results:
    """Open the committed results, or train and measure the experiments ``names`` anew first.

    Args:
        folder: the notebook's results; what is trained goes to ``folder/tables``. Started again, it goes on.
        tables: the committed results, seen from the project's folder.
        retrain: empty, or options of ``histcolor experiment``, as ``--data PACK --photos FOLDER --device cuda``.
        names: of the experiments to train.

    Raises:
        subprocess.CalledProcessError: a method failed.
    """
    root = project_root()
    file = root / "notebooks/experiments.toml"
    if not retrain:
        return Results(file, root / tables)
    parser, words = argparse.ArgumentParser(add_help=False, allow_abbrev=False), shlex.split(retrain)
    for name, kind in BUDGET.items():
        parser.add_argument("--" + name.replace("_", "-"), type=kind, default=argparse.SUPPRESS)
    budget = vars(parser.parse_known_args(words)[0])
    for name in names:
        command = ["experiment", name, *words, "--output", str(folder / "tables" / name)]
        command += ["--reuse", str(folder / "tables/ablation")] if name != "ablation" else []
        print("$ histcolor", shlex.join(command))
        subprocess.run([sys.executable, "-m", "histcolor", *command], check=True, cwd=root)
    return Results(file, folder / "tables", budget)


def tiny_photos(work: Path, count: int, size: int, seed: int) -> tuple[Path, Path]:
    """Make a pack of crops from the left parts of scikit-image's photos, and ten crops of their right parts.

    Args:
        work: a folder of its own; what is there is removed.
        count: crops to train on.
        size: pixels along each side that they will be trained at.
        seed: decides where they lie.

    Returns:
        The pack to train on, and the folder of photos to measure on.
    """
    shutil.rmtree(work, ignore_errors=True)
    save_demo_crops(work / "photos", count, right=0.6, seed=seed)
    save_demo_crops(work / "measured", 10, left=0.6, seed=seed)
    build_pack([work / "photos"], work / "pack", size + size // 8, quiet=True)
    return work / "pack", work / "measured"
