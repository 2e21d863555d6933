"""Training: it learns, resumes with the same bits, runs on two processes, and stops cleanly."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from histcolor.batch import look_at, make_batch, mean_histogram, plan_batch
from histcolor.checkpoint import CheckpointError, build, load
from histcolor.color import rgb_to_lab
from histcolor.colorize import colorize
from histcolor.data import Pack
from histcolor.device import execution
from histcolor.files import HeldError
from histcolor.histogram import ab_histogram, soft_ab_histogram
from histcolor.losses import Loss
from histcolor.model import PRESETS, Colorizer
from histcolor.optimize import MovingAverage, TrainConfig, learning_rate, trained
from histcolor.train import batches, forward_pass, seconds_a_step, set_up, train
from histcolor.validate import make_validator

TINY = PRESETS["tiny"]
CONFIG = TrainConfig(
    steps=12,
    batch_size=4,
    size=32,
    warmup=2,
    log_every=2,
    save_every=4,
    cross=0.3,
    precision="float32",
)


def run(config, pack, folder, *, model=TINY, init=None, loss=None, **options):
    """Set up, then train or go on, as the command does."""
    return train(set_up(config, model, pack, init=init), loss or Loss(), pack, config, folder, quiet=True, **options)


def plan_of(config, photos, step):
    names = ("batch_size", "seed", "cross", "dropped", "zoom", "jitter")
    return plan_batch(photos, step, **{name: getattr(config, name) for name in names})


def batch_of(config, pack, plan, part=slice(None), average=None):
    options = {"size": config.size, "bins": (TINY.bins, Loss().histogram_bins), "average": average}
    return make_batch(pack, plan, part, torch.device("cpu"), **options)


def weights(folder):
    """All tensors of a run's state, by name."""
    state = torch.load(folder / "state.pt", weights_only=True)
    moments = {f"{i}.{k}": v for i, one in state["optimizer"]["state"].items() for k, v in one.items()}
    return state["model"] | {f"average.{k}": v for k, v in state["average"].items()} | moments


def test_plan_is_a_function_of_seed_and_step():
    one, two = plan_of(CONFIG, 6, 5), plan_of(CONFIG, 6, 5)
    assert all(np.array_equal(getattr(one, k), getattr(two, k)) for k in vars(one))
    other = plan_of(replace(CONFIG, seed=1), 6, 5)
    assert not np.array_equal(one.corner, other.corner)


def test_each_epoch_takes_each_photo_once():
    index = np.concatenate([plan_of(CONFIG, 6, step).index for step in range(6)])  # 24 places, four epochs
    assert all(sorted(epoch) == list(range(6)) for epoch in index.reshape(4, 6))
    assert not np.array_equal(index[:6], index[6:12])


def test_cross_reference_comes_as_often_as_configured():
    config = replace(CONFIG, batch_size=1000, cross=0.3)
    share = plan_of(config, 50, 0).share
    assert abs((share < 1).mean() - 0.3) < 0.05
    assert 0.3 < (share[share < 1] == 0).mean() < 0.7  # about half of them, the others are mixtures
    assert (plan_of(replace(config, cross=0.0), 50, 0).share == 1).all()


def test_a_run_does_not_go_on_with_other_photos(pack, tmp_path):
    run(replace(CONFIG, steps=4), pack, tmp_path)
    other = Pack(np.ascontiguousarray(pack.images[::-1]))
    assert other.fingerprint() != pack.fingerprint() == Pack(pack.images.copy()).fingerprint()
    with pytest.raises(ValueError, match=r"holds a run on other photos \(6 of 64 pixels.*give the same packs"):
        run(replace(CONFIG, steps=4), other, tmp_path)


