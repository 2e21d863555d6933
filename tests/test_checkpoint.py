"""Saving and loading: round trips, and every way in which a file can be wrong."""

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

import histcolor as hc
from histcolor.checkpoint import SHIPPED, CheckpointError, build, load_tensors, save_model, save_tensors

TINY = hc.PRESETS["tiny"]


@pytest.fixture
def saved(tmp_path):
    model = build(TINY)
    path = tmp_path / "tiny.safetensors"
    save_model(model, path, about={"run": "test"})
    return model, path


def rewrite(path, change):
    tensors, metadata = load_tensors(path)
    tensors, metadata = change(dict(tensors), dict(metadata))
    save_file(tensors, path, metadata=metadata)


def test_round_trip(saved):
    model, path = saved
    loaded = hc.load(path)
    assert loaded.config == TINY
    assert not loaded.training
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, atol=1e-3, rtol=1e-3)  # float16
        assert loaded.state_dict()[name].dtype == value.dtype


def test_missing_file_and_unknown_name(tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        hc.load(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match=r"no model 'nonesuch'; shipped are: .*small"):
        hc.load("nonesuch")


@pytest.mark.parametrize("keep", [0, 7, 1000])
def test_truncated(saved, keep):
    path = saved[1]
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"tiny\.safetensors: is truncated"):
        hc.load(path)


def test_pickles_are_not_loaded(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    with pytest.raises(CheckpointError, match="pickles are never loaded"):
        hc.load(path)
    torch.save({"x": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="pickles are never loaded"):
        hc.load(path)


def test_file_of_another_program_and_other_version(saved, tmp_path):
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, other)
    with pytest.raises(CheckpointError, match="not written by histcolor"):
        hc.load(other)
    rewrite(saved[1], lambda t, m: (t, {**m, "histcolor_format": "99"}))
    with pytest.raises(CheckpointError, match="has format 99"):
        hc.load(saved[1])


def test_training_state_is_not_a_model(tmp_path):
    save_tensors({"model.x": torch.zeros(1)}, {"step": "5"}, tmp_path / "state.safetensors")
    with pytest.raises(CheckpointError, match="a training state is not a model"):
        hc.load(tmp_path / "state.safetensors")


def without_first_bias(tensors, metadata):
    return {k: v for k, v in tensors.items() if k != "unet.out.bias"}, metadata


def with_unknown_key(tensors, metadata):
    return {**tensors, "zebra": torch.zeros(1)}, metadata


def with_wrong_shape(tensors, metadata):
    return {**tensors, "unet.out.bias": torch.zeros(3)}, metadata


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_first_bias, r"lacks 1 tensors, first 'unet\.out\.bias'"),
        (with_unknown_key, "has 1 unknown tensors, first 'zebra'"),
        (with_wrong_shape, r"'unet\.out\.bias' has shape \(3,\), needed is \(2,\)"),
    ],
)
def test_incomplete_checkpoints_are_never_filled_up(saved, change, message):
    rewrite(saved[1], change)
    with pytest.raises(CheckpointError, match=message):
        hc.load(saved[1])


def test_unknown_configuration(saved):
    rewrite(saved[1], lambda t, m: (t, {**m, "config": json.dumps({"bins": 16})}))
    with pytest.raises(ValueError, match="lacks fields"):
        hc.load(saved[1])


def test_a_method_that_is_not_known(saved):
    rewrite(saved[1], lambda t, m: (t, {**m, "method": "nonesuch"}))
    with pytest.raises(ValueError, match="is a 'nonesuch', which is not known here"):
        hc.load(saved[1])


@pytest.mark.parametrize(("name", "megabytes"), [("small", 25), ("base", 50)])
def test_shipped_models_are_complete(name, megabytes):
    assert name in hc.shipped_models()
    assert (SHIPPED / f"{name}.safetensors").stat().st_size < megabytes * 1e6
    model = hc.load(name)
    assert model.config == hc.PRESETS[name], "the preset must say what is shipped"
    assert all(torch.isfinite(v).all() for v in model.state_dict().values())
    assert float(model.average.sum()) == pytest.approx(1, abs=1e-3), "it should know what to do without a histogram"
