"""Numbers that say how good a result is: how near the true photo, how near the target histogram, how colourful."""

from __future__ import annotations

import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from histcolor.color import lab_to_rgb, rgb_to_lab
from histcolor.histogram import ab_histogram, earth_movers, hellinger, intersection

PERFECT_PSNR = 100.0  #: dB that the infinite PSNR of a perfect result counts as in a mean
FIDELITY_BINS = 16  #: bins along each axis in which target and achieved histograms are compared
#: decimals that per-image results keep; a mean over photos looks the same with or without this rounding
DIGITS = {"psnr": 3, "ssim": 4, "ssim_gauss": 4, "hellinger": 3, "intersection": 3, "earth_movers": 3}
DIGITS |= {"colourfulness": 2, "colourfulness_reference": 2}


def round8(rgb: Tensor) -> Tensor:
    """Clip and round RGB to the 256 values that a file can hold, in [0, 1]."""
    return (rgb.clamp(0, 1) * 255).round() / 255


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Compute the PSNR in dB over the last three axes of RGB ``[..., 3, H, W]`` in [0, 1]; ∞ for equal pictures."""
    return -10 * torch.log10(((x - y) ** 2).mean((-3, -2, -1)))


def ssim(x: Tensor, y: Tensor, *, gauss: bool = False) -> float:
    """Compute the structural similarity of RGB ``[3, H, W]`` in [0, 1], by scikit-image on 8-bit values.

    ``gauss=False``: its default 7×7 window; ``gauss=True``: the window of Wang et al. 2004 (sigma 1.5).
    """
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False} if gauss else {}
    a, b = ((v * 255).round().permute(1, 2, 0).numpy() for v in (x, y))
    return float(structural_similarity(a, b, data_range=255, channel_axis=2, **options))


def colourfulness(rgb: Tensor) -> float:
    """Compute how colourful RGB ``[3, H, W]`` in [0, 1] is (Hasler and Süsstrunk 2003): 0 gray, 59 quite colourful."""
    r, g, b = (rgb * 255).double()
    rg, yb = r - g, (r + g) / 2 - b
    spread = torch.sqrt(rg.var(correction=0) + yb.var(correction=0))
    return float(spread + 0.3 * torch.sqrt(rg.mean() ** 2 + yb.mean() ** 2))


def measure(output: Tensor, reference: Tensor, truth: Tensor | None = None) -> dict[str, float]:
    """Measure one result: how near it is to the true photo, and how near its histogram is to the target histogram.

    Args:
        output: the result, RGB ``[3, H, W]`` in [0, 1]; it is rounded to 8 bits first.
        reference: the reference image, Lab ``[3, h, w]``, which has the target histogram.
        truth: the true photo, RGB ``[3, H, W]`` in [0, 1]; None, as with cross-reference, gives no PSNR and no SSIM.

    Returns:
        ``psnr`` in dB, ``ssim``, ``ssim_gauss``, ``hellinger``, ``intersection``, ``earth_movers`` in units of ab,
        ``colourfulness`` of the result, ``colourfulness_reference``.
    """
    output = round8(output)
    target = ab_histogram(reference[1:], FIDELITY_BINS)
    achieved = ab_histogram(rgb_to_lab(output)[1:], FIDELITY_BINS)
    quality: dict[str, float] = {}
    if truth is not None:
        quality["psnr"] = float(psnr(output, truth))
        quality["ssim"], quality["ssim_gauss"] = ssim(output, truth), ssim(output, truth, gauss=True)
    return quality | {
        "hellinger": float(hellinger(target, achieved)),
        "intersection": float(intersection(target, achieved)),
        "earth_movers": float(earth_movers(target, achieved)),
        "colourfulness": colourfulness(output),
        "colourfulness_reference": colourfulness(lab_to_rgb(reference)),
    }
