"""Training: one plain loop, for one device or several (``torchrun``), that resumes exactly where it was stopped.

What a step sees is a function of the seed and the step alone (:func:`plan_batch`), so a run that was
killed and started again, or spread over processes, computes the same numbers as an unbroken one.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from histcolor.backbone import free, load_imagenet_weights
from histcolor.batch import look_at, make_batch, mean_histogram, plan_batch
from histcolor.checkpoint import build, fill, save_model
from histcolor.data import Pack
from histcolor.device import PRECISIONS, execution
from histcolor.images import clear_temporaries, write_text
from histcolor.losses import LossConfig
from histcolor.model import Colorizer, ModelConfig
from histcolor.objective import compiled, make_objective
from histcolor.state import Ema, History, check_same_run, load_state, save_state, trained


@dataclass(frozen=True)
class TrainConfig:
    """A run: with the packs, it decides every number that comes out (on one kind of device).

    Raises:
        ValueError: a value is out of its range; the message names the field.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
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
    log_every: int = 50  #: steps between rows of the history
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
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {share}.")
            if self.model.guide == "none" and share:
                raise ValueError(f"guide='none' sees no histogram: it needs {name}=0, got {share}.")
        if self.loss.rebalance and self.model.head != "classes":
            raise ValueError("rebalance weights the loss of classes: it needs head='classes'.")


def learning_rate(config: TrainConfig, step: int, seconds: float = 0.0) -> float:
    """The learning rate of a step, counted from 0, and of a moment, in seconds since the start (for ``until``)."""
    rate = config.lr * min(1.0, (step + 1) / max(1, config.warmup))
    done = min(1.0, seconds / config.until if config.until else step / config.steps)
    if config.schedule == "cosine":
        return rate * 0.5 * (1 + math.cos(math.pi * done))
    if config.schedule == "step":
        return rate * 0.1 ** min(2, int(3 * done))
    return rate


def make_optimizer(model: Colorizer, config: TrainConfig, *, fused: bool = False) -> torch.optim.AdamW:
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


def seconds_a_step(config: TrainConfig, pack: Pack, device: str | torch.device = "cpu", *, steps: int = 2) -> float:
    """How long a step of such a run takes here, from a few steps of a fresh model: to tell people before a long run."""
    how = execution(device, precision=config.precision, compile=False)
    model = set_up(config, pack, None, None).to(how.device, memory_format=torch.channels_last).train()
    objective, optimizer = make_objective(model, config, how, pack), make_optimizer(model, config, fused=how.fused)
    usual = model.usual_histogram() if config.dropped else None
    for step in range(steps + 1):
        if step == 1:  # the first one warms up
            began = time.perf_counter()
        plan = plan_batch(config, len(pack), step)
        objective(make_batch(config, pack, plan, slice(None), how.device, usual))[0].backward()
        optimizer.step()
        optimizer.zero_grad()
        float(model.log_temperature.detach())  # waits for the device
    return (time.perf_counter() - began) / steps


def start_from(model: Colorizer, init: Colorizer) -> list[str]:
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


