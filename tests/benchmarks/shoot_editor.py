"""Take the pictures of the editor and the explorer, light and dark: python -m tests.benchmarks.shoot_editor [FOLDER].

They are to be looked at; the README shows the clip that ``record_editor`` makes. Needs Chromium.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.lab import RESULT, at, browse, choose, drag, serve

CELLS = [
    "from histcolor.editor.widget import HistogramEditor\n"
    'editor = HistogramEditor("small", "chelsea", "coffee")\neditor',
    'editor.wait()\nopen("done", "w").close()',
]


def save(screenshot: bytes, path: Path) -> None:
    """Save a screenshot as WebP, a tenth of the PNG's bytes."""
    Image.open(io.BytesIO(screenshot)).convert("RGB").save(path, quality=75, method=6)


def shoot(theme: str, output: Path) -> None:
    """Pictures in one theme: the editor, the explorer both ways, and whole screens of several widths."""
    name = theme.rpartition(" ")[2].lower()
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(CELLS, Path(folder), theme=theme) as address,
        browse(address, Path(folder) / "done", width=1280, height=800) as page,
    ):
        editor, plane, photo = (page.locator(x) for x in (".histcolor-editor", "canvas.histcolor-plane", RESULT))

        def screen(what: str) -> None:
            editor.evaluate("element => element.scrollIntoView()")
            page.wait_for_timeout(1000)
            save(page.screenshot(), output / f"{what}_{name}.webp")

        page.evaluate("() => document.activeElement.blur()")
        for width in (900, 640, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            screen(f"screen_{width}_fresh")
        for slider, value in (("Photo's own", 1), ("Painted", 0)):
            page.locator(f'.histcolor-slider input[type=range][aria-label="{slider}"]').fill(str(value))
            page.wait_for_timeout(1000)
        drag(page, at(plane, -18, -20), at(plane, -12, -32), at(plane, 2, -40))
        page.wait_for_timeout(2500)
        box = photo.bounding_box()
        drag(page, (box["x"] + 13, box["y"] + 30), (box["x"] + 0.3 * box["width"], box["y"] + 30))
        page.mouse.move(*at(plane, 2, -40))
        page.wait_for_timeout(1500)
        screen("screen_1280")
        save(editor.screenshot(), output / f"editor_{name}.webp")
        page.locator(f"{RESULT} .divider").focus()
        page.keyboard.press("Home")
        choose(page, "Move")
        page.mouse.move(*at(plane, 2, -36))
        page.mouse.down()
        page.mouse.move(*at(plane, -50, 40), steps=5)
        page.wait_for_timeout(1500)
        save(editor.screenshot(), output / f"move_{name}.webp")
        page.keyboard.press("Escape")
        page.mouse.up()
        choose(page, "Look")
        box = photo.bounding_box()
        for what, target in (
            ("place", (box["x"] + 0.85 * box["width"], box["y"] + 0.75 * box["height"])),
            ("colour", at(plane, 12, 30)),
        ):
            page.mouse.move(*target)
            page.wait_for_timeout(3000)
            save(editor.screenshot(), output / f"explorer_{what}_{name}.webp")
        choose(page, "Pin")
        for x, y in ((0.85, 0.75), (0.3, 0.6), (0.12, 0.15)):
            page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
            page.wait_for_timeout(1000)
        page.mouse.click(*at(plane, 30, -70))
        page.wait_for_timeout(2000)
        save(editor.screenshot(), output / f"pins_{name}.webp")
        screen("screen_1280_pins")
        page.set_viewport_size({"width": 900, "height": 800})
        screen("screen_900_pins")
        choose(page, "Paint")
        page.set_viewport_size({"width": 900, "height": 800})
        screen("screen_900")
        page.set_viewport_size({"width": 640, "height": 400})  # what zooming to 200 % leaves
        screen("screen_640")
        plane.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        save(page.screenshot(), output / f"screen_640_plane_{name}.webp")
        if page.errors:
            sys.exit("\n".join(page.errors))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("results/reproduce/editor"))
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        shoot(theme, folder)
