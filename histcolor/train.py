"""Training: one plain loop, for one device or several (``torchrun``), that resumes exactly where it was stopped.

What a step sees is a function of the seed and the step alone (:func:`histcolor.batch.plan_batch`), so a run that was
killed and started again, or spread over processes, computes the same numbers as an unbroken one.
"""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from histcolor.backbone import free, load_imagenet_weights
from histcolor.batch import Batch, look_at, make_batch, mean_histogram, plan_batch
from histcolor.checkpoint import build, fill, load_state, save_model, save_state
from histcolor.data import Pack
from histcolor.device import PRECISIONS, Execution, execution
from histcolor.images import clear_temporaries, write_table, write_text
from histcolor.model import ModelConfig


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained: with model, loss and packs, it decides every number (on one kind of device).

    Raises:
        ValueError: a value is out of its range; the message names the field.
    """

    steps: int = 10_000  #: optimiser steps in all
    batch_size: int = 8  #: photos a step, over all processes together
    size: int = 128  #: pixels along each side of a crop
    lr: float = 5e-4  #: peak learning rate
    temperature_lr: float = 10.0  #: the temperature learns this many times faster
    backbone_lr: float = 0.0  #: the backbone, after its first map, learns at this part of the rate; 0: it stays
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 1e-4
    schedule: str = "cosine"  #: "cosine" to zero, "constant", or "step": times 0.1 after each third (the paper at 256)
    until: float = 0.0  #: seconds after which the run ends, the schedule being over them; 0: over ``steps``
    warmup: int = 200  #: steps of linear warm-up
    clip: float = 1.0  #: largest norm of the gradient
    ema: float = 0.999  #: decay of the weights' moving average, which is what is shipped
    foreign: float = 0.2  #: share of photos that get a foreign or mixed histogram, and L_H alone
    dropped: float = 0.0  #: share of photos without a histogram, and without L_H: teaches automatic colouring
    zoom: float = 1.0  #: crops show 1/zoom of the photo's height and width, or more, resized; 1: plain crops
    jitter: float = 0.0  #: how much L's curve, chroma and (half as much, in radians) hue are changed at random
    seed: int = 0
    precision: str = "auto"  #: of the network in training: "bfloat16", "float32", or "auto", see histcolor.device
    log_every: int = 50  #: steps between lines of the history
    save_every: int = 500  #: steps between checkpoints and validations, a multiple of log_every

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "size", "log_every", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.size % 32:
            raise ValueError(f"size must be a multiple of 32, got {self.size}.")
        if self.save_every % self.log_every:
            raise ValueError(f"save_every must be a multiple of log_every, got {self.save_every} and {self.log_every}.")
        if self.schedule not in ("cosine", "constant", "step"):
            raise ValueError(f"schedule must be cosine, constant or step, got {self.schedule!r}.")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}.")
        for name, low, high in (("zoom", 1, 4), ("jitter", 0, 1), ("until", 0, math.inf)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be in [{low}, {high}], got {getattr(self, name)}.")
        for name in ("foreign", "dropped"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}.")


def learning_rate(config: TrainConfig, step: int, seconds: float = 0.0) -> float:
    """The learning rate of a step, counted from 0, and of a moment, in seconds since the start (for ``until``)."""
    rate = config.lr * min(1.0, (step + 1) / max(1, config.warmup))
    done = min(1.0, seconds / config.until if config.until else step / config.steps)
    if config.schedule == "cosine":
        return rate * 0.5 * (1 + math.cos(math.pi * done))
    if config.schedule == "step":
        return rate * 0.1 ** min(2, int(3 * done))
    return rate


# --- set-up: what there is before the first step ---


def set_up(
    config: TrainConfig,
    model: ModelConfig,
    pack: Pack,
    *,
    method: str = "colorizer",
    backbone: dict[str, Tensor] | None = None,
    init: nn.Module | None = None,
) -> nn.Module:
    """Make a run's model as it is before the first step: weights from the seed, from ImageNet, from another model.

    Args:
        config: its seed decides the fresh weights; also says whether the backbone learns, and whether the average
            histogram is needed.
        model: what the network is.
        pack: the photos, for the average histogram.
        method: one of :data:`histcolor.checkpoint.METHODS`.
        backbone: ImageNet weights by name (see :func:`histcolor.backbone.load_imagenet_weights`).
        init: start from this model's weights (the stage at 256 pixels starts from the one at 128), as far as names and
            shapes are the same; the rest starts fresh, the backbone from ``backbone``.

    Returns:
        The model, on the CPU.

    Raises:
        ValueError: ``init`` is another network, or a method that sees no histogram is to be trained with some.
    """
    torch.manual_seed(config.seed)
    network = build(model, method)
    if not getattr(network, "sees_histogram", True) and (config.foreign or config.dropped):
        raise ValueError(f"The method {method!r} sees no histogram: it needs foreign=0 and dropped=0.")
    photo = getattr(network, "photo", None)
    if backbone and photo:
        load_imagenet_weights(photo.backbone, backbone)
    if init is not None and (fresh := start_from(network, init)):
        print(f"init: {len(fresh)} tensors are not in the model to start from, first {fresh[0]}", file=sys.stderr)
    if config.dropped and not network.automatic:
        network.average.copy_(mean_histogram(pack, model.bins))
    if config.backbone_lr and photo:
        free(photo.backbone)
    return network


def start_from(model: nn.Module, init: nn.Module) -> list[str]:
    """Copy what another model has under the same name and in the same shape; names what it has not, and starts fresh.

    Raises:
        ValueError: it has less than half of them: that is another network.
    """
    mine, given = model.state_dict(), init.state_dict()
    shared = [name for name, value in mine.items() if name in given and given[name].shape == value.shape]
    count = sum(".backbone." not in name for name in shared), sum(".backbone." not in name for name in mine)
    if 2 * count[0] < count[1]:
        raise ValueError(
            f"The model to start from has {count[0]} of this one's {count[1]} tensors: give one of the same preset."
        )
    fill(model, mine | {name: given[name] for name in shared}, "init")
    return [name for name in mine if name not in shared]


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that training changes, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def make_optimizer(model: nn.Module, config: TrainConfig, *, fused: bool = False) -> torch.optim.AdamW:
    """AdamW; the temperature and the backbone in groups of their own, at their own rates, the former without decay."""
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


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """The moving average of the weights: smoother than the last ones, and what is shipped.

    It moves faster in the first steps, when it still holds the start.
    """

    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        torch._foreach_lerp_(averaged, current, 1 - min(decay, int(count) / (9 + int(count))))

    averaged = AveragedModel(model, multi_avg_fn=update)
    averaged.n_averaged = torch.ones((), dtype=torch.long)  # it holds the start; on the CPU, not to wait for a GPU
    return averaged.eval()


# --- a step ---


def batches(
    config: TrainConfig, model: nn.Module, loss: Any, pack: Pack, part: slice, device: torch.device
) -> Callable[..., Batch]:
    """A function from a step's number to this process's part of its batch; see :func:`histcolor.batch.make_batch`."""
    shares = {name: getattr(config, name) for name in ("batch_size", "seed", "foreign", "dropped", "zoom", "jitter")}
    average = model.average_histogram() if config.dropped else None
    options = {"size": config.size, "bins": (model.config.bins, loss.histogram_bins), "average": average}

    def batch(step: int, look: Callable = look_at) -> Batch:
        return make_batch(pack, plan_batch(len(pack), step, **shares), part, device, look=look, **options)

    return batch


def forward_pass(network: nn.Module, loss: Callable, how: Execution) -> Callable[[Batch], tuple[Tensor, dict]]:
    """The forward pass and the loss as one function: what there is to differentiate, and to compile."""

    def objective(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        with how.autocast():
            y_ab = network(batch.L, batch.hist, batch.given)
        return loss(y_ab.float(), batch.t_ab, batch.r_h, batch.own, batch.given)

    return objective


def compiled(objective: Callable, batch: Batch) -> Callable:
    """The objective through ``torch.compile``, tried on a batch; as it is, with a warning, where that fails."""
    try:
        fast = torch.compile(objective, dynamic=False)
        fast(batch)[0].backward()
    except Exception as error:  # compilers fail in many ways, and none of them need stop a run
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        warnings.warn(f"torch.compile does not work here, training goes on without it: {reason}", stacklevel=3)
        return objective
    return fast


def seconds_a_step(
    config: TrainConfig, model: nn.Module, loss: Callable, pack: Pack, device: str = "cpu", *, steps: int = 2
) -> float:
    """How long a step of such a run takes here, from a few steps that change the model: to tell before a long run."""
    how = execution(device, precision=config.precision, compile=False)
    model = model.to(how.device, memory_format=torch.channels_last).train()
    objective, optimizer = forward_pass(model, loss, how), make_optimizer(model, config, fused=how.fused)
    batch = batches(config, model, loss, pack, slice(None), how.device)
    for step in range(steps + 1):
        if step == 1:  # the first one warms up
            began = time.perf_counter()
        objective(batch(step))[0].backward()
        optimizer.step()
        optimizer.zero_grad()
        float(next(iter(trained(model).values())).detach().sum())  # waits for the device
    return (time.perf_counter() - began) / steps


# --- the loop ---


def train(
    model: nn.Module,
    loss: Callable[..., tuple[Tensor, dict[str, Tensor]]],
    pack: Pack,
    config: TrainConfig,
    run: str | Path,
    *,
    validate: Callable[[nn.Module, int], dict[str, float]] | None = None,
    callback: Callable[[dict], None] | None = None,
    minutes: float | None = None,
    device: str | torch.device = "cpu",
    compile: bool | None = None,
    quiet: bool = False,
) -> nn.Module:
    """Train a model, or go on with the run that the folder holds.

    Under ``torchrun`` each process takes its share of every batch. Written into ``run``: ``config.json``,
    ``history.csv``, ``state.pt`` (to resume) and ``model.safetensors`` (to use; the moving average).

    Args:
        model: from :func:`set_up`, with the same ``config``; it is changed.
        loss: :class:`histcolor.losses.Loss`, or another function of the network's output, the truth, the target
            histogram and the masks that gives the loss and its terms.
        pack: the photos.
        config: all else that decides the run's numbers.
        run: the run's folder.
        validate: called with the averaged model and the step at every checkpoint; its numbers go into the history.
        callback: called with each line of the history.
        minutes: stop at the next line of the history after this time; a later call goes on.
        device: where to train; a pack that fits is kept in a GPU's memory.
        compile: use ``torch.compile``, see :func:`histcolor.device.execution`.
        quiet: no progress bar.

    Returns:
        The model with averaged weights, in eval mode.

    Raises:
        ValueError: the folder holds another run, or one on other photos; the batch can not be shared out, or a photo
            is too small.
        FloatingPointError: the loss became NaN; the last good checkpoint is kept.
    """
    entered = time.perf_counter()
    run, rank, world = Path(run), *((dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1))
    part, chief = check_share(config, pack, rank, world), rank == 0
    how = execution(
        device, precision=config.precision, compile=compile, seconds=config.until or (60 * minutes if minutes else None)
    )
    how.apply()
    model = model.to(how.device, memory_format=torch.channels_last)
    average, optimizer = moving_average(model, config.ema), make_optimizer(model, config, fused=how.fused)
    step, seconds, history = resume(run, describe(model, loss, config), model, average, optimizer, pack, chief=chief)
    model.train()
    pack = pack.to(how.device) if how.resident else pack
    batch = batches(config, model, loss, pack, part, how.device)
    objective, look = forward_pass(DistributedDataParallel(model) if world > 1 else model, loss, how), look_at
    if how.compile:
        objective, look = compiled(objective, batch(step)), torch.compile(look_at, dynamic=False)
        model.zero_grad(set_to_none=True)

    limit = math.inf if minutes is None else 60 * minutes
    steps, sums, logged = math.inf if config.until else config.steps, {}, step
    began, last = entered - seconds, time.perf_counter()  # began: as if the run had never been stopped
    elapsed = agree(last - began, how.device)
    bar = tqdm(
        total=None if config.until else steps, initial=step, desc=f"{run.name} ({how})", unit="step",
        disable=quiet or not chief,
    )  # fmt: skip
    while step < steps:
        rate = learning_rate(config, step, elapsed)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        value, terms = objective(batch(step, look))  # the forward pass and the loss (3)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        norm = nn.utils.clip_grad_norm_(trained(model).values(), config.clip)
        optimizer.step()
        average.update_parameters(model)
        step += 1
        for name, term in {"loss": value.detach(), **terms, "gradient_norm": norm}.items():
            sums[name] = sums.get(name, 0) + term
        if step % config.log_every and step < steps:
            continue

        # the one place in the loop where the device is waited for
        line = means(sums, step - logged, world) | {"lr": rate}
        if line["loss"] != line["loss"]:
            raise FloatingPointError(f"The loss became NaN at step {step}; the last good checkpoint is in {run}.")
        if hasattr(model, "log_temperature"):
            line["temperature"] = float(model.log_temperature.detach().exp())
        now = time.perf_counter()
        speed = round((step - logged) * config.batch_size / (now - last), 1)
        line = {"step": step, "photos": step * config.batch_size, **line, "photos_per_second": speed}
        logged, sums, elapsed = step, {}, agree(now - began, how.device)
        over = step == steps or 0 < config.until <= elapsed or elapsed - seconds > limit
        save = chief and (step % config.save_every == 0 or over)
        if save and validate:
            line |= validate(average.module, step)
        history.append({k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in line.items()})
        if save:
            save_model(average.module, run / "model.safetensors", about={"run": run.name, "step": step})
            write_table(pd.DataFrame(history), run / "history.csv")
            clock = time.perf_counter() - began
            save_state(run / "state.pt", model, average, optimizer, step=step, pack=pack.fingerprint(), seconds=clock)
        bar.update(step - bar.n)
        bar.set_postfix(loss=f"{line['loss']:.4f}", photos_s=speed)
        if callback and chief:
            callback(line)
        last = time.perf_counter()
        if over:
            break
    bar.close()
    if world > 1:
        dist.barrier()
    model.load_state_dict(average.module.state_dict())
    return model.eval()


# --- around the loop ---


def check_share(config: TrainConfig, pack: Pack, rank: int, world: int) -> slice:
    """This process's part of a batch; refuses, with a ValueError, what can not be shared out or cut."""
    if config.batch_size % world:
        raise ValueError(f"batch_size {config.batch_size} can not be shared out to {world} processes.")
    if pack.images.shape[1] < config.size:
        raise ValueError(
            f"The pack's photos have {pack.images.shape[1]} pixels a side, crops of {config.size} are wanted."
        )
    share = config.batch_size // world
    return slice(rank * share, (rank + 1) * share)


