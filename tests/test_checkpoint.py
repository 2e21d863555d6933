"""Saving and loading: round trips, and every way in which a file can be wrong."""

import errno
import json
import math
import os
import pickle
import shutil
import socket
import tempfile
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import histcolor as hc
from histcolor.backbone import PACKAGED, VGG19, build_backbone, imagenet_weights, load_imagenet_weights
from histcolor.checkpoint import (
    SHIPPED,
    CheckpointError,
    build,
    load_state,
    load_tensors,
    save_model,
    save_state,
    save_tensors,
)
from histcolor.optimize import MovingAverage

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


def test_the_size_in_training_is_kept(saved, tmp_path):
    model, path = saved
    assert hc.load(path).trained_size is None, "older checkpoints do not say it"
    model.trained_size = 96
    save_model(model, path, about={"run": "test"})
    again = hc.load(path)
    assert again.trained_size == 96
    save_model(again, tmp_path / "again.safetensors")
    assert hc.load(tmp_path / "again.safetensors").trained_size == 96


@pytest.mark.parametrize(
    "about", ["{", "[1]", "3", "null", '{"size": "96"}', '{"size": 1e9}', '{"size": [96]}', "[" * 9999]
)
def test_a_wrong_size_in_training_is_not_known(saved, about):
    rewrite(saved[1], lambda t, m: (t, {**m, "about": about}))
    assert hc.load(saved[1]).trained_size is None


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


def configured(**changes):
    values = {**asdict(TINY), **changes}
    return lambda tensors, metadata: (tensors, {**metadata, "config": json.dumps(values)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (configured(width=10**9), "width must be a whole number from 1 to 128, got 1000000000"),
        (configured(balance=10**9), "balance must be a whole number from 0 to 100"),
        (configured(channels=10**6), "channels must be a whole number from 1 to 512"),
        (configured(bins=10**6), "bins must be a whole number from 4 to 256"),
        (configured(width="4"), "width must be a whole number"),
        (configured(temperature=math.nan), "temperature must be a number"),
        (configured(backbone="hf_hub:a/b"), "backbone must be one of vgg19, "),
        (configured(colour=1, hue=2), "unknown fields: colour, hue"),
        (lambda t, m: (t, {**m, "config": "[1, 2]"}), "holds no model configuration"),
        (lambda t, m: (t, {**m, "config": "{"}), "holds a damaged model configuration"),
        (lambda t, m: (t, {**m, "config": "[" * 10**5}), "holds no model configuration"),
    ],
)
def test_absurd_configurations_are_refused_before_anything_is_built(saved, monkeypatch, change, message):
    rewrite(saved[1], change)
    monkeypatch.setattr("histcolor.checkpoint.build", lambda *args: pytest.fail("a network was built"))
    with pytest.raises(CheckpointError, match=rf"tiny\.safetensors: .*{message}"):
        hc.load(saved[1])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite(saved, value):
    def spoil(tensors, metadata):
        tensors["unet.out.weight"][0, 0] = value
        return tensors, metadata

    rewrite(saved[1], spoil)
    with pytest.raises(CheckpointError, match=r"tensor 'unet\.out\.weight' holds NaN or infinity"):
        hc.load(saved[1])


def test_weights_of_another_type(saved):
    rewrite(saved[1], lambda t, m: ({**t, "unet.out.bias": torch.zeros(2, dtype=torch.int32)}, m))
    with pytest.raises(CheckpointError, match=r"'unet\.out\.bias' has type torch\.int32, needed is torch\.float32"):
        hc.load(saved[1])


def test_no_tensor_is_read_before_the_shapes_fit(saved, monkeypatch):
    rewrite(saved[1], with_unknown_key)
    monkeypatch.setattr("histcolor.checkpoint.fill", lambda *args: pytest.fail("tensors were read"))
    with pytest.raises(CheckpointError, match="first 'zebra'"):
        hc.load(saved[1])


def test_loading_asks_no_network(saved, monkeypatch):
    def refuse(*args, **kwargs):
        pytest.fail("something was looked up on a network")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert hc.load(saved[1]).config == TINY
    assert isinstance(build_backbone("vgg19"), VGG19)


