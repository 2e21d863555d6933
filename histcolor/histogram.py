"""The ab histogram: how it is counted, exactly or differentiably, shown to the network, and compared (2.1, 2.3).

Axis 0 of a histogram is a, axis 1 is b, both ascending over [-110, 110]; it sums to 1.
"""

from __future__ import annotations

import reprlib
import warnings
from numbers import Integral
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from histcolor.color import AB_MAX, check_channels
from histcolor.files import refuse_pipe

MAX_BINS = 1024  #: bins along an axis of a file's histogram
LARGE, PART = 2**20, 2**17  #: pixels above which they are counted part by part in float64; pixels of a part
EXACT = 1024  #: pixels counted in float16, which holds all whole numbers up to 2048


def check_bins(bins: int) -> None:
    """Refuse a number of bins along each axis with ``ValueError``, unless it is whole and at least 2."""
    if not isinstance(bins, Integral) or bins < 2:
        raise ValueError(f"bins must be a whole number of at least 2, such as 64, got {reprlib.repr(bins)}.")


def bin_width(bins: int) -> float:
    """Return the width of a bin in units of a or b: 220 / bins."""
    return 2 * AB_MAX / bins


def bin_centres(bins: int, *, dtype=torch.float32, device=None) -> Tensor:
    """Return the centres of the bins along one axis: ``[bins]``, ascending, in units of a or b."""
    return (torch.arange(bins, dtype=dtype, device=device) + 0.5) * bin_width(bins) - AB_MAX


def palette(bins: int, *, dtype=torch.float32, device=None) -> Tensor:
    """Make R_P (2.1): ``[bins, bins, 2]``, where entry [i, j] is the centre (a_i, b_j) of a bin, in units of ab."""
    centres = bin_centres(bins, dtype=dtype, device=device)
    return torch.stack(torch.meshgrid(centres, centres, indexing="ij"), dim=-1)


def _check_ab(name: str, ab: Tensor, bins: int) -> None:
    check_channels(name, ab, 2)
    check_bins(bins)
    if ab.shape[-1] * ab.shape[-2] == 0:
        raise ValueError(f"{name} needs at least one pixel, got shape {tuple(ab.shape)}.")


def ab_histogram(ab: Tensor, bins: int) -> Tensor:
    """Count the ab values of each image exactly (R_H, 2.1).

    Args:
        ab: ``[..., 2, H, W]`` in [-110, 110]; colours outside are counted in the bins at the edge.
        bins: bins along each axis, at least 2.

    Returns:
        ``[..., bins, bins]`` float32, non-negative, summing to 1. Not differentiable.

    Raises:
        ValueError: wrong shape, no pixels, NaN, or fewer than 2 bins.
    """
    _check_ab("ab_histogram", ab, bins)
    if not torch.isfinite(ab).all():
        raise ValueError("ab_histogram needs finite values, no NaN or infinity.")
    return count_ab(ab, bins)