def describe(model: nn.Module, loss: Callable, config: TrainConfig) -> dict[str, Any]:
    """All that decides a run's numbers, as ``config.json`` holds it."""
    about_loss = {k: v for k, v in vars(loss).items() if isinstance(v, int | float | str)}
    return {"method": model.method, "model": asdict(model.config), "loss": about_loss, **asdict(config)}


def resume(
    run: Path,
    about: dict[str, Any],
    model: nn.Module,
    average: AveragedModel,
    optimizer: torch.optim.AdamW,
    pack: Pack,
    *,
    chief: bool,
) -> tuple[int, float, list[dict]]:
    """Go on from a run's folder, or begin in it: the step, the seconds since its start, the history up to there.

    Raises:
        ValueError: the folder holds a run of another model or configuration, or on other photos.
    """
    step, seconds, history = 0, 0.0, []
    if (run / "state.pt").is_file():
        check_same_run(about, run / "config.json")
        step, seconds = load_state(run / "state.pt", model, average, optimizer, pack.fingerprint())
        if (run / "history.csv").is_file():
            table = pd.read_csv(run / "history.csv")
            history = [
                {k: v for k, v in line.items() if v == v} for line in table[table["step"] <= step].to_dict("records")
            ]
    elif chief:
        write_text(json.dumps(about, indent=2), run / "config.json")
    if chief:
        clear_temporaries(run)
    return step, seconds, history


def check_same_run(config: dict, path: Path) -> None:
    """Compare with the ``config.json`` of the run that is resumed.

    Raises:
        ValueError: another configuration; the message names the first field that differs.
    """
    then, now = json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(config))
    if different := sorted(k for k in {**then, **now} if then.get(k) != now.get(k)):
        key = different[0]
        raise ValueError(
            f"{path.parent}: holds a run with {key} = {then.get(key)}, now it is {now.get(key)}: "
            "start it again with the same options, or name another folder."
        )


def agree(value: float, device: torch.device) -> float:
    """What the first process says: clocks differ, and processes that part wait for one another for ever."""
    if not dist.is_initialized():
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=device)
    dist.broadcast(shared, 0)
    return float(shared)


def means(sums: dict[str, Tensor], steps: int, world: int) -> dict[str, float]:
    """Means over the last ``steps`` steps and all processes."""
    values = torch.stack(list(sums.values())) / (steps * world)
    if world > 1:
        dist.all_reduce(values)
    return dict(zip(sums, values.tolist(), strict=True))
