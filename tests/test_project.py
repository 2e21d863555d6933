"""The house: files that must agree with one another."""

import json
import re
import shutil
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from histcolor.checkpoint import load, shipped_models
from histcolor.evaluate import summarise
from histcolor.experiments.styling import not_run
from histcolor.images import read_table
from histcolor.model import PRESETS, config_from_dict

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def names(requirements):
    return {
        re.split(r"[><=~!;\[ ]", line)[0].lower().replace("_", "-")
        for line in requirements
        if line and not line.startswith("#")
    }


def test_environment_yml_agrees_with_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python = next(d for d in environment["dependencies"] if isinstance(d, str) and d.startswith("python"))
    assert python == "python" + PYPROJECT["project"]["requires-python"]
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    extras = set(re.fullmatch(r"-e \.\[(.*)\]", pip[-1])[1].split(","))
    assert extras == set(PYPROJECT["project"]["optional-dependencies"])
    assert pip[0] == "-c constraints.txt"
    assert ".[" + ",".join(sorted(extras, reverse=True)) + "]" in (ROOT / "Makefile").read_text()


def test_constraints_pin_every_dependency():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = names(lines)
    project = PYPROJECT["project"]
    wanted = names(project["dependencies"]).union(*map(names, project["optional-dependencies"].values()))
    assert wanted <= pinned
    assert all("==" in line for line in lines if line and not line.startswith("#"))


def test_versions_agree():
    import histcolor

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PYPROJECT["project"]["version"] == histcolor.__version__ == citation["version"]


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_runs_are_in_results(name):
    metrics = json.loads((ROOT / "results" / name / "metrics.json").read_text())
    stages = metrics["stages"]
    assert metrics["photos_seen"] == sum(stage["photos"] for stage in stages) > 0
    for stage in stages:
        run = ROOT / "results" / stage["run"]
        config = json.loads((run / "config.json").read_text())
        preset = PRESETS[stage["run"].split("/")[0]]  # in use there are more rounds of balancing than in most runs
        assert replace(config_from_dict(config["model"]), balance=preset.balance) == preset
        assert pd.read_csv(run / "history.csv")["photos"].iloc[-1] == stage["photos"]
    assert stages[-1]["run"].split("/")[0] == name
    assert load(name).config == PRESETS[name]
    for kind in ("self", "cross"):
        table = read_table(ROOT / f"results/tables/imagenette_val_{kind}.json.xz")
        means = summarise(table).set_index("method")
        for method, numbers in metrics["imagenette_val_256"][kind].items():
            for column, value in numbers.items():
                assert value == pytest.approx(means.loc[method, column], abs=3e-4), (method, column)  # both are rounded


#: columns of the tables in Markdown → of per-image results, and their decimals
SHOWN = {
    "PSNR, dB": ("psnr", 2), "SSIM": ("ssim", 4), "SSIM (gauss)": ("ssim_gauss", 4), "Hellinger": ("hellinger", 3),
    "intersection": ("intersection", 3), "colourfulness": ("colourfulness", 1),
    "earth mover's, units of ab": ("earth_movers", 2),
}  # fmt: skip


def tables_of(path):
    """The tables of a Markdown file that have a column "method": for each a table of words, as they stand there."""
    for text in re.findall(r"(?:^\|.*\|\n)+", path.read_text(encoding="utf-8"), re.M):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()]
        if rows[0][0] == "method":
            yield pd.DataFrame(rows[2:], columns=rows[0]).set_index("method")


@pytest.mark.parametrize(
    ("page", "number", "results"),
    [
        ("MODEL_CARD.md", 0, "diverse_self"), ("MODEL_CARD.md", 1, "imagenette_val_self"),
        ("MODEL_CARD.md", 2, "imagenette_val_cross"), ("README.md", 0, "imagenette_val_self"),
        ("README.md", 1, "imagenette_val_cross"),
    ],
)  # fmt: skip
def test_tables_of_the_shipped_models_are_those_of_the_results(page, number, results):
    said = list(tables_of(ROOT / "results" / page))[number]
    means = summarise(read_table(ROOT / f"results/tables/{results}.json.xz")).set_index("method")
    shown = [column for column in said if column in SHOWN]
    assert len(said) >= 7
    assert len(shown) >= 4
    for method, row in said.iterrows():
        name = re.sub(r"^(\w+)(.*), before$", r"\1 before\2", method.replace("`", ""))
        for column in shown:
            value, digits = SHOWN[column]
            assert float(row[column]) == pytest.approx(means.loc[name, value], abs=0.501 * 10**-digits), (name, column)


@pytest.mark.parametrize(("number", "experiment"), [(2, "ablation"), (3, "comparison")])
def test_the_papers_tables_are_those_of_the_results(number, experiment):
    said = list(tables_of(ROOT / "results/README.md"))[number]
    table = pd.read_csv(ROOT / f"results/tables/{experiment}/table.csv").set_index("method")
    measured = table["psnr"].notna()
    assert list(said.index) == list(table.index[measured])
    if not measured.all():
        text = " ".join((ROOT / "results/README.md").read_text(encoding="utf-8").split())
        assert not_run(table[~measured].reset_index()) in text
    for method, row in said.iterrows():
        assert row["told"] == table.loc[method, "told"], method
        for column, value, digits in (
            ("PSNR, dB", "psnr", 2),
            ("SSIM", "ssim", 4),
            ("cross: intersection", "cross_intersection", 3),
        ):
            numbers = [table.loc[method, value], table.loc[method, f"{value}_spread"]]
            words = [f"{number:.{digits}f}" for number in numbers if number == number]
            assert row[column] == (" ± ".join(words) or "–"), (method, column)
        paper = [f"{table.loc[method, f'paper_{name}']:.{digits}f}" for name, digits in (("psnr", 2), ("ssim", 3))]
        assert row.iloc[-1] == ("–" if "nan" in paper else f"*{', '.join(paper)}*"), method


def test_readme_commands_exist():
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make (\w+)`", readme)) <= targets
    assert {"make reproduce", "make test"} <= set(re.findall(r"make \w+", readme))
    for image in re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme):
        assert (ROOT / image).is_file(), image
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", readme):
        assert (ROOT / link).exists(), link


def test_the_project_stays_small():
    """What everybody gets: 50 MB, most of it weights and lessons; and the compared methods' checkpoints, 12 MB."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("no git, or not a clone: nothing says which files belong to the project")
    words = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\0")
    sizes = {name: (ROOT / name).stat().st_size for name in names if (ROOT / name).is_file()}
    compared = {name: sizes.pop(name) for name in list(sizes) if re.fullmatch(r"results/.*\.safetensors", name)}
    assert sum(compared.values()) <= 12e6, compared
    assert sum(sizes.values()) <= 50e6
    lessons = {name: sizes.pop(name) for name in list(sizes) if name.startswith("notebooks/")}
    assert sum(lessons.values()) <= 4.8e6, lessons  # 3 MB of PNG, which base64 makes 4 MB
    rest = {name: size for name, size in sizes.items() if not name.startswith("histcolor/weights/")}
    assert sum(rest.values()) <= 7e6, sorted(rest, key=rest.get)[-10:]
