"""Definitions written out plainly, which the tests and the benchmarks compare with."""

from histcolor.histogram import bin_centres, bin_width


def plain_histogram(ab, bins):
    """The definition written out, [..., 2, H, W] → [..., bins, bins]; it holds [..., bins, bins, pixels]."""
    centres = bin_centres(bins, dtype=ab.dtype, device=ab.device)
    inside = ab.flatten(-2).clamp(centres[0].item(), centres[-1].item()).unsqueeze(-2)
    weights = (1 - (inside - centres[:, None]).abs() / bin_width(bins)).clamp(min=0)  # [..., 2, bins, pixels]
    return (weights[..., 0, :, None, :] * weights[..., 1, None, :, :]).mean(-1)
