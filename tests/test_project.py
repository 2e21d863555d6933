"""The house: files that must agree with one another."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

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


@pytest.mark.parametrize("path", sorted((ROOT / "histcolor").glob("*.py")), ids=lambda p: p.name)
def test_one_concern_a_file(path):
    assert len(path.read_text().splitlines()) <= 350


def test_shipped_run_is_in_results():
    run = ROOT / "results" / "small"
    config = json.loads((run / "config.json").read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    from histcolor.model import PRESETS, config_from_dict

    assert config_from_dict(config["model"]) == PRESETS["small"]
    assert (run / "history.csv").stat().st_size > 1000
    assert metrics["photos_seen"] > 0


def test_readme_commands_exist():
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make (\w+)`", readme)) <= targets
    assert {"make reproduce", "make test"} <= set(re.findall(r"make \w+", readme))
    for image in re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme):
        assert (ROOT / image).is_file(), image
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", readme):
        assert (ROOT / link).exists(), link
