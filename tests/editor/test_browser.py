"""The real editor: its lesson in JupyterLab in Chromium, with mouse, keys and touch.

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
(NOTEBOOK,) = (Path(__file__).parents[2] / "notebooks").glob("*_histogram_editing.ipynb")
# the kernel's state, written to a file after each picture, for the test to read
REPORT = """
import json, numpy as np
from pathlib import Path
def report(_=None):
    now, controls = editor.painting.state, editor.controls
    state = {"hist": editor.hist.tolist(), "version": editor.version, "message": editor.message,
             "mark": editor.plane.mark, "rings": editor.plane.rings, "heat": len(editor.photo_view.heat),
             "tool": controls.tools.value, "radius": controls.radius.value, "done": len(editor.painting.done),
             "transport": editor.transport, "hue": now.hue, "saturation": now.saturation, "mix": now.mix,
             "first": editor.painting.first.painted.tolist(), "points": points, "pins": editor.points}
    Path("report.tmp").write_text(json.dumps(state))
    Path("report.tmp").rename("report.json")
points, apply_action = [], editor.painting.apply
def applied(action):
    points.append(len(action.get("path", ())))
    apply_action(action)
editor.painting.apply = applied
editor.observe(report, ["version", "message", "transport"])
editor.plane.observe(report, ["rings", "mark"])
editor.controls.tools.observe(report, "index")
editor.controls.radius.observe(report, "value")
editor.photo_view.observe(report, ["heat", "pins"])
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
    seen["hist"], seen["first"] = np.array(seen["hist"]), np.array(seen["first"])
    return seen


def wait_until(page, lab, condition):
    """The kernel's state once the condition holds."""
    for _ in range(300):
        seen = state(lab)
        if condition(seen):
            return seen
        page.wait_for_timeout(50)
    pytest.fail(f"The kernel never got there: { ({k: v for k, v in seen.items() if k not in ('hist', 'first')}) }")


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
        """async () => {
          for (const _ of [1, 2]) await new Promise(requestAnimationFrame); // it is drawn before the next frame
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


def sliders(page):
    """What the page shows: each slider's name and value."""
    return page.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('.histcolor-slider input[type=range]')]"
        ".map(input => [input.ariaLabel ?? input.getAttribute('aria-label'), Number(input.value)]))"
    )


def boxes(page, selector):
    """Left, top, right and bottom of the parts that are seen."""
    return page.evaluate(
        "selector => [...document.querySelectorAll(selector)].map(part => part.getBoundingClientRect())"
        ".filter(box => box.width).map(box => [box.left, box.top, box.right, box.bottom])",
        selector,
    )


def to_top(page):
    page.locator(".histcolor-editor").evaluate("element => element.scrollIntoView()")
    page.wait_for_timeout(500)


@pytest.fixture(autouse=True)
def size(page):
    """A test that fails leaves no small page behind."""
    yield
    page.set_viewport_size({"width": 1400, "height": 1100})


CONTROLS = ", ".join(f".histcolor-editor {part}" for part in ("button", "input:not([hidden])", "select", "canvas"))


def test_all_cells_run_and_the_start_state_is_there(page, lab, plane):
    """The kernel turned hue and strength in many cells: nothing of it comes back from the page."""
    page.wait_for_timeout(3000)
    seen = state(lab)
    assert (seen["hue"], seen["saturation"], seen["mix"], seen["transport"]) == (0, 1, [0, 0, 1], 0.5)
    assert np.array_equal(seen["hist"], seen["first"])
    assert sliders(page) == {
        "Brush": 12, "Strength": 0.1, "Transport strength": 0.5, "Photo's own": 0, "Reference": 0, "Painted": 1,
        "Turn hue": 0, "Saturation": 1,
    }  # fmt: skip
    menus = page.locator(".histcolor-panel select")
    chosen = [menus.nth(i).evaluate("menu => menu.selectedOptions[0].textContent") for i in (0, 1)]
    assert chosen == ["chelsea", "coffee"], "the menus show what is in use"


