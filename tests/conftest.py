"""What the tests share: a fixed seed, hypothesis without deadlines, and photos that need no network."""

import os
from collections import Counter

if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes: a thread each, also for what they start
    os.environ["OMP_NUM_THREADS"] = "1"

import hypothesis
import numpy as np
import pytest
import torch
from PIL import Image

torch.set_num_threads(min(2, torch.get_num_threads()))
# derandomised, so that a failure seen on one machine is seen on all; without deadline, as machines may be busy
hypothesis.settings.register_profile("histcolor", deadline=None, derandomize=True, max_examples=50, database=None)
hypothesis.settings.load_profile("histcolor")

TRIED: Counter[str] = Counter()  #: bad inputs by kind, which pytest prints at its end

# name, and the top left corner of a 160×160 cut with plenty of colour
CUTS = {
    "astronaut_face": ("astronaut", 20, 150),
    "astronaut_suit": ("astronaut", 340, 100),
    "chelsea_eye": ("chelsea", 40, 60),
    "chelsea_ear": ("chelsea", 60, 270),
    "coffee_cup": ("coffee", 120, 200),
    "coffee_spoon": ("coffee", 200, 400),
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def style():
    """The project's look for figures; all of them are closed afterwards."""
    import matplotlib.pyplot as plt

    from histcolor import plots

    with plt.rc_context():
        plots.use_style()
        yield
    plt.close("all")


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of six colourful JPEGs of 160×160 pixels, each over 3 KB; read it, do not write into it."""
    import skimage.data

    folder = tmp_path_factory.mktemp("photos")
    for name, (source, y, x) in CUTS.items():
        cut = getattr(skimage.data, source)()[y : y + 160, x : x + 160]
        Image.fromarray(np.ascontiguousarray(cut)).save(folder / f"{name}.jpg", quality=95)
    return folder


@pytest.fixture(scope="session")
def pack_folder(photos, tmp_path_factory):
    """The pack's folder that :func:`pack` opens."""
    from histcolor.data import build_pack

    output = tmp_path_factory.mktemp("packs") / "photos64"
    build_pack([photos], output, 64, quiet=True)
    return output


@pytest.fixture(scope="session")
def pack(pack_folder):
    """Those photos as a pack of 64×64 pixels."""
    from histcolor.data import Pack

    return Pack.open(pack_folder)


def pytest_collection_modifyitems(items):
    """Begin with the files that have slow tests, so that no process starts on one when the others are done."""
    slow = {item.module for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.module not in slow)


def pytest_runtest_logreport(report):
    """Count the bad inputs that a test has tried; with several processes they are counted here alone."""
    if report.when == "teardown":
        TRIED.update(
            {name.removeprefix("tried "): n for name, n in report.user_properties if name.startswith("tried ")}
        )


def pytest_terminal_summary(terminalreporter):
    if TRIED:
        terminalreporter.section("bad input: kinds and cases")
        for kind, count in sorted(TRIED.items()):
            terminalreporter.write_line(f"{kind:<40}{count:>6,}")
        terminalreporter.write_line(f"{'all':<40}{TRIED.total():>6,}")
