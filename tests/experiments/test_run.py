"""Experiments: methods in a text file, done once each, to the same numbers however often they are stopped."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import torch

import histcolor as hc
from histcolor.cli.main import main
from histcolor.experiments import run as experiments
from histcolor.experiments.definition import read_experiment
from histcolor.experiments.figures import find_pictures
from histcolor.experiments.pictures import PICTURE
from histcolor.experiments.provenance import about_machine, cost, find_commit
from histcolor.experiments.records import TABLE, stage_ends
from histcolor.experiments.run import collect, run, tabulate
from histcolor.images import read_table, write_table
from histcolor.lessons.notebook import project_root
from histcolor.metrics import colourfulness
from histcolor.train import train

SHIPPED = project_root() / "notebooks" / "experiments.toml"
MINI = """
[mini]
about = "Two methods to train, one that needs none, and one of the paper's."
seeds = [0, 1]
preset = "tiny"
steps = 2
batch_size = 2
size = 32
log_every = 1
save_every = 1
precision = "float32"
pairs = [["Baseline", "ours"], ["ours", "gray"]]

[[mini.methods]]
name = "Baseline"
about = "No attention."
attention = false
readout = "features"
paper = { psnr = 28.9036, ssim = 0.9373 }

[[mini.methods]]
name = "ours"
about = "As it is."
lr = 1

[[mini.methods]]
name = "gray"
about = "No colour."
function = "gray"

