"""What a run keeps: the averaged weights, the state that it resumes from, its history."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from histcolor.checkpoint import CheckpointError, fill, load_tensors, save_tensors
from histcolor.config import ADDED
from histcolor.images import atomic
from histcolor.model import Colorizer


class Ema:
    """The moving average of the trained weights: smoother than the last ones, and what is shipped."""

    def __init__(self, model: Colorizer, decay: float) -> None:
        self.decay = decay
        self.weights = {name: p.detach().clone() for name, p in trained(model).items()}

    @torch.no_grad()
    def update(self, model: Colorizer, step: int) -> None:
        """Move towards the model's weights; faster in the first steps, when the average still holds the start."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.weights.values()), list(trained(model).values()), 1 - decay)

    @contextmanager
    def applied(self, model: Colorizer) -> Iterator[Colorizer]:
        """Lend the averaged weights to the model, in eval mode."""
        weights = trained(model)
        kept = {name: p.detach().clone() for name, p in weights.items()}
        with torch.no_grad():
            for name, p in weights.items():
                p.copy_(self.weights[name])
        model.eval()
        try:
            yield model
        finally:
            with torch.no_grad():
                for name, p in weights.items():
                    p.copy_(kept[name])
            model.train()


def trained(model: Colorizer) -> dict[str, torch.nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def save_state(
    path: Path, model: Colorizer, ema: Ema, optimizer: torch.optim.AdamW, step: int, pack: str, seconds: float
) -> None:
    """Write all that a resumed run needs, atomically: weights, average, moments, step, clock, which pack it was."""
    names = {id(p): name for name, p in trained(model).items()}
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in ema.weights.items()}
    for p, state in optimizer.state.items():
        tensors |= {f"adam.{kind}.{names[id(p)]}": v for kind, v in state.items()}
    save_tensors(tensors, {"step": str(step), "pack": pack, "seconds": str(seconds)}, path)


def load_state(path: Path, model: Colorizer, ema: Ema, optimizer: torch.optim.AdamW, pack: str) -> tuple[int, float]:
    """Read what :func:`save_state` wrote into the given objects; returns the step and the seconds since the start.

    Raises:
        CheckpointError: damaged, of another model, or of a run on other photos.
    """
    tensors, metadata = load_tensors(path)
    if "step" not in metadata:
        raise CheckpointError(f"{path}: is no training state.")
    if (then := metadata.get("pack", pack)) != pack:  # the first states did not say
        raise CheckpointError(
            f"{path.parent}: holds a run on other photos ({then}; given are {pack}): give the same packs in the same "
            "order, or name another folder."
        )
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}, "adam": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value
    fill(model, parts["model"], str(path))
    if set(parts["ema"]) != set(ema.weights):
        raise CheckpointError(f"{path}: was written by a run that trains other weights.")
    for name, p in trained(model).items():
        ema.weights[name].copy_(parts["ema"][name])
        moments = {k: torch.empty_like(p).copy_(parts["adam"][f"{k}.{name}"]) for k in ("exp_avg", "exp_avg_sq")}
        steps = parts["adam"][f"step.{name}"]  # on the CPU, but for the fused kernels
        optimizer.state[p] = {"step": steps.to(p.device) if p.is_cuda else steps, **moments}
    return int(metadata["step"]), float(metadata.get("seconds", 0))


class History:
    """The run's ``history.csv``: a row every ``log_every`` steps; rows after the resumed step are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        self.path, self.rows = path, []
        if path.is_file():
            with open(path, newline="", encoding="utf-8") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]

    def add(self, row: dict) -> None:
        """Append a row, floats to five digits; :meth:`write` makes it last."""
        self.rows.append({k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()})

    def write(self) -> None:
        """Write all rows; columns are those of any row, in the order met."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        with atomic(self.path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)


def check_same_run(config: dict, path: Path) -> None:
    """Compare with the ``config.json`` of the run that is resumed.

    Raises:
        ValueError: another configuration; the message names the first field that differs.
    """
    then, now = json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(config))
    # what fields that came later mean in an older run
    then = {
        "backbone_lr": 0.0,
        "dropped": 0.0,
        "until": 0.0,
        "zoom": 1.0,
        "jitter": 0.0,
        **then,
        "model": {**ADDED, **then.get("model", {})},
    }
    then["loss"] = {"lambda_foreign": then.get("loss", {}).get("lambda_2"), "rebalance": False, **then.get("loss", {})}
    different = [k for k in {**then, **now} if then.get(k) != now.get(k)]
    if different:
        key = sorted(different)[0]
        raise ValueError(
            f"{path.parent}: holds a run with {key} = {then.get(key)}, now asked is {now.get(key)}: "
            "start it again with the same options, or name another folder."
        )
