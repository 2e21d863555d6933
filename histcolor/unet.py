"""The colorization network C: the U-Net of Zhang et al. 2017 with InstanceNorm for BatchNorm (2.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """Group normalisation in float32: on a processor torch has no fast one in bfloat16, for channels last."""

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, h, w]`` → the same shape and precision."""
        return super().forward(x.float()).to(x.dtype)


def make_norm(kind: str, channels: int) -> nn.Module:
    """Make a normalisation: ``instance`` (the paper's), or ``group`` (about 8 channels), which keeps uniform colour."""
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return GroupNorm(next(groups for groups in range(max(1, channels // 8), 0, -1) if channels % groups == 0), channels)


def in_eights(layer: nn.Conv2d, x: Tensor, *, fill: bool | None = None) -> Tensor:
    """Compute ``layer(x)`` with numbers of channels that are multiples of 8, by adding zeros: by default on a GPU.

    A GPU's matrix units take channels in eights; a library that has to add channels copies the tensor each time.
    """
    more_in, more_out = -layer.in_channels % 8, -layer.out_channels % 8
    if not (x.is_cuda if fill is None else fill) or not (more_in or more_out):
        return layer(x)
    weight = F.pad(layer.weight, (0, 0, 0, 0, 0, more_in, 0, more_out))
    y = F.conv2d(F.pad(x, (0, 0, 0, 0, 0, more_in)), weight, None, layer.stride, layer.padding, layer.dilation)
    return y[:, : layer.out_channels] + layer.bias.to(y)[:, None, None]


def linear_weights(inputs: int, outputs: int, like: Tensor) -> Tensor:
    """Compute the matrix of linear interpolation from ``inputs`` to ``outputs`` samples, as F.interpolate does it."""
    where = (torch.arange(outputs, device=like.device, dtype=torch.float32) + 0.5) * (inputs / outputs) - 0.5
    grid = torch.arange(inputs, device=like.device, dtype=torch.float32)
    return (1 - (where.clamp(0, inputs - 1)[:, None] - grid).abs()).clamp(min=0).to(like.dtype)


def upsample(x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Interpolate ``[N, C, h, w]`` bilinearly to ``size``, in training by two products with constant matrices.

    The result is that of ``F.interpolate(…, mode="bilinear", align_corners=False)``. The backward pass is faster: it is
    two products as well, while that of ``F.interpolate`` adds pixel by pixel. Without one, that function is faster.
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    if not (x.requires_grad and torch.is_grad_enabled()):
        return F.interpolate(x if x.shape[1] > 2 else x.contiguous(), size, mode="bilinear", align_corners=False)
    rows, columns = linear_weights(x.shape[2], size[0], x), linear_weights(x.shape[3], size[1], x)
    wide = columns @ x.permute(0, 2, 3, 1)  # [N, h, W, C]: the memory of channels last, read in order
    tall = rows @ wide.flatten(2)  # [N, H, W·C]
    return tall.unflatten(2, (size[1], -1)).permute(0, 3, 1, 2)


def _group(inputs: int, outputs: int, convolutions: int, norm: str, *, dilation: int = 1) -> nn.Sequential:
    """Make a convolution group: 3×3 convolutions with ReLU, and a normalisation at the end."""
    layers: list[nn.Module] = []
    for i in range(convolutions):
        layers += [nn.Conv2d(inputs if i == 0 else outputs, outputs, 3, padding=dilation, dilation=dilation), nn.ReLU()]
    return nn.Sequential(*layers, make_norm(norm, outputs))


class UNet(nn.Module):
    """Ten convolution groups, groups 5 and 6 dilated, skips added from 3 to 8, 2 to 9 and 1 to 10, tanh at the end.

    Channels are those of the paper at ``width=64``: 64, 128, 256, 512 … 512, 256, 128, 128.
    With ``classes`` above 0 it returns so many logits instead of ab, without tanh.
    """

    def __init__(self, inputs: int, width: int, norm: str, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        w1, w2, w4, w8 = width, 2 * width, 4 * width, 8 * width
        self.group1 = _group(inputs, w1, 2, norm)
        self.group2 = _group(w1, w2, 2, norm)
        self.group3 = _group(w2, w4, 3, norm)
        self.group4 = _group(w4, w8, 3, norm)
        self.group5 = _group(w8, w8, 3, norm, dilation=2)
        self.group6 = _group(w8, w8, 3, norm, dilation=2)
        self.group7 = _group(w8, w8, 3, norm)
        self.up8, self.skip3 = nn.ConvTranspose2d(w8, w4, 4, 2, 1), nn.Conv2d(w4, w4, 3, padding=1)
        self.group8 = nn.Sequential(nn.ReLU(), _group(w4, w4, 2, norm))
        self.up9, self.skip2 = nn.ConvTranspose2d(w4, w2, 4, 2, 1), nn.Conv2d(w2, w2, 3, padding=1)
        self.group9 = nn.Sequential(nn.ReLU(), _group(w2, w2, 1, norm))
        self.up10, self.skip1 = nn.ConvTranspose2d(w2, w2, 4, 2, 1), nn.Conv2d(w1, w2, 3, padding=1)
        self.group10 = nn.Sequential(nn.ReLU(), nn.Conv2d(w2, w2, 3, padding=1), nn.LeakyReLU(0.2))
        self.out = nn.Conv2d(w2, classes or 2, 1)

    def forward(self, x: Tensor, hint: Tensor | None = None) -> Tensor:
        """Predict ab from features, with a hint for the whole photo if there is one.

        Args:
            x: ``[N, inputs, H, W]``; H and W divisible by 8.
            hint: ``[N, 8·width]``, added at every place after group 4, like the global hints of Zhang et al. 2017.

        Returns:
            ``[N, 2, H, W]`` in (-1, 1), or logits ``[N, classes, H, W]``.
        """
        x1 = self.group1[1:](in_eights(self.group1[0], x))
        x2 = self.group2(x1[..., ::2, ::2])
        x3 = self.group3(x2[..., ::2, ::2])
        x4 = self.group4(x3[..., ::2, ::2])
        if hint is not None:
            x4 = x4 + hint.to(x4)[:, :, None, None]
        x7 = self.group7(self.group6(self.group5(x4)))
        x8 = self.group8(self.up8(x7) + self.skip3(x3))
        x9 = self.group9(self.up9(x8) + self.skip2(x2))
        x10 = self.group10(self.up10(x9) + self.skip1(x1))
        y = in_eights(self.out, x10).float()
        return y if self.classes else torch.tanh(y)
