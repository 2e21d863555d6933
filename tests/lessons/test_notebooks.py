"""Every notebook, found by glob: a lean lesson with outputs that belong to it, and run on the smoke profile."""

import json
import math
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from histcolor.experiments.claims import read_claims
from histcolor.lessons.outputs import (
    BOOKKEEPING,
    CELLS,
    LIMIT,
    LINES,
    TOTAL,
    WORDS,
    is_fresh,
    measure,
    pictures,
)
from histcolor.lessons.runner import check_parameters, read_profile, run_notebook

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
#: what only one machine knows, or what is another number each time
LOCAL = (
    r"(?<![\w.…])/(home|root|tmp|work|usr|opt|var|private|Users|mnt|builds?)/",
    r"[A-Z]:\\Users",
    r"\bat 0x[0-9a-f]+",
    r"\d ?(s|ms|seconds|minutes)\b",
)


def load(path):
    return nbformat.read(path, as_version=4)


def texts(page):
    """All text in a page's outputs."""
    for cell in page.cells:
        for output in cell.get("outputs", []):
            yield output.get("text", "")
            yield from (
                value
                for kind, value in output.get("data", {}).items()
                if isinstance(value, str) and kind[:5] == "text/"
            )


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_committed_notebook_is_a_lesson(path):
    notebook = load(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.cells[0].cell_type == "markdown"
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    assert max(len(cell.source.splitlines()) for cell in code) <= 25
    assert any("assert" in cell.source for cell in code[-4:])
    text = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert text.count("<details>") >= 2, "exercises with solutions"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_pages_outputs_belong_to_its_code(path):
    page = load(path)
    assert is_fresh(page), f"{path.stem}: its code has changed since it ran: make notebooks PAGES={path.stem}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_are_the_same_on_every_machine(path):
    page = load(path)
    assert "widgets" not in page.metadata
    kinds = {kind for cell in page.cells for output in cell.get("outputs", []) for kind in output.get("data", {})}
    assert not any("widget" in kind or "javascript" in kind for kind in kinds)
    assert not any(output.get("name") == "stderr" for cell in page.cells for output in cell.get("outputs", []))
    for text in texts(page):
        for pattern in LOCAL:
            assert not re.search(pattern, text), (pattern, text[:200])


def test_pictures_are_small():
    sizes = {path.stem: [len(png) for png in pictures(load(path))] for path in NOTEBOOKS}
    assert max(size for page in sizes.values() for size in page) <= LIMIT, sizes
    assert sum(sum(page) for page in sizes.values()) <= TOTAL, sizes


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_page_is_lean(path):
    found = measure(load(path))
    limits = {"words": WORDS, "cells": CELLS, "lines": LINES, "bookkeeping": BOOKKEEPING}
    over = {name: found[name] for name, limit in limits.items() if found[name] > limit}
    assert not over, over


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs_on_the_smoke_profile(path, tmp_path):
    parameters, files = read_profile(FOLDER, "smoke")
    assert path.stem in files, "profiles.toml must say what a notebook leaves behind"
    run_notebook(path, tmp_path, parameters.get(path.stem, {}), files[path.stem], quiet=True)
    for name in files[path.stem]:
        if name.endswith(".png"):
            with Image.open(tmp_path / name) as picture:
                assert len(np.unique(np.asarray(picture.convert("L")))) > 8, f"{name} shows something"
    claims = read_claims(tmp_path / "claims" / f"{path.stem}.csv")
    assert len(claims) >= 2
    assert (claims["verdict"] == "holds").all(), claims.to_string()
    assert not any(math.isnan(value) for value in claims["measured"])


@pytest.mark.parametrize("profile", ["smoke", "demo", "paper"])
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_profiles_name_parameters_that_exist(path, profile):
    check_parameters(path, read_profile(FOLDER, profile)[0].get(path.stem, {}))


@pytest.fixture
def toy(tmp_path):
    """A notebook that writes one file, and fails when told to."""
    cells = [
        nbformat.v4.new_code_cell(
            'results: str = "x"  # folder\nfail: bool = False  # whether to', metadata={"tags": ["parameters"]}
        ),
        nbformat.v4.new_code_cell(
            "import pathlib\n"
            "if fail:\n    raise KeyError('on purpose')\n"
            "pathlib.Path(results, 'out.txt').write_text('x')"
        ),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = tmp_path / "toy.ipynb"
    path.write_text(json.dumps(notebook))
    return path


def test_unknown_and_mistyped_parameters_are_refused(toy, tmp_path):
    with pytest.raises(ValueError, match="toy: has no parameter 'nonesuch'; it has fail, results"):
        run_notebook(toy, tmp_path, {"nonesuch": 1}, [], quiet=True)
    with pytest.raises(ValueError, match="'fail' must be bool"):
        run_notebook(toy, tmp_path, {"fail": "yes"}, [], quiet=True)


@pytest.mark.slow
def test_runner_fails_clearly(toy, tmp_path):
    run_notebook(toy, tmp_path, {}, ["out.txt"], quiet=True)
    with pytest.raises(RuntimeError, match=r"toy: did not write other\.png"):
        run_notebook(toy, tmp_path, {}, ["out.txt", "other.png"], quiet=True)
    with pytest.raises(RuntimeError, match=r"toy: cell .* failed: KeyError: 'on purpose'"):
        run_notebook(toy, tmp_path, {"fail": True}, ["out.txt"], quiet=True)
    assert not (tmp_path / "out.txt").exists(), "a file of an earlier run must not stand for this one"


def test_unknown_profile():
    with pytest.raises(ValueError, match="no profile 'huge'; there are demo, paper, smoke"):
        read_profile(FOLDER, "huge")
