"""All pages in JupyterLab in Chromium: every cell runs without an error, and each slider changes its figure.

Without Chromium these tests are skipped, and say why (``HISTCOLOR_CHROMIUM`` may name its path).
"""

import os
from pathlib import Path

import nbformat
import pytest
from lab import CHROMIUM, open_browser, run_notebook, serve_folder, write_notebook

from histcolor.lessons.runner import read_profile

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CHROMIUM and not os.environ.get("HISTCOLOR_REQUIRE_BROWSER"),  # where it is required, the tests fail
        reason="no Chromium: install it, or set HISTCOLOR_CHROMIUM to its path",
    ),
]
FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PICTURE = ".widget-output img"


def code_of(path):
    """The page's code cells."""
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def small_copy(path, folder):
    """Write a page's code into ``folder`` with the parameters of the smoke profile; its last cell leaves a file."""
    values = {**read_profile(FOLDER, "smoke")[0].get(path.stem, {}), "results": str(folder / "results")}
    smaller = [f"{name} = {value!r}" for name, value in values.items()]
    cells = []
    for cell in code_of(path):
        tagged = "parameters" in cell.metadata.get("tags", [])
        # a page finds the project's results from its own folder
        cells += [
            "\n".join([cell.source, *smaller, f"import os\nos.chdir({str(FOLDER)!r})"]) if tagged else cell.source
        ]
    done = folder / f"{path.stem}.done"
    write_notebook([*cells, f"open({str(done)!r}, 'w').close()"], folder / path.name)
    return done


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on small copies of all pages: its address, and the file that each page leaves when it has run."""
    folder = tmp_path_factory.mktemp("lessons")
    done = {path.stem: small_copy(path, folder) for path in NOTEBOOKS}
    with serve_folder(folder) as address:
        yield address, done


def move(part):
    """Move the first control of an ``interact``: a slider to its farther end, or a list to another entry."""
    handle, track = part.locator(".noUi-handle").first, part.locator(".noUi-target").first
    if not handle.count():
        return part.locator("select").first.select_option(index=1)
    width, place = track.bounding_box()["width"], handle.bounding_box()["x"] - track.bounding_box()["x"]
    handle.drag_to(track, target_position={"x": 1 if place > width / 2 else width - 1, "y": 2})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_page_runs_and_its_sliders_move(lab, path):
    address, done = lab
    with open_browser() as page:
        run_notebook(page, address, path.name, done[path.stem])
        assert done[path.stem].is_file(), "the page did not come to its end"
        count = sum(cell.source.count("interact(") for cell in code_of(path))
        parts = page.locator(".widget-interact")
        assert parts.count() == count
        for number in range(count):
            part = parts.nth(number)
            part.scroll_into_view_if_needed()
            before = part.locator(PICTURE).get_attribute("src")
            move(part)
            page.wait_for_function(
                "([number, selector, before]) => {"
                "const image = document.querySelectorAll('.widget-interact')[number].querySelector(selector);"
                "return image && image.src != before; }",
                arg=[number, PICTURE, before],
            )
        assert not page.errors
