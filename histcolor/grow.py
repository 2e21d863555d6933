"""Growing a trained network: a wider one that starts as the same function (Chen et al. 2016, Net2Net)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor, nn

from histcolor.config import ModelConfig
from histcolor.model import Colorizer

GROWS = ("width", "channels", "lateral", "squeeze")  #: what may differ between the narrow and the wide configuration

Parts = list[tuple[int, int]]  # joined features: how many channels each part has in the narrow network, and in the wide


def copies(parts: Parts) -> Tensor:
    """For each channel of the wide network the channel of the narrow one that it copies, ``[wide]``.

    A part is repeated whole: its groups stay groups for GroupNorm, and centred cosines stay what they are.

    Raises:
        ValueError: a part does not fit a whole number of times, or its groups would be torn.
    """
    index, start = [], 0
    for narrow, wide in parts:
        if wide % narrow:
            raise ValueError(f"{narrow} channels can not be copied to {wide}: a whole multiple is needed.")
        if wide != narrow and narrow > 8 and narrow % 8:
            raise ValueError(f"{narrow} channels can not grow, as they are not whole groups of 8.")
        index.append(torch.arange(wide) % narrow + start)
        start += narrow
    return torch.cat(index)


def shares(rows: int, index: Tensor, generator: torch.Generator) -> Tensor:
    """For each output, how the copies of an input share its weight: ``[rows, wide]``, adding up to 1 for each input.

    Unequal, at random: copies that are treated alike would stay alike for ever.
    """
    raw = torch.rand(rows, len(index), generator=generator) + 0.5
    total = torch.zeros(rows, int(index.max()) + 1).index_add_(1, index, raw)
    return raw / total[:, index]


def joined_parts(narrow: ModelConfig, wide: ModelConfig) -> dict[str, Parts]:
    """The layers whose input is joined of several parts, by name."""
    channels, lateral = (narrow.channels, wide.channels), (narrow.lateral, wide.lateral)
    squeezed = (narrow.squeeze, wide.squeeze) if narrow.squeeze else channels
    colours = [(2, 2)] if narrow.readout == "palette" else []
    return {
        "photo.join.0": [lateral] * 4,
        "photo.join.1": [lateral] * 4,
        "squeeze": [channels, *colours],
        "unet.group1.0": [(1, 1), squeezed, *colours],
    }


@torch.no_grad()
def grow(model: Colorizer, config: ModelConfig, *, seed: int = 0) -> Colorizer:
    """A wider network that computes what ``model`` does, up to rounding, and has more weights to learn with.

    Each channel is copied, and the layers that read the copies share out the weight that they gave the original.

    Args:
        model: the narrow network, with tokens (``guide="tokens"``).
        config: the wide one's; only :data:`GROWS` may differ, each by a whole factor.
        seed: of the random shares.

    Returns:
        The wide network, on the CPU.

    Raises:
        ValueError: another difference, or a factor that is not whole; the message names it.
    """
    narrow = model.config
    same = replace(config, **{name: getattr(narrow, name) for name in GROWS})
    if same != narrow or narrow.guide != "tokens" or bool(narrow.squeeze) != bool(config.squeeze):
        raise ValueError(f"A model can only grow in {', '.join(GROWS)}; here something else differs, too.")
    generator = torch.Generator().manual_seed(seed)
    model, wide = deepcopy(model).cpu(), Colorizer(config)
    source, layers, joined = model.state_dict(), dict(model.named_modules()), joined_parts(narrow, config)
    target = wide.state_dict()
    for name in target:
        if name in source and target[name].shape == source[name].shape:
            target[name].copy_(source[name])
    for name, layer in wide.named_modules():
        old = layers[name]
        if isinstance(old, nn.Identity) and isinstance(layer, nn.Conv2d):  # "widen", which 64 channels do not need
            layer.weight.copy_(torch.eye(64)[copies([(64, layer.out_channels)])][..., None, None])
            layer.bias.zero_()
        elif isinstance(layer, nn.GroupNorm | nn.InstanceNorm2d):
            index = copies(joined.get(name, [(len(old.weight), len(layer.weight))]))
            layer.weight.copy_(old.weight[index])
            layer.bias.copy_(old.bias[index])
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.groups == 1:
            inputs = copies(joined.get(name, [(old.in_channels, layer.in_channels)]))
            outputs = copies([(old.out_channels, layer.out_channels)])
            first = (0, 1) if isinstance(layer, nn.Conv2d) else (1, 0)  # the axes of outputs and inputs
            weight = old.weight.movedim(first, (0, 1))[outputs][:, inputs]
            weight = weight * shares(len(outputs), inputs, generator)[..., None, None]
            layer.weight.copy_(weight.movedim((0, 1), first))
            if layer.bias is not None:
                layer.bias.copy_(old.bias[outputs])
    return wide.eval()