[[mini.methods]]
name = "Quoted et al."
about = "Their number alone."
quoted = true
paper = { psnr = 25.991 }
"""
DONE = ["Baseline/seed0", "Baseline/seed1", "gray/seed0", "ours/seed0", "ours/seed1"]


@pytest.fixture(scope="module")
def toml(tmp_path_factory):
    path = tmp_path_factory.mktemp("toml") / "mini.toml"
    path.write_text(MINI)
    return path


@pytest.fixture
def work(toml, pack_folder, photos):
    """Runs the small experiment: four photos at 32 pixels."""

    def work(folder, experiment=None, **options):
        said = []
        failed = run(
            experiment or read_experiment(toml, "mini"),
            [pack_folder],
            None,
            folder,
            **{"photos": photos, "size": 32, "limit": 4, "report": said.append, "quiet": True, **options},
        )
        return said, failed

    return work


@pytest.fixture(scope="module")
def unbroken(toml, pack_folder, photos, tmp_path_factory):
    """The small experiment, done in one go; look, and do not write into it."""
    folder = tmp_path_factory.mktemp("unbroken") / "mini"
    options = {"photos": photos, "size": 32, "limit": 4, "report": lambda line: None, "quiet": True}
    assert run(read_experiment(toml, "mini"), [pack_folder], None, folder, **options) == []
    return folder


def tables(folder, toml):
    return collect(read_experiment(toml, "mini"), folder)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()
    }


def test_networks_work_at_the_size_they_were_trained_at(work, tmp_path, monkeypatch):
    from histcolor.experiments import run as module

    sizes, make = [], module.model_method
    monkeypatch.setattr(module, "model_method", lambda model, size: sizes.append(size) or make(model, size=size))
    said, failed = work(tmp_path, size=64, methods=["ours"], seeds=[0])
    assert not failed, said
    assert set(sizes) == {32}, "they are measured at 64 pixels, and were trained at 32"


def test_what_a_run_leaves(unbroken, toml, photos):
    folders = sorted(path.parent.relative_to(unbroken).as_posix() for path in unbroken.rglob(TABLE))
    assert folders == sorted(name.lower() for name in DONE)
    place = unbroken / "ours" / "seed1"
    assert {"config.json", "history.csv", "model.safetensors", "run.json", TABLE} <= {
        path.name for path in place.iterdir()
    }
    assert not list(unbroken.rglob("lock.owner"))
    assert not list(unbroken.rglob("state.pt")), "what nothing resumes from is removed"
    record = json.loads((place / "run.json").read_text())
    assert (record["experiment"], record["method"], record["seed"]) == ("mini", "ours", 1)
    assert record["photos_seen"] == 4
    assert record["hours"] >= 0
    assert record["photos_per_second"] > 0
    assert record["threads"] == torch.get_num_threads()
    assert record["torch"] == torch.__version__
    assert record["hardware"]
    assert record["commit"]
    assert record["photos"]["count"] == 4
    assert record["packs"][0]["photos"] == 6
    assert hc.load(place / "model.safetensors").config.bins == 16
    assert hc.load(place / "model.safetensors").trained_size == 32, "also when it was written anew"
    assert (place / "model.safetensors").stat().st_size < 1e6, "without the ImageNet network, which a package holds"


def test_results_have_a_line_a_photo_method_and_reference(unbroken, toml):
    table = tables(unbroken, toml)
    assert len(table) == 5 * 2 * 4
    assert {"photo", "reference", "method", "psnr", "ssim", "seed", "reference_kind", "experiment"} <= set(table)
    own, cross = (table[table["reference_kind"] == kind] for kind in ("self", "cross"))
    assert (own["photo"] == own["reference"]).all()
    assert (cross["photo"] != cross["reference"]).all()
    assert cross["psnr"].isna().all()
    assert own["psnr"].notna().all()
    seeds = own[own["method"] == "ours"].groupby("seed")["psnr"].mean()
    assert seeds[0] != seeds[1]


def test_the_table_of_an_experiment(unbroken, toml):
    table, pairs = tabulate(read_experiment(toml, "mini"), unbroken)
    table = table.set_index("method")
    assert table.index.tolist() == ["Baseline", "ours", "gray", "Quoted et al."]
    assert table["told"].tolist() == ["the histogram, as a map", "the histogram, as tokens", "nothing", "–"]
    assert table["seeds"].tolist() == [2, 2, 1, 0]
    assert table.loc["Baseline", "paper_psnr"] == 28.9036
    assert table.loc["Quoted et al.", ["photos", "paper_psnr"]].tolist() == [0, 25.991]
    assert table.loc["ours", "psnr_spread"] > 0
    assert set(pairs["method"]) == {"Baseline", "ours"}


def test_a_finished_method_is_left_alone(unbroken, work):
    before, lines = files(unbroken), []
    said, failed = work(unbroken, callback=lines.append)
    assert files(unbroken) == before
    assert not lines
    assert not failed
    assert [line.split(": ")[1] for line in said] == ["done before."] * 5


@pytest.mark.slow
def test_stopped_half_way_the_next_run_goes_on(unbroken, work, toml, tmp_path):
    seen = []

    def stop(line):
        seen.append((line["method"], line["seed"], line["step"]))
        if seen[-1] == ("ours", 0, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(tmp_path, callback=stop)
    assert seen == [("Baseline", 0, 1), ("Baseline", 0, 2), ("ours", 0, 1)]
    assert not list(tmp_path.rglob("lock.owner"))
    said, failed = work(tmp_path, callback=lambda line: seen.append((line["method"], line["seed"], line["step"])))
    assert not failed
    assert sorted(seen) == sorted(
        (method, seed, step) for method in ("Baseline", "ours") for seed in (0, 1) for step in (1, 2)
    )
    assert said[0] == "Baseline, seed 0: done before."
    pd.testing.assert_frame_equal(tables(tmp_path, toml), tables(unbroken, toml))


def test_measuring_is_done_over_when_it_was_stopped(unbroken, work, toml, tmp_path, monkeypatch):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiments, "evaluate", stop)
    with pytest.raises(KeyboardInterrupt):
        work(tmp_path, methods=["Baseline"], seeds=[1])
    monkeypatch.undo()
    steps = []
    said, _ = work(tmp_path, methods=["Baseline"], seeds=[1], callback=steps.append)
    assert not steps, "it was trained"
    assert said[0].startswith("Baseline, seed 1: done in")
    theirs = tables(unbroken, toml).query("method == 'Baseline' and seed == 1").reset_index(drop=True)
    pd.testing.assert_frame_equal(tables(tmp_path, toml), theirs)


def test_time_is_kept(work, tmp_path, monkeypatch):
    said, failed = work(tmp_path, minutes=0)
    assert said == ["Time is up; the same command goes on."]
    assert not failed
    monkeypatch.setattr(experiments, "train", lambda *given, **options: train(*given, **{**options, "minutes": 0}))
    said, _ = work(tmp_path, methods=["Baseline"], seeds=[0])
    assert said == ["Baseline, seed 0: stopped at step 1 of 2; the same command goes on."]
    said, _ = work(tmp_path, methods=["Baseline"], seeds=[0])
    assert "done in" in said[0]


def test_a_method_that_fails_does_not_stop_the_others(work, tmp_path, monkeypatch):
    def fail(model, *given, **options):
        if not model.config.attention:
            raise FloatingPointError("The loss became NaN at step 1.\nand more")
        return train(model, *given, **options)

    monkeypatch.setattr(experiments, "train", fail)
    said, failed = work(tmp_path, seeds=[0])
    assert failed == ["Baseline, seed 0: The loss became NaN at step 1."]
    assert [line.split(":")[0] for line in said] == ["Baseline, seed 0", "ours, seed 0", "gray"]
    assert sorted(path.parent.parent.name for path in tmp_path.rglob(TABLE)) == ["gray", "ours"]


def test_other_work_in_the_same_folder_is_refused(unbroken, work, toml, photos, tmp_path):
    before = files(unbroken)
    _, failed = work(unbroken, read_experiment(toml, "mini", {"steps": 3, "lr": 0.1}), methods=["Baseline"], seeds=[0])
    assert len(failed) == 1
    assert "seed0: was made with steps = 2, not 3: give the same, or another folder." in failed[0]
    _, failed = work(unbroken, methods=["ours", "gray"], seeds=[0], limit=3)
    assert len(failed) == 2
    assert all(f"remove its {TABLE} to measure it anew" in line for line in failed)
    assert files(unbroken) == before
    with pytest.raises(ValueError, match=r"\[mini\] has no method 'Ours'; it has 'Baseline', 'ours'"):
        work(unbroken, methods=["Ours"])
    with pytest.raises(ValueError, match="at least two photos, got 1"):
        work(unbroken, photos=photos / "coffee_cup.jpg")


def test_a_removed_table_is_measured_anew(unbroken, work, toml, tmp_path):
    import shutil

    place = shutil.copytree(unbroken / "baseline", tmp_path / "baseline") / "seed0"
    (place / TABLE).unlink()
    steps = []
    _, failed = work(tmp_path, methods=["Baseline"], seeds=[0], limit=None, callback=steps.append)
    assert not failed
    assert not steps
    assert len(read_table(place / TABLE)) == 2 * 6
    assert json.loads((place / "run.json").read_text())["photos"]["count"] == 6


def test_tables_without_models_are_done_and_can_be_done_again(unbroken, work, toml, tmp_path):
    import shutil

    place = shutil.copytree(unbroken / "baseline", tmp_path / "baseline") / "seed0"
    (place / "model.safetensors").unlink()
    assert work(tmp_path, methods=["Baseline"], seeds=[0]) == (["Baseline, seed 0: done before."], [])
    (place / TABLE).unlink()
    steps = []
    _, failed = work(tmp_path, methods=["Baseline"], seeds=[0], callback=steps.append)
    assert not failed
    assert len(steps) == 2
    again = read_table(place / TABLE)
    pd.testing.assert_frame_equal(again, read_table(unbroken / "baseline" / "seed0" / TABLE))


def test_fields_that_came_later_stood_at_their_defaults(unbroken, work, tmp_path):
    import shutil

    place = shutil.copytree(unbroken / "ours", tmp_path / "ours") / "seed0"
    config = json.loads((place / "config.json").read_text())
    del config["model"]["norm"]
    (place / "config.json").write_text(json.dumps(config))
    assert work(tmp_path, methods=["ours"], seeds=[0]) == (["ours, seed 0: done before."], [])
    config["model"]["norm"] = "instance"
    (place / "config.json").write_text(json.dumps(config))
    assert "was made with model.norm = instance, not group" in work(tmp_path, methods=["ours"], seeds=[0])[1][0]


def test_an_equal_method_of_another_experiment_is_taken_over(unbroken, work, toml, tmp_path):
    text = MINI.replace("[mini", "[other").replace("mini.", "other.").replace('"ours"', '"The same"')
    (tmp_path / "other.toml").write_text(text)
    experiment, steps = read_experiment(tmp_path / "other.toml", "other"), []
    said, failed = work(tmp_path / "other", experiment, methods=["The same"], reuse=[unbroken], callback=steps.append)
    assert not failed
    assert not steps, "nothing is trained"
    assert said == [f"The same, seed {i}: taken from {unbroken.name}/ours/seed{i}." for i in (0, 1)]
    place, twin = tmp_path / "other" / "the-same" / "seed1", unbroken / "ours" / "seed1"
    record = json.loads((place / "run.json").read_text())
    assert (record["experiment"], record["method"], record["taken_from"]) == ("other", "The same", "mini/ours/seed1")
    assert (place / "model.safetensors").read_bytes() == (twin / "model.safetensors").read_bytes()
    numbers, theirs = (read_table(folder / TABLE) for folder in (place, twin))
    names = ["method", "experiment"]
    assert numbers[names].drop_duplicates().values.tolist() == [["The same", "other"]]
    pd.testing.assert_frame_equal(numbers.drop(columns=names), theirs.drop(columns=names))
    said, _ = work(tmp_path / "other", experiment, methods=["Baseline"], seeds=[0], limit=3, reuse=[unbroken])
    assert "done in" in said[0], "measured on other photos is not the same"


def test_pictures_are_left_by_the_first_seed(toml, work, tmp_path):
    (tmp_path / "mini.toml").write_text(MINI.replace("seeds = [0, 1]", "seeds = [0, 1]\npictures = true"))
    experiment = read_experiment(tmp_path / "mini.toml", "mini")
    said, failed = work(tmp_path / "mini", experiment, methods=["Baseline", "gray"], limit=None)
    assert not failed
    assert ["with pictures" in line for line in said] == [True, True, False], said
    place = tmp_path / "mini" / "baseline"
    curve, shown = read_table(place / "seed0" / "fidelity.json.xz"), pd.read_csv(place / "seed0" / "pictures.csv")
    assert not (place / "seed1" / "pictures.csv").exists()
    assert sorted(set(curve["t"])) == [0, 0.25, 0.5, 0.75, 1]
    assert (curve.query("t == 0")["target"] < 1e-6).all()
    assert (curve.query("t == 1")["target"] > 0).all()
    psnr = read_table(place / "seed0" / TABLE).query("reference_kind == 'self'")["psnr"]
    worst = shown[shown["kind"] == "worst"]["photo"].tolist()
    assert worst == psnr.reset_index(drop=True).nsmallest(4).index.tolist()
    for kind, photo, reference in shown[["kind", "photo", "reference"]].itertuples(index=False):
        assert hc.read_image(place / "seed0" / "pictures" / f"{kind}-{photo:04d}-{reference:04d}.jpg").shape[1:] == (
            PICTURE,
            PICTURE,
        )
        assert (tmp_path / "mini" / "photos" / f"{photo:04d}.jpg").is_file()
    before = files(tmp_path)
    assert (
        work(tmp_path / "mini", experiment, methods=["Baseline"], limit=None)[0][0] == "Baseline, seed 0: done before."
    )
    assert files(tmp_path) == before


def test_pictures_are_those_of_the_photos_that_were_measured(toml, work, photos, tmp_path):
    (tmp_path / "mini.toml").write_text(MINI.replace("seeds = [0, 1]", "seeds = [1]\npictures = true"))
    experiment, seen = read_experiment(tmp_path / "mini.toml", "mini"), []
    (tmp_path / "turned").mkdir()
    for path in sorted(photos.glob("*.jpg")):
        hc.write_image(hc.read_image(path).flip(0), tmp_path / "turned" / f"{path.stem}.png")  # blue is red
    for folder in (photos, tmp_path / "turned"):
        said, failed = work(tmp_path / "mini", experiment, methods=["gray"], limit=None, photos=folder)
        assert not failed
        assert "with pictures" in said[0], "it is not trained: there is no first seed to wait for"
        pictures = find_pictures(experiment, tmp_path / "mini").query("kind == 'self'")
        table = read_table(tmp_path / "mini" / "gray" / "seed0" / TABLE).query("reference_kind == 'self'")
        assert pictures["psnr"].tolist() == pytest.approx(table["psnr"].iloc[pictures["photo"]].tolist(), abs=0.001)
        seen.append(hc.read_image(pictures["truth"].iloc[0]))
        (tmp_path / "mini" / "gray" / "seed0" / TABLE).unlink()
    assert (seen[0] - seen[1].flip(0)).abs().mean() < 0.05
    assert (seen[0] - seen[1]).abs().mean() > 0.05


@pytest.mark.skipif(sys.platform == "darwin", reason="there all names of files are UTF-8")
def test_a_name_that_is_not_utf_8(work, photos, tmp_path):
    (tmp_path / "in").mkdir()
    for name, path in zip((b"\xff.jpg", b"b.jpg"), sorted(photos.glob("*.jpg")), strict=False):
        shutil.copy(path, os.fsencode(tmp_path / "in") + b"/" + name)
    work(tmp_path / "out", photos=tmp_path / "in", methods=["gray"])
    assert len(read_table(tmp_path / "out" / "gray" / "seed0" / TABLE)) == 2 * 2


def test_gray_photos_are_left_out_of_the_tables(unbroken, work, toml, photos, tmp_path):
    (tmp_path / "in").mkdir()
    for i, path in enumerate(sorted(photos.glob("*.jpg"))[:4]):
        picture = hc.read_image(path)
        hc.write_image(picture.mean(0).expand(3, -1, -1) if i == 1 else picture, tmp_path / "in" / f"{i}.png")
    work(tmp_path / "out", photos=tmp_path / "in", methods=["gray"])
    assert len(read_table(tmp_path / "out" / "gray" / "seed0" / TABLE)) == 2 * 4
    numbers = tables(tmp_path / "out", toml)
    assert sorted(numbers.query("reference_kind == 'self'")["photo"]) == ["0", "2", "3"]
    assert numbers.query("reference_kind == 'cross'")[["photo", "reference"]].values.tolist() == [
        ["0", "2"],
        ["2", "0"],
    ]
    assert tabulate(read_experiment(toml, "mini"), tmp_path / "out")[0].set_index("method").loc["gray", "psnr"] < 50


def test_other_programs_are_read_beside(unbroken, toml, photos, tmp_path):
    import shutil

    from histcolor.evaluate import evenly
    from histcolor.images import find_images

    experiment, folder = read_experiment(toml, "mini"), shutil.copytree(unbroken, tmp_path / "mini")
    outputs = tmp_path / "its outputs"
    for path in evenly(find_images(photos), 4):
        hc.write_image(hc.read_image(path).flip(0), outputs / f"{path.stem}.png")
    words = ["evaluate", str(photos), "--predictions", str(outputs), "--size", "32", "--limit"]
    assert main([*words, "4", "--output", str(folder / "others" / "its.csv")]) == 0
    table = tabulate(experiment, folder)[0].set_index("method")
    assert table.index.tolist() == ["Baseline", "ours", "gray", "Quoted et al.", "its outputs"]
    assert table.loc["its outputs", ["told", "photos", "seeds"]].tolist() == ["–", 4, 1]
    assert 5 < table.loc["its outputs", "psnr"] < 40
    assert pd.isna(table.loc["its outputs", "cross_intersection"]), "it was measured with self-reference alone"
    assert main([*words, "3", "--output", str(folder / "others" / "its.csv")]) == 0
    with pytest.raises(ValueError, match="its outputs: was measured on other photos than Baseline"):
        tabulate(experiment, folder)
    its = pd.read_csv(folder / "others" / "its.csv")
    its.assign(method="gray").to_csv(folder / "others" / "its.csv")
    with pytest.raises(ValueError, match="has a method 'gray', as \\[mini\\] has; rename the folder"):
        tabulate(experiment, folder)
    its.drop(columns="method").to_csv(folder / "others" / "its.csv")
    with pytest.raises(ValueError, match=r"its\.csv: lacks the column 'method'"):
        tabulate(experiment, folder)
    its.assign(photo="0001").to_csv(folder / "others" / "its.csv")  # as all folders may have one
    with pytest.raises(ValueError, match=r"its\.csv: has several lines for the photo '0001' and one method"):
        tabulate(experiment, folder)


def test_gray_photos_are_told_by_one_rule_and_by_their_whole_name(toml, work, photos, tmp_path):
    """Two folders have a photo of one name, and only one of the two is gray."""
    hist = hc.read_image(photos / "coffee_cup.jpg")
    faint = hist.mean(0) * torch.tensor([1.0, 0.991, 0.982])[:, None, None]  # a breath of sepia, as in packs
    assert colourfulness(faint) > 1
    for name, picture in {"a/1": faint, "b/1": hist, "a/2": hist.flip(0), "b/2": hist.flip(-1)}.items():
        hc.write_image(picture, tmp_path / "in" / f"{name}.png")
    work(tmp_path / "out", photos=tmp_path / "in", methods=["gray"])
    whole = read_table(tmp_path / "out" / "gray" / "seed0" / TABLE).query("reference_kind == 'self'")
    assert dict(zip(whole["photo"], whole["gray"], strict=True)) == {
        "a/1": True,
        "a/2": False,
        "b/1": False,
        "b/2": False,
    }
    left = tables(tmp_path / "out", toml).query("reference_kind == 'self'")["photo"]
    assert sorted(left) == ["a/2", "b/1", "b/2"]


def test_unreadable_photos_are_named_once(work, photos, tmp_path):
    (tmp_path / "in").mkdir()
    for path in photos.glob("c*.jpg"):
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "in" / "bad.jpg").write_bytes(b"")
    _, failed = work(tmp_path / "out", photos=tmp_path / "in", limit=None, methods=["gray"])
    own, others = failed
    assert own.startswith(f"{tmp_path / 'in' / 'bad.jpg'}: is")
    assert others.endswith(f": its reference image could not be read: {own}"), "and the photo that it was to colour"


def test_the_folder_of_a_killed_process_is_free(work, tmp_path):
    held = (
        "import sys, time; from pathlib import Path; from histcolor.files import hold\n"
        "with hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    place = tmp_path / "gray" / "seed0"
    child = subprocess.Popen([sys.executable, "-c", held, str(place)], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "held\n"
    said, failed = work(tmp_path, methods=["gray"])
    assert said[0].startswith(f"gray: left to process {child.pid} on ")
    assert not failed
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert (place / "lock").is_file(), "the dead process could not remove it"
    said, _ = work(tmp_path, methods=["gray"])
    assert said[0].startswith("gray: done")


@pytest.mark.parametrize(
    "name", ["ablation", "shorter", "longer", "losses", "bins", "temperature", "readout", "comparison"]
)
def test_the_shipped_experiments_can_be_read(name):
    read = read_experiment(SHIPPED, name)
    assert len(read.seeds) == (3 if name == "ablation" else 1)
    assert len(read.pairs) >= 2
    recipes = {one.name: one.recipe for one in read.methods if one.recipe}
    assert len({recipe.train.steps for recipe in recipes.values()}) == 1, "the same budget"
    tokens = {name: recipe.model.bins // recipe.model.stride for name, recipe in recipes.items()}
    if name == "bins":
        assert list(tokens.values()) == [16, 32, 32, 32]


def test_the_ablation_is_table_1():
    methods = read_experiment(SHIPPED, "ablation").methods
    models = [method.recipe.model for method in methods]
    assert [(model.palette, model.attention, model.readout, model.balance) for model in models] == [
        (False, False, "features", 0),
        (True, False, "features", 0),
        (False, True, "features", 0),
        (True, True, "features", 0),
        (True, True, "palette", 2),
    ]
    paper = [tuple(method.paper.values()) for method in methods]
    assert paper == [(28.9036, 0.9373), (29.0697, 0.9485), (29.2282, 0.9377), (29.7488, 0.9516), ()]


def test_the_comparison_quotes_table_2():
    table = tomllib.loads(SHIPPED.read_text())["comparison"]
    assert {one["name"]: tuple(one["paper"].values()) for one in table["methods"] if "paper" in one} == {
        "Iizuka et al. 2016": (22.938, 0.884),
        "Zhang et al. 2016": (21.317, 0.861),
        "Larsson et al. 2016": (24.295, 0.898),
        "Su et al. 2020": (25.991, 0.925),
        "Xia et al. 2021": (26.320, 0.909),
        "Zhang et al. 2017": (28.207, 0.947),
        "Xiao et al. 2019": (27.854, 0.945),
        "Xiao et al. 2020": (28.179, 0.947),
        "The paper's model": (29.749, 0.952),
    }


def test_options_go_from_experiment_over_budget_to_method(toml):
    experiment = read_experiment(toml, "mini", {"lr": 0.5, "steps": 7})
    recipes = {method.name: method.recipe for method in experiment.methods}
    assert (recipes["Baseline"].train.lr, recipes["Baseline"].train.steps) == (0.5, 7)
    assert (recipes["ours"].train.lr, recipes["ours"].train.steps) == (1.0, 7)
    assert isinstance(recipes["ours"].train.lr, float)
    assert recipes["Baseline"].model.width == hc.PRESETS["tiny"].width
    assert not recipes["Baseline"].model.attention
    assert recipes["gray"] is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lr = 1\n", "learning_rat = 1\n", "method 'ours': has an unknown option 'learning_rat'"),
        ("lr = 1\n", "lamda_1 = 1\n", "method 'ours': has an unknown option 'lamda_1'; is 'lambda_1' meant?"),
        ("lr = 1\n", "until = 60\n", "has an unknown option 'until'"),
        ("lr = 1\n", 'lr = "fast"\n', "method 'ours': lr must be a number, got 'fast'"),
        ("lr = 1\n", "lr = true\n", "method 'ours': lr must be a number, got True"),
        ("steps = 2\n", "steps = 2.5\n", "steps must be a whole number, got 2.5"),
        ("steps = 2\n", "seed = 2\n", "unknown option 'seed'; is 'seeds' meant?"),
        ('preset = "tiny"', "others = { its = 3 }", "others must say in words what each program is told"),
        ("lr = 1\n", 'like = "maxi"\n', r"method 'ours': is like that of \[maxi\], which has none of this name"),
        ("lr = 1\n", 'like = "mini"\n', r"method 'ours': is like that of \[mini\], which has none of this name"),
        ("lr = 1\n", "like = 3\n", "method 'ours': has a wrong 'like'; it must be a text"),
        ("lr = 1\n", "stride = 3\n", "method 'ours': bins must be at least 4 and a multiple of stride"),
        ("lr = 1\n", "size = 33\n", "method 'ours': size must be a multiple of 32, got 33"),
        ('name = "gray"', 'name = "ours"', "method 'ours': is there twice"),
        ('name = "gray"', 'name = "Ours!"', "method 'Ours!': is named like 'ours', but for signs"),
        ('name = "gray"', 'name = "λ"', "method 'λ': a name needs a letter from a to z, or a digit"),
        ('name = "gray"\n', "", r"\[mini\]: lacks 'name'; it must be a text"),
        ('about = "No colour."\n', "", "method 'gray': lacks 'about'"),
        ('about = "No colour."', "about = 3", "method 'gray': has a wrong 'about'; it must be a text"),
        ("seeds = [0, 1]\n", "", r"\[mini\]: lacks 'seeds'; it must be a list"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "seeds must be different whole numbers"),
        ("seeds = [0, 1]", "seeds = []", "seeds must be different whole numbers"),
        ("lr = 1\n", "lr = 1\nseeds = [1, 1]\n", "method 'ours': seeds must be different whole numbers"),
        (
            'function = "gray"',
            'function = "gray"\nseeds = [1]',
            "method 'gray': is not trained: it can not have 'seeds'",
        ),
        ('function = "gray"', 'function = "magic"', "method 'gray': there is no function 'magic'"),
        ('function = "gray"', 'function = "gray"\nlr = 1', "method 'gray': is not trained: it can not have 'lr'"),
        ("quoted = true", 'quoted = true\nfunction = "gray"', "is quoted: it can not have 'function'"),
        ("{ psnr = 25.991 }", "{ mse = 25.991 }", "paper may hold psnr and ssim"),
        ("{ psnr = 25.991 }", '{ psnr = "25" }', "paper may hold psnr and ssim"),
        (
            '["ours", "gray"]',
            '["ours", "grey"]',
            r"a pair must name two methods that are measured, got \['ours', 'grey'\]",
        ),
        ('["ours", "gray"]', '"ours"', "a pair must name two methods that are measured, got ours"),
        ('preset = "tiny"', 'preset = "huge"', "there is no preset 'huge'; there are"),
        ('preset = "tiny"', "preset =", "is no valid TOML"),
        ("[mini]", "[maxi]", r"\[mini\]: lacks 'about'"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(tmp_path, old, new, message):
    assert old in MINI
    path = tmp_path / "bad.toml"
    path.write_text(MINI.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as refused:
        read_experiment(path, "mini")
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


def test_a_method_may_have_seeds_of_its_own(tmp_path):
    path = tmp_path / "mini.toml"
    path.write_text(MINI.replace("lr = 1\n", "lr = 1\nseeds = [5, 0, 7]\n"), encoding="utf-8")
    experiment = read_experiment(path, "mini")
    found = [place.relative_to(tmp_path).as_posix() for _, _, place in experiment.places(tmp_path)]
    first = ["baseline/seed0", "ours/seed5", "gray/seed0"]
    assert found == [*first, "baseline/seed1", "ours/seed0", "ours/seed7"], "every method has its first numbers early"
    found = [place.relative_to(tmp_path).as_posix() for _, _, place in experiment.places(tmp_path, [3])]
    assert found == ["baseline/seed3", "ours/seed3", "gray/seed0"], "the command's seeds go before"


def test_a_method_may_be_like_that_of_another_experiment(tmp_path):
    path = tmp_path / "two.toml"
    more = '[more]\nabout = "x"\nseeds = [4]\npreset = "tiny"\nsize = 64\n'
    for name, own in (("Baseline", 'about = "As there."\nlr = 0.5\n'), ("gray", "")):
        more += f'[[more.methods]]\nname = "{name}"\nlike = "mini"\n{own}'
    path.write_text(MINI.replace("attention = false", "attention = false\nseeds = [5]") + more, encoding="utf-8")
    baseline, gray = read_experiment(path, "more").methods
    assert (baseline.about, baseline.paper, baseline.seeds) == ("As there.", {}, (4,))
    assert not baseline.recipe.model.attention
    assert (baseline.recipe.train.lr, baseline.recipe.train.size) == (0.5, 64)
    assert (gray.function, gray.about) == ("gray", "No colour.")


def test_missing_files_and_experiments(toml, tmp_path):
    with pytest.raises(OSError, match=r"none\.toml: is missing"):
        read_experiment(tmp_path / "none.toml", "mini")
    with pytest.raises(ValueError, match=r"has no experiment \[maxi\]; it has mini"):
        read_experiment(toml, "maxi")
    (tmp_path / "empty.toml").write_text("[mini]\nabout = 'x'\nseeds = [0]\nmethods = []")
    with pytest.raises(ValueError, match=r"\[mini\]: has no methods; write each one below \[\[mini.methods\]\]"):
        read_experiment(tmp_path / "empty.toml", "mini")


def test_cost_is_counted_without_pauses(tmp_path):
    history = {"photos": [100, 200, 250], "photos_per_second": [10.0, 20.0, 5.0]}
    pd.DataFrame(history).to_csv(tmp_path / "history.csv", index=False)
    expected = {"photos_seen": 250, "hours": round(25 / 3600, 4), "photos_per_second": 10.0}
    assert cost(tmp_path / "history.csv") == expected
    slow = {"photos": [400, 800], "photos_per_second": [0.14, 0.014]}  # of a large network on a small machine
    pd.DataFrame(slow).to_csv(tmp_path / "history.csv", index=False)
    assert cost(tmp_path / "history.csv")["hours"] == round((400 / 0.14 + 400 / 0.014) / 3600, 4)


def test_a_commit_is_that_of_the_repository_that_has_the_file(tmp_path):
    (tmp_path / "inside").mkdir()
    own, installed = tmp_path / "own.py", tmp_path / "inside" / "installed.py"
    for path in (own, installed):
        path.write_text("")
    person = ["-c", "user.name=x", "-c", "user.email=x@x"]
    for words in (["init", "-q"], ["add", "own.py"], [*person, "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    assert re.fullmatch(r"[0-9a-f]{40}", find_commit(own))
    assert find_commit(installed) == "unknown"
    own.write_text("changed")
    assert find_commit(own).endswith("-dirty")


def test_a_machine_without_git_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert about_machine("cpu")["commit"] == "unknown"


def command(toml, pack_folder, photos, folder):
    given = ["--file", toml, "--data", pack_folder, "--photos", photos, "--output", folder]
    return [str(x) for x in ("experiment", "mini", *given, "--validation", pack_folder, "--protocol-size", 32)]


def test_the_command_writes_the_table(unbroken, toml, pack_folder, photos, tmp_path, capsys):
    given = command(toml, pack_folder, photos, tmp_path)
    assert main([*given, "--seeds", "1", "--limit", "3", "--methods", "Baseline", "--methods", "gray"]) == 0
    out = capsys.readouterr().out
    assert "Baseline, seed 1: step 2  loss" in out
    assert "Quoted et al." in out
    assert list((tmp_path / "baseline" / "seed1" / "sheets").glob("*.png")), "validation saves a sheet"
    table = pd.read_csv(tmp_path / "table.csv").set_index("method")
    assert table["seeds"].tolist() == [1, 0, 1, 0]
    assert table.loc["gray", "photos"] == 3
    assert pd.read_csv(tmp_path / "differences.csv").empty
    for wrong in (["--limit", "1"], ["--methods", "none"]):
        assert main([*given, *wrong]) == 1
        error = capsys.readouterr().err
        assert error.startswith("histcolor: ")
        assert len(error.splitlines()) == 1
    assert main([*given, "--methods", "Baseline", "--seeds", "1", "--limit", "3", "--steps", "5"]) == 1
    assert "was made with steps = 2, not 5" in capsys.readouterr().err


def shell(*given):
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # as many as here: the same sums
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([sys.executable, "-m", "histcolor", *given], env={**os.environ, **threads}, **options)


def test_a_classifier_is_known_again(toml, work, tmp_path):
    """Its loss is its own: the loss's options, which the defaults may set for all methods, are not its options."""
    text = (
        toml.read_text()
        + """
[[mini.methods]]
name = "classified"
about = "A baseline."
method = "zhang2016"
cross = 0.0
delta = 0.05
"""
    )
    file = tmp_path / "mini.toml"
    file.write_text(text)
    experiment = read_experiment(file, "mini")
    options = {"methods": ["classified"], "seeds": [0], "limit": 2}
    said, failed = work(tmp_path / "one", experiment, **options)
    assert (said[0][:28], failed) == ("classified, seed 0: done in ", [])
    said, failed = work(tmp_path / "one", experiment, **options)
    assert (said, failed) == (["classified, seed 0: done before."], [])
    said, failed = work(tmp_path / "two", experiment, reuse=[tmp_path / "one"], **options)
    assert (said, failed) == (["classified, seed 0: taken from one/classified/seed0."], [])


