"""Record the README's clip of the editor, an animated WebP: python -m tests.benchmarks.record_editor [FILE].

A mouse paints, moves colours and sets a pin on the real page, and each step waits for its picture, so the clip does not
show how long an edit takes (see ``bench_editor``). Needs Chromium.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from histcolor.images import atomic
from tests.lab import RESULT, at, browse, serve

CELLS = [
    'from histcolor.editor.widget import HistogramEditor\neditor = HistogramEditor("small", "chelsea")\neditor',
    'editor.wait()\nopen("done", "w").close()',
]
SIZE = (1330, 800)  # of the page, in CSS pixels
MILLISECONDS = 110  # that a frame is shown
# a screenshot has no mouse pointer: an arrow that follows the mouse, with a ring while the button is down
POINTER = """() => {
  const pointer = document.createElement('div');
  pointer.style = 'position: fixed; z-index: 9999; pointer-events: none; width: 0; height: 0';
  pointer.innerHTML = `<svg width="60" height="60" style="position: absolute; left: -20px; top: -20px">
    <circle cx="20" cy="20" r="15" fill="none" stroke="#1976d2" stroke-width="3" visibility="hidden"/>
    <path d="M20 20 v22 l5.5 -5 4 9 4 -2 -4 -8.500 h7.500 z" fill="#111" stroke="#fff" stroke-width="1.6"/></svg>`;
  document.body.append(pointer);
  const ring = pointer.querySelector('circle');
  for (const [name, shown] of [['pointermove', null], ['pointerdown', 'visible'], ['pointerup', 'hidden']])
    addEventListener(name, event => {
      [pointer.style.left, pointer.style.top] = [`${event.clientX}px`, `${event.clientY}px`];
      if (shown) ring.setAttribute('visibility', shown);
    }, { capture: true });
}"""


class Recorder:
    """Moves the mouse, and takes a frame after each step."""

    def __init__(self, page, area: dict[str, float]) -> None:
        self.page, self.area, self.frames, self.durations = page, area, [], []
        self.place = (0.0, 0.0)

    def frame(self, wait: int = 0, stay: int = 1) -> None:
        """Take a frame after a wait in milliseconds; it stays for some frames' time."""
        self.page.wait_for_timeout(wait)
        screenshot = self.page.screenshot(clip=self.area)
        self.frames.append(Image.open(io.BytesIO(screenshot)).convert("RGB"))
        self.durations.append(stay * MILLISECONDS)

    def go(self, place: tuple[float, float], steps: int, wait: int = 30) -> None:
        """Move the mouse to a place of the page, fast in the middle and slow at the ends."""
        (x, y), (u, v) = self.place, place
        for i in range(1, steps + 1):
            t = i / steps
            t = t * t * (3 - 2 * t)
            self.page.mouse.move(x + t * (u - x), y + t * (v - y))
            self.frame(wait)
        self.place = place

    def press(self) -> None:
        """Press the button of the mouse."""
        self.page.mouse.down()
        self.frame()

    def release(self, stay: int = 5) -> None:
        """Release the button, and wait for the picture."""
        self.page.mouse.up()
        self.frame(1500, stay)


def middle(locator) -> tuple[float, float]:
    """The middle of a part of the page."""
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def record(output: Path) -> None:
    """Record the clip."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(CELLS, Path(folder)) as address,
        browse(address, Path(folder) / "done", width=SIZE[0], height=SIZE[1]) as page,
    ):
        editor, plane, photo = (page.locator(x) for x in (".histcolor-editor", "canvas.histcolor-plane", RESULT))
        tool = page.locator(".histcolor-tools").get_by_role
        for name, value in (("Strength", "0.15"), ("Brush", "18")):
            page.locator(f'.histcolor-slider input[type=range][aria-label="{name}"]').fill(value)
        page.evaluate("() => document.activeElement.blur()")
        editor.evaluate("element => element.scrollIntoView()")
        page.evaluate(POINTER)
        page.wait_for_timeout(1000)
        box, low = editor.bounding_box(), page.locator(".histcolor-stage").bounding_box()
        clip = Recorder(page, {**box, "height": low["y"] + low["height"] - box["y"]})
        clip.place = at(plane, 70, 70)
        page.mouse.move(*clip.place)
        clip.frame(stay=5)

        clip.go(at(plane, -14, -12), 5)  # paint a blue
        clip.press()
        for ab in ((-12, -22), (-4, -30), (6, -36)):
            clip.go(at(plane, *ab), 3, 500)
        clip.release()

        clip.go(middle(tool("button", name="Move")), 5)  # move the fur's colours
        clip.press()
        clip.release(1)
        clip.go(at(plane, 10, 24), 5)
        clip.press()
        clip.go(at(plane, 28, 40), 9, 500)
        clip.release()

        clip.go(middle(tool("button", name="Pin")), 5)  # and pin a colour
        clip.press()
        clip.release(1)
        clip.go(at(plane, -42, 40), 5)
        clip.press()
        clip.release(2)
        picture = photo.bounding_box()
        clip.go((picture["x"] + 0.92 * picture["width"], picture["y"] + 0.12 * picture["height"]), 7)
        clip.press()
        clip.release(2)
        clip.go(at(plane, 70, 70), 5)
        clip.frame(stay=14)
        if page.errors:
            sys.exit("\n".join(page.errors))
    first, *others = clip.frames
    with atomic(output) as temporary:
        first.save(
            temporary,
            "webp",
            save_all=True,
            append_images=others,
            duration=clip.durations,
            loop=0,
            quality=30,
            method=6,
        )
    seconds = sum(clip.durations) / 1000
    print(
        f"{output}: {len(clip.frames)} frames of {first.size}, {seconds:.1f} s, {output.stat().st_size / 2**20:.2f} MB"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=Path("results/figures/editor_clip.webp"))
    record(parser.parse_args().file)
