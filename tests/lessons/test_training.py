"""Lesson 03's own parts: data without a shared photo, figures that say what they should, the paper's stages, λ2."""

import json
import shlex
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np
import pandas as pd
import pytest
import torch

import histcolor as hc
from histcolor import losses
from histcolor.batch import make_batch, plan_batch
from histcolor.checkpoint import build
from histcolor.cli.main import build_parser
from histcolor.color import AB_MAX
from histcolor.experiments.recipe import make_recipe
from histcolor.images import read_table
from histcolor.lessons import training
from histcolor.lessons.notebook import project_root
from histcolor.lessons.runner import read_profile
from histcolor.optimize import TrainConfig, learning_rate

pytestmark = pytest.mark.usefixtures("style")
RESULTS = project_root() / "results"


@pytest.fixture
def t_ab():
    return 0.4 * torch.rand(1, 2, 24, 24) - 0.2


def test_each_term_is_blind_to_one_way_of_spoiling(t_ab):
    spoilt, target = training.spoil(t_ab), hc.soft_ab_histogram(t_ab * AB_MAX, 16)
    tinted, shuffled = spoilt["tinted"], spoilt["shuffled"]
    assert losses.gradient_loss(tinted, t_ab) < 1e-9 < losses.histogram_loss(tinted, target)
    assert losses.histogram_loss(shuffled, target) < 1e-9 < losses.gradient_loss(shuffled, t_ab)
    assert all(y.shape == t_ab.shape for y in spoilt.values())


