"""Saving and loading: models as safetensors with their configuration, and the state from which training resumes.

No file that is loaded can run code.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from histcolor.images import atomic
from histcolor.model import Colorizer, ModelConfig, config_from_dict

FORMAT = "1"  #: changes when older versions of histcolor could not read the file
SHIPPED = Path(__file__).parent / "weights"
#: fields of the configuration in the shipped files that no network has any more, as their average histogram is named
#: "usual" there; both go when other weights take their place
LEFT = ("guide", "colours", "head", "anneal", "joint", "semantics")
#: the networks that a checkpoint may hold, by method; :mod:`histcolor.baselines` adds the methods of the comparison
METHODS: dict[str, Callable[[ModelConfig], nn.Module]] = {Colorizer.method: Colorizer}


class CheckpointError(ValueError):
    """A checkpoint that can not be used; the message names the file and what is wrong with it."""


def save_tensors(tensors: dict[str, Tensor], metadata: dict[str, str], path: str | Path) -> None:
    """Write named tensors and text as safetensors, atomically."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={"histcolor_format": FORMAT, **metadata})


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read named tensors and text from safetensors.

    Raises:
        CheckpointError: missing, truncated, not safetensors, not ours, or of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: is truncated, or is no safetensors file (pickles are never loaded).") from error
    version = metadata.get("histcolor_format")
    if version is None:
        raise CheckpointError(f"{path}: was not written by histcolor (its metadata lacks 'histcolor_format').")
    if version != FORMAT:
        raise CheckpointError(
            f"{path}: has format {version}, this histcolor reads format {FORMAT}: update one of them."
        )
    return tensors, metadata


def save_model(model: nn.Module, path: str | Path, *, about: dict | None = None) -> None:
    """Save a model for use, in float16; metadata hold its configuration, and ``about``, such as the run's name."""
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    about = {"method": model.method, "about": json.dumps(about or {})}
    metadata = {"config": json.dumps(asdict(model.config)), **about}
    save_tensors(tensors, metadata, path)


