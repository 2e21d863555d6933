"""What a training run measures at every checkpoint; it draws nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from histcolor.color import lab_to_rgb, rgb_to_lab, unscale_ab
from histcolor.data import Pack
from histcolor.device import execution
from histcolor.histogram import ab_histogram, intersection
from histcolor.metrics import CONTROL_BINS, psnr, round8


def make_validator(
    pack: Pack,
    *,
    size: int,
    photos: int = 200,
    batch_size: int = 20,
    look: Callable[[int, list[torch.Tensor]], None] | None = None,
) -> Callable[[nn.Module, int], dict[str, float]]:
    """A function for :func:`histcolor.train.train` that measures a model on photos it does not train on.

    It gives ``psnr`` (dB, true histograms) and ``intersection_foreign`` (each photo asked the next one's
    histogram, 16 bins), over the middle crops of ``photos`` photos, always the same ones. It computes as training does
    by default (bfloat16 where the device has it). ``look`` is called with the step and the first eight photos, RGB
    ``[8, 3, size, size]`` each: gray, true, coloured with their own and with the others' histograms, the others.
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
        quality, control, sheet = [], [], []
        for start in range(0, len(chosen), batch_size):
            rows = torch.arange(start, min(start + batch_size, len(chosen)))
            own, others = truth[rows], truth[(rows + 1) % len(chosen)]
            lab, lab_others = rgb_to_lab(own), rgb_to_lab(others)
            hist = ab_histogram(lab[:, 1:], model.config.bins)
            asked = ab_histogram(lab_others[:, 1:], model.config.bins)
            predicted, foreign = colour(model, lab, hist), colour(model, lab, asked)
            quality.append(psnr(predicted, own))
            coarse = ab_histogram(lab_others[:, 1:], CONTROL_BINS)
            control.append(intersection(ab_histogram(rgb_to_lab(foreign)[:, 1:], CONTROL_BINS), coarse))
            if look and not sheet:
                gray = lab_to_rgb(torch.cat([lab[:, :1], torch.zeros_like(lab[:, 1:])], dim=1))
                sheet = [x[:8] for x in (gray, own, predicted, foreign, others)]
        if look:
            look(step, sheet)
        return {"psnr": float(torch.cat(quality).mean()), "intersection_foreign": float(torch.cat(control).mean())}

    return validate