@pytest.mark.slow
def test_killed_and_started_again(unbroken, toml, pack_folder, photos, tmp_path):
    given = [*command(toml, pack_folder, photos, tmp_path), "--limit", "4"]
    child = shell(*given)
    started = time.monotonic()
    while not (tmp_path / "ours" / "seed0" / "model.safetensors").is_file():
        assert time.monotonic() < started + 120
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    done = shell(*given)
    out, _ = done.communicate(timeout=120)
    assert done.returncode == 0, out
    assert out.count("done before") >= 1
    assert not list(tmp_path.rglob("lock.owner"))
    pd.testing.assert_frame_equal(tables(tmp_path, toml), tables(unbroken, toml))


@pytest.mark.slow
def test_two_processes_share_the_methods(unbroken, toml, pack_folder, photos, tmp_path):
    child = shell(*command(toml, pack_folder, photos, tmp_path), "--limit", "4", "--processes", "2")
    text, _ = child.communicate(timeout=240)
    assert child.returncode == 0, text
    for label in ("Baseline, seed 0", "Baseline, seed 1", "ours, seed 0", "ours, seed 1"):
        assert text.count(f"{label}: step 2 ") == 1, f"{label} was trained once\n{text}"
        assert text.count(f"{label}: done in") == 1
    pd.testing.assert_frame_equal(tables(tmp_path, toml), tables(unbroken, toml))
    assert len(pd.read_csv(Path(tmp_path) / "table.csv")) == 4


