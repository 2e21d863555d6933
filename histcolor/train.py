"""Training: one plain loop, for one device or several (``torchrun``), that resumes exactly where it was stopped.

The seed and the step's number decide what a step sees (:func:`histcolor.batch.plan_batch`). So a run that was killed
and started again, or that uses several processes, computes the same numbers as an unbroken one; but with ``until``,
whose schedule follows the clock, no two runs do.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from histcolor.backbone import free, load_imagenet_weights
from histcolor.batch import Batch, look_at, make_batch, mean_histogram, plan_batch
from histcolor.checkpoint import build, fill, save_model, save_state
from histcolor.data import Pack
from histcolor.device import Execution, execution
from histcolor.files import hold
from histcolor.images import write_table
from histcolor.model import ModelConfig
from histcolor.optimize import MovingAverage, TrainConfig, learning_rate, make_optimizer, trained
from histcolor.resume import describe, resume

# --- set-up: before the first step ---


def set_up(
    config: TrainConfig,
    model: ModelConfig,
    pack: Pack,
    *,
    method: str = "colorizer",
    backbone: dict[str, Tensor] | None = None,
    init: nn.Module | None = None,
) -> nn.Module:
    """Make a run's model as it is before the first step: its weights are new, from ImageNet, or from another model.

    Args:
        config: its seed decides the new weights; it also says whether the backbone is trained, and whether the average
            histogram is needed.
        model: the network's configuration.
        pack: the photos, for the average histogram.
        method: one of :data:`histcolor.checkpoint.METHODS`.
        backbone: ImageNet weights by name (see :func:`histcolor.backbone.load_imagenet_weights`).
        init: a model to start from (as the paper's stage at 256 pixels starts from the one at 128): its weights are
            copied where names and shapes are the same; all others are as without ``init``.

    Returns:
        The model, on the CPU.

    Raises:
        ValueError: ``init`` is another network, or ``config`` has histograms for a method that uses none.
    """
    torch.manual_seed(config.seed)
    network = build(model, method)
    if not network.sees_histogram and (config.cross or config.dropped):
        raise ValueError(f"The method {method!r} sees no histogram: it needs cross=0 and dropped=0.")
    photo = getattr(network, "photo", None)
    if backbone and photo:
        load_imagenet_weights(photo.backbone, backbone)
    if init is not None and (fresh := start_from(network, init)):
        print(f"init: {len(fresh)} tensors are not in the model to start from, first {fresh[0]}", file=sys.stderr)
    network.origin = fingerprint(init) if init is not None else ""
    if config.dropped and not network.automatic:
        network.average.copy_(mean_histogram(pack, model.bins))
    if config.backbone_lr and photo:
        free(photo.backbone)
    return network


def start_from(model: nn.Module, init: nn.Module) -> list[str]:
    """Copy the tensors that another model has with the same name and shape, and return the names of the others.

    Raises:
        ValueError: the other model has less than half of them, so it is another network.
    """
    mine, given = model.state_dict(), init.state_dict()
    shared = [name for name, value in mine.items() if name in given and given[name].shape == value.shape]
    count = sum(".backbone." not in name for name in shared), sum(".backbone." not in name for name in mine)
    if 2 * count[0] < count[1]:
        raise ValueError(
            f"The model to start from has {count[0]} of this model's {count[1]} tensors: give one of the same preset."
        )
    fill(model, mine | {name: given[name] for name in shared}, "init")
    return [name for name in mine if name not in shared]


def fingerprint(model: nn.Module) -> str:
    """Describe a model's weights by a checksum, to tell models apart."""
    total = 0
    for tensor in model.state_dict().values():
        total = zlib.crc32(tensor.detach().cpu().contiguous().numpy().tobytes(), total)
    return f"{total:08x}"


# --- a step ---


def batches(
    config: TrainConfig, model: nn.Module, loss: Any, pack: Pack, part: slice, device: torch.device
) -> Callable[..., Batch]:
    """Make a function that gives this process's part of a step's batch; see :func:`histcolor.batch.make_batch`."""
    shares = {name: getattr(config, name) for name in ("batch_size", "seed", "cross", "dropped", "zoom", "jitter")}
    average = model.average_histogram() if config.dropped else None
    options = {"size": config.size, "bins": (model.config.bins, loss.histogram_bins), "average": average}

    def batch(step: int, look: Callable = look_at) -> Batch:
        return make_batch(pack, plan_batch(len(pack), step, **shares), part, device, look=look, **options)

    return batch


def forward_pass(network: nn.Module, loss: Callable, how: Execution) -> Callable[[Batch], tuple[Tensor, dict]]:
    """Make one function of forward pass and loss, which can be differentiated and compiled."""

    def objective(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        with how.autocast():
            y_ab = network(batch.L, batch.hist, batch.given)
        return loss(y_ab.float(), batch.t_ab, batch.r_h, batch.self_reference, batch.given)

    return objective


def compiled(objective: Callable, batch: Callable[[Callable], Batch]) -> tuple[Callable, Callable]:
    """Compile the objective and :func:`look_at`, and try them; where that fails, warn and return both as they are.

    Args:
        objective: from :func:`forward_pass`.
        batch: makes the batch to try them on, with the compiled look that it is given.
    """
    try:
        fast, look = torch.compile(objective, dynamic=False), torch.compile(look_at, dynamic=False)
        fast(batch(look))[0].backward()
    except Exception as error:  # compilers fail in many ways, and none of them should stop a run
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        warnings.warn(f"torch.compile does not work here, training goes on without it: {reason}", stacklevel=3)
        return objective, look_at
    return fast, look


def seconds_a_step(
    config: TrainConfig, model: nn.Module, loss: Callable, pack: Pack, device: str = "cpu", *, steps: int = 2
) -> float:
    """Measure how many seconds a step of such a run takes here, by doing a few steps, which change the model."""
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
    lock: bool = True,
) -> nn.Module:
    """Train a model, or go on with the run that the folder holds.

    Under ``torchrun`` each process takes its share of every batch. Written into ``run``: ``config.json``,
    ``history.csv``, ``state.pt`` (to resume) and ``model.safetensors`` (to use; the moving average).

    Args:
        model: from :func:`set_up`, with the same ``config``; it is changed.
        loss: :class:`histcolor.losses.Loss`, or another function with the same arguments and results.
        pack: the photos.
        config: everything else that decides the run's numbers.
        run: the run's folder.
        validate: called with the averaged model and the step at every checkpoint; its numbers go into the history.
        callback: called with each line of the history.
        minutes: stop at the first line of the history after this time; a later call goes on.
        device: where to train; a GPU keeps the pack in its memory, if the pack fits.
        compile: use ``torch.compile``, see :func:`histcolor.device.execution`.
        quiet: no progress bar.
        lock: hold the folder, see :func:`histcolor.files.hold`; False: the caller holds it.

    Returns:
        The model with averaged weights, in eval mode.

    Raises:
        HeldError: (an ``OSError``) another process works in the folder; nothing there is changed.
        ValueError: the folder holds another run, or one on other photos; or the batch can not be divided among the
            processes; or the pack's photos are too small.
        FloatingPointError: the loss became NaN; the last good checkpoint, if any, is kept.
    """
    entered = time.perf_counter()
    run, rank, world = Path(run), *((dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1))
    part, chief = check_share(config, pack, rank, world), rank == 0
    length = config.until or (60 * minutes if minutes else None)
    how = execution(device, precision=config.precision, compile=compile, seconds=length)
    with hold(run) if lock and chief else nullcontext(), how.applied():
        model = model.to(how.device, memory_format=torch.channels_last)
        model.trained_size = config.size
        average, optimizer = MovingAverage(model, config.ema), make_optimizer(model, config, fused=how.fused)
        step, seconds, history = resume(
            run, describe(model, loss, config), model, average, optimizer, pack, chief=chief
        )
        model.train()
        weights = list(trained(model).values())
        pack = pack.to(how.device) if how.resident else pack
        batch = batches(config, model, loss, pack, part, how.device)
        objective, look = forward_pass(DistributedDataParallel(model) if world > 1 else model, loss, how), look_at
        if how.compile:
            objective, look = compiled(objective, lambda look: batch(step, look))
            model.zero_grad(set_to_none=True)

        limit = math.inf if minutes is None else 60 * minutes
        steps, sums, logged = math.inf if config.until else config.steps, {}, step
        began, last = entered - seconds, time.perf_counter()  # began: as if the run had never been stopped
        elapsed = agree(last - began, how.device)
        bar = tqdm(
            total=None if config.until else steps, initial=step, desc=f"{run.name} ({how})", unit="step",
            disable=quiet or not chief,
        )  # fmt: skip
        over = step >= steps or 0 < config.until <= seconds
        while not over:
            rate = learning_rate(config, step, elapsed)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["factor"]
            value, terms = objective(batch(step, look))  # the forward pass and the loss (3)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            norm = nn.utils.clip_grad_norm_(weights, config.clip)
            optimizer.step()
            average.follow(weights)
            step += 1
            for name, term in {"loss": value.detach(), **terms, "gradient_norm": norm}.items():
                sums[name] = sums.get(name, 0) + term
            if step % config.log_every and step < steps:
                continue

            # the only place in the loop that waits for the device
            line = means(sums, step - logged, world) | {"lr": rate}
            if line["loss"] != line["loss"]:
                saved = (run / "model.safetensors").is_file()
                good = f"the last good checkpoint is in {run}" if saved else "nothing was saved yet"
                raise FloatingPointError(f"The loss became NaN at step {step}; {good}.")
            if hasattr(model, "log_temperature"):
                line["temperature"] = float(model.log_temperature.detach().exp())
            now = time.perf_counter()
            speed = (step - logged) * config.batch_size / (now - last)
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
                save_state(
                    run / "state.pt", model, average, optimizer, step=step, pack=pack.fingerprint(), seconds=clock
                )
            bar.update(step - bar.n)
            bar.set_postfix(loss=f"{line['loss']:.4f}", photos_s=f"{speed:.3g}")
            if callback and chief:
                callback(line)
            last = time.perf_counter()
        bar.close()
        if world > 1:
            dist.barrier()
        model.load_state_dict(average.module.state_dict())
        return model.eval()


# --- around the loop ---


def check_share(config: TrainConfig, pack: Pack, rank: int, world: int) -> slice:
    """Return this process's part of a batch.

    Raises:
        ValueError: the batch can not be divided among the processes, or the pack's photos are smaller than the crops.
    """
    if config.batch_size % world:
        raise ValueError(f"batch_size {config.batch_size} can not be divided among {world} processes.")
    if pack.images.shape[1] < config.size:
        raise ValueError(
            f"The pack's photos have {pack.images.shape[1]} pixels a side, too few for crops of {config.size}."
        )
    share = config.batch_size // world
    return slice(rank * share, (rank + 1) * share)


def agree(value: float, device: torch.device) -> float:
    """Return the first process's value on all processes.

    Clocks differ; if one process stopped earlier than another, the other would wait for it forever.
    """
    if not dist.is_initialized():
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=device)
    dist.broadcast(shared, 0)
    return float(shared)


def means(sums: dict[str, Tensor], steps: int, world: int) -> dict[str, float]:
    """Average sums over the last ``steps`` steps and all processes."""
    values = torch.stack(list(sums.values())) / (steps * world)
    if world > 1:
        dist.all_reduce(values)
    return dict(zip(sums, values.tolist(), strict=True))
