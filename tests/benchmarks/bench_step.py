"""Profile one step of training.

    python tests/benchmarks/bench_step.py --preset small --batch 8 [--device cuda --compile]

Prints images per second and the operations that take most time; and for each image, the floating-point operations
(forward and backward), as a share of the device's peak, and the bytes that a large copy moves in the same time. The
peaks are measured by a large product and a large copy. It trains on noise, since speed does not depend on the photos.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from histcolor.batch import look_at
from histcolor.data import Pack
from histcolor.device import execution
from histcolor.losses import Loss
from histcolor.model import PRESETS
from histcolor.optimize import MovingAverage, TrainConfig, make_optimizer, trained
from histcolor.train import batches, compiled, forward_pass, set_up


def synchronize(device):
    """Wait for a GPU; nothing elsewhere."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds_of(function, device, *, least=3, seconds=2.0):
    """The median time of a call, after two to warm up."""
    times = []
    for i in range(10_000):
        began = time.perf_counter()
        function()
        synchronize(device)
        times.append(time.perf_counter() - began)
        if i >= least + 1 and sum(times[2:]) > seconds:
            break
    return float(np.median(times[2:]))


def peaks(device, bfloat16):
    """Operations and bytes per second of a large product and a large copy."""
    n = 8192 if device.type == "cuda" else 2048
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16 if bfloat16 else torch.float32)
    b, memory = a.clone(), torch.empty(2**30 if device.type == "cuda" else 2**27, dtype=torch.uint8, device=device)
    target = torch.empty_like(memory)
    products = 2 * n**3 / seconds_of(lambda: a @ b, device, seconds=1.0)
    return products, 2 * len(memory) / seconds_of(lambda: target.copy_(memory), device, seconds=1.0)


def make_step(preset, config, how):
    """Make a function that does a step as :func:`histcolor.train.train` does, on noise; it takes the step's number."""
    noise = np.random.default_rng(0).integers(0, 256, (256, config.size + 16, config.size + 16, 3), np.uint8)
    pack, loss = Pack(noise), Loss()
    model = set_up(config, PRESETS[preset], pack).to(how.device, memory_format=torch.channels_last).train()
    pack = pack.to(how.device) if how.resident else pack
    average, optimizer = MovingAverage(model, config.ema), make_optimizer(model, config, fused=how.fused)
    batch, objective = batches(config, model, loss, pack, slice(None), how.device), forward_pass(model, loss, how)
    look = look_at
    if how.compile:
        objective, look = compiled(objective, batch(0)), torch.compile(look_at, dynamic=False)

    weights = list(trained(model).values())

    def step(i):
        value, _ = objective(batch(i, look))
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(weights, config.clip)
        optimizer.step()
        average.follow(weights)

    return step


def images_per_second(step, config, device, seconds):
    """Measure after three steps to warm up; it waits for the device at the end, as training does."""
    for i in range(3):
        step(i)
    synchronize(device)
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds or done < 3:
        for _ in range(10 if device.type == "cuda" else 1):
            step(done + 3)
            done += 1
        synchronize(device)
    return done * config.batch_size / (time.perf_counter() - began)


def table(step, config, device, rows=10):
    """The costliest operations of a step: name, share of the time, milliseconds, calls."""
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    with profile(activities=activities) as profiler:
        for i in range(3):
            step(i)
        synchronize(device)
    on_gpu = device.type == "cuda"
    events = [e for e in profiler.key_averages() if not on_gpu or str(e.device_type).endswith("CUDA")]
    cost = (lambda e: e.self_device_time_total) if on_gpu else (lambda e: e.self_cpu_time_total)
    total = sum(map(cost, events))
    for e in sorted(events, key=cost, reverse=True)[:rows]:
        print(f"  {cost(e) / total:6.1%}  {cost(e) / 3000:8.2f} ms  {e.count // 3:5} calls  {e.key[:90]}")
    print(f"  all: {total / 3000:.1f} ms in {sum(e.count for e in events) // 3} calls", flush=True)


def flops_an_image(preset, config):
    """Count the operations for one image, forward and backward; a multiplication and an addition count as two."""
    plain = execution("cpu", precision="float32")
    step = make_step(preset, replace(config, batch_size=2), plain)
    with FlopCounterMode(display=False) as counter:
        step(0)
    return counter.get_total_flops() / 2


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small", choices=PRESETS)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--backbone-lr", type=float, default=0.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    how = execution(args.device, precision=args.precision, compile=args.compile)
    with how.applied():
        config = TrainConfig(
            size=args.size,
            batch_size=args.batch,
            cross=0.1,
            dropped=0.15,
            backbone_lr=args.backbone_lr,
        )
        step = make_step(args.preset, config, how)
        speed, flops = images_per_second(step, config, how.device, args.seconds), flops_an_image(args.preset, config)
        products, copies = peaks(how.device, how.bfloat16)
        print(f"{args.preset} at {args.size} pixels, batches of {args.batch}, {how}: {speed:.1f} images a second")
        print(
            f"  {flops / 1e9:.2f} GFLOP an image, {speed * flops / products:.1%} of the {products / 1e12:.2f} TFLOP/s"
        )
        print(
            f"  of a large product; a large copy moves {copies / 1e9:.0f} GB/s: {copies / speed / 1e6:.0f} MB an image"
        )
        table(step, config, how.device)
