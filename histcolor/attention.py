"""The attention of S: the histogram's tokens, equation (2), and Sinkhorn's balancing (2.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from histcolor.color import AB_MAX
from histcolor.histogram import palette


@dataclass
class Tokens:
    """The histogram as the attention sees it: T tokens, the heaviest ones first if not all are kept."""

    f_r: Tensor  #: F_R, ``[N, T, C]``
    ab: Tensor  #: mean colour of a token's mass divided by 110, ``[N, T, 2]`` in [-1, 1]
    log_mass: Tensor  #: natural logarithm of a token's mass, ``[N, T]``
    index: Tensor  #: index of the token in the flattened grid of (bins/stride)² tokens, ``[N, T]``


def make_tokens(f_r: Tensor, hist: Tensor, stride: int, keep: int) -> Tokens:
    """Give each token its features, mass and colour, and keep the heaviest tokens.

    Args:
        f_r: F_R, ``[N, C, bins/stride, bins/stride]``.
        hist: ``[N, bins, bins]``, each summing to 1.
        stride: how many bins a token has along each axis.
        keep: how many tokens are kept; 0: all of them.
    """
    f_r = f_r.flatten(2).transpose(1, 2)
    mass, ab = token_colours(hist, stride)
    if 0 < keep < mass.shape[1]:
        mass, index = mass.topk(keep, dim=1)
        f_r, ab = (x.gather(1, index[..., None].expand(-1, -1, x.shape[2])) for x in (f_r, ab))
    else:
        index = torch.arange(mass.shape[1], device=hist.device).expand(len(hist), -1)
    return Tokens(f_r, ab, mass.clamp(min=1e-8).log(), index)


def token_colours(hist: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Compute mass ``[N, T]`` and mean colour divided by 110 ``[N, T, 2]`` of each block of stride × stride bins."""
    plane = palette(hist.shape[-1], dtype=hist.dtype, device=hist.device).permute(2, 0, 1) / AB_MAX
    mass = F.avg_pool2d(hist.unsqueeze(1), stride) * stride**2
    moment = F.avg_pool2d(hist.unsqueeze(1) * plane, stride) * stride**2
    centre = F.avg_pool2d(plane, stride)
    colour = torch.where(mass > 0, moment / mass.clamp(min=1e-12), centre)
    return mass.flatten(1), colour.flatten(2).transpose(1, 2)


def normalise(x: Tensor, axis: int = 1) -> Tensor:
    """Centre and normalise features along an axis: F → Φ (2.2), so that Φ_T Φ_Rᵀ is a centred cosine in [-1, 1]."""
    x = x.float()
    return F.normalize(x - x.mean(axis, keepdim=True), dim=axis, eps=1e-6)


def balance(logits: Tensor, log_mass: Tensor, rounds: int) -> Tensor:
    """Balance the attention (Sinkhorn, ours): find the prior with which all places together use each token by its mass.

    If the target histogram is the photo's own, the chance that a place has colour j, averaged over all places, is the
    mass of j. Attention computes each place alone and does not know that; balancing adds it.

    Args:
        logits: M divided by the temperature, ``[N, I, T]``, for I places.
        log_mass: ``[N, T]``.
        rounds: rounds of normalising over tokens, then over places; 0 returns ``log_mass``.

    Returns:
        A bias for the logits, ``[N, T]``.
    """
    prior = log_mass
    for _ in range(rounds):
        places = logits - torch.logsumexp(logits + prior[:, None], dim=2, keepdim=True)
        prior = log_mass - (torch.logsumexp(places, dim=1) - math.log(logits.shape[1]))
    return prior


def compare(
    f_t: Tensor,
    tokens: Tokens,
    temperature: Tensor,
    given: Tensor | None,
    raised: Tensor | None = None,
    *,
    prior: bool,
    rounds: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the parts of M in (2): queries, keys, and a bias for each token.

    Args:
        f_t: F_T, ``[N, C, h, w]``.
        tokens: of the target histograms.
        temperature: of the softmax, one number.
        given: ``[N]``, booleans, false where no histogram is given and the average histogram is used instead. There the
            bias is not balanced, since a photo need not have every colour of the average. None: given everywhere.
        raised: what pins add to M at each place, ``[N, h·w, T]``; balancing takes account of it. None: nothing.
        prior: whether the bias is the tokens' log mass (ours); without it, the bias is zero, as in the paper.
        rounds: of :func:`balance`.

    Returns:
        Φ_T divided by the temperature ``[N, h·w, C]``, Φ_R ``[N, T, C]``, the bias ``[N, T]``.
    """
    phi_t, key = normalise(f_t) / temperature, normalise(tokens.f_r, 2)
    query = phi_t.flatten(2).transpose(1, 2)
    if not prior:
        return query, key, torch.zeros_like(tokens.log_mass)
    if not rounds:
        return query, key, tokens.log_mass
    # every second place along each axis is nearly as good as all of them, and a quarter of the work
    logits = phi_t[..., ::2, ::2].flatten(2).transpose(1, 2) @ key.transpose(1, 2)
    if raised is not None:
        logits = logits + raised.unflatten(1, f_t.shape[-2:])[:, ::2, ::2].flatten(1, 2)
    balanced = balance(logits, tokens.log_mass, rounds)
    return query, key, balanced if given is None else torch.where(given[:, None], balanced, tokens.log_mass)


def attend(query: Tensor, key: Tensor, bias: Tensor | None, value: Tensor, raised: Tensor | None = None) -> Tensor:
    """Compute F_U' (2): softmax(M) times the tokens' values.

    As values, (2) has Φ_R; ours are F_R, unless :attr:`histcolor.model.ModelConfig.values` says otherwise. With palette
    readout the tokens' colours are joined to them.

    Args:
        query: ``[N, I, C]``.
        key: ``[N, T, C]``.
        bias: added to M for each token, the same for all places, ``[N, T]``; None: zero.
        value: ``[N, T, V]``.
        raised: added to M as well, ``[N, I, T]``; None: zero.

    Returns:
        ``[N, V, I]``.
    """
    # in float32 whatever the precision: a logit of 30 that is rounded to bfloat16 is off by up to 0.06 (by an eighth of
    # that while a GPU trains, which may then use TF32)
    with torch.autocast(query.device.type, enabled=False):
        start = query.new_zeros(1, 1, 1) if bias is None else bias[:, None]
        logits = torch.baddbmm(start.float(), query.float(), key.float().transpose(1, 2))
        weights = (logits if raised is None else logits + raised).softmax(-1)
    return (weights.to(value.dtype) @ value).transpose(1, 2)
