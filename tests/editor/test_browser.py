"""The real editor: notebook 06 in JupyterLab in Chromium, with mouse and keys.

Without Chromium these tests are skipped, and say why (``HISTCOLOR_CHROMIUM`` may name its path).
"""

import json
import os
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from lab import CHROMIUM, RESULT, at, browse, choose, drag, serve

from histcolor.histogram import bin_width

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CHROMIUM and not os.environ.get("HISTCOLOR_REQUIRE_BROWSER"),  # where it is required, the tests fail
        reason="no Chromium: install it, or set HISTCOLOR_CHROMIUM to its path",
    ),
]
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "06_histogram_editing.ipynb"
# the kernel's state, written to a file after each picture, for the test to read
REPORT = """
import json, numpy as np
from pathlib import Path
def report(_=None):
    state = {"hist": editor.hist.tolist(), "version": editor.version, "message": editor.message,
             "mark": editor.plane.mark, "glow": sum(editor.plane.glow), "heat": len(editor.photo_view.heat),
             "tool": editor.plane.tool, "radius": editor.plane.radius, "done": len(editor.painting.done)}
    Path("report.tmp").write_text(json.dumps(state))
    Path("report.tmp").rename("report.json")
editor.observe(report, ["version", "message"])
editor.plane.observe(report, ["glow", "mark", "tool", "radius"])
editor.photo_view.observe(report, "heat")
report()
print("reporting")
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on a folder with the notebook: its address and the folder."""
    folder = tmp_path_factory.mktemp("lab")
    cells = []
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        smaller = (
            f"\nresults, size = {str(folder / 'results')!r}, 96"
            if "parameters" in cell.metadata.get("tags", [])
            else ""
        )
        cells += [cell.source + smaller] if cell.cell_type == "code" else []
    with serve([*cells, REPORT], folder) as address:
        yield address, folder


@pytest.fixture(scope="module")
def page(lab):
    """The page with the notebook run to its end."""
    with browse(lab[0], lab[1] / "report.json") as page:
        yield page


@pytest.fixture
def plane(page):
    canvas = page.locator("canvas.histcolor-plane")
    canvas.scroll_into_view_if_needed()
    return canvas


def state(lab):
    seen = json.loads((lab[1] / "report.json").read_text())
    seen["hist"] = np.array(seen["hist"])
    return seen


def wait_until(page, lab, condition):
    """The kernel's state once the condition holds."""
    for _ in range(300):
        seen = state(lab)
        if condition(seen):
            return seen
        page.wait_for_timeout(50)
    pytest.fail(f"The kernel never got there: { ({k: v for k, v in seen.items() if k != 'hist'}) }")


def shown(page, lab, version):
    """The mean colour of the picture on the page, once it is at least this version."""
    page.wait_for_function(
        "version => Number(document.querySelector('.histcolor-result .histcolor-photo').dataset.shown) >= version",
        arg=version,
    )
    return np.array(
        page.evaluate(
            """() => {
              const image = document.querySelector('.histcolor-result img.after');
              const canvas = new OffscreenCanvas(64, 64), context = canvas.getContext('2d');
              context.drawImage(image, 0, 0, 64, 64);
              const data = context.getImageData(0, 0, 64, 64).data, mean = [0, 0, 0];
              for (let i = 0; i < data.length; i++) if (i % 4 < 3) mean[i % 4] += data[i] / 4096;
              return mean;
            }"""
        )
    )


def ink(page):
    """The number of different colours on the plane's canvas: few if nothing is drawn."""
    return page.evaluate(
        """() => {
          const canvas = document.querySelector('canvas.histcolor-plane');
          const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
          const values = new Set();
          for (let i = 0; i < data.length; i += 4) values.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
          return values.size;
        }"""
    )


def near(hist, a, b, radius):
    """The mass around a colour."""
    centres = (np.arange(len(hist)) + 0.5) * bin_width(len(hist)) - 110
    return hist[np.hypot(centres[:, None] - a, centres - b) <= radius].sum()


def test_a_stroke_reaches_the_kernel_and_the_picture(page, lab, plane):
    choose(page, "Paint")
    before = state(lab)
    picture = shown(page, lab, before["version"])
    drag(page, at(plane, 10, -55), at(plane, 30, -60))
    after = wait_until(page, lab, lambda s: s["version"] > before["version"])
    gained = after["hist"] - before["hist"]
    assert near(gained, 20, -57, 28) == pytest.approx(gained.clip(0).sum(), rel=1e-3), "only where it was painted"
    assert near(after["hist"], 20, -57, 28) > 0.08
    changed = shown(page, lab, after["version"]) - picture
    assert changed[2] > changed[1] + 0.5, "the picture turned towards blue"
    page.keyboard.press("Control+z")
    undone = wait_until(page, lab, lambda s: s["version"] > after["version"])
    assert np.allclose(undone["hist"], before["hist"])
    assert shown(page, lab, undone["version"]) == pytest.approx(picture, abs=0.5)