def count_ab(ab: Tensor, bins: int, *, product: bool | None = None) -> Tensor:
    """Count as :func:`ab_histogram` does, but without its checks, which would make training wait for the device.

    With ``product``, by default on a GPU, pixels are counted by products of matrices of zeros and ones. The numbers are
    the same, but a GPU is slow at adding many ones to the same few bins, as a photo needs it.
    """
    lead, pixels = ab.shape[:-3], ab.shape[-1] * ab.shape[-2]
    index = ((ab + AB_MAX) / bin_width(bins)).floor().long().clamp(0, bins - 1).flatten(-2)
    if (ab.device.type != "cpu" if product is None else product) and pixels % EXACT == 0:
        grid = torch.arange(bins, device=ab.device)
        a, b = ((x.unflatten(-1, (-1, EXACT))[..., None] == grid).half() for x in index.unbind(-2))
        return (a.transpose(-1, -2) @ b).float().sum(-3) / pixels
    flat = (index[..., 0, :] * bins + index[..., 1, :]).reshape(-1, pixels)
    # counted as integers: exact for a photo of any size, and the same on every device
    counts = torch.zeros(len(flat), bins**2, dtype=torch.int64, device=ab.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    return (counts.double() / pixels).float().reshape(*lead, bins, bins)


def soft_ab_histogram(ab: Tensor, bins: int, *, method: str | None = None) -> Tensor:
    """Count ab values differentiably: each pixel shares its mass among its four nearest bins (T_H in (6)).

    The kernel is a triangle, two bins wide along each axis, so a pixel's weights sum to 1. A pixel beyond the last
    centre gives all of its mass to the bin at the edge. If all pixels lie on bin centres, the result equals
    :func:`ab_histogram`. Memory grows with pixels × bins at most, never with pixels × bins².

    Numbers are added in float32: a picture of one colour sums to 1 ± 0.0005 at 256×256 pixels and ± 0.01 at 1024×1024,
    photos to far nearer. Above :data:`LARGE` pixels they are added in float64.

    Args:
        ab: ``[..., 2, H, W]`` in [-110, 110].
        bins: bins along each axis, at least 2.
        method: ``"splat"`` (four additions for each pixel) or ``"matmul"`` (the product of two weight matrices
            [pixels, bins]). The default is splat on the CPU, where it is faster (see
            ``tests/benchmarks/bench_histogram.py``), and matmul elsewhere, since it always adds in the same order.

    Returns:
        ``[..., bins, bins]`` in the type of ``ab``, summing to 1, with a gradient to ``ab``.

    Raises:
        ValueError: wrong shape, no pixels, fewer than 2 bins, or an unknown method.
    """
    _check_ab("soft_ab_histogram", ab, bins)
    method = method or ("splat" if ab.device.type == "cpu" else "matmul")
    if method not in ("splat", "matmul"):
        raise ValueError(f"method must be 'splat' or 'matmul', got {method!r}.")
    pixels = ab.flatten(-2)  # [..., 2, P]
    if pixels.shape[-1] > LARGE:  # in float32 a bin that holds many pixels can not grow by the weight of one more
        mass = sum(_soft_counts(part.double(), bins, method) for part in pixels.split(PART, dim=-1))
    else:
        mass = _soft_counts(pixels if ab.dtype == torch.float64 else pixels.float(), bins, method)
    return (mass / pixels.shape[-1]).to(ab.dtype)


def _soft_counts(ab: Tensor, bins: int, method: str) -> Tensor:
    """Share pixels ``[..., 2, P]`` among bins, see :func:`soft_ab_histogram`: ``[..., bins, bins]``, summing to P."""
    position = ((ab + AB_MAX) / bin_width(bins) - 0.5).clamp(0, bins - 1)
    if method == "matmul":
        grid = torch.arange(bins, dtype=ab.dtype, device=ab.device)
        # [..., 2, bins, P]; the pixel axis last, so that the product reads memory in order
        weights = (1 - (position.unsqueeze(-2) - grid[:, None]).abs()).clamp(min=0)
        return weights[..., 0, :, :] @ weights[..., 1, :, :].transpose(-1, -2)
    return splat(position, bins)


def splat(position: Tensor, bins: int, mass: Tensor | None = None) -> Tensor:
    """Share each point's mass among its four nearest bins, in proportion to how near they are (bilinear).

    Args:
        position: ``[..., 2, P]`` in [0, bins - 1], counted in bins from the centre of the first one.
        bins: bins along each axis, at least 2.
        mass: ``[P]``; None: 1 for every point.

    Returns:
        ``[..., bins, bins]``, with a gradient to ``position``; a NaN in ``position`` gives NaN.
    """
    lower = position.detach().floor().clamp(max=bins - 2)
    upper_weight = position - lower
    corner = lower.nan_to_num().long()  # NaN can not be an index; it stays in the weights, and so in the result
    total = position.new_zeros(*position.shape[:-2], bins * bins)
    for da in (0, 1):
        for db in (0, 1):
            wa, wb = upper_weight[..., 0, :], upper_weight[..., 1, :]
            weight = (wa if da else 1 - wa) * (wb if db else 1 - wb)
            index = (corner[..., 0, :] + da) * bins + corner[..., 1, :] + db
            total = total.scatter_add(-1, index, weight if mass is None else weight * mass)
    return total.unflatten(-1, (bins, bins))


def as_numbers(hist: Tensor) -> Tensor:
    """Turn a tensor, an array of NumPy or a list of lists into a tensor, with its shape and its kind of numbers.

    Raises:
        ValueError: it holds no numbers, or its rows are of different lengths.
    """
    try:
        if isinstance(hist, np.ndarray):  # torch takes no flipped ones, nor another machine's order of bytes
            hist = hist.astype(hist.dtype.newbyteorder("="), order="C")
        return torch.as_tensor(hist)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"A histogram must be a square array of numbers, got {type(hist).__name__}.") from error