@pytest.mark.parametrize("kept", [("model.safetensors",), ("history.csv",), ("model.safetensors", "history.csv")])
def test_a_run_without_its_state_is_replaced_by_no_other(kept, pack, tmp_path):
    run(replace(CONFIG, steps=4), pack, tmp_path)
    for path in tmp_path.iterdir():
        if path.name not in ("config.json", *kept):
            path.unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="holds a run with lr = "):
        run(replace(CONFIG, steps=4, lr=0.01), pack, tmp_path)
    with pytest.raises(ValueError, match="holds a run on other photos"):
        run(replace(CONFIG, steps=4), Pack(np.ascontiguousarray(pack.images[::-1])), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    run(replace(CONFIG, steps=4), pack, tmp_path)  # the same run is made anew


def test_dropped_histograms(pack):
    config = replace(CONFIG, batch_size=1000, cross=0.3, dropped=0.2)
    plan, before = plan_of(config, 50, 0), plan_of(replace(config, dropped=0.0), 50, 0)
    assert abs(plan.dropped.mean() - 0.2) < 0.04
    assert (plan.share[plan.dropped] == 1).all()
    assert not before.dropped.any()
    for name in ("index", "corner", "flip", "other"):  # all else is as without the option
        assert np.array_equal(getattr(plan, name), getattr(before, name))
    assert np.array_equal(plan.share[~plan.dropped], before.share[~plan.dropped])

    config = replace(config, batch_size=8)
    plan = replace(plan_of(config, len(pack), 0), share=np.ones(8, np.float32), dropped=np.arange(8) % 4 == 0)
    average = mean_histogram(pack, TINY.bins)
    batch = batch_of(config, pack, plan, average=average)
    given = batch_of(config, pack, replace(plan, dropped=np.zeros(8, bool)))
    assert torch.equal(batch.hist[::4], average.expand(2, -1, -1))
    assert torch.equal(batch.hist[1:4], given.hist[1:4])
    assert batch.given.tolist() == [False, True, True, True] * 2
    assert batch.self_reference.sum() == 8


def test_mean_histogram_is_the_mean(pack):
    index = np.arange(len(pack))
    whole = pack.crops(index, np.zeros((len(pack), 2)), np.zeros(len(pack), bool), pack.images.shape[1])
    expected = ab_histogram(rgb_to_lab(whole.float() / 255)[:, 1:], 16).mean(0)
    torch.testing.assert_close(mean_histogram(pack, 16), expected)


def test_dropped_histograms_teach_automatic_colouring(pack, tmp_path):
    assert not run(replace(CONFIG, steps=2), pack, tmp_path / "given").automatic
    config = replace(CONFIG, dropped=0.5)
    model = run(config, pack, tmp_path / "run")
    torch.testing.assert_close(model.average, mean_histogram(pack, 16))
    out = colorize(load(tmp_path / "run/model.safetensors"), torch.rand(3, 40, 60))
    assert out.shape == (3, 40, 60)
    # the next stage keeps the first one's average histogram, whatever its photos are
    model.average.mul_(0.5).add_(0.5 / 256)
    second = run(replace(CONFIG, steps=2, dropped=0.5, seed=1), pack, tmp_path / "next", init=model)
    assert torch.equal(second.average, model.average)


def test_a_run_starts_from_another_models_weights(pack, tmp_path, capsys):
    first = run(replace(CONFIG, steps=2), pack, tmp_path / "first")
    other = replace(TINY, squeeze=3)  # the squeezing layer, and the one that reads it, get new weights
    second = set_up(CONFIG, other, pack, init=first)
    assert re.search(r"init: \d+ tensors are not in the model to start from, first squeeze\.", capsys.readouterr().err)
    assert torch.equal(second.unet.group4[0].weight, first.unet.group4[0].weight)
    narrow = replace(TINY, width=3, channels=24, lateral=12, squeeze=3)
    with pytest.raises(ValueError, match=r"has \d+ of this model's \d+ tensors: give one of the same preset"):
        set_up(CONFIG, narrow, pack, init=first)


def test_a_run_by_the_clock_ends_with_the_rate_at_zero(pack, tmp_path, monkeypatch):
    clock = SimpleNamespace(perf_counter=count(0, 0.1).__next__)  # a tenth of a second passes whenever it is asked
    monkeypatch.setattr("histcolor.train.time", clock)
    config = replace(CONFIG, until=1.5, steps=1, log_every=1, save_every=1000)
    rows = []
    run(config, pack, tmp_path, callback=rows.append)
    assert len(rows) > 3, "steps does not count"
    rates = [row["lr"] for row in rows[config.warmup :]]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.2 * config.lr
    before, count_rows = weights(tmp_path), len(rows)
    run(config, pack, tmp_path, callback=rows.append)  # its time is over: nothing changes
    assert len(rows) == count_rows
    after = weights(tmp_path)
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_crops_of_any_extent(pack):
    index, corner, flip = np.array([0, 1, 2]), np.array([[0.0, 0.0], [0.5, 0.5], [0.999, 0.3]]), np.zeros(3, bool)
    whole = pack.crops(index, corner, flip, 32, np.ones((3, 2)))
    pixels = torch.from_numpy(np.array(pack.images[index])).permute(0, 3, 1, 2).float() / 255
    expected = torch.nn.functional.interpolate(pixels, (32, 32), mode="bilinear", antialias=True)
    torch.testing.assert_close(whole, expected, atol=1e-5, rtol=0)
    mirrored = pack.crops(index, corner, ~flip, 32, np.ones((3, 2)))
    torch.testing.assert_close(mirrored, whole.flip(-1))
    cut = pack.crops(index, corner, flip, 32, np.full((3, 2), 0.5))  # 32 of 64 pixels: nothing is resized
    where = np.round(corner * 32).astype(int)
    for one, (y, x), photo in zip(cut, where, pixels, strict=True):
        assert (one - photo[:, y : y + 32, x : x + 32]).abs().mean() < 0.02
    resident = pack.reside("cpu").crops(index, corner, flip, 32, np.full((3, 2), 0.7))
    torch.testing.assert_close(resident, pack.crops(index, corner, flip, 32, np.full((3, 2), 0.7)))


def test_tone_changes_colours_and_their_histogram_alike(pack):
    config = replace(CONFIG, zoom=1.5, jitter=0.3, cross=0.0)
    plan, plain = plan_of(config, len(pack), 0), plan_of(replace(CONFIG, cross=0.0), len(pack), 0)
    for name in ("index", "corner", "flip", "other", "share", "dropped"):  # drawn after all else
        assert np.array_equal(getattr(plan, name), getattr(plain, name))
    assert plan.extent.min() >= 1 / 1.5
    assert plan.extent.max() <= 1
    batch = batch_of(config, pack, plan)
    torch.testing.assert_close(batch.hist, ab_histogram(batch.t_ab * 110, 16))
    torch.testing.assert_close(batch.r_h, soft_ab_histogram(batch.t_ab * 110, Loss().histogram_bins))
    straight = batch_of(config, pack, replace(plan, tone=None))
    gamma, chroma, _ = torch.from_numpy(plan.tone).T[..., None, None, None]
    torch.testing.assert_close(batch.L, 100 * (straight.L / 100) ** gamma, atol=1e-3, rtol=0)
    inside = batch.t_ab.abs().amax((1, 2, 3)) < 0.99  # not clipped
    lengths = [x.t_ab.norm(dim=1, keepdim=True)[inside] for x in (batch, straight)]
    torch.testing.assert_close(lengths[0], chroma[inside] * lengths[1], atol=1e-4, rtol=1e-4)


def test_batches_have_the_planned_mixtures_as_targets(pack):
    config = replace(CONFIG, cross=1.0, batch_size=8)
    plan = plan_of(config, len(pack), 0)
    batch = batch_of(config, pack, plan)
    itself = batch_of(config, pack, replace(plan, share=np.ones(8, np.float32)))
    other = batch_of(config, pack, replace(plan, share=np.zeros(8, np.float32)))
    share = torch.from_numpy(plan.share)[:, None, None]
    torch.testing.assert_close(batch.hist, share * itself.hist + (1 - share) * other.hist)
    torch.testing.assert_close(batch.r_h, share * itself.r_h + (1 - share) * other.r_h)
    assert batch.self_reference.sum() == 0
    assert itself.self_reference.sum() == 8
    torch.testing.assert_close(batch.t_ab, itself.t_ab)


def test_parts_of_a_batch_are_the_batch(pack):
    plan = plan_of(CONFIG, len(pack), 3)
    whole = batch_of(CONFIG, pack, plan)
    halves = [batch_of(CONFIG, pack, plan, part) for part in (slice(0, 2), slice(2, 4))]
    for name in vars(whole):
        torch.testing.assert_close(torch.cat([getattr(h, name) for h in halves]), getattr(whole, name))


def test_a_pack_in_memory_cuts_the_same_crops(pack):
    """What a GPU does with the pack in its memory: it cuts all crops at once by indexing."""
    draw = np.random.default_rng(0)
    index, corner, flip = draw.integers(len(pack), size=9), draw.random((9, 2)), draw.random(9) < 0.5
    resident = pack.reside("cpu")
    assert torch.equal(resident.crops(index, corner, flip, 32), pack.crops(index, corner, flip, 32))
    assert torch.equal(resident.resident, torch.from_numpy(np.array(pack.images)))
    assert pack.to("cpu") is pack
    with pytest.raises(ValueError, match="crops of 96"):
        resident.crops(index, corner, flip, 96)


def test_the_backbone_learns_only_when_it_is_freed(pack, tmp_path):
    def backbone(folder, **options):
        model = run(replace(CONFIG, steps=2, warmup=0, **options), pack, tmp_path / folder)
        return model.photo.backbone.state_dict()

    frozen, free, faster = backbone("a"), backbone("b", backbone_lr=0.1), backbone("c", backbone_lr=1.0)
    moved = [sum(float((x[k] - frozen[k]).abs().sum()) for k in frozen if "running" not in k) for x in (free, faster)]
    assert 0 < moved[0] < moved[1]
    assert all(torch.equal(free[k], frozen[k]) for k in frozen if "running" in k), "ImageNet's statistics stay"


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["objective", "look_at"])
def test_compiling_changes_nothing_and_need_not_work(broken, pack, tmp_path, monkeypatch):
    config = replace(CONFIG, steps=2, log_every=1, save_every=2)
    plain, rows = [], []
    run(config, pack, tmp_path / "plain", callback=plain.append)
    real = torch.compile
    # the compiler's front end alone: its back end takes minutes on a CPU
    monkeypatch.setattr(torch, "compile", lambda function, dynamic: real(function, dynamic=dynamic, backend="eager"))
    run(config, pack, tmp_path / "compiled", callback=rows.append, compile=True)
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in plain], rel=1e-5)

    def half(function, dynamic):
        def fail(*batch):
            raise RuntimeError("no compiler\nand a long trace")

        return fail if function.__name__ == broken else function

    monkeypatch.setattr(torch, "compile", half)
    with pytest.warns(UserWarning, match="goes on without it: no compiler$"):
        run(config, pack, tmp_path / "broken", callback=rows.append, compile=True)
    assert [row["loss"] for row in rows[2:]] == [row["loss"] for row in plain]