def test_a_blob_is_moved(page, lab, plane):
    choose(page, "Paint")
    before = state(lab)
    plane.click(position={"x": 0.75 * plane.bounding_box()["width"], "y": 0.75 * plane.bounding_box()["height"]})
    painted = wait_until(page, lab, lambda s: s["version"] > before["version"])
    mass = near(painted["hist"], 55, -55, 13)
    assert mass > 0.05
    choose(page, "Move")
    drag(page, at(plane, 55, -55), at(plane, -40, 40))
    moved = wait_until(page, lab, lambda s: s["version"] > painted["version"])
    assert near(moved["hist"], 55, -55, 8) < 0.1 * mass
    assert near(moved["hist"], -40, 40, 16) > near(painted["hist"], -40, 40, 16) + 0.8 * mass


def test_eyedropper_takes_a_colour_from_the_picture(page, lab, plane):
    choose(page, "Pick")
    before = state(lab)
    photo = page.locator(RESULT)
    box = photo.bounding_box()
    photo.click(position={"x": 0.6 * box["width"], "y": 0.5 * box["height"]})
    after = wait_until(page, lab, lambda s: s["version"] > before["version"] and s["mark"])
    assert near(after["hist"], *after["mark"], 12) > near(before["hist"], *after["mark"], 12)


def test_explorer_both_ways(page, lab, plane):
    choose(page, "Look")
    page.wait_for_function("selector => document.querySelector(selector).style.cursor === 'help'", arg=RESULT)
    box = page.locator(RESULT).bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"])
    seen = wait_until(page, lab, lambda s: s["glow"] > 0 and len(s["mark"]) == 2)
    assert seen["heat"] == 0
    page.mouse.move(*at(plane, 20, 20))
    wait_until(page, lab, lambda s: s["heat"] > 0 and s["glow"] == 0)
    page.wait_for_function("() => !document.querySelector('.histcolor-result img.heat').hidden")
    choose(page, "Paint")
    wait_until(page, lab, lambda s: s["heat"] == 0 and s["glow"] == 0)


def test_keys_alone_paint(page, lab, plane):
    before = state(lab)
    plane.focus()
    for key in ("p", *["Shift+ArrowLeft"] * 6, *["ArrowUp"] * 3, "Enter"):
        page.keyboard.press(key)
    after = wait_until(page, lab, lambda s: s["version"] > before["version"])
    assert near(after["hist"], -60, 6, 13) > near(before["hist"], -60, 6, 13) + 0.05
    page.keyboard.press("]")
    wider = wait_until(page, lab, lambda s: s["radius"] > after["radius"])
    page.mouse.wheel(0, 100)  # the pointer is not over the plane: nothing
    page.mouse.move(*at(plane, 0, 0))
    page.mouse.wheel(0, 100)
    wait_until(page, lab, lambda s: s["radius"] < wider["radius"])
    for key, tool in (("e", "erase"), ("m", "move"), ("c", "pick"), ("l", "look"), ("p", "paint")):
        page.keyboard.press(key)
        wait_until(page, lab, lambda s, tool=tool: s["tool"] == tool)


def test_it_is_drawn_again_after_scrolling_and_zooming(page, lab, plane):
    assert ink(page) > 500
    page.locator(".jp-Cell").last.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    plane.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    assert ink(page) > 500
    page.set_viewport_size({"width": 700, "height": 550})  # what zooming to 200 % leaves
    page.wait_for_timeout(500)
    plane.scroll_into_view_if_needed()
    assert ink(page) > 500
    assert page.evaluate(
        "() => { const c = document.querySelector('canvas.histcolor-plane');"
        " return Math.abs(c.width - c.clientWidth * devicePixelRatio) <= 1 }"
    )
    editor = page.locator(".histcolor-editor").bounding_box()
    for part in (".histcolor-plane", RESULT):
        box = page.locator(part).bounding_box()
        assert box["x"] + box["width"] <= editor["x"] + editor["width"] + 1, "nothing is cut off"
    page.set_viewport_size({"width": 1400, "height": 1100})


def test_divider_compares_before_and_after(page, lab, plane):
    divider = page.get_by_role("slider", name=re.compile("before and after"))
    divider.focus()
    page.keyboard.press("End")
    page.wait_for_function(
        "() => document.querySelector('.histcolor-result img.after').style.clipPath.includes('100%')"
    )
    page.keyboard.press("Home")


def test_a_picture_is_downloaded_at_full_size(page, lab, plane, tmp_path):
    from PIL import Image

    with page.expect_download() as download:
        page.get_by_role("button", name="Save picture").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    with Image.open(path) as picture:
        assert picture.size == (451, 300)


def test_the_console_stayed_silent(page):
    assert page.errors == []
