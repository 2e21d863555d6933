"""What commands and experiments both need: options of the configurations, ImageNet weights, a choice of photos."""

from __future__ import annotations

import argparse
import typing
from dataclasses import MISSING, fields, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from histcolor.checkpoint import CheckpointError
from histcolor.losses import LossConfig
from histcolor.model import PRESETS, ModelConfig


def config_fields() -> dict[str, tuple[type, type]]:
    """Every scalar field of the three configurations that is an option: name → (configuration, type)."""
    from histcolor.train import TrainConfig

    found = {}
    for kind in (ModelConfig, LossConfig, TrainConfig):
        types = typing.get_type_hints(kind)
        found |= {f.name: (kind, types[f.name]) for f in fields(kind) if types[f.name] in (int, float, str, bool)}
    return found


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Make an option of every field of the configurations; what is not given keeps the preset's value."""
    from histcolor.train import TrainConfig

    groups = {
        ModelConfig: parser.add_argument_group("model (default: the preset's)"),
        LossConfig: parser.add_argument_group("loss"),
        TrainConfig: parser.add_argument_group("training"),
    }
    defaults = {f.name: f.default for kind in groups for f in fields(kind) if f.default is not MISSING}
    for name, (kind, type_) in config_fields().items():
        option = "--" + name.replace("_", "-")
        text = "" if kind is ModelConfig else f"(default: {defaults[name]})"
        if type_ is bool:
            groups[kind].add_argument(option, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            groups[kind].add_argument(option, type=type_, default=None, metavar=type_.__name__.upper(), help=text)


def train_config(args: argparse.Namespace):
    """The run's configuration: the preset with the given options."""
    from histcolor.train import TrainConfig

    given: dict[type, dict] = {ModelConfig: {}, LossConfig: {}, TrainConfig: {}}
    for name, (kind, _) in config_fields().items():
        if getattr(args, name) is not None:
            given[kind][name] = getattr(args, name)
    model = replace(PRESETS[args.preset], **given[ModelConfig])
    return TrainConfig(model=model, loss=LossConfig(**given[LossConfig]), **given[TrainConfig])


def find_backbone(name: str, file: str | None) -> dict[str, Tensor]:
    """ImageNet weights: from a file, from the package, or through a network.

    Raises:
        ValueError: the file is no safetensors file.
        OSError: the weights can not be fetched.
    """
    from histcolor.backbone import imagenet_weights

    if file:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(file)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file}: is no complete safetensors file.") from error
    return imagenet_weights(name)


def evenly(photos: list[Path], limit: int | None) -> list[Path]:
    """At most so many photos, spread evenly over the list; all of them for None."""
    if limit is None:
        return photos
    if limit < 1:
        raise ValueError(f"--limit must be at least 1, got {limit}.")
    return [photos[i] for i in np.linspace(0, len(photos) - 1, min(limit, len(photos))).round().astype(int)]