def test_a_stroke_reaches_the_kernel_and_the_picture(page, lab, plane):
    choose(page, "Paint")
    before = state(lab)
    picture = shown(page, lab, before["version"])
    drag(page, at(plane, 10, -55), at(plane, 30, -60))
    after = wait_until(page, lab, lambda s: s["done"] > before["done"])
    gained = after["hist"] - before["hist"]
    assert near(gained, 20, -57, 28) == pytest.approx(gained.clip(0).sum(), rel=1e-3), "only where it was painted"
    assert near(after["hist"], 20, -57, 28) > 0.08
    changed = shown(page, lab, after["version"]) - picture
    assert changed[2] > changed[1] + 0.5, "the picture turned towards blue"
    page.wait_for_timeout(1000)
    after = state(lab)  # with the picture of the edit: the one before may have been a preview's
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
    before_drag = ink(page)
    choose(page, "Move")  # and at once, without waiting for the kernel:
    page.mouse.move(*at(plane, 55, -55))
    page.mouse.down()
    page.mouse.move(*at(plane, -40, 40), steps=4)
    assert ink(page) != before_drag, "it is seen where the blob will land"
    page.mouse.up()
    moved = wait_until(page, lab, lambda s: s["done"] > painted["done"])
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


def spot(page, x, y):
    """A place of the photo on the page, from fractions of its width and height."""
    box = page.locator(RESULT).bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def test_pins_hold_drag_and_go(page, lab, plane):
    page.set_viewport_size({"width": 1280, "height": 800})
    to_top(page)
    choose(page, "Pin")
    before = state(lab)
    picture = shown(page, lab, before["version"])
    page.mouse.click(*spot(page, 0.5, 0.75))  # and at once, without waiting for the kernel: the pin is seen
    assert page.locator(f"{RESULT} .pin").count() == 1
    seen = wait_until(page, lab, lambda s: s["pins"] and s["version"] > before["version"])
    assert seen["pins"][0] == [pytest.approx(225, abs=2), pytest.approx(224.5, abs=2), "#c33"]
    colour = page.locator(".histcolor-result input[type=color]")
    colour.evaluate("i => { i.value = '#0033ff'; i.dispatchEvent(new Event('change', { bubbles: true })); }")
    blue = wait_until(page, lab, lambda s: s["pins"][0][2] == "#0033ff" and s["version"] > seen["version"])
    changed = shown(page, lab, blue["version"]) - picture
    assert changed[2] > changed[0] + 0.5, "the picture turned towards blue"
    assert max(bottom for *_, bottom in boxes(page, CONTROLS)) <= 800, "no control is below the fold"
    drag(page, spot(page, 0.5, 0.75), spot(page, 0.25, 0.25))
    moved = wait_until(page, lab, lambda s: s["pins"][0][0] < 150)
    assert moved["pins"] == [[pytest.approx(112, abs=4), pytest.approx(74, abs=4), "#0033ff"]]
    swatch = page.locator(".histcolor-result .histcolor-row button").first
    assert re.fullmatch(r"\d+ %", swatch.inner_text())
    swatch.click()
    wait_until(page, lab, lambda s: isinstance(s["pins"][0][2], list))
    plane.click(position={"x": 20, "y": 20})
    wait_until(page, lab, lambda s: s["pins"][0][2][0] < -90)
    page.mouse.click(*spot(page, 0.8, 0.8))
    wait_until(page, lab, lambda s: len(s["pins"]) == 2)
    page.wait_for_function("() => document.querySelector('.histcolor-result .pin:last-child.held')")
    page.keyboard.press("Delete")
    wait_until(page, lab, lambda s: len(s["pins"]) == 1)
    page.mouse.click(*spot(page, 0.25, 0.25))  # chooses the pin, adds none
    page.get_by_role("button", name="Remove").click()
    wait_until(page, lab, lambda s: not s["pins"])
    choose(page, "Undo")
    wait_until(page, lab, lambda s: len(s["pins"]) == 1)
    choose(page, "Reset")
    wait_until(page, lab, lambda s: not s["pins"])
    page.wait_for_function("() => !document.querySelector('.histcolor-result .pin')")
    assert page.locator(".histcolor-result input[type=color]").is_hidden()


