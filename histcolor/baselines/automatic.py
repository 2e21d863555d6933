"""Methods that regress colours from the photo alone: a plain U-Net, and Iizuka et al. 2016."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histcolor.backbone import build_backbone
from histcolor.baselines.network import Baseline, fully_connected
from histcolor.color import gray_rgb
from histcolor.model import ModelConfig, start
from histcolor.unet import UNet


class Automatic(Baseline):
    """L alone through the U-Net: no histogram, no backbone."""

    method = "automatic"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.unet = UNet(1, config.width, config.norm)
        start(self.unet)


class Photo(nn.Module):
    """The backbone alone, frozen, where :class:`histcolor.Colorizer` has its photo branch."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.backbone = build_backbone(config.backbone).requires_grad_(False)

    def forward(self, L: Tensor) -> Tensor:
        """Pool the deepest map: L ``[N, 1, H, W]`` → ``[N, C', 1, 1]``."""
        maps = self.backbone(gray_rgb(L).contiguous(memory_format=torch.channels_last))
        return maps[-1].mean((2, 3), keepdim=True)


class Iizuka2016(Baseline):
    """The backbone's deepest features, pooled over the photo, added to the local ones (Iizuka et al. 2016).

    Theirs learns its map, together with a photo's class; ours is a network that ImageNet's classes have taught.
    Theirs joins the vector to each place's features before a convolution; adding it is the same for that convolution.
    """

    method = "iizuka2016"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.photo = Photo(config)
        self.unet = UNet(1, config.width, config.norm)
        layers = fully_connected(self.photo.backbone.channels[-1], 8 * config.width, 3)
        self.hints = nn.Sequential(nn.Flatten(), *layers)
        start(self.unet, self.hints)

    def paint(self, L: Tensor, features: Tensor | None, hist: Tensor) -> Tensor:
        """Add the pooled features at the bottleneck."""
        with torch.autocast(L.device.type, enabled=False):
            hint = self.hints(features.float())
        return self.unet(L, hint)