@pytest.mark.parametrize("value", [math.nan, 1e6])
def test_weights_that_could_not_be_loaded_again_are_not_saved(saved, value):
    model, path = saved
    before = path.read_bytes()
    with torch.no_grad():
        model.unet.out.bias[0] = value
    with pytest.raises(FloatingPointError, match=r"tensor 'unet\.out\.bias' has NaN, infinity or numbers above 65,504"):
        save_model(model, path)
    assert path.read_bytes() == before


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk(saved, tmp_path, monkeypatch):
    model, path = saved
    monkeypatch.setattr(Path, "write_bytes", full)
    before = path.read_bytes()
    with pytest.raises(OSError, match=r"tiny\.safetensors: could not be written \(No space left on device"):
        save_model(model, path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_model_is_written_into_the_file_that_is_locked(saved, monkeypatch):
    """A temporary file that safetensors made of its own would stay for ever, if the process were killed."""
    model, path = saved
    made, mkstemp = [], tempfile.mkstemp

    def noted(*args, **kwargs):
        handle, name = mkstemp(*args, **kwargs)
        made.append(os.fstat(handle).st_ino)
        return handle, name

    monkeypatch.setattr(tempfile, "mkstemp", noted)
    save_model(model, path)
    assert made == [path.stat().st_ino]


@pytest.mark.parametrize("write", [r"tiny\.safetensors", r"state\.pt"])
def test_a_file_that_grows_too_large(saved, tmp_path, write):
    """As on a full disk, for real: the system refuses to write past 50 kB."""
    resource = pytest.importorskip("resource")
    model, path = saved
    average, optimizer = MovingAverage(model, 0.9), torch.optim.AdamW(model.parameters())
    about = {"step": 1, "pack": "p", "seconds": 1.0}
    writers = {
        r"tiny\.safetensors": lambda: save_model(model, path),
        r"state\.pt": lambda: save_state(tmp_path / "state.pt", model, average, optimizer, **about),
    }
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(OSError, match=rf"{write}: could not be written \(.+\)\.$"):
            writers[write]()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert hc.load(path).config == TINY


@pytest.mark.parametrize("state", [[1], {"step": 3}, {"step": 3, "pack": "p", "seconds": 1.0, "model": {"x": 1}}])
def test_training_states_with_keys_missing(tmp_path, state):
    model = build(TINY)
    path = tmp_path / "state.pt"
    parts = {"average": {}, "optimizer": {}} if "model" in state else {}
    torch.save({**state, **parts} if isinstance(state, dict) else state, path)
    with pytest.raises(CheckpointError, match=r"state\.pt: (is damaged|holds something else than named tensors)"):
        load_state(path, model, MovingAverage(model, 0.9), torch.optim.AdamW(model.parameters()), "p")


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


@pytest.fixture
def with_imagenet():
    """A tiny model whose backbone has its ImageNet weights, as every model before training."""
    model = build(TINY)
    load_imagenet_weights(model.photo.backbone, imagenet_weights(PACKAGED))
    return model


def test_an_unchanged_backbone_can_be_left_out(with_imagenet, tmp_path):
    for name, backbone in (("whole", True), ("light", False)):
        save_model(with_imagenet, tmp_path / f"{name}.safetensors", backbone=backbone)
    whole, light = (tmp_path / f"{name}.safetensors" for name in ("whole", "light"))
    assert whole.stat().st_size - light.stat().st_size > 5e6
    one, other = hc.load(whole).state_dict(), hc.load(light).state_dict()
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_changed_or_unknown_backbone_can_not(with_imagenet, tmp_path):
    path = tmp_path / "light.safetensors"
    with torch.no_grad():
        next(with_imagenet.photo.backbone.parameters()).add_(0.1)
    with pytest.raises(ValueError, match=r"backbone was trained .* can not be left out"):
        save_model(with_imagenet, path, backbone=False)
    other = hc.Colorizer(hc.ModelConfig(**{**vars(hc.PRESETS["tiny"]), "backbone": "tf_efficientnet_lite1"}))
    with pytest.raises(ValueError, match="No package holds the weights of 'tf_efficientnet_lite1'"):
        save_model(other, path, backbone=False)
    assert not path.exists()
    save_model(other, path)
    rewrite(path, lambda t, m: (t, {**m, "backbone": PACKAGED}))
    with pytest.raises(CheckpointError, match=r"light\.safetensors: No package holds the weights"):
        hc.load(path)


def test_a_path_without_suffix_is_no_shipped_model(tmp_path):
    """Nor is a longer path with the same end, beside it, or a name that is too long for one."""
    shutil.copy(SHIPPED / "small.safetensors", tmp_path / "mine.safetensors")
    with pytest.raises(CheckpointError, match="There is no model"):
        hc.load(tmp_path / "mine")
    with pytest.raises(OSError, match="File name too long") as error:
        hc.load("x" * 300)
    assert error.value.filename == "x" * 300