def test_stage_ends_count_photos_through_all_stages(tmp_path):
    runs = {"one": (128, [(10, 24.0), (20, 25.0)]), "two/more": (64, [(8, 27.0)]), "three": (128, [(5, None)])}
    for name, (size, lines) in runs.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text(json.dumps({"size": size, "loss": {"lambda_2": size / 64}}))
        table = pd.DataFrame(lines, columns=["photos", "psnr"]).assign(intersection_cross=0.5)
        table.dropna(axis="columns", how="all").to_csv(tmp_path / name / "history.csv", index=False)
    many = {"psnr": 23.0, "intersection_cross": 0.7}
    metrics = {"stages": [{"run": "one", "photos": 20}, {"run": "two/more", "photos": 8}]}
    metrics["stages"].append({"run": "three", "photos": 5, "many_kinds": many})
    (tmp_path / "model").mkdir()
    (tmp_path / "model/metrics.json").write_text(json.dumps(metrics))
    found = stage_ends(tmp_path, "model")
    columns = ["run", "photos", "lambda_2", "validation", "psnr", "intersection_cross"]
    first, third = ["one", 20, 2.0, "ten kinds", 25.0, 0.5], ["three", 33, 2.0, "many kinds", 23.0, 0.7]
    assert found[columns].values.tolist() == [first, third]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="seed"), "lacks the column 'seed'"),
        (lambda table: table.drop(columns="psnr"), "lacks the column 'psnr'"),
        (lambda table: table.iloc[:0], "has no lines"),
        (lambda table: table.assign(psnr="high"), "the column 'psnr' holds something else than numbers"),
        (lambda table: table.assign(psnr=float("nan")), "or a PSNR"),
        (lambda table: table.assign(gray="maybe"), "the column 'gray' holds something else than True and False"),
    ],
)
def test_a_damaged_table_is_named_and_never_left_out(change, message, tmp_path):
    place = tmp_path / "baseline" / "seed0"
    shutil.copytree(project_root() / "results" / "tables" / "ablation" / "baseline" / "seed0", place)
    experiment = read_experiment(SHIPPED, "ablation")
    assert len(collect(experiment, tmp_path)) > 700
    write_table(change(read_table(place / TABLE)), place / TABLE)
    with pytest.raises(ValueError, match=message) as error:
        collect(experiment, tmp_path)
    assert str(place / TABLE) in str(error.value)
