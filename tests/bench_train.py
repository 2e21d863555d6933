"""How fast training is, beside the same model written plainly: python tests/bench_train.py [--preset small]

    python tests/bench_train.py --preset base --batch 64 --size 128 --device cuda --peak 989

*Ours* is :func:`histcolor.train.train`'s step: the pack in the device's memory, crops, Lab and histograms in batches
there, bfloat16, and on a GPU channels_last, torch.compile and the fused optimiser. *Plain* is float32, no compile,
photos cut and histograms counted one by one on the CPU, a wait for the device at every step. Both train on noise:
speed does not depend on what is seen. ``--peak`` is the device's TFLOP/s in bfloat16; with it the share of that is
given, counting the multiplications and additions of forward and backward pass.
"""

import argparse
import time

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from histcolor.batch import make_batch, plan_batch
from histcolor.checkpoint import build
from histcolor.color import rgb_to_lab, scale_ab
from histcolor.data import Pack
from histcolor.histogram import ab_histogram, soft_ab_histogram
from histcolor.losses import total_loss
from histcolor.model import PRESETS
from histcolor.train import TrainConfig, compiled, make_optimizer


def step_of_ours(config, pack, device):
    """A function that does one step, and the model."""
    model, pack = build(config.model).to(device).train(), pack.to(device)
    forward = model
    if device.type == "cuda":
        forward = compiled(model.to(memory_format=torch.channels_last), config, config.batch_size, device)
    optimizer = make_optimizer(model, config)

    def step(i):
        batch = make_batch(config, pack, plan_batch(config, len(pack), i), slice(None), device)
        with torch.autocast(device.type, torch.bfloat16):
            y_ab = forward(batch.L, batch.hist)
        loss, _ = total_loss(y_ab.float(), batch.t_ab, batch.r_h, batch.own, config.loss)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step, model


def step_of_plain(config, pack, device):
    """The same numbers, written as one would at first."""
    model = build(config.model).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)

    def step(i):
        plan, L, t_ab, hist, r_h = plan_batch(config, len(pack), i), [], [], [], []
        for index, corner, flip in zip(plan.index, plan.corner, plan.flip, strict=True):
            crop = pack.crops(np.array([index]), corner[None], np.array([flip]), config.size)[0]
            lab = rgb_to_lab(crop.float() / 255)
            L.append(lab[:1])
            t_ab.append(scale_ab(lab[1:]))
            hist.append(ab_histogram(lab[1:], config.model.bins))
            r_h.append(soft_ab_histogram(lab[1:], config.loss.histogram_bins))
        L, t_ab, hist, r_h = (torch.stack(x).to(device) for x in (L, t_ab, hist, r_h))
        loss, _ = total_loss(model(L, hist), t_ab, r_h, torch.ones(len(L), device=device), config.loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return step, model


def photos_per_second(step, config, device, seconds):
    """After two steps to warm up, as many as fit into the time."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    step(0), step(1), wait()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for _ in range(10 if device.type == "cuda" else 1):
            step(done + 2)
            done += 1
        wait()
    return done * config.batch_size / (time.perf_counter() - began)


def flops_a_photo(config, device):
    """Multiplications and additions of one photo, forward and backward."""
    model = build(config.model).to(device).train()
    L = torch.full((1, 1, config.size, config.size), 50.0, device=device)
    hist = torch.full((1, config.model.bins, config.model.bins), 1 / config.model.bins**2, device=device)
    with FlopCounterMode(display=False) as counter:
        model(L, hist).mean().backward()
    return counter.get_total_flops()


def bench(preset, size, batch, device, seconds=20.0, peak=None):
    """One line a form, and the ratio."""
    config = TrainConfig(model=PRESETS[preset], size=size, batch_size=batch)
    pack = Pack(np.random.default_rng(0).integers(0, 256, (256, size + 16, size + 16, 3), np.uint8))
    speeds = {}
    for name, make in (("plain", step_of_plain), ("ours", step_of_ours)):
        step, _ = make(config, pack, device)
        speeds[name] = photos_per_second(step, config, device, seconds)
        share = ""
        if peak:
            share = f"   {100 * speeds[name] * flops_a_photo(config, device) / (peak * 1e12):.1f} % of the peak"
        print(f"{preset} at {size} pixels, batches of {batch}: {name:5} {speeds[name]:9.1f} photos a second{share}")
    print(f"ours over plain: {speeds['ours'] / speeds['plain']:.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small", choices=PRESETS)
    parser.add_argument("--size", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--peak", type=float, help="the device's TFLOP/s in bfloat16")
    args = parser.parse_args()
    for size in args.size:
        bench(args.preset, size, args.batch, torch.device(args.device), args.seconds, args.peak)
