"""How training changes the weights: its options, the learning rate, AdamW, and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from histcolor.checks import Range, check_fields, one_of, within
from histcolor.device import PRECISIONS


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained. Together with model, loss and packs it decides every number (on one kind of device).

    Raises:
        ValueError: a value is out of its range; the message names the field.
    """

    steps: int = within(10_000, 1, 10**9, "optimiser steps in all")
    batch_size: int = within(8, 1, 10**5, "photos a step, over all processes together")
    size: int = within(128, 32, 1024, "pixels along each side of a crop; a multiple of 32")
    lr: float = within(5e-4, 0, 100, "peak learning rate", above=True)
    temperature_lr: float = within(10.0, 0, 1000, "learning rate of the temperature, as a multiple of lr")
    backbone_lr: float = within(
        0.0, 0, 1000, "that of the backbone after its first map, as a multiple of lr; 0: frozen"
    )
    betas: tuple[float, float] = (0.9, 0.98)  #: AdamW's; the only field that is no option of the command line
    weight_decay: float = within(1e-4, 0, 10, "AdamW's, of all but the temperature")
    schedule: str = one_of(
        "cosine",
        ("cosine", "constant", "step"),
        "'cosine' to zero, 'constant', or 'step': times 0.1 after each third (the paper at 256)",
    )
    until: float = within(0.0, 0, 1e9, "seconds; above 0, the run and its schedule end after them, and not after steps")
    warmup: int = within(200, 0, 10**9, "steps of linear warm-up")
    clip: float = within(1.0, 0, 1e9, "largest norm of the gradient", above=True)
    ema: float = within(
        0.999, 0, 1, "decay of the weights' moving average, which is the model that is saved for use", below=True
    )
    cross: float = within(
        0.2, 0, 1, "share of photos with cross-reference (half of them mixed with self-reference), and only L_H"
    )
    dropped: float = within(0.0, 0, 1, "share of photos without a histogram, and without L_H: for automatic colouring")
    zoom: float = within(
        1.0, 1, 4, "crops show from 1/zoom of the photo's height and width to all of it, resized; 1: plain crops"
    )
    jitter: float = within(
        0.0, 0, 1, "how much L's curve, chroma and (half as much, in radians) hue are changed at random"
    )
    seed: int = within(0, 0, 2**32 - 1, "of the new weights, of batches and crops")
    precision: str = one_of(
        "auto", PRECISIONS, "of the network in training; auto: bfloat16 where the device computes with it"
    )
    log_every: int = within(50, 1, 10**9, "steps between lines of the history")
    save_every: int = within(500, 1, 10**9, "steps between checkpoints, which are validated; a multiple of log_every")

    def __post_init__(self) -> None:
        check_fields(self)
        if len(self.betas) != 2 or not all(beta in Range(0, 1, below=True) for beta in self.betas):
            raise ValueError(f"betas must be two numbers of at least 0 and below 1, got {self.betas}.")
        if self.size % 32:
            raise ValueError(f"size must be a multiple of 32, got {self.size}.")
        if self.save_every % self.log_every:
            raise ValueError(f"save_every must be a multiple of log_every, got {self.save_every} and {self.log_every}.")


def learning_rate(config: TrainConfig, step: int, seconds: float = 0.0) -> float:
    """Compute the learning rate of a step, counted from 0, or with ``until`` of a time, in seconds since the start."""
    rate = config.lr * min(1.0, (step + 1) / max(1, config.warmup))
    done = min(1.0, seconds / config.until if config.until else step / config.steps)
    if config.schedule == "cosine":
        return rate * 0.5 * (1 + math.cos(math.pi * done))
    if config.schedule == "step":
        return rate * 0.1 ** min(2, int(3 * done))
    return rate


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that training changes, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def make_optimizer(model: nn.Module, config: TrainConfig, *, fused: bool = False) -> torch.optim.AdamW:
    """Make AdamW, with own learning rates for temperature and backbone, and no weight decay for the temperature."""
    groups: dict[str, list] = {"rest": [], "temperature": [], "backbone": []}
    for name, p in trained(model).items():
        kind = "temperature" if name == "log_temperature" else "backbone" if ".backbone." in name else "rest"
        groups[kind].append(p)
    factors = {"rest": 1.0, "temperature": config.temperature_lr, "backbone": config.backbone_lr}
    decays = {"temperature": 0.0}
    return torch.optim.AdamW(
        [
            {"params": group, "factor": factors[kind], "weight_decay": decays.get(kind, config.weight_decay)}
            for kind, group in groups.items()
            if group
        ],
        lr=config.lr,
        betas=config.betas,
        fused=fused,
    )


class MovingAverage(AveragedModel):
    """The moving average of the trained weights, which is the model that is saved for use.

    It moves faster in the first steps, to forget the first weights. What is not trained stays as it is.
    """

    def __init__(self, model: nn.Module, decay: float):
        super().__init__(model)
        self.n_averaged = torch.ones((), dtype=torch.long)  # the first weights count; on the CPU: no wait for a GPU
        self.decay, self.averaged = decay, list(trained(self.module).values())
        self.eval()

    @torch.no_grad()
    def follow(self, weights: Sequence[Tensor]) -> None:
        """Move towards the weights, those of :func:`trained`.

        ``update_parameters`` would walk through all modules and copy what never changes, 3 % of a step of `mini`.
        """
        count = int(self.n_averaged)
        torch._foreach_lerp_(self.averaged, weights, 1 - min(self.decay, count / (9 + count)))
        self.n_averaged += 1