def test_the_figure_says_where_a_term_is_blind(t_ab):
    spoilt = training.spoil(t_ab)
    weighted = pd.DataFrame([[0.0, 0, 0], [1, 1, 1], [2, 1, 1], [1, 0, 1], [1, 1, 1], [1, 1, 0]], spoilt.keys())
    figure = training.losses_figure(torch.full((1, 24, 24), 50.0), spoilt, weighted)
    blind = {(i % 6, i // 6) for i, axis in enumerate(figure.axes) if axis.get_xlabel() == "blind: 0"}
    assert blind == {(3, 2), (5, 3)}, "tinted: L_Grad; shuffled: L_H"


def test_no_photo_is_in_both_packs(tmp_path):
    assert not set(training.TRAIN_ON) & set(training.TEST_ON)
    (tmp_path / "run").mkdir()
    train, test, rejected = training.make_packs(tmp_path, 6, 32)
    files = [pd.read_csv(tmp_path / name / "manifest.csv")["file"] for name in ("train", "test")]
    kinds = [{Path(file).stem.split("_")[0] for file in found} for found in files]
    assert kinds == [{*training.TRAIN_ON, "added"}, {*training.TEST_ON}]
    assert (len(train), train.images.shape[1], test.images.shape[1]) == (6, 36, 32)
    assert sorted(Path(file).stem for file in rejected["file"]) == ["added_gray", "added_tiny"]
    assert not (tmp_path / "run").exists(), "a short run starts anew"


def test_a_run_on_a_pack_of_ones_own_is_kept(pack_folder, tmp_path):
    (tmp_path / "run").mkdir()
    train, test, _ = training.make_packs(tmp_path, 6, 32, data=str(pack_folder))
    assert (train.images.shape[1], len(test)) == (64, 30)
    assert (tmp_path / "run").is_dir()


def test_a_batch_shows_which_histograms_are_its_own(pack):
    plan = plan_batch(len(pack), step=0, batch_size=4, seed=0, cross=0.5)
    plan.share[:] = (1, 0, 0.25, 1)
    batch = make_batch(pack, plan, slice(None), torch.device("cpu"), size=32, bins=(16, 16))
    titles = [axis.get_title() for axis in training.batch_figure(batch, plan.share).axes]
    assert titles[8:] == ["self-reference", "cross-reference", "25% its own", "self-reference"]


def test_curves_start_at_zero_and_the_shipped_model_is_measured_alike():
    history = pd.DataFrame({"photos": [0, 8, 16], "loss": [np.nan, 0.2, 0.1], "psnr": [24, np.nan, 23.5]})
    figure = training.curves_figure(history.assign(psnr_train=[20, np.nan, 22]), {"psnr": 26.0})
    seen, unseen, zero, shipped = (line.get_ydata() for line in figure.axes[1].lines)
    assert [list(line) for line in (seen, unseen, zero, shipped)] == [[0, 2], [0, -0.5], [0, 0], [2, 2]]


def test_photos_are_drawn_for_every_model(pack):
    torch.manual_seed(0)
    models = {"one": build(hc.PRESETS["tiny"]).eval(), "two": build(hc.PRESETS["tiny"]).eval()}
    figure = training.photos_figure(models, pack, 32)
    notes = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert sum("dB" in note for note in notes) == 6
    assert sum(note.startswith("fidelity 0.") for note in notes) == 2
    assert [axis.get_title() for axis in figure.axes[:4]] == ["gray", "target from", "one", "two"]


def test_checks_measure_both_packs(pack):
    model = build(hc.PRESETS["tiny"]).eval()
    found = training.make_checks(pack, pack, 32)(model, 1)
    assert set(found) == {"psnr", "intersection_cross", "psnr_train"}
    assert found["psnr"] == found["psnr_train"]


def test_resumed_steps_are_drawn_over_the_lost_ones():
    lines = [{"step": step, "loss": float(step)} for step in range(1, 7)]
    figure = training.resume_figure([line["loss"] for line in lines], lines, lines[:4], lines[2:])
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [6, 6, 4, 4]


def test_lambda_2_is_read_from_the_table_of_losses():
    trials = training.lambda_2_trials(RESULTS).set_index("lambda_2")
    assert trials.index.tolist() == [0, 1, 5, 10, 20]
    folders = (RESULTS / "tables/losses" / name / "seed0/photos.json.xz" for name in ("without-l-h", "all-three"))
    without, with_ = (
        read_table(path).query("reference_kind == 'self' and not gray")["psnr"].mean() for path in folders
    )
    assert trials["psnr"][0] == pytest.approx(without - with_, abs=0.03)
    assert (trials["psnr"][10], trials["fidelity"][10]) == (0, 0)
    assert trials["psnr"].is_monotonic_decreasing
    assert trials["fidelity"].is_monotonic_increasing


def test_the_chosen_lambda_2_is_marked():
    trials = training.lambda_2_trials(RESULTS)
    texts = [text.get_text() for text in training.lambda_2_figure(trials, [5]).axes[0].texts]
    assert [text.count("dB") for text in texts] == [0, 0, 1, 0, 0]
    psnr, fidelity = trials.set_index("lambda_2").loc[5]
    assert texts[2] == f"$\\lambda_2$ = 5\n{psnr:+.2f} dB, {fidelity:+.2f}".replace("-", "−")


def reads_back(command):
    words = shlex.split(command[command.index("histcolor train") :])[1:]
    return make_recipe(vars(build_parser().parse_args(words)))


def test_the_papers_commands_give_the_recipes_that_they_stand_for():
    commands, table = training.paper_stages(batch_size=8)
    assert [reads_back(command) == recipe for command, recipe in commands] == [True] * 3
    assert table["photos seen"].tolist() == [1_000_000, 3_813_501, 3_813_501]
    assert table["learning rate"].tolist() == ["1e-04", "1e-04", "1e-04 → 1e-05 → 1e-06"]
    assert "--init runs/paper-1/model.safetensors" in commands[1][0]


def test_options_name_only_what_differs():
    recipe = training.short_recipe("tiny", steps=20, batch_size=4, size=32, seed=0)
    words = training.options(recipe, "tiny")
    assert "--steps 20" in words
    assert "--lambda" not in words
    assert reads_back(f"histcolor train --data x --run y {words}") == recipe


def test_the_paper_profile_is_stage_1():
    profile = read_profile(project_root() / "notebooks", "paper")[0]["03_training"]
    stage = training.paper_stages(profile.get("batch_size", 8))[0][0][1]
    short = training.short_recipe(profile["preset"], steps=profile["steps"], batch_size=8, size=128, seed=0)
    assert json.dumps(short.as_dict() | {"log_every": 0, "save_every": 0}) == json.dumps(
        stage.as_dict() | {"log_every": 0, "save_every": 0}
    )


def test_the_stubs_are_what_training_does():
    steps, config = torch.arange(40), TrainConfig(steps=40, warmup=8, lr=1.0)
    rates = [learning_rate(config, int(step)) for step in steps]
    torch.testing.assert_close(training.RATE.right(steps.float(), 40, 1.0, 8), torch.tensor(rates))
    y, t, own = torch.rand(3, 2, 8, 8), torch.rand(3, 2, 8, 8), torch.tensor([1.0, 0.0, 1.0])
    torch.testing.assert_close(training.HUBER.right(y, t, losses.DELTA), losses.huber(y, t))
    target = torch.rand(3, 16, 16)
    terms = losses.ground_truth_loss(y, t), losses.gradient_loss(y, t), losses.histogram_loss(y, target)
    module = losses.Loss()(y, t, target, own)[0]
    torch.testing.assert_close(training.TOTAL.right(*terms, own, 1.0, 10.0) / losses.DELTA, module)