@pytest.mark.slow
def test_a_step_is_compiled_once(pack):
    """Batches differ in how many histograms are mixed, from other photos or dropped; the compiler must not notice."""
    config = replace(CONFIG, cross=0.4, dropped=0.4, zoom=1.2, jitter=0.1)
    model, loss = set_up(config, TINY, pack), Loss()
    how, counter = execution("cpu", precision="float32"), CompileCounter()
    objective = torch.compile(forward_pass(model, loss, how), dynamic=False, backend=counter)
    look = torch.compile(look_at, dynamic=False, backend="eager")
    batch = batches(config, model, loss, pack, slice(None), how.device)
    for step in range(4):
        objective(batch(step, look))[0].backward()
        assert counter.frame_count == 1


def test_learning_rate_schedules():
    config = replace(CONFIG, steps=300, warmup=10, lr=1.0)
    assert learning_rate(config, 0) == pytest.approx(0.1, rel=1e-3)
    assert learning_rate(config, 150) == pytest.approx(0.5)
    assert learning_rate(config, 299) < 1e-3
    steps = replace(config, schedule="step", warmup=0)
    assert [learning_rate(steps, s) for s in (0, 99, 100, 199, 200, 299)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert learning_rate(replace(config, schedule="constant"), 299) == 1.0
    clock = replace(config, until=60.0)
    assert [learning_rate(clock, 1000, seconds) for seconds in (0, 30, 60, 90)] == pytest.approx([1, 0.5, 0, 0])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("size", 40),
        ("save_every", 3),
        ("schedule", "linear"),
        ("cross", 1.5),
        ("batch_size", 0),
        ("precision", "half"),
        ("zoom", 0.5),
        ("jitter", 2.0),
        ("until", -1.0),
    ],
)
def test_wrong_configurations(field, value):
    with pytest.raises(ValueError, match=field):
        replace(CONFIG, **{field: value})