def shipped_models() -> list[str]:
    """Return the names of the models inside the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def load(name: str | Path, device: str | torch.device = "cpu") -> Colorizer:
    """Load a shipped model by name (``"small"``, ``"base"``), or a checkpoint by path.

    Returns:
        The model in eval mode, float32, channels last, on ``device``.

    Raises:
        CheckpointError: (a ``ValueError``) no such model, or the file is damaged, incomplete or from another program.
    """
    shipped = SHIPPED / f"{name}.safetensors"
    path = shipped if shipped.is_file() else Path(name)
    if not path.is_file() and not path.suffix:
        raise CheckpointError(f"There is no model {str(name)!r}; shipped are: {', '.join(shipped_models()) or 'none'}.")
    tensors, metadata = load_tensors(path)
    try:
        values = json.loads(metadata["config"])
        config = config_from_dict({name: value for name, value in values.items() if name not in LEFT})
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: holds no model configuration; a training state is not a model.") from error
    if (method := metadata.get("method", Colorizer.method)) not in METHODS:
        raise CheckpointError(f"{path}: is a {method!r}, which is not known here: import histcolor.baselines.")
    model = build(config, method)
    fill(model, {"average" if name == "usual" else name: tensor for name, tensor in tensors.items()}, str(path))
    return model.to(device, memory_format=torch.channels_last).eval()


def build(config: ModelConfig, method: str = Colorizer.method) -> nn.Module:
    """Build a model with new weights, channels last; they are drawn from torch's random state.

    Raises:
        ValueError: there is no such method.
    """
    if method not in METHODS:
        raise ValueError(f"There is no method {method!r}; there are {', '.join(METHODS)}.")
    return METHODS[method](config).to(memory_format=torch.channels_last)


def fill(model: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    """Load tensors into a model. Each of its tensors must be given, in the right shape, and no others.

    Raises:
        CheckpointError: names the first tensor that is missing, unknown or of another shape.
    """
    needed = model.state_dict()
    unknown = set(tensors) - set(needed)
    for fault, keys in (("lacks {} tensors", set(needed) - set(tensors)), ("has {} unknown tensors", unknown)):
        if keys:
            raise CheckpointError(f"{name}: {fault.format(len(keys))}, first {sorted(keys)[0]!r}.")
    for key, value in needed.items():
        if tensors[key].shape != value.shape:
            shapes = f"{tuple(tensors[key].shape)}, needed is {tuple(value.shape)}"
            raise CheckpointError(f"{name}: tensor {key!r} has shape {shapes}.")
    model.load_state_dict(tensors)


def save_state(
    path: Path,
    model: nn.Module,
    average: AveragedModel,
    optimizer: torch.optim.Optimizer,
    *,
    step: int,
    pack: str,
    seconds: float,
) -> None:
    """Write what a resumed run needs, atomically: weights, average, Adam's moments, step, the pack's name, seconds."""
    state = {"model": model.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
    with atomic(path) as temporary:
        torch.save({**state, "step": step, "pack": pack, "seconds": seconds}, temporary)


#: what decides AdamW's numbers in a group of parameters; its other entries change with torch and the device
_GROUP = ("params", "factor", "weight_decay", "betas", "eps")


def load_state(
    path: Path, model: nn.Module, average: AveragedModel, optimizer: torch.optim.Optimizer, pack: str
) -> tuple[int, float]:
    """Load what :func:`save_state` wrote into the given objects; returns the step and the seconds since the start.

    Every tensor must have the name, the shape and the type that these objects have, and only finite numbers.

    Raises:
        CheckpointError: the file is damaged, or is from another model or from a run on other photos.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        step, then, seconds = int(state["step"]), str(state["pack"]), float(state["seconds"])
        saved = {name: state[name] for name in ("model", "average", "optimizer")}
    except (ValueError, TypeError, LookupError, OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path}: is damaged, or is no training state.") from error
    if step < 0 or not 0 <= seconds < math.inf:
        raise CheckpointError(f"{path}: is damaged: its step is {step}, its time {seconds} s.")
    if then != pack:
        raise CheckpointError(
            f"{path.parent}: holds a run on other photos ({then}; given are {pack}): give the same packs in the same "
            "order, or name another folder."
        )
    moments = {
        i: {"step": torch.zeros(()), "exp_avg": p, "exp_avg_sq": p}
        for i, p in enumerate(p for group in optimizer.param_groups for p in group["params"])
    }
    groups = [{k: v for k, v in g.items() if k in _GROUP} for g in optimizer.state_dict()["param_groups"]]
    wanted = {"model": model.state_dict(), "average": average.state_dict()}
    wanted["optimizer"] = {"state": moments, "param_groups": groups}
    if fault := find_fault(saved, wanted):
        raise CheckpointError(f"{path}: is damaged, or was written by a run that trains other weights: {fault}.")
    try:
        for name, one in (("model", model), ("average", average), ("optimizer", optimizer)):
            one.load_state_dict(saved[name])
    except (LookupError, TypeError, ValueError, RuntimeError) as error:  # it has more than was wanted
        raise CheckpointError(f"{path}: was written by a run that trains other weights.") from error
    return step, seconds


def find_fault(saved: Any, wanted: Any, name: str = "") -> str:
    """Say where saved tables and lists of tensors are not like those wanted, or are not finite; "" if nowhere."""
    if isinstance(wanted, Tensor):
        if not isinstance(saved, Tensor) or (saved.shape, saved.dtype) != (wanted.shape, wanted.dtype):
            kinds = (
                f"{one.dtype} {list(one.shape)}" if isinstance(one, Tensor) else repr(one) for one in (saved, wanted)
            )
            return f"{name} is " + ", not ".join(kinds)
        return "" if saved.isfinite().all() else f"{name} has numbers that are NaN or infinite"
    if not isinstance(saved, type(wanted)):
        return f"{name} is a {type(saved).__name__}, not a {type(wanted).__name__}"
    if isinstance(wanted, list):
        wanted, saved = dict(enumerate(wanted)), dict(enumerate(saved))
    if not isinstance(wanted, dict):
        return "" if saved == wanted else f"{name} is {saved!r}, not {wanted!r}"
    if lacking := [key for key in wanted if key not in saved]:
        return f"{name} lacks {lacking[0]!r}"
    return next(
        filter(None, (find_fault(saved[key], one, f"{name} {key}".lstrip()) for key, one in wanted.items())), ""
    )
