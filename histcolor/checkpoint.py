"""Saving and loading: models as safetensors with their configuration, and the state from which training resumes.

No file that is loaded can run code.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from histcolor.backbone import PACKAGED, imagenet_weights, load_imagenet_weights
from histcolor.checks import Range
from histcolor.images import atomic
from histcolor.model import Colorizer, ModelConfig, config_from_dict

FORMAT = "1"  #: changes when older versions of histcolor could not read the file
SHIPPED = Path(__file__).parent / "weights"
#: the networks that a checkpoint may hold, by method; :mod:`histcolor.baselines` adds the methods of the comparison
METHODS: dict[str, Callable[[ModelConfig], nn.Module]] = {Colorizer.method: Colorizer}


class CheckpointError(ValueError):
    """A checkpoint that can not be used; the message names the file and what is wrong with it."""


def save_tensors(tensors: dict[str, Tensor], metadata: dict[str, str], path: str | Path) -> None:
    """Write named tensors and text as safetensors, atomically.

    Raises:
        OSError: the file can not be written, as on a full disk; names the file.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with _writing(path) as temporary:
        # not save_file, which writes a temporary file of its own: a killed process would leave that for ever
        temporary.write_bytes(save(tensors, metadata={"histcolor_format": FORMAT, **metadata}))


@contextmanager
def _writing(path: str | Path) -> Iterator[Path]:
    """Write a file by :func:`histcolor.images.atomic`; what torch raises becomes an OSError."""
    try:
        with atomic(path) as temporary:
            yield temporary
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise OSError(f"{path}: could not be written ({why.rpartition(': ')[2].rstrip('.')}).") from error


@contextmanager
def _reading(path: str | Path) -> Iterator[tuple[Any, dict[str, str]]]:
    """Open a safetensors file of ours, of which only the header is read yet; gives it and its metadata."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such checkpoint.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            version = metadata.get("histcolor_format")
            if version is None:
                raise CheckpointError(f"{path}: was not written by histcolor (its metadata lacks 'histcolor_format').")
            if version != FORMAT:
                raise CheckpointError(
                    f"{path}: has format {version}, this histcolor reads format {FORMAT}: update one of them."
                )
            yield file, metadata
    except CheckpointError:
        raise
    except PermissionError as error:
        raise CheckpointError(f"{path}: may not be read (permission denied).") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: is truncated, or is no safetensors file (pickles are never loaded).") from error


def load_metadata(path: str | Path) -> dict[str, str]:
    """Read the text in a safetensors file, and none of its tensors.

    Raises:
        CheckpointError: see :func:`load_tensors`.
    """
    with _reading(path) as (_, metadata):
        return metadata


def load_tensors(
    path: str | Path, needed: Mapping[str, Tensor] | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read named tensors and text from safetensors.

    Args:
        path: the file.
        needed: the tensors that it must have, and no others, in their shapes; checked before anything is read.

    Raises:
        CheckpointError: missing, truncated, not safetensors, not ours, of another version, or of other tensors.
    """
    with _reading(path) as (file, metadata):
        names = list(file.keys())
        if needed is not None:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            check_shapes(shapes, {name: tuple(tensor.shape) for name, tensor in needed.items()}, str(path))
        return {name: file.get_tensor(name) for name in names}, metadata


def save_model(model: nn.Module, path: str | Path, *, about: dict | None = None, backbone: bool = True) -> None:
    """Save a model for use, in float16; metadata hold its configuration, and ``about``, such as the run's name.

    The size that it was trained at goes into ``about``, if the model knows it.

    Args:
        model: the network.
        path: the file.
        about: what else the metadata say.
        backbone: False leaves out a backbone that training has not changed, 6 MB: :func:`load` takes it from the
            package that holds its ImageNet weights.

    Raises:
        FloatingPointError: a weight is not finite, or too large for float16: nothing is written.
        ValueError: the backbone can not be left out, as no package has it, or training has changed it.
        OSError: see :func:`save_tensors`.
    """
    tensors = _halved(model.state_dict())
    if name := next((k for k, v in tensors.items() if not torch.isfinite(v).all()), None):
        raise FloatingPointError(f"{path}: tensor {name!r} has NaN, infinity or numbers above 65,504: not saved.")
    about = ({"size": size} if (size := getattr(model, "trained_size", None)) else {}) | (about or {})
    metadata = {"config": json.dumps(asdict(model.config)), "method": model.method, "about": json.dumps(about)}
    if not backbone:
        packaged = packaged_backbone(build(model.config, model.method))
        if changed := [k for k, v in packaged.items() if not torch.equal(tensors[k], v)]:
            raise ValueError(f"{path}: the backbone was trained ({changed[0]!r} differs): it can not be left out.")
        tensors = {k: v for k, v in tensors.items() if k not in packaged}
        metadata["backbone"] = PACKAGED
    save_tensors(tensors, metadata, path)


def packaged_backbone(model: nn.Module) -> dict[str, Tensor]:
    """Get the tensors of a model's backbone with its ImageNet weights, in float16, from an installed package.

    Raises:
        ValueError: no package holds the weights of this backbone.
    """
    if (photo := getattr(model, "photo", None)) is None:
        return {}
    if model.config.backbone != PACKAGED:
        raise ValueError(f"No package holds the weights of {model.config.backbone!r}, but those of {PACKAGED!r} alone.")
    load_imagenet_weights(photo.backbone, imagenet_weights(PACKAGED))
    return _halved({f"photo.backbone.{name}": tensor for name, tensor in photo.backbone.state_dict().items()})


