"""The house: files that must agree with one another."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import yaml

from histcolor.checkpoint import shipped_models
from histcolor.evaluate import summarise
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
        assert config_from_dict(config["model"]) == PRESETS[stage["run"].split("/")[0]]
        assert pd.read_csv(run / "history.csv")["photos"].iloc[-1] == stage["photos"]
    assert stages[-1]["run"].split("/")[0] == name
    for kind in ("self", "cross"):
        table = read_table(ROOT / f"results/tables/imagenette_val_{kind}.json.xz")
        means = summarise(table).set_index("method")
        for method, numbers in metrics["imagenette_val_256"][kind].items():
            for column, value in numbers.items():
                assert value == pytest.approx(means.loc[method, column], abs=3e-4), (method, column)  # both are rounded


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
    """What everybody who clones it gets: 50 MB, most of it weights, and beside them the lessons with their pictures."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("no git, or not a clone: nothing says which files belong to the project")
    words = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\0")
    sizes = {name: (ROOT / name).stat().st_size for name in names if (ROOT / name).is_file()}
    assert sum(sizes.values()) <= 50e6
    lessons = {name: sizes.pop(name) for name in list(sizes) if name.startswith("notebooks/")}
    assert sum(lessons.values()) <= 4.8e6, lessons  # 3 MB of PNG, which base64 makes 4 MB
    rest = {name: size for name, size in sizes.items() if not name.startswith("histcolor/weights/")}
    assert sum(rest.values()) <= 5.3e6, sorted(rest, key=rest.get)[-10:]