def test_it_learns(pack, tmp_path):
    rows = []
    config = replace(CONFIG, steps=60, lr=2e-3, cross=0.0, log_every=10, save_every=60)
    run(config, pack, tmp_path / "run", callback=rows.append)
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]


def test_a_run_leaves_what_is_needed(pack, tmp_path):
    folder, seen = tmp_path / "run", {}
    validate = make_validator(pack, size=32, photos=4, look=seen.__setitem__)
    model = run(CONFIG, pack, folder, validate=validate)
    assert json.loads((folder / "config.json").read_text())["model"]["bins"] == TINY.bins
    assert model.trained_size == load(folder / "model.safetensors").trained_size == CONFIG.size
    history = pd.read_csv(folder / "history.csv")
    assert history["step"].tolist() == list(range(2, 13, 2))
    assert history["photos"].tolist() == [4 * s for s in history["step"]]
    assert history.dropna(subset=["psnr"])["step"].tolist() == [4, 8, 12]
    assert history["intersection_cross"].dropna().between(0, 1).all()
    assert list(seen) == [4, 8, 12]
    assert [picture.shape for picture in seen[12]] == [(4, 3, 32, 32)] * 5
    shipped = load(folder / "model.safetensors").state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(shipped[name], value, atol=2e-3, rtol=2e-3)


