"""The paper's preset, trained as the paper says but without a download: its three stages, and VGG19 from a file."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import histcolor as hc
from histcolor.cli.main import main

# section 3.1: Adam at 1e-4; the losses' δ and λ are the defaults. Only steps and photos are fewer than in the paper
RULES = ["--preset", "paper", "--lr", "1e-4", "--weight-decay", "0", "--cross", "0", "--warmup", "0", "--ema", "0"]
SMALL = ["--batch-size", "2", "--steps", "3", "--log-every", "1", "--save-every", "3", "--precision", "float32"]


def stage(pack_folder, run, *more):
    assert main(["train", "--data", str(pack_folder), "--run", str(run), *RULES, *SMALL, *more]) == 0
    return pd.read_csv(run / "history.csv")


@pytest.mark.slow
def test_three_stages_with_efficientnet_for_vgg19(pack_folder, tmp_path):
    backbone = ["--backbone", "tf_efficientnet_lite0"]
    first = stage(pack_folder, tmp_path / "one", "--size", "32", "--schedule", "constant", *backbone)
    assert first["lr"].tolist() == [1e-4] * 3
    init = ["--init", str(tmp_path / "one/model.safetensors")]
    stage(pack_folder, tmp_path / "two", "--size", "32", "--schedule", "constant", *backbone, *init)
    init = ["--init", str(tmp_path / "two/model.safetensors")]
    last = stage(pack_folder, tmp_path / "three", "--size", "64", "--schedule", "step", *backbone, *init)
    assert last["lr"].tolist() == pytest.approx([1e-4, 1e-5, 1e-6])
    model = hc.load(tmp_path / "three/model.safetensors")
    assert model.config.readout == "features"
    assert float(model.log_temperature.exp()) == pytest.approx(0.01, rel=1e-3)
    assert json.loads((tmp_path / "three/config.json").read_text())["model"]["norm"] == "instance"


@pytest.mark.slow
def test_vgg19_from_a_file(pack_folder, tmp_path):
    from torchvision.models import vgg19

    weights = {f"features.{k}": v for k, v in vgg19(weights=None).features.state_dict().items()}
    save_file(weights, tmp_path / "vgg19.safetensors")
    stage(pack_folder, tmp_path / "run", "--size", "32", "--backbone-weights", str(tmp_path / "vgg19.safetensors"))
    model = hc.load(tmp_path / "run/model.safetensors")
    assert model.config == hc.PRESETS["paper"]
    kept = model.photo.backbone.features.state_dict()
    for name, value in weights.items():
        place = name.removeprefix("features.")
        if place in kept:  # those up to relu5_2; frozen, so they are what the file says, rounded to float16
            assert torch.equal(kept[place], value.half().float()), name
    assert len(kept) == 28, "fourteen convolutions, each with a bias"
