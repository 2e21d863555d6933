"""Validation: what a training run measures at every checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from histcolor.color import gray_rgb, lab_to_rgb, rgb_to_lab, unscale_ab
from histcolor.data import Pack
from histcolor.device import execution
from histcolor.histogram import ab_histogram, intersection
from histcolor.metrics import FIDELITY_BINS, psnr, round8


def make_validator(
    pack: Pack,
    *,
    size: int,
    photos: int = 200,
    batch_size: int = 20,
    look: Callable[[int, list[torch.Tensor]], None] | None = None,
) -> Callable[[nn.Module, int], dict[str, float]]:
    """Make a function for :func:`histcolor.train.train` that measures a model on photos that it is not trained on.

    It returns ``psnr`` (dB, self-reference) and ``intersection_cross`` (16 bins, the next photo as reference image),
    the means over the middle crops of ``photos`` photos, always the same ones. It computes in training's default
    precision (bfloat16 where the device has it). ``look`` is called with the step and a list of pictures of the first
    eight photos, RGB ``[8, 3, size, size]`` each: gray, true, self-reference, cross-reference, the reference images.
    """
    chosen = np.random.default_rng(0).permutation(len(pack))[:photos]
    middle, straight = np.full((len(chosen), 2), 0.5), np.zeros(len(chosen), bool)
    truth = pack.crops(chosen, middle, straight, size).float() / 255

    def colour(model: nn.Module, lab: torch.Tensor, hist: torch.Tensor) -> torch.Tensor:
        device = next(model.parameters()).device
        with torch.no_grad(), execution(device).autocast():
            y_ab = model(lab[:, :1].to(device), hist.to(device))
        return round8(lab_to_rgb(torch.cat([lab[:, :1], unscale_ab(y_ab.float().cpu())], dim=1)))

    def validate(model: nn.Module, step: int) -> dict[str, float]:
        quality, fidelity, sheet = [], [], []
        for start in range(0, len(chosen), batch_size):
            part = torch.arange(start, min(start + batch_size, len(chosen)))
            true, references = truth[part], truth[(part + 1) % len(chosen)]
            lab, lab_references = rgb_to_lab(true), rgb_to_lab(references)
            hists = [ab_histogram(x[:, 1:], model.config.bins) for x in (lab, lab_references)]
            self_reference, cross_reference = (colour(model, lab, hist) for hist in hists)
            quality.append(psnr(self_reference, true))
            target, achieved = (
                ab_histogram(x[:, 1:], FIDELITY_BINS) for x in (lab_references, rgb_to_lab(cross_reference))
            )
            fidelity.append(intersection(achieved, target))
            if look and not sheet:
                sheet = [x[:8] for x in (gray_rgb(lab[:, :1]), true, self_reference, cross_reference, references)]
        if look:
            look(step, sheet)
        return {"psnr": float(torch.cat(quality).mean()), "intersection_cross": float(torch.cat(fidelity).mean())}

    return validate