def test_resumed_run_equals_the_unbroken_one(pack, tmp_path):
    run(CONFIG, pack, tmp_path / "unbroken")
    for _ in range(8):  # no time at all: stops at every row, six rows
        run(CONFIG, pack, tmp_path / "broken", minutes=0)
    one, two = weights(tmp_path / "unbroken"), weights(tmp_path / "broken")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[k], two[k]) for k in one)
    columns = ["step", "loss", "gt", "grad", "hist", "gradient_norm", "lr", "temperature"]
    histories = [pd.read_csv(tmp_path / name / "history.csv")[columns] for name in ("unbroken", "broken")]
    pd.testing.assert_frame_equal(*histories, check_exact=True)


def test_rows_after_the_checkpoint_are_dropped(pack, tmp_path):
    run(CONFIG, pack, tmp_path, minutes=0)
    with open(tmp_path / "history.csv", "a") as file:  # as if a run had died between the two files
        file.write("99,396" + "," * 8 + "\n")
    run(CONFIG, pack, tmp_path)
    assert pd.read_csv(tmp_path / "history.csv")["step"].tolist() == list(range(2, 13, 2))


def test_another_configuration_does_not_resume(pack, tmp_path):
    run(CONFIG, pack, tmp_path, minutes=0)
    with pytest.raises(ValueError, match=r"holds a run with lr = 0\.0005, now it is 0.1"):
        run(replace(CONFIG, lr=0.1), pack, tmp_path)
    with pytest.raises(ValueError, match=r"holds a run with model\.width = 4, now it is 8"):
        run(CONFIG, pack, tmp_path, model=replace(TINY, width=8))


def test_nan_stops_and_the_last_checkpoint_is_kept(pack, tmp_path):
    run(CONFIG, pack, tmp_path, minutes=0)
    before = (tmp_path / "state.pt").read_bytes()

    class Broken(Loss):
        def __call__(self, *args):
            loss, terms = super().__call__(*args)
            return loss * torch.nan, terms

    with pytest.raises(FloatingPointError, match=r"became NaN at step 4; the last good checkpoint is in "):
        run(CONFIG, pack, tmp_path, loss=Broken())
    assert (tmp_path / "state.pt").read_bytes() == before
    with pytest.raises(FloatingPointError, match=r"became NaN at step \d; nothing was saved yet"):
        run(CONFIG, pack, tmp_path / "new", loss=Broken())
    run(CONFIG, pack, tmp_path)