def check_histogram(hist: Tensor, bins: int | None = None) -> Tensor:
    """Check a histogram ``[..., bins, bins]`` and return it as float32 summing to 1.

    It may be a tensor, an array of NumPy or a list of lists, and need not be normalised. Colours outside of sRGB may
    have mass; pictures of them are clipped.

    Raises:
        ValueError: no numbers, wrong shape, NaN or infinity, a negative value, or no mass; the message says which.
    """
    hist = as_numbers(hist)
    if hist.ndim < 2 or hist.shape[-1] != hist.shape[-2] or hist.shape[-1] < 2:
        raise ValueError(f"A histogram must be square, [..., bins, bins], got shape {tuple(hist.shape)}.")
    if bins is not None and hist.shape[-1] != bins:
        raise ValueError(f"The histogram has {hist.shape[-1]} bins an axis, {bins} are needed: use resize_histogram.")
    if hist.is_complex():
        raise ValueError("The histogram has complex values; real numbers ≥ 0 are needed.")
    hist = hist.double()
    if not torch.isfinite(hist).all():
        raise ValueError("The histogram has NaN or infinite values.")
    if (hist < 0).any():
        raise ValueError("The histogram has negative values; masses must be ≥ 0.")
    peak = hist.amax((-2, -1), keepdim=True)
    if (peak == 0).any():
        raise ValueError("The histogram is all zero: paint at least one colour.")
    hist = hist / peak  # so that the sum of huge values can not overflow
    return (hist / hist.sum((-2, -1), keepdim=True)).float()


def read_histogram(file: str | Path | IO[bytes], name: str | None = None) -> Tensor:
    """Read a histogram from a ``.npy`` file; its header is checked before anything else is read.

    Returns:
        ``[bins, bins]`` float32, summing to 1, with the file's bins.

    Raises:
        OSError: no such file, or no ``.npy`` file with numbers; pickled objects are never read.
        ValueError: no histogram, see :func:`check_histogram`, or over 1,024 bins an axis; the messages name the file.
    """
    name = name or str(file)
    if isinstance(file, str | Path):
        try:
            refuse_pipe(file)
            with open(file, "rb") as opened:
                return read_histogram(opened, name)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{name}: there is no such file.") from error
        except (PermissionError, IsADirectoryError) as error:
            raise OSError(f"{name}: can not be read ({error.strerror}).") from error
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, _, kind = read_header[np.lib.format.read_magic(file)](file)
            file.seek(0)
    except Exception as error:  # the header is parsed as Python text: nearly everything may be raised
        raise OSError(f"{name}: is no .npy file with an array of numbers.") from error
    if kind.kind not in "biuf" or len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(f"{name}: a histogram must be a square array of numbers, got {kind} {shape}.")
    if shape[0] > MAX_BINS:
        raise ValueError(f"{name}: a histogram may have {MAX_BINS:,} bins an axis, got {shape[0]:,}.")
    try:
        values = np.load(file, allow_pickle=False).astype(np.float64)
    except Exception as error:
        raise OSError(f"{name}: is no .npy file with an array of numbers, or is cut off.") from error
    try:
        return check_histogram(torch.from_numpy(values))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def resize_histogram(hist: Tensor, bins: int) -> Tensor:
    """Change a histogram's number of bins, ``[..., n, n]`` → ``[..., bins, bins]``; bins share their mass by overlap.

    The mass within a bin is taken as uniform. The result is exact when one number of bins divides the other.

    Raises:
        ValueError: no histogram, see :func:`check_histogram`, or fewer than 2 bins.
    """
    check_bins(bins)
    hist = check_histogram(hist)
    n = hist.shape[-1]
    if n == bins:
        return hist
    # whole numbers, so that edges which coincide are equal: a bin is `bins` wide, a new one n
    edges_in = torch.arange(n + 1, dtype=torch.float64, device=hist.device) * bins
    edges_out = torch.arange(bins + 1, dtype=torch.float64, device=hist.device) * n
    overlap = torch.minimum(edges_out[1:, None], edges_in[1:]) - torch.maximum(edges_out[:-1, None], edges_in[:-1])
    share = (overlap.clamp(min=0) / bins).to(hist)  # [bins, n], columns sum to 1
    return share @ hist @ share.T


