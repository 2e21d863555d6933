"""Training: one plain loop, for one device or several (``torchrun``), that resumes exactly where it was stopped.

What a step sees is a function of the seed and the step alone (:func:`plan_batch`), so a run that was
killed and started again, or spread over processes, computes the same numbers as an unbroken one.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from histcolor.backbone import load_imagenet_weights
from histcolor.batch import make_batch, mean_histogram, plan_batch
from histcolor.checkpoint import build, fill, save_model
from histcolor.data import Pack
from histcolor.grow import grow
from histcolor.guides import ColourClasses
from histcolor.images import clear_temporaries, write_text
from histcolor.losses import LossConfig, class_loss, class_weights, total_loss
from histcolor.model import Colorizer, ModelConfig
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
    backbone_lr: float = 0.0  #: the backbone learns at this part of the rate; 0: it stays as ImageNet made it
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 1e-4
    schedule: str = "cosine"  #: "cosine" to zero, "constant", or "step": times 0.1 after each third (the paper at 256)
    warmup: int = 200  #: steps of linear warm-up
    clip: float = 1.0  #: largest norm of the gradient
    ema: float = 0.999  #: decay of the weights' moving average, which is what is shipped
    foreign: float = 0.2  #: share of photos that get a foreign or mixed histogram, and L_H alone
    dropped: float = 0.0  #: share of photos without a histogram, and without L_H: teaches automatic colouring
    seed: int = 0
    amp: bool = True  #: bfloat16 autocast
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
        for name in ("foreign", "dropped"):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {share}.")
            if self.model.guide == "none" and share:
                raise ValueError(f"guide='none' sees no histogram: it needs {name}=0, got {share}.")
        if self.loss.rebalance and self.model.head != "classes":
            raise ValueError("rebalance weights the loss of classes: it needs head='classes'.")


def learning_rate(config: TrainConfig, step: int) -> float:
    """The learning rate of a step, counted from 0."""
    rate = config.lr * min(1.0, (step + 1) / max(1, config.warmup))
    if config.schedule == "cosine":
        return rate * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * step / config.steps))))
    if config.schedule == "step":
        return rate * 0.1 ** (3 * step // config.steps)
    return rate


def make_optimizer(model: Colorizer, config: TrainConfig) -> torch.optim.AdamW:
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
        fused=groups["rest"][0].is_cuda,
    )


def compiled(model: Colorizer, config: TrainConfig, photos: int, device: torch.device) -> torch.nn.Module:
    """The model through ``torch.compile``, tried on one batch; as it is, with a warning, where that fails."""
    bins, size = config.model.bins, config.size
    L = torch.full((photos, 1, size, size), 50.0, device=device)
    hist = torch.full((photos, bins, bins), 1 / bins**2, device=device)
    try:
        fast = torch.compile(model)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.amp):
            raw = fast(L, hist, raw=True)
        raw.float().mean().backward()
    except Exception as error:  # compilers fail in many ways, and none of them need stop a run
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        warnings.warn(f"torch.compile does not work here, training goes on without it: {reason}", stacklevel=3)
        fast = model
    model.zero_grad(set_to_none=True)
    return fast


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
        init: start from this model's weights (the stage at 256 pixels starts from the one at 128); a narrower
            model is widened to the same function (:func:`histcolor.grow.grow`).
        validate: called with the averaged model and the step at every checkpoint; its numbers go into the history.
        callback: called with each row of the history.
        minutes: stop at the next row of the history after this time; a later call goes on.
        device: where to train; a pack that fits is kept in a GPU's memory.
        compile: use ``torch.compile``, which pays on a GPU over some minutes: by default there, and not on the CPU.
        quiet: no progress bar.

    Returns:
        The model with averaged weights, in eval mode.

    Raises:
        ValueError: the folder holds another run, or one on other photos; the batch can not be shared out, or a photo
            is too small.
        FloatingPointError: the loss became NaN; the last good checkpoint is kept.
    """
    device, run = torch.device(device), Path(run)
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    if config.batch_size % world:
        raise ValueError(f"batch_size {config.batch_size} can not be shared out to {world} processes.")
    if pack.images.shape[1] < config.size:
        raise ValueError(
            f"The pack's photos have {pack.images.shape[1]} pixels a side, crops of {config.size} are asked."
        )
    share = config.batch_size // world
    part, chief = slice(rank * share, (rank + 1) * share), rank == 0

    torch.manual_seed(config.seed)
    model, on_gpu = build(config.model).to(device), device.type == "cuda"
    if on_gpu:
        model.to(memory_format=torch.channels_last)  # what its convolutions compute in
    if backbone and model.photo:
        load_imagenet_weights(model.photo.backbone, backbone)
    if init is not None:
        fill(model, (init if init.config == config.model else grow(init, config.model)).state_dict(), "init")
    if config.dropped and not model.automatic:
        model.usual.copy_(mean_histogram(pack, config.model.bins))
    if config.backbone_lr and model.photo:
        model.photo.backbone.requires_grad_(True)
    ema, optimizer, step = Ema(model, config.ema), make_optimizer(model, config), 0
    state, photos = run / "state.safetensors", pack.fingerprint()
    if state.is_file():
        check_same_run(asdict(config), run / "config.json")
        step = load_state(state, model, ema, optimizer, photos)
    elif chief:
        write_text(json.dumps(asdict(config), indent=2), run / "config.json")
    if chief:
        clear_temporaries(run)
    history = History(run / "history.csv", step)
    model.train()
    # counted anew by every start and process, which costs seconds and needs no state: the same pack, the same weights
    weights = class_weights(ColourClasses().distribution(pack)).to(device) if config.loss.rebalance else None
    pack = pack.to(device)
    forward: torch.nn.Module = (
        compiled(model, config, share, device) if compile or (compile is None and on_gpu) else model
    )
    parallel = DistributedDataParallel(forward) if world > 1 else forward
    usual = model.usual_histogram() if config.dropped else None
    sums: dict[str, Tensor] = {}
    logged = step
    began = last = time.perf_counter()
    bar = tqdm(total=config.steps, initial=step, desc=run.name, unit="step", disable=quiet or not chief)
    while step < config.steps:
        batch = make_batch(config, pack, plan_batch(config, len(pack), step), part, device, usual)
        rate = learning_rate(config, step)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        with torch.autocast(device.type, torch.bfloat16, enabled=config.amp):
            raw = parallel(batch.L, batch.hist, raw=True)
        if model.classes is None:
            loss, terms = total_loss(raw.float(), batch.t_ab, batch.r_h, batch.own, config.loss, batch.asked)
        else:
            loss, terms = class_loss(raw.float(), batch.t_ab, model.classes, weights)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained(model).values(), config.clip)
        optimizer.step()
        ema.update(model, step)
        step += 1
        for name, value in {"loss": loss.detach(), **terms, "gradient_norm": norm}.items():
            sums[name] = sums.get(name, 0) + value
        if step % config.log_every and step < config.steps:
            continue
        # the one place in the loop where the device is waited for
        row = _mean_row(sums, step, step - logged, config.batch_size, world)
        row |= {"lr": rate, "temperature": float(model.log_temperature.detach().exp())}
        row["photos_per_second"] = round((step - logged) * config.batch_size / (time.perf_counter() - last), 1)
        logged, sums = step, {}
        if row["loss"] != row["loss"]:
            raise FloatingPointError(f"The loss became NaN at step {step}; the last good checkpoint is {state}.")
        over = _agree(minutes is not None and time.perf_counter() - began > 60 * minutes, device)
        if step % config.save_every == 0 or step == config.steps or over:
            if chief:
                with ema.applied(model):
                    row |= validate(model, step) if validate else {}
                    save_model(model, run / "model.safetensors", about={"run": run.name, "step": step})
                history.add(row)
                history.write()
                save_state(state, model, ema, optimizer, step, photos)
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


def _agree(flag: bool, device: torch.device) -> bool:
    """What the first process says: clocks differ, and processes that part wait for one another for ever."""
    if not dist.is_initialized():
        return flag
    shared = torch.tensor([flag], dtype=torch.uint8, device=device)
    dist.broadcast(shared, 0)
    return bool(shared)


def _mean_row(sums: dict[str, Tensor], step: int, steps: int, batch_size: int, world: int) -> dict[str, float]:
    """The start of a row of the history: means over the last ``steps`` steps and all processes."""
    values = torch.stack(list(sums.values())) / (steps * world)
    if world > 1:
        dist.all_reduce(values)
    return {"step": step, "photos": step * batch_size, **dict(zip(sums, values.tolist(), strict=True))}