def _halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: x.half() if x.is_floating_point() else x for name, x in tensors.items()}


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
    path = SHIPPED / f"{name}.safetensors" if str(name) in shipped_models() else Path(name)
    if not path.is_file() and not path.suffix:
        raise CheckpointError(f"There is no model {str(name)!r}; shipped are: {', '.join(shipped_models()) or 'none'}.")
    metadata = load_metadata(path)
    try:
        values = json.loads(metadata["config"])
        config = config_from_dict(values)
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError):
            raise CheckpointError(f"{path}: holds a damaged model configuration.") from error
        raise CheckpointError(f"{path}: {error}") from error
    except (KeyError, TypeError, AttributeError, RecursionError) as error:  # none, or something else than a table
        raise CheckpointError(f"{path}: holds no model configuration; a training state is not a model.") from error
    if (method := metadata.get("method", Colorizer.method)) not in METHODS:
        raise CheckpointError(f"{path}: is a {method!r}, which is not known here: import histcolor.baselines.")
    model, packaged = build(config, method), {}
    if "backbone" in metadata:
        try:
            packaged = packaged_backbone(model)
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}") from error
    needed = {name: tensor for name, tensor in model.state_dict().items() if name not in packaged}
    fill(model, packaged | load_tensors(path, needed)[0], str(path))
    model.trained_size = _trained_size(metadata)
    return model.to(device, memory_format=torch.channels_last).eval()


def _trained_size(metadata: Mapping[str, str]) -> int | None:
    """Read the size that a model was trained at; None: its metadata do not say it, as those of older checkpoints."""
    with suppress(ValueError, AttributeError, RecursionError):  # whatever else the text may be
        if (size := json.loads(metadata.get("about", "{}")).get("size")) in Range(32, 1024, whole=True):
            return size
    return None


def build(config: ModelConfig, method: str = Colorizer.method) -> nn.Module:
    """Build a model with new weights, channels last; they are drawn from torch's random state.

    Raises:
        ValueError: there is no such method.
    """
    if method not in METHODS:
        raise ValueError(f"There is no method {method!r}; there are {', '.join(METHODS)}.")
    return METHODS[method](config).to(memory_format=torch.channels_last)


def check_shapes(given: Mapping[str, tuple], needed: Mapping[str, tuple], name: str) -> None:
    """Compare the shapes of named tensors: each that is needed must be given, and no others.

    Raises:
        CheckpointError: names the first tensor that is missing, unknown or of another shape.
    """
    unknown = set(given) - set(needed)
    for fault, keys in (("lacks {} tensors", set(needed) - set(given)), ("has {} unknown tensors", unknown)):
        if keys:
            raise CheckpointError(f"{name}: {fault.format(len(keys))}, first {sorted(keys)[0]!r}.")
    for key, shape in needed.items():
        if given[key] != shape:
            raise CheckpointError(f"{name}: tensor {key!r} has shape {given[key]}, needed is {shape}.")


def fill(model: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Load tensors into a model. Each of its tensors must be given, in the right shape, finite, and no others.

    Raises:
        CheckpointError: names the first tensor that is missing, unknown, of another shape or type, or not finite.
    """
    if not isinstance(tensors, Mapping) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise CheckpointError(f"{name}: holds something else than named tensors.")
    needed, given = ({k: tuple(v.shape) for k, v in x.items()} for x in (model.state_dict(), tensors))
    check_shapes(given, needed, name)
    for key, value in model.state_dict().items():
        if tensors[key].is_floating_point() != value.is_floating_point():
            raise CheckpointError(f"{name}: tensor {key!r} has type {tensors[key].dtype}, needed is {value.dtype}.")
        if value.is_floating_point() and not torch.isfinite(tensors[key].float()).all():
            raise CheckpointError(f"{name}: tensor {key!r} holds NaN or infinity.")
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
    """Write what a resumed run needs, atomically: weights, average, Adam's moments, step, the pack's name, seconds.

    Raises:
        OSError: the file can not be written, as on a full disk; names the file.
    """
    state = {"model": model.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
    with _writing(path) as temporary:
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
        if not isinstance(state, dict):  # a tensor warns where it is asked for a name
            raise TypeError
        step, then, seconds = int(state["step"]), str(state["pack"]), float(state["seconds"])
        saved = {name: state[name] for name in ("model", "average", "optimizer")}
    except (ValueError, TypeError, LookupError, ArithmeticError, OSError, EOFError, RuntimeError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise CheckpointError(f"{path}: is damaged, or is no training state.") from error
    if step < 0 or not 0 <= seconds < math.inf:
        raise CheckpointError(f"{path}: is damaged: its step is {step}, its time {seconds} s.")
    if then != pack:
        raise CheckpointError(on_other_photos(path.parent, then, pack))
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


def on_other_photos(run: Path, then: str, now: str) -> str:
    """Say that a run's pack, by its fingerprint, is not the one given."""
    return (
        f"{run}: holds a run on other photos ({then}; given are {now}): give the same packs in the same order, or name "
        "another folder."
    )


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