def represent(hist: Tensor, *, with_palette: bool = True) -> Tensor:
    """Make the network's input R_I = [R_H, R_P] (2.1) from histograms.

    R_H is given as sqrt(R_H / max R_H): a photo's histogram has one tall peak near gray, and the root keeps the rare
    colours visible. R_P is zero where R_H is zero, as in the authors' release.

    Args:
        hist: ``[N, bins, bins]``, summing to 1.
        with_palette: if false, R_P is zero everywhere (the ablation "no palette").

    Returns:
        ``[N, 3, bins, bins]``: the root of R_H in [0, 1], then a and b of the bin divided by 110, in [-1, 1].
    """
    root = (hist / hist.amax((-2, -1), keepdim=True).clamp(min=1e-12)).sqrt()
    colours = palette(hist.shape[-1], dtype=hist.dtype, device=hist.device).permute(2, 0, 1) / AB_MAX
    shown = (hist > 0).to(hist.dtype) * (1.0 if with_palette else 0.0)
    return torch.cat([root.unsqueeze(1), colours * shown.unsqueeze(1)], dim=1)


def mean_ab(hist: Tensor) -> Tensor:
    """Compute the mean colour of a histogram ``[..., bins, bins]`` that sums to 1: ``[..., 2]`` in units of ab."""
    return torch.einsum("...ij,ijc->...c", hist, palette(hist.shape[-1], dtype=hist.dtype, device=hist.device))


def intersection(p: Tensor, q: Tensor) -> Tensor:
    """Compute the histogram intersection Σ min(p, q) over the last two axes: 1 for equal, 0 for disjoint histograms."""
    return torch.minimum(p, q).sum((-2, -1))


def hellinger(p: Tensor, q: Tensor) -> Tensor:
    """Compute the Hellinger distance sqrt(1 - Σ sqrt(p q)) over the last two axes: 0 for equal, 1 for disjoint ones."""
    return (1 - (p * q).clamp(min=0).sqrt().sum((-2, -1))).clamp(min=0).sqrt()


def earth_movers(p: Tensor, q: Tensor, *, directions: int = 16) -> Tensor:
    """Compute the sliced earth mover's distance: the mean over directions of how far mass must move along them.

    It is in units of ab. Unlike :func:`intersection`, it tells how far apart two colours are; but a direction sees only
    its own part of the way, so the number is about 2/π, 0.64, of the distance that all of the mass moves together.
    """
    colours = palette(p.shape[-1], dtype=p.dtype, device=p.device).flatten(0, 1)  # [bins², 2]
    difference = (p - q).flatten(-2)
    total = p.new_zeros(p.shape[:-2])
    for angle in torch.arange(directions, dtype=torch.float64) * torch.pi / directions:
        along, order = (colours @ torch.stack([angle.cos(), angle.sin()]).to(colours)).sort()
        cumulated = difference[..., order].cumsum(-1)[..., :-1]
        total = total + (cumulated.abs() * along.diff()).sum(-1)
    return total / directions
