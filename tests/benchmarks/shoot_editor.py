"""Take the pictures of the editor and the explorer, light and dark: python -m tests.benchmarks.shoot_editor [FOLDER].

``editor_light.webp`` is the one in ``results/figures``, which the README shows; needs Chromium.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.lab import RESULT, at, browse, choose, drag, serve

CELLS = [
    "from histcolor.editor.widget import HistogramEditor\n"
    'editor = HistogramEditor("small", "chelsea", "coffee")\neditor',
    'editor.edit = {"tool": "mix", "weights": (1, 0, 0)}\neditor.wait()\nopen("done", "w").close()',
]


def save(screenshot: bytes, path: Path) -> None:
    """Save a screenshot as WebP, a tenth of the PNG's bytes."""
    Image.open(io.BytesIO(screenshot)).convert("RGB").save(path, quality=75, method=6)


def shoot(theme: str, output: Path) -> None:
    """Two pictures in one theme."""
    name = theme.rpartition(" ")[2].lower()
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(CELLS, Path(folder), theme=theme) as address,
        browse(address, Path(folder) / "done", width=1500, height=1250) as page,
    ):
        editor, plane, photo = (page.locator(x) for x in (".histcolor-editor", "canvas.histcolor-plane", RESULT))
        page.evaluate("() => document.activeElement.blur()")
        drag(page, at(plane, -18, -20), at(plane, -12, -32), at(plane, 2, -40))
        page.wait_for_timeout(2500)
        box = photo.bounding_box()
        handle = page.locator(f"{RESULT} .divider")
        drag(page, (box["x"] + 13, box["y"] + 30), (box["x"] + 0.3 * box["width"], box["y"] + 30))
        page.mouse.move(*at(plane, 2, -40))
        page.wait_for_timeout(1500)
        save(editor.screenshot(), output / f"editor_{name}.webp")
        handle.focus()
        page.keyboard.press("Home")
        choose(page, "Look")
        target = (
            (box["x"] + 0.85 * box["width"], box["y"] + 0.75 * box["height"]) if name == "light" else at(plane, -5, -33)
        )
        page.mouse.move(*target)
        page.wait_for_timeout(3000)
        save(editor.screenshot(), output / f"explorer_{name}.webp")
        if page.errors:
            sys.exit("\n".join(page.errors))


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results/reproduce/editor")
    folder.mkdir(parents=True, exist_ok=True)
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        shoot(theme, folder)