def train(
    config: TrainConfig,
    pack: Pack,
    run: str | Path,
    *,
    backbone: dict[str, Tensor] | None = None,
    init: Colorizer | None = None,
    validate: Callable[[Colorizer, int], dict[str, float]] | None = None,
    callback: Callable[[dict], None] | None = None,
    minutes: float | None = None,
    device: str | torch.device = "cpu",
    compile: bool | None = None,
    quiet: bool = False,
) -> Colorizer:
    """Train a model, or go on with the run that the folder holds.

    Under ``torchrun`` each process takes its share of every batch. Written into ``run``: ``config.json``,
    ``history.csv``, ``state.safetensors`` (to resume) and ``model.safetensors`` (to use; the moving average).

    Args:
        config: all that decides the run's numbers.
        pack: the photos.
        run: the run's folder.
        backbone: ImageNet weights by name (see :func:`histcolor.backbone.load_imagenet_weights`).
        init: start from this model's weights (the stage at 256 pixels starts from the one at 128), as far as names and
            shapes are the same; the rest starts fresh, the backbone from ``backbone``.
        validate: called with the averaged model and the step at every checkpoint; its numbers go into the history.
        callback: called with each row of the history.
        minutes: stop at the next row of the history after this time; a later call goes on.
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
    if config.batch_size % world:
        raise ValueError(f"batch_size {config.batch_size} can not be shared out to {world} processes.")
    if pack.images.shape[1] < config.size:
        raise ValueError(
            f"The pack's photos have {pack.images.shape[1]} pixels a side, crops of {config.size} are asked."
        )
    share, chief = config.batch_size // world, rank == 0
    part = slice(rank * share, (rank + 1) * share)
    length = config.until or (60 * minutes if minutes else None)
    how = execution(device, precision=config.precision, compile=compile, seconds=length)
    how.apply()

    model = set_up(config, pack, backbone, init).to(how.device, memory_format=torch.channels_last)
    ema, optimizer, step, seconds = Ema(model, config.ema), make_optimizer(model, config, fused=how.fused), 0, 0.0
    state, photos = run / "state.safetensors", pack.fingerprint()
    if state.is_file():
        check_same_run(asdict(config), run / "config.json")
        step, seconds = load_state(state, model, ema, optimizer, photos)
    elif chief:
        write_text(json.dumps(asdict(config), indent=2), run / "config.json")
    if chief:
        clear_temporaries(run)
    history = History(run / "history.csv", step)
    model.train()
    pack = pack.to(how.device) if how.resident else pack
    usual = model.usual_histogram() if config.dropped else None
    objective = make_objective(DistributedDataParallel(model) if world > 1 else model, config, how, pack)
    look = look_at
    if how.compile:
        look = torch.compile(look_at, dynamic=False)
        plan = plan_batch(config, len(pack), step)
        objective = compiled(objective, make_batch(config, pack, plan, part, how.device, usual, look_at))
        model.zero_grad(set_to_none=True)

    sums: dict[str, Tensor] = {}
    logged = step
    steps, last = math.inf if config.until else config.steps, time.perf_counter()
    began = entered - seconds  # as if the run had never been stopped
    elapsed = _agree(time.perf_counter() - began, how.device)  # read at each row: the same for all processes
    bar = tqdm(
        total=None if config.until else steps,
        initial=step,
        desc=f"{run.name} ({how})",
        unit="step",
        disable=quiet or not chief,
    )
    while step < steps:
        batch = make_batch(config, pack, plan_batch(config, len(pack), step), part, how.device, usual, look)
        rate = learning_rate(config, step, elapsed)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        loss, terms = objective(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained(model).values(), config.clip)
        optimizer.step()
        ema.update(model, step)
        step += 1
        for name, value in {"loss": loss.detach(), **terms, "gradient_norm": norm}.items():
            sums[name] = sums.get(name, 0) + value
        if step % config.log_every and step < steps:
            continue
        # the one place in the loop where the device is waited for
        row = _mean_row(sums, step, step - logged, config.batch_size, world)
        now = time.perf_counter()
        row |= {"lr": rate, "temperature": float(model.log_temperature.detach().exp())}
        row["photos_per_second"] = round((step - logged) * config.batch_size / (now - last), 1)
        logged, sums = step, {}
        if row["loss"] != row["loss"]:
            raise FloatingPointError(f"The loss became NaN at step {step}; the last good checkpoint is {state}.")
        elapsed = _agree(now - began, how.device)
        over = step == steps or (0 < config.until <= elapsed)
        over = over or (minutes is not None and elapsed - seconds > 60 * minutes)
        if step % config.save_every == 0 or over:
            if chief:
                with ema.applied(model):
                    row |= validate(model, step) if validate else {}
                    save_model(model, run / "model.safetensors", about={"run": run.name, "step": step})
                history.add(row)
                history.write()
                save_state(state, model, ema, optimizer, step, photos, time.perf_counter() - began)
        else:
            history.add(row)
        bar.update(step - bar.n)
        bar.set_postfix(loss=f"{row['loss']:.4f}", photos_s=row["photos_per_second"])
        if callback and chief:
            callback(row)
        last = time.perf_counter()
        if over:
            break
    bar.close()
    if world > 1:
        dist.barrier()
    with torch.no_grad():
        for name, p in trained(model).items():
            p.copy_(ema.weights[name])
    return model.eval()


def set_up(config: TrainConfig, pack: Pack, backbone: dict[str, Tensor] | None, init: Colorizer | None) -> Colorizer:
    """A run's model before its first step, on the CPU: weights from the seed, from ImageNet, from another model."""
    torch.manual_seed(config.seed)
    model = build(config.model)
    if backbone and model.photo:
        load_imagenet_weights(model.photo.backbone, backbone)
    if init is not None and (fresh := start_from(model, init)):
        print(f"init: {len(fresh)} tensors are not in the model to start from, first {fresh[0]}", file=sys.stderr)
    if config.dropped and not model.automatic:
        model.usual.copy_(mean_histogram(pack, config.model.bins))
    if config.backbone_lr and model.photo:
        free(model.photo.backbone)
    return model


def _agree(value: float, device: torch.device) -> float:
    """What the first process says: clocks differ, and processes that part wait for one another for ever."""
    if not dist.is_initialized():
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=device)
    dist.broadcast(shared, 0)
    return float(shared)


def _mean_row(sums: dict[str, Tensor], step: int, steps: int, batch_size: int, world: int) -> dict[str, float]:
    """The start of a row of the history: means over the last ``steps`` steps and all processes."""
    values = torch.stack(list(sums.values())) / (steps * world)
    if world > 1:
        dist.all_reduce(values)
    return {"step": step, "photos": step * batch_size, **dict(zip(sums, values.tolist(), strict=True))}
