"""How much time and memory colouring takes on this machine: ``python tests/benchmarks/bench_colorize.py [MODEL]``.

It colours a 256×256 photo, one more histogram for an encoded photo (also as a ratio to colouring the photo anew), and a
12-megapixel photo from file to file.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import torch

import histcolor as hc
from histcolor.colorize import resize


def milliseconds(function, repeats: int) -> float:
    """The median of some calls, after one that warms up."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def peak_megabytes() -> float:
    """The largest memory that this process has used so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="small", help="a shipped model or a checkpoint")
    model = hc.load(parser.parse_args().model)
    photo = hc.demo_photo("coffee")
    hist = hc.ab_histogram(hc.rgb_to_lab(hc.demo_photo("chelsea"))[1:], model.config.bins)
    small = resize(photo, (256, 256))
    encoded = hc.encode(model, small)
    anew = milliseconds(lambda: hc.colorize(model, small, hist), 9)
    again = milliseconds(lambda: hc.colorize(model, encoded, hist), 9)
    eight = milliseconds(lambda: hc.colorize(model, encoded, hist.expand(8, -1, -1)), 5) / 8
    moved = milliseconds(lambda: hc.colorize(model, encoded, hist, transport=0.5), 9)
    print(f"{torch.get_num_threads()} threads")
    print(f"256×256, photo and histogram     {anew:7.0f} ms")
    print(f"256×256, one more histogram      {again:7.0f} ms   ({again / anew:.2f} of it)")
    print(f"… and with transport 0.5         {moved:7.0f} ms   ({moved / anew:.2f} of it)")
    print(f"256×256, eight more, each        {eight:7.0f} ms   ({eight / anew:.2f} of it)")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "large.jpg")
        hc.write_image(resize(photo, (3000, 4000)), file)
        before = peak_megabytes()
        began = time.perf_counter()
        hc.write_image(hc.colorize(model, hc.read_image(file), hist), Path(folder, "out.jpg"))
        seconds = time.perf_counter() - began
    print(f"4000×3000, from file to file     {1000 * seconds:7.0f} ms, peak {peak_megabytes():.0f} MB ", end="")
    print(f"(before it {before:.0f} MB)")


if __name__ == "__main__":
    main()