def test_keys_alone_pin(page, lab, plane):
    plane.focus()
    page.keyboard.press("n")
    wait_until(page, lab, lambda s: s["tool"] == "Pin")
    page.locator(RESULT).focus()
    for key in ("ArrowRight", "Enter"):
        page.keyboard.press(key)
    (pin,) = wait_until(page, lab, lambda s: s["pins"])["pins"]
    assert pin[:2] == pytest.approx([0.52 * 451 - 0.5, 149.5])
    page.wait_for_function("() => document.querySelector('.histcolor-result .pin')")
    for key in ("Enter", "Shift+ArrowUp", "Shift+ArrowUp", "Enter"):  # take it up, carry it, put it down
        page.keyboard.press(key)
    wait_until(page, lab, lambda s: s["pins"] and s["pins"][0][1] == pytest.approx(0.3 * 300 - 0.5))
    for key in ("Enter", "Shift+ArrowDown", "Escape"):
        page.keyboard.press(key)
    page.keyboard.press("Control+z")
    wait_until(page, lab, lambda s: s["pins"] == [pin])
    page.keyboard.press("Control+z")
    wait_until(page, lab, lambda s: not s["pins"])
    choose(page, "Paint")


def test_explorer_both_ways(page, lab, plane):
    choose(page, "Look")
    box = page.locator(RESULT).bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"], steps=3)
    seen = wait_until(page, lab, lambda s: s["rings"] and len(s["mark"]) == 2)
    assert 0.03 <= sum(ring[3] for ring in seen["rings"]) <= 1.001
    assert seen["heat"] == 0
    page.mouse.move(*at(plane, 20, 20))
    wait_until(page, lab, lambda s: s["heat"] > 0 and not s["rings"])
    page.wait_for_function("() => !document.querySelector('.histcolor-result img.heat').hidden")
    choose(page, "Paint")
    wait_until(page, lab, lambda s: s["heat"] == 0 and not s["rings"])


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
    page.wait_for_timeout(500)
    assert state(lab)["radius"] == wider["radius"]
    page.mouse.move(*at(plane, 0, 0))
    page.mouse.wheel(0, 100)
    narrower = wait_until(page, lab, lambda s: s["radius"] < wider["radius"])
    page.keyboard.down("Control")  # what belongs to the browser and to JupyterLab stays theirs
    page.mouse.wheel(0, 100)
    page.keyboard.press("[")
    page.keyboard.up("Control")
    page.keyboard.press("Alt+e")
    page.wait_for_timeout(500)
    assert state(lab)["tool"] == "Paint"
    for key, tool in zip("emclp", ("Erase", "Move", "Pick", "Look", "Paint"), strict=True):
        page.keyboard.press(key)
        wait_until(page, lab, lambda s, tool=tool: s["tool"] == tool)
    assert state(lab)["radius"] == narrower["radius"]
    assert state(lab)["done"] == after["done"]


def test_no_letter_reaches_jupyterlab(page, lab, plane):
    """There M turns a cell into words, X cuts it, and B puts one below it."""
    cells = page.locator(".jp-Cell").count()
    for part, name in ((plane, "canvas"), (page.locator(RESULT), "photo")):
        part.focus()
        for key in ("m", "M", "x", "b", "d", "d", "0", "p"):
            page.keyboard.press(key)
        wait_until(page, lab, lambda s: s["tool"] == "Paint")
        assert page.locator(".histcolor-editor").count() == 1, name
        assert page.locator(".jp-Cell").count() == cells, name


def test_quick_keys_lose_no_step(page, lab, plane):
    """The kernel answers later than the next key comes; what it says of the one before changes nothing."""
    choose(page, "Reset")
    before = wait_until(page, lab, lambda s: s["hue"] == 0 and s["radius"] == 12)
    hue = page.get_by_role("slider", name="Turn hue")
    hue.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight", delay=5)
    wait_until(page, lab, lambda s: s["hue"] == 20)
    plane.focus()
    for _ in range(6):
        page.keyboard.press("]", delay=5)
    wait_until(page, lab, lambda s: s["radius"] == pytest.approx(before["radius"] * 1.15**6))
    page.wait_for_timeout(1000)
    assert sliders(page)["Turn hue"] == state(lab)["hue"] == 20
    done = state(lab)["done"]
    page.keyboard.down("Enter")
    for _ in range(5):
        page.keyboard.down("Enter")  # the key is held: it repeats
    page.keyboard.up("Enter")
    wait_until(page, lab, lambda s: s["done"] > done)
    page.wait_for_timeout(500)
    assert state(lab)["done"] == done + 1
    spoken = page.locator(".histcolor-side .histcolor-spoken").inner_text()
    assert spoken.startswith("paint: a 0, b 0, brush "), "read aloud"