@pytest.mark.parametrize("damage", ["cut", "empty", "pickle", "other"])
def test_a_damaged_state_is_refused(pack, tmp_path, damage):
    run(CONFIG, pack, tmp_path, minutes=0)
    file = tmp_path / "state.pt"
    if damage == "other":  # of a model that learns other weights
        torch.save({**torch.load(file, weights_only=True), "optimizer": {"state": {}, "param_groups": []}}, file)
    else:
        file.write_bytes({"cut": file.read_bytes()[:5000], "empty": b"", "pickle": pickle.dumps(print, 2)}[damage])
    with pytest.raises(CheckpointError, match=r"state.pt: is damaged, or (is no training state|was written by a run)"):
        run(CONFIG, pack, tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("model", "unet.out.bias"), torch.zeros(()), r"bias is torch.float32 \[\], not torch.float32 \[2\]"),
        (("model", "unet.out.bias"), 0.0, r"model unet.out.bias is 0.0, not torch.float32 \[2\]"),
        (("model", "unet.out.bias"), torch.tensor([0.0, torch.nan]), "model unet.out.bias has numbers that are NaN"),
        (("average", "module.unet.out.bias"), torch.zeros(2, dtype=torch.int16), "average module.unet.out.bias is"),
        (("average", "n_averaged"), torch.ones(3), "average n_averaged is"),
        (("optimizer", "state", 0, "exp_avg"), torch.zeros(()), "optimizer state 0 exp_avg is"),
        (("optimizer", "state", 0, "exp_avg_sq"), None, "optimizer state 0 lacks 'exp_avg_sq'"),
        (("optimizer", "state", 1), None, "optimizer state lacks 1"),
        (("optimizer", "param_groups", 0, "betas"), (0.5, 0.5), "optimizer param_groups 0 betas is"),
        (("model",), [1], "model is a list, not a OrderedDict"),
        (("model",), None, "is damaged, or is no training state"),
        (("average",), None, "is damaged, or is no training state"),
        (("step",), None, "is damaged, or is no training state"),
        (("step",), -3, "its step is -3"),
        (("seconds",), torch.nan, "its time nan"),
    ],
)  # fmt: skip
def test_a_state_that_does_not_fit_is_refused(pack, tmp_path, finished, path, value, message):
    """A scalar in place of a tensor, say, would be spread over all weights without a word. None: the key is missing."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    state = inner = torch.load(tmp_path / "state.pt", weights_only=True)
    for key in path[:-1]:
        inner = inner[key]
    inner.pop(path[-1]) if value is None else inner.__setitem__(path[-1], value)
    torch.save(state, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match=message) as error:
        run(CONFIG, pack, tmp_path)
    assert str(error.value).startswith(f"{tmp_path / 'state.pt'}: ")


@pytest.fixture(scope="module")
def finished(pack, tmp_path_factory):
    """A run's folder, stopped after two steps."""
    folder = tmp_path_factory.mktemp("finished")
    run(CONFIG, pack, folder, minutes=0)
    return folder


@pytest.mark.parametrize("text", ["", "[1]", "{", "null"])
def test_a_damaged_configuration_or_history_is_named(pack, tmp_path, finished, text):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(ValueError, match=r"history.csv: is damaged, or is no history"):
        run(CONFIG, pack, tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config.json: (is no valid JSON|must hold a table)"):
        run(CONFIG, pack, tmp_path)


@pytest.mark.slow
def test_a_run_is_held_by_one_training(pack, tmp_path):
    """The second one says who holds it, and changes nothing; the first goes on to the same end."""
    run(CONFIG, pack, tmp_path / "alone")
    seen = []

    def intrude(line):
        if not seen:
            (tmp_path / "run" / ".histcolor-abcdefgh.pt").write_bytes(b"what the first one may be writing")
            before = {path.name for path in (tmp_path / "run").iterdir()}
            with pytest.raises(HeldError, match=rf"run: process {os.getpid()} on .* works on it now"):
                run(replace(CONFIG, lr=0.1), pack, tmp_path / "run")
            assert before == {path.name for path in (tmp_path / "run").iterdir()}
        seen.append(line)

    run(CONFIG, pack, tmp_path / "run", callback=intrude)
    assert len(seen) == 6
    one, two = weights(tmp_path / "alone"), weights(tmp_path / "run")
    assert all(torch.equal(one[k], two[k]) for k in one)
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names - {".histcolor-abcdefgh.pt"} == {path.name for path in (tmp_path / "alone").iterdir()}
    assert "lock" not in names


def test_start_from_another_model(pack, tmp_path):
    first = run(CONFIG, pack, tmp_path / "one")
    config = replace(CONFIG, steps=2, lr=1e-12, temperature_lr=1.0, ema=0.0)
    second = run(config, pack, tmp_path / "two", init=first)
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)


def test_too_small_a_pack(pack, tmp_path):
    with pytest.raises(ValueError, match="64 pixels a side, too few for crops of 96"):
        run(replace(CONFIG, size=96), pack, tmp_path)


def test_the_moving_average_moves_faster_at_first():
    model = build(TINY)
    average, first = MovingAverage(model, 0.9), {k: v.clone() for k, v in trained(model).items()}
    for step in range(100):
        with torch.no_grad():
            for p in trained(model).values():
                p.add_(1.0)
        average.follow(list(trained(model).values()))
        if step == 0:  # a decay of 1/10: nine tenths of the way
            for name, p in trained(average.module).items():
                torch.testing.assert_close(p.detach(), first[name] + 0.9)
    last, averaged = (trained(one)["unet.out.bias"].detach() for one in (model, average.module))
    behind = float((last - averaged).mean())
    assert behind == pytest.approx(0.9 / 0.1, rel=0.02)  # of a line: decay / (1 - decay) steps
    assert not average.module.training
    assert model.training


