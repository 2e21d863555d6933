"""What is trained and how: a method, its network, its loss and its training, made of options by name."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from torch import Tensor, nn

from histcolor import baselines  # its methods become known
from histcolor.checkpoint import METHODS
from histcolor.data import Pack
from histcolor.losses import Loss
from histcolor.model import PRESETS, Colorizer, ModelConfig
from histcolor.optimize import TrainConfig
from histcolor.train import set_up


@dataclass(frozen=True)
class Recipe:
    """With the packs it decides every number that comes out (on one kind of device)."""

    model: ModelConfig = field(default_factory=ModelConfig)
    loss: Loss = field(default_factory=Loss)
    train: TrainConfig = field(default_factory=TrainConfig)
    method: str = Colorizer.method  #: one of :data:`histcolor.checkpoint.METHODS`

    def make(
        self, pack: Pack, *, backbone: dict[str, Tensor] | None = None, init: nn.Module | None = None
    ) -> tuple[nn.Module, Callable]:
        """Make the model before its first step, see :func:`histcolor.train.set_up`, and the loss to train it with."""
        model = set_up(self.train, self.model, pack, method=self.method, backbone=backbone, init=init)
        return model, model.make_loss(pack) if self.classifies else self.loss

    @property
    def classifies(self) -> bool:
        """Whether the method is a classifier, which brings a loss of its own."""
        return issubclass(METHODS[self.method], baselines.Classifier)

    @property
    def looks(self) -> bool:
        """Whether the network has a backbone, whose ImageNet weights it needs."""
        return getattr(METHODS[self.method](self.model), "photo", None) is not None

    def as_dict(self) -> dict[str, Any]:
        """Give all options as a run's ``config.json`` holds them; a classifier's loss has none."""
        loss = {} if self.classifies else asdict(self.loss)
        return {"method": self.method, "model": asdict(self.model), "loss": loss, **asdict(self.train)}


def option_fields() -> dict[str, tuple[type, type]]:
    """List the scalar fields of the three configurations: by name, the configuration it belongs to, and its type."""
    found = {}
    for kind in (ModelConfig, Loss, TrainConfig):
        types = typing.get_type_hints(kind)
        found |= {f.name: (kind, types[f.name]) for f in fields(kind) if types[f.name] in (int, float, str, bool)}
    return found


def make_recipe(options: Mapping[str, Any]) -> Recipe:
    """Make a recipe of a preset, a method and options; what is not named, or None, stands at its default.

    Raises:
        ValueError: a value is out of its range, or there is no such method.
    """
    given: dict[type, dict] = {ModelConfig: {}, Loss: {}, TrainConfig: {}}
    for name, (kind, _) in option_fields().items():
        if options.get(name) is not None:
            given[kind][name] = options[name]
    method = options.get("method") or Colorizer.method
    if method not in METHODS:
        raise ValueError(f"There is no method {method!r} to train; there are {', '.join(METHODS)}.")
    if not METHODS[method].sees_histogram:
        given[TrainConfig].setdefault("cross", 0.0)
    model = replace(PRESETS[options.get("preset") or "small"], **given[ModelConfig])
    return Recipe(model, Loss(**given[Loss]), TrainConfig(**given[TrainConfig]), method)
