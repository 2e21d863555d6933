"""The configurations' fields as options: what ``histcolor train`` and ``experiments.toml`` may set."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from histcolor.losses import LossConfig
from histcolor.model import PRESETS, ModelConfig
from histcolor.train import TrainConfig


def config_fields() -> dict[str, tuple[type, type]]:
    """Every scalar field of the three configurations that is an option: name → (configuration, type)."""
    found = {}
    for kind in (ModelConfig, LossConfig, TrainConfig):
        types = typing.get_type_hints(kind)
        found |= {f.name: (kind, types[f.name]) for f in fields(kind) if types[f.name] in (int, float, str, bool)}
    return found


def train_config(options: Mapping[str, Any]) -> TrainConfig:
    """The configuration of a run: the preset with the given options.

    Args:
        options: ``preset``, and any of :func:`config_fields`; None counts as not given, other names are passed over.

    Raises:
        ValueError: a value is out of its range; the message names the field.
    """
    given: dict[type, dict] = {ModelConfig: {}, LossConfig: {}, TrainConfig: {}}
    for name, (kind, _) in config_fields().items():
        if options.get(name) is not None:
            given[kind][name] = options[name]
    model = replace(PRESETS[options["preset"]], **given[ModelConfig])
    return TrainConfig(model=model, loss=LossConfig(**given[LossConfig]), **given[TrainConfig])