def command(pack_folder, run, *more):
    small = ["--preset", "tiny", "--batch-size", "4", "--size", "32", "--warmup", "2", "--precision", "float32"]
    given = ["train", "--data", str(pack_folder), "--run", str(run), *small, *more]
    return [sys.executable, "-m", "histcolor", *given]


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(pack_folder, tmp_path):
    options = ["--steps", "10", "--log-every", "2", "--save-every", "10", "--cross", "0.3"]
    subprocess.run(command(pack_folder, tmp_path / "one", *options), check=True, capture_output=True, timeout=300)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    module = command(pack_folder, tmp_path / "two", *options)[2:]  # without "python -m"; "--": --run is not torchrun's
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for more in (["--minutes", "0"], []):  # both stop at the same row, and go on from there
        done = subprocess.run([*launcher, *module, *more], capture_output=True, text=True, timeout=300, env=environment)
        assert done.returncode == 0, done.stderr[-2000:]
        if more:
            assert pd.read_csv(tmp_path / "two" / "history.csv")["step"].tolist() == [2]
    one, two = (pd.read_csv(tmp_path / name / "history.csv") for name in ("one", "two"))
    for column in ("loss", "gt", "grad", "hist", "gradient_norm"):
        np.testing.assert_allclose(two[column], one[column], rtol=2e-3, err_msg=column)


def test_a_batch_that_can_not_be_divided(pack, tmp_path, monkeypatch):
    import torch.distributed as dist

    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 3)
    with pytest.raises(ValueError, match="4 can not be divided among 3 processes"):
        run(CONFIG, pack, tmp_path)


def test_a_step_can_be_timed_beforehand(pack):
    config = replace(CONFIG, dropped=0.3)
    assert 0 < seconds_a_step(config, set_up(config, TINY, pack), Loss(), pack) < 60


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_training_computes_in_the_given_precision(pack, tmp_path, precision, monkeypatch):
    seen = []
    real = Colorizer.forward

    def forward(model, L, hist, given=None):
        seen.append((torch.is_autocast_enabled("cpu"), (torch.ones(2, 2) @ torch.ones(2, 2)).dtype))
        return real(model, L, hist, given)

    monkeypatch.setattr(Colorizer, "forward", forward)
    run(replace(CONFIG, steps=1, log_every=1, save_every=1, precision=precision), pack, tmp_path)
    assert seen == [(precision == "bfloat16", getattr(torch, precision))]


def test_another_model_to_start_from_is_another_run(pack, tmp_path):
    first, second = (set_up(replace(CONFIG, seed=seed), TINY, pack) for seed in (1, 2))
    run(CONFIG, pack, tmp_path / "run", init=first, minutes=0)
    run(CONFIG, pack, tmp_path / "run", init=first, minutes=0)
    for other in (second, None):
        with pytest.raises(ValueError, match="holds a run with init = "):
            run(CONFIG, pack, tmp_path / "run", init=other, minutes=0)
    path = tmp_path / "run" / "config.json"
    older = {k: v for k, v in json.loads(path.read_text()).items() if k != "init"}
    path.write_text(json.dumps(older))
    run(CONFIG, pack, tmp_path / "run", init=second, minutes=0)  # nothing tells


@pytest.mark.parametrize("name", ["history.csv", "sheets/0000001.png"])
def test_files_of_another_program_stay(name, pack, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("precious")
    with pytest.raises(ValueError, match="is there already, and is no run's; choose another folder"):
        run(CONFIG, pack, tmp_path)
    assert [p.read_text() for p in tmp_path.rglob("*") if p.is_file()] == ["precious"]


@pytest.mark.parametrize("theirs", ['{"model": "resnet50"}', '{"model": {"backbone": "resnet50"}, "epochs": 3}', "{}"])
def test_the_configuration_of_another_program_stays(theirs, pack, tmp_path):
    (tmp_path / "config.json").write_text(theirs)
    with pytest.raises(ValueError, match=r"config\.json: is there already, and is no run's; choose another folder"):
        run(CONFIG, pack, tmp_path)
    assert (tmp_path / "config.json").read_text() == theirs
