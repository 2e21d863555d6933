"""The forward pass and the loss of a batch as one function, plain or through ``torch.compile``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from histcolor.baselines.guides import ColourClasses
from histcolor.batch import Batch
from histcolor.data import Pack
from histcolor.device import Execution
from histcolor.losses import class_loss, class_weights, total_loss

if TYPE_CHECKING:
    from histcolor.train import TrainConfig

Objective = Callable[[Batch], tuple[Tensor, dict[str, Tensor]]]  #: a batch → its loss, and the loss's terms


def make_objective(network: torch.nn.Module, config: TrainConfig, how: Execution, pack: Pack) -> Objective:
    """The forward pass and the loss of a batch, as one function: what there is to compile, and to differentiate."""
    if config.model.head == "classes":
        classes, weights = ColourClasses().to(how.device), None
        if config.loss.rebalance:
            weights = class_weights(ColourClasses().distribution(pack)).to(how.device)

    def objective(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        with how.autocast():
            raw = network(batch.L, batch.hist, raw=True).float()
        if config.model.head == "classes":
            return class_loss(raw, batch.t_ab, classes, weights)
        return total_loss(raw, batch.t_ab, batch.r_h, batch.own, config.loss, batch.asked)

    return objective


def compiled(objective: Objective, batch: Batch) -> Objective:
    """The objective through ``torch.compile``, tried on a batch; as it is, with a warning, where that fails."""
    try:
        fast = torch.compile(objective, dynamic=False)
        fast(batch)[0].backward()
    except Exception as error:  # compilers fail in many ways, and none of them need stop a run
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        warnings.warn(f"torch.compile does not work here, training goes on without it: {reason}", stacklevel=3)
        return objective
    return fast
