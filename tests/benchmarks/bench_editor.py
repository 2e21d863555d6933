"""How long an edit takes, until the picture is there: python -m tests.benchmarks.bench_editor [--edits 50].

In the kernel, the time is from setting the trait to sending the picture's bytes. On the page, if there is Chromium, it
is from releasing the mouse button to showing the new picture; also, how many previews a second follow a long stroke is
counted. For comparison, the same run also measures an edit that encodes the photo anew each time.
"""

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path

import torch

import histcolor as hc
from histcolor.editor.widget import HistogramEditor
from tests.lab import CHROMIUM, RESULT, at, browse, serve

CELLS = [
    "from histcolor.editor.widget import HistogramEditor\n"
    'editor = HistogramEditor("small", "chelsea", size=256)\neditor',
    'editor.wait()\nopen("done", "w").close()',
]
# resolves with the milliseconds from the next release of the pointer to the next picture
CLOCK = """selector => new Promise(done => {
  const photo = document.querySelector(selector);
  addEventListener('pointerup', () => {
    const start = performance.now(), shown = photo.dataset.shown;
    const look = () => photo.dataset.shown !== shown
      ? requestAnimationFrame(() => done(performance.now() - start)) : setTimeout(look, 1);
    look();
  }, { once: true, capture: true });
})"""
# counts the pictures that the page shows
COUNTER = f"""() => {{
  window.previews = 0;
  new MutationObserver(() => {{ window.previews++; }}).observe(
    document.querySelector('{RESULT}'), {{ attributes: true, attributeFilter: ['data-shown'] }});
}}"""


def report(name: str, milliseconds: list[float]) -> float:
    """Print median and 95th percentile; return the median."""
    median, high = statistics.median(milliseconds), statistics.quantiles(milliseconds, n=20)[-1]
    print(f"{name:34} median {median:6.1f} ms   95th percentile {high:6.1f} ms")
    return median


def places(edits: int):
    """Colours to paint, spread over the inner part of the plane."""
    return [(60 * ((i * 0.7549) % 1) - 30, 60 * ((i * 0.5698) % 1) - 30) for i in range(edits)]


def in_the_kernel(edits: int) -> None:
    """Measure edits through the traits, and colouring with the photo encoded anew."""
    model, photo = hc.load("small"), hc.demo_photo("chelsea")
    editor = HistogramEditor(model, photo, size=256)
    editor.wait()
    sent, kept, anew = [], [], []
    editor.photo_view.observe(lambda _: sent.append(time.perf_counter()), "after")
    for ab in places(edits):
        began = time.perf_counter()
        editor.edit = {"tool": "paint", "path": [ab], "strength": 0.05}
        editor.wait()
        kept.append(1000 * (sent[-1] - began))
    for _ in places(edits):
        began = time.perf_counter()
        hc.colorize(model, photo, editor.hist)
        anew.append(1000 * (time.perf_counter() - began))
    editor.close()
    with_all = report("in the kernel, an edit", kept)
    print(f"{'':34} {report('the photo encoded anew, no more', anew) / with_all:.2f} times that")


def on_the_page(edits: int) -> None:
    """Measure edits in JupyterLab in Chromium, with the mouse."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(CELLS, Path(folder)) as address,
        browse(address, Path(folder) / "done") as page,
    ):
        plane, times = page.locator("canvas.histcolor-plane"), []
        page.evaluate(f"() => window.clock = {CLOCK}")
        for ab in places(edits):
            page.mouse.move(*at(plane, *ab))
            page.evaluate("selector => { window.taken = window.clock(selector) }", RESULT)
            page.mouse.down()
            page.mouse.up()
            times.append(page.evaluate("() => window.taken"))
            page.wait_for_timeout(100)
        report("on the page, release to picture", times)
        page.evaluate(COUNTER)
        page.mouse.move(*at(plane, -60, 0))
        page.mouse.down()
        began = time.perf_counter()
        while (seconds := time.perf_counter() - began) < 5:  # five rounds
            page.mouse.move(*at(plane, -60 * math.cos(2 * math.pi * seconds), 60 * math.sin(2 * math.pi * seconds)))
            page.wait_for_timeout(10)
        print(f"{'previews of a long stroke':34} {page.evaluate('() => window.previews') / seconds:.1f} a second")
        page.mouse.up()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=50)
    edits = parser.parse_args().edits
    print(f"chelsea, 256 × 256 pixels, {torch.get_num_threads()} threads, {edits} edits")
    in_the_kernel(edits)
    on_the_page(edits) if CHROMIUM else print("no Chromium: the page was not measured")
