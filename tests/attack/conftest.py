"""Good files to damage, and what tries cases on them."""

import sys
import tempfile
from functools import cache

import arena
import numpy as np
import pytest
import torch
from PIL import Image

import histcolor as hc
from histcolor.backbone import imagenet_weights
from histcolor.checkpoint import load, save_model
from histcolor.data import build_pack


def picture(seed=0, height=32, width=40):
    """A soft picture of moderate colours and all middling lightnesses, uint8 [height, width, 3]."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(3 * x + k + seed) * np.cos(2 * y - k * seed) for k in range(3)]
    light = 128 + 60 * np.sin(4 * x + 3 * y + seed)
    return np.stack([light + 30 * wave for wave in waves], axis=-1).clip(20, 235).astype(np.uint8)


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    (folder / "photos").mkdir()
    for i in range(3):
        Image.fromarray(picture(i)).save(folder / "photos" / f"{i}.png")
    torch.manual_seed(0)
    model = hc.Colorizer(hc.PRESETS["tiny"])
    model.average[6:10, 6:10] = 1 / 16
    save_model(model, folder / "tiny.safetensors")
    build_pack([folder / "photos"], folder / "pack", 32, min_bytes=0, quiet=True)
    words = ["train", "--preset", "tiny", "--data", str(folder / "pack"), "--size", "32", "--batch-size", "2"]
    words += ["--steps", "2", "--log-every", "1", "--save-every", "1", "--warmup", "0", "--precision", "float32"]
    code, said = arena.run([*words, "--run", folder / "run"])
    assert code == 0, said
    return arena.World(
        folder / "photos" / "0.png", folder / "photos", folder / "tiny.safetensors", folder / "pack", folder / "run",
        words,
    )  # fmt: skip


@pytest.fixture
def tries(world, tmp_path, monkeypatch, record_property):
    """Try cases of a kind; gives what went wrong. The one good model is loaded once."""
    model = load(world.model)

    def cached(name, *where):
        return model if str(name) == str(world.model) else load(name, *where)

    for module in ("colorize", "evaluate"):
        monkeypatch.setattr(sys.modules[f"histcolor.cli.{module}"], "load", cached)
    monkeypatch.setattr(sys.modules["histcolor.cli.train"], "imagenet_weights", cache(imagenet_weights))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.delenv("HISTCOLOR_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)  # which a case leaves; afterwards it is again what it was
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "temporary").mkdir()

    def run(kind, numbers):
        faults = []
        for number in numbers:
            faults.append(arena.attempt(kind, number, world, tmp_path / "room"))
            if left := list((tmp_path / "temporary").iterdir()):
                faults.append(f"\n{kind} {number}: leaves {left[0].name} among temporary files")
                left[0].unlink() if left[0].is_file() else None
        record_property(f"tried {kind}", len(numbers))
        return "".join(faults)

    return run