def test_pins_at_the_edge_and_quick_deletes(page, lab, plane):
    choose(page, "Pin")
    for x in (0.01, 0.4, 0.8):
        count = len(state(lab)["pins"])
        page.mouse.click(*spot(page, x, 0.5))
        wait_until(page, lab, lambda s, count=count: len(s["pins"]) == count + 1)
    page.mouse.click(*spot(page, 0.4, 0.5))
    page.wait_for_function("() => document.querySelectorAll('.histcolor-result .pin')[1].matches('.held')")
    page.keyboard.press("Delete")
    page.keyboard.press("Delete")  # none is chosen any more
    wait_until(page, lab, lambda s: len(s["pins"]) == 2)
    page.wait_for_timeout(500)
    assert [pin[0] for pin in state(lab)["pins"]] == pytest.approx([0.01 * 451, 0.8 * 451], abs=3)
    choose(page, "Pick")
    done = state(lab)["done"]
    page.mouse.click(*spot(page, 0.5, 0.5))
    wait_until(page, lab, lambda s: s["done"] == done + 1)
    page.locator(RESULT).focus()
    page.keyboard.press("Control+z")
    wait_until(page, lab, lambda s: s["done"] == done)
    choose(page, "Paint")


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


def test_everything_is_on_one_screen(page, lab, plane):
    page.set_viewport_size({"width": 1280, "height": 800})
    to_top(page)
    found = boxes(page, CONTROLS)
    assert len(found) > 30
    assert max(bottom for *_, bottom in found) <= 800, "no control is below the fold"
    assert max(right for *_, right, _ in found) <= 1280
    ((left, _, right, bottom),) = boxes(page, RESULT)
    assert boxes(page, "canvas.histcolor-plane")[0][2] <= left, "side by side"
    ((start, top, end, _),) = boxes(page, ".histcolor-result .histcolor-slider")
    assert 0 <= top - bottom < 30, "the transport strength stands right under the photo"
    assert left <= start < end <= right + 400
    page.set_viewport_size({"width": 900, "height": 800})
    to_top(page)
    assert boxes(page, "canvas.histcolor-plane")[0][2] <= boxes(page, RESULT)[0][0], "still side by side"
    page.set_viewport_size({"width": 640, "height": 400})  # what zooming to 200 % leaves
    to_top(page)
    width = boxes(page, ".histcolor-editor")[0][2]
    found = page.evaluate(
        """selector => [...document.querySelectorAll(selector)].filter(part => part.offsetWidth).map(part => {
          part.scrollIntoView({ block: 'center' });
          const box = part.getBoundingClientRect();
          return [box.right, (box.top + box.bottom) / 2];
        })""",
        CONTROLS,
    )
    assert len(found) > 30
    assert all(right <= width + 1 and 0 < middle < 400 for right, middle in found), "all can be reached"
    page.set_viewport_size({"width": 700, "height": 800})
    to_top(page)
    page.evaluate("() => document.activeElement.blur()")
    before = boxes(page, "canvas.histcolor-plane")[0]
    page.mouse.move(*at(plane, 0, 0))
    page.mouse.wheel(0, 180)
    page.wait_for_timeout(500)
    ((_, top, _, bottom),) = boxes(page, RESULT)
    after = boxes(page, "canvas.histcolor-plane")[0]
    assert before[1] > bottom, "one below the other"
    assert after[1] == pytest.approx(before[1] - 180, abs=2)
    assert 60 < top < 110, "the photo stays at the top"
    assert bottom < after[3], "while one paints below it"


def test_a_finger_paints(page, lab, plane):
    choose(page, "Paint")
    plane.scroll_into_view_if_needed()
    before, session = state(lab), page.context.new_cdp_session(page)
    for kind, place in (
        ("touchStart", (-30, -60)),
        ("touchMove", (-20, -60)),
        ("touchMove", (-5, -60)),
        ("touchEnd", 0),
    ):
        points = [dict(zip("xy", at(plane, *place), strict=True))] if place else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    after = wait_until(page, lab, lambda s: s["done"] > before["done"])
    assert near(after["hist"], -18, -60, 28) > near(before["hist"], -18, -60, 28) + 0.05


