"""Every notebook, found by glob: committed clean, and run on the smoke profile with its results asserted."""

import json
import math
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from histcolor.experiments.claims import read_claims
from histcolor.lessons.runner import check_parameters, read_profile, run_notebook

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_committed_notebook_is_a_lesson(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code), "committed without outputs"
    assert notebook.cells[0].cell_type == "markdown"
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    assert max(len(cell.source.splitlines()) for cell in code) <= 25
    assert any("assert" in cell.source for cell in code[-4:])
    text = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert text.count("<details>") >= 2, "exercises with solutions"
    assert "widgets" not in notebook.metadata


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
