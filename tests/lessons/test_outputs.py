"""`make notebooks`: outputs are cleaned, made small, and known to belong to the code."""

import base64
import copy
import io
import json

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from histcolor.lessons import outputs
from histcolor.lessons.outputs import (
    LIMIT,
    NARROWEST,
    clean,
    code_hash,
    execute,
    is_fresh,
    keep_outputs,
    measure,
    pictures,
    shrink,
)


def png(width=1800, height=600, *, noise=True):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3)) if noise else np.zeros((height, width, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def photo():
    """A photo as a figure would hold it: 1,600 pixels wide."""
    import skimage.data

    file = io.BytesIO()
    Image.fromarray(skimage.data.coffee()).resize((1600, 500)).save(file, "PNG")
    return file.getvalue()


def page(*sources):
    cells = [new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return new_notebook(cells=[new_markdown_cell("Words.", id="m"), *cells], metadata=metadata)


def test_a_photo_becomes_small_and_stays_a_photo():
    large = photo()
    kind, small = shrink(large)
    assert kind == "image/jpeg"
    assert len(small) <= LIMIT < len(large)
    with Image.open(io.BytesIO(small)) as after, Image.open(io.BytesIO(large)) as before:
        assert after.width >= NARROWEST
        assert after.height / after.width == pytest.approx(500 / 1600, rel=0.01)
        one, other = (np.asarray(p.convert("RGB").resize((100, 31)), float) for p in (after, before))
        assert abs(one - other).mean() < 4


def test_rare_colours_stay():
    with Image.open(io.BytesIO(photo())) as picture:
        picture.paste((130, 60, 200), (800, 240, 812, 252))
        file = io.BytesIO()
        picture.save(file, "PNG")
    with Image.open(io.BytesIO(shrink(file.getvalue())[1])) as after:
        colour = after.convert("RGB").getpixel((round(806 * after.width / 1600), round(246 * after.height / 500)))
    assert np.abs(np.subtract(colour, (130, 60, 200))).max() < 24


def test_a_small_picture_is_not_enlarged():
    with Image.open(io.BytesIO(shrink(png(300, 100, noise=False))[1])) as picture:
        assert (picture.format, picture.size) == ("PNG", (300, 100))


def test_even_noise_is_no_larger_than_the_limit():
    assert len(shrink(png(900, 300))[1]) <= LIMIT


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("in /somewhere/project/data/x.png", "in ./data/x.png"),
        ("took 12.5 s, then 3 ms and 2 minutes", "took … s, then … ms and … minutes"),
        ("28.5 dB of 3 seeds in 64 samples", "28.5 dB of 3 seeds in 64 samples"),
        ("<Thing at 0x7f12ab>", "<Thing at 0x…>"),
    ],
)
def test_what_changes_is_left_out(text, kept):
    places = {"/somewhere/project": "."}
    assert clean(new_output("stream", name="stdout", text=text), places).text == kept
    shown = clean(new_output("display_data", {"text/plain": text, "text/html": text}), places)
    assert shown.data == {"text/plain": kept, "text/html": kept}


def test_warnings_and_widgets_are_left_out():
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "interactive(…)"}
    assert clean(new_output("display_data", widget), {}) is None
    assert clean(new_output("stream", name="stderr", text="Warning"), {}) is None


def test_outputs_come_back_by_the_cells_ids():
    original = page("a = 1", "print(a)")
    ran = copy.deepcopy(original)
    ran.cells.insert(1, new_code_cell("results = '/tmp/x'", id="injected"))
    ran.cells[3].outputs = [new_output("stream", name="stdout", text=text) for text in ("1", "\n")]
    ran.cells[3].metadata["papermill"] = {"duration": 1.0}
    ran.metadata["papermill"] = {"output_path": "/tmp/x"}
    kept = keep_outputs(original, ran, {})
    assert [cell.source for cell in kept.cells] == [cell.source for cell in original.cells]
    assert [cell.execution_count for cell in kept.cells[1:]] == [1, 2]
    assert [output.text for output in kept.cells[2].outputs] == ["1\n"], "in one piece"
    assert "papermill" not in json.dumps(kept)
    nbformat.validate(kept)
    assert is_fresh(kept)
    assert not is_fresh(original), "it never ran"


def test_outputs_are_stale_when_the_code_changes_and_not_when_words_do():
    ran = page("print(1)")
    ran.cells[1].outputs = [new_output("stream", name="stdout", text="1\n")]
    kept = keep_outputs(ran, ran, {})
    kept.cells[0].source = "Other words."
    assert is_fresh(kept)
    kept.cells[1].source = "print(2)"
    assert not is_fresh(kept)
    assert code_hash(page("a", "b")) != code_hash(page("ab"))


def test_a_page_is_measured():
    found = page("import torch\n# a comment\n\nx = 1\ny = 2", "results = 1  # folder")
    found.cells[2].metadata["tags"] = ["parameters"]
    found.cells[0].source = "Three words here.\n\n```python\nnot = counted\n```"
    assert measure(found) == {"words": 3, "cells": 2, "lines": 5, "code": 3, "bookkeeping": pytest.approx(1 / 3)}


@pytest.fixture
def project(tmp_path):
    """A folder with one page, that displays a picture, a path and a time."""
    source = """from pathlib import Path
from IPython.display import Image, display
print(Path.cwd(), "12 s")
display(Image(filename="picture.png"))
if fail:
    raise KeyError("on purpose")"""
    small = page('results: str = "x"\nfail: bool = False', source)
    small.cells[1].metadata["tags"] = ["parameters"]
    (tmp_path / "notebooks").mkdir()
    nbformat.write(small, tmp_path / "notebooks" / "00_small.ipynb")
    (tmp_path / "notebooks" / "picture.png").write_bytes(photo())
    (tmp_path / "notebooks" / "profiles.toml").write_text("[files]\n[smoke.00_small]\nfail = true\n")
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


@pytest.mark.slow
def test_a_page_runs_and_keeps_its_outputs(project):
    path = project / "notebooks" / "00_small.ipynb"
    line = execute(path, quiet=True)
    assert "00_small: " in line
    assert "1 pictures" in line
    kept = nbformat.read(path, as_version=4)
    assert is_fresh(kept)
    assert kept.cells[2].outputs[0].text == "./notebooks … s\n"
    assert [len(found) <= LIMIT for found in pictures(kept)] == [True]
    assert str(project) not in path.read_text()
    before = path.read_text()
    with pytest.raises(RuntimeError, match=r"00_small: cell .* failed: KeyError"):
        execute(path, profile="smoke", quiet=True)
    assert path.read_text() == before, "a page that fails stays as it is"


def test_unknown_pages_are_refused(project, monkeypatch, capsys):
    monkeypatch.setattr(outputs, "project_root", lambda: project)
    assert outputs.main(["99_none"]) == 1
    assert "There is no page '99_none'; there are 00_small." in capsys.readouterr().err


def test_pictures_are_found():
    shown = page("x")
    files = {"image/png": b"abc", "image/jpeg": b"defg"}
    outputs = [new_output("display_data", {kind: base64.b64encode(file).decode()}) for kind, file in files.items()]
    shown.cells[1].outputs = outputs
    assert pictures(shown) == [b"abc", b"defg"]
