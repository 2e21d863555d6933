"""How fast training is, compared with plain code: python tests/benchmarks/bench_train.py [--preset small]

    python tests/benchmarks/bench_train.py --preset base --batch 128 --size 128 --device cuda --compile

*Ours* is :func:`histcolor.train.train`'s step (``bench_step.py`` profiles it). *Plain* uses float32 and no compiler,
cuts photos and counts histograms one by one on the CPU, and waits for the device at every step. Both train on noise,
since speed does not depend on the photos.
"""

import argparse

import numpy as np
import torch
from bench_step import images_per_second, make_step

from histcolor.batch import plan_batch
from histcolor.checkpoint import build
from histcolor.color import rgb_to_lab, scale_ab
from histcolor.data import Pack
from histcolor.device import execution
from histcolor.histogram import ab_histogram, soft_ab_histogram
from histcolor.losses import Loss
from histcolor.model import PRESETS
from histcolor.optimize import TrainConfig


def step_of_plain(preset, config, device):
    """Make a function that does the same step with plain code."""
    pack = Pack(np.random.default_rng(0).integers(0, 256, (256, config.size + 16, config.size + 16, 3), np.uint8))
    model, measure = build(PRESETS[preset]).to(device).train(), Loss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)

    def step(i):
        plan, L, t_ab, hist, r_h = (
            plan_batch(len(pack), i, batch_size=config.batch_size, seed=config.seed),
            [],
            [],
            [],
            [],
        )
        for index, corner, flip in zip(plan.index, plan.corner, plan.flip, strict=True):
            crop = pack.crops(np.array([index]), corner[None], np.array([flip]), config.size)[0]
            lab = rgb_to_lab(crop.float() / 255)
            L.append(lab[:1])
            t_ab.append(scale_ab(lab[1:]))
            hist.append(ab_histogram(lab[1:], model.config.bins))
            r_h.append(soft_ab_histogram(lab[1:], measure.histogram_bins))
        L, t_ab, hist, r_h = (torch.stack(x).to(device) for x in (L, t_ab, hist, r_h))
        loss, _ = measure(model(L, hist), t_ab, r_h, torch.ones(len(L), device=device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def bench(preset, size, batch, how, seconds):
    """Measure both, and print them and their ratio."""
    config = TrainConfig(size=size, batch_size=batch)
    plain = images_per_second(step_of_plain(preset, config, how.device), config, how.device, seconds)
    ours = images_per_second(make_step(preset, config, how), config, how.device, seconds)
    print(f"{preset} at {size} pixels, batches of {batch}, {how}: plain {plain:.1f}, ours {ours:.1f} images a second;")
    print(f"  ours over plain: {ours / plain:.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small", choices=PRESETS)
    parser.add_argument("--size", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    how = execution(args.device, precision=args.precision, compile=args.compile)
    with how.applied():
        for size in args.size:
            bench(args.preset, size, args.batch, how, args.seconds)