def test_a_long_stroke_is_thinned_and_previewed(page, lab, plane):
    choose(page, "Paint")
    page.locator(".histcolor-slider input[type=number][aria-label=Brush]").fill("2")
    page.keyboard.press("Enter")
    before = wait_until(page, lab, lambda s: s["radius"] == 2)
    page.mouse.move(*at(plane, -60, 60))
    page.mouse.down()
    for i in range(6):
        page.mouse.move(*at(plane, -60 + 120 * (i % 2), 60 - 20 * i), steps=50)
    seen = wait_until(page, lab, lambda s: s["version"] > before["version"])
    assert np.array_equal(seen["hist"], before["hist"]), "the picture follows, but nothing is edited yet"
    page.mouse.up()
    after = wait_until(page, lab, lambda s: s["done"] > before["done"])
    assert 200 < after["points"][-1] <= 256
    assert after["message"] == ""


def test_reset_resets_everything(page, lab, plane):
    for name, value in (("Turn hue", "90"), ("Transport strength", "0.85")):
        page.locator(f'.histcolor-slider input[type=range][aria-label="{name}"]').fill(value)
    wait_until(page, lab, lambda s: s["hue"] == 90 and s["transport"] == 0.85)
    choose(page, "Reset")
    seen = wait_until(page, lab, lambda s: s["transport"] == 0.5 and s["hue"] == 0)
    page.wait_for_timeout(500)
    seen = state(lab)
    assert (seen["radius"], seen["tool"], seen["transport"], seen["hue"]) == (12, "Paint", 0.5, 0)
    assert np.array_equal(seen["hist"], seen["first"])
    assert sliders(page)["Brush"] == 12
    assert sliders(page)["Turn hue"] == 0


def test_a_number_out_of_range_becomes_the_nearest_one(page, lab, plane):
    number = page.locator(".histcolor-slider input[type=number][aria-label=Brush]")
    number.fill("500")
    number.press("Tab")
    wait_until(page, lab, lambda s: s["radius"] == 60)
    assert number.input_value() == "60"
    number.fill("700")  # the kernel's value stays as it is, and says nothing
    number.press("Tab")
    assert number.input_value() == "60"
    choose(page, "Reset")
    wait_until(page, lab, lambda s: s["radius"] == 12)


def test_a_photo_of_ones_own(page, lab, plane, tmp_path):
    from PIL import Image

    Image.effect_noise((90, 60), 80).convert("RGB").save(tmp_path / "mine.png")
    (tmp_path / "huge.png").write_bytes(b"x" * (65 * 2**20))
    for name in ("huge.png", "mine.png"):
        with page.expect_file_chooser() as chooser:
            page.locator(".histcolor-file", has_text="Own reference").click()
        chooser.value.set_files(tmp_path / name)
        if name == "huge.png":
            page.locator(".histcolor-message", has_text="huge.png: has more than 64 MB").wait_for()
    page.locator(".histcolor-file", has_text="Own reference: mine.png").wait_for()
    menu = page.locator(".histcolor-panel select").nth(1)
    assert menu.evaluate("menu => menu.selectedOptions[0].textContent") == "mine.png"
    menu.select_option("coffee")
    page.locator(".histcolor-file", has_text="Own reference …").wait_for()


def test_divider_compares_before_and_after(page, lab, plane):
    divider = page.get_by_role("slider", name=re.compile("before and after"))
    divider.focus()
    for key, value in (("PageUp", "20"), ("ArrowUp", "25"), ("ArrowLeft", "20"), ("PageDown", "0")):
        page.keyboard.press(key)
        assert divider.get_attribute("aria-valuenow") == value
    page.keyboard.press("End")
    page.wait_for_function(
        "() => document.querySelector('.histcolor-result img.after').style.clipPath.includes('100%')"
    )
    page.keyboard.press("Home")


def test_a_picture_is_downloaded_at_full_size(page, lab, plane, tmp_path):
    from PIL import Image

    with page.expect_download() as download:
        page.get_by_role("button", name="Picture", exact=True).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    with Image.open(path) as picture:
        assert picture.size == (451, 300)


def test_the_console_stayed_silent(page):
    assert page.errors == []
