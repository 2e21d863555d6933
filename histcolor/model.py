"""The network: its configuration, the two branches of S, and the whole, equation (1) (2.1, 2.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histcolor.attention import Tokens, attend, compare, make_tokens
from histcolor.backbone import BACKBONES, build_backbone
from histcolor.checks import check_fields, one_of, switch, within
from histcolor.color import gray_rgb, scale_ab, scale_L, unscale_ab
from histcolor.histogram import represent
from histcolor.points import Pins
from histcolor.unet import UNet, in_eights, make_norm, upsample

TOKENS = 4096  #: that the attention may see at most: as many as in the paper, 64×64


@dataclass(frozen=True)
class ModelConfig:
    """The network's configuration, which a checkpoint holds; its fields also give the ablation's networks (Table 1).

    Raises:
        ValueError: a value is out of its range, or does not fit another field's; the message names the field.
    """

    backbone: str = one_of("tf_efficientnet_lite0", BACKBONES, "the ImageNet network in S")
    width: int = within(16, 1, 128, "channels of the U-Net's first group")
    channels: int = within(64, 1, 512, "C, the number of channels of F_T and F_R")
    lateral: int = within(32, 1, 256, "channels to which each of the backbone's four maps is reduced (the paper: C/4)")
    bins: int = within(64, 4, 256, "B, bins of the histogram along each axis")
    stride: int = within(2, 1, 64, "bins of a token along each axis: there are (bins/stride)² tokens")
    keep: int = within(256, 0, TOKENS, "how many of the heaviest tokens the attention sees; 0: all of them")
    palette: bool = switch(True, "R_I = [R_H, R_P]; if false, R_H alone")
    attention: bool = switch(True, "S compares photo and histogram; if false, F_R is resized and joined to L")
    readout: str = one_of(
        "palette",
        ("features", "palette"),
        "what C gets from S: 'features' as in (2), 'palette' also the tokens' mass and colour",
    )
    values: str = one_of("F_R", ("F_R", "Phi_R"), "of the attention: the features, or their normalised form, as in (2)")
    temperature: float = within(0.25, 1e-4, 1e5, "of the softmax in (2)")
    learn_temperature: bool = switch(True, "training changes the temperature")
    balance: int = within(2, 0, 100, "rounds of Sinkhorn: all places together use each token by its mass")
    squeeze: int = within(
        16, 0, 512, "channels to which F_U is reduced before upsampling, for speed; 0: not (the paper)"
    )
    norm: str = one_of("group", ("instance", "group"), "'instance' as in the paper")

    def __post_init__(self) -> None:
        check_fields(self)
        if self.bins % self.stride:
            raise ValueError(f"bins must be at least 4 and a multiple of stride, got {self.bins} and {self.stride}.")
        if self.norm == "instance" and self.bins == self.stride:
            raise ValueError("norm='instance' needs more than one token: bins must be above stride.")
        if self.attention and not self.keep and (tokens := (self.bins // self.stride) ** 2) > TOKENS:
            raise ValueError(f"keep must be from 1 to {TOKENS:,} where there are {tokens:,} tokens, (bins/stride)².")
        if self.readout == "palette" and not self.attention:
            raise ValueError("readout='palette' reads the histogram through the attention: it needs attention=True.")


PRESETS: dict[str, ModelConfig] = {
    # the paper as written: 256 bins at stride 4 are 64×64 tokens, cosine attention at temperature 0.01
    "paper": ModelConfig(
        backbone="vgg19", width=64, channels=128, lateral=32, bins=256, stride=4, keep=0, readout="features",
        values="Phi_R", temperature=0.01, learn_temperature=False, balance=0, squeeze=0, norm="instance",
    ),
    # those shipped: ten rounds of balancing are better than two, also where training had two, and cost 3 % of the time
    "base": ModelConfig(width=32, channels=128, squeeze=32, balance=10),
    "small": ModelConfig(balance=10),
    "mini": ModelConfig(width=8, channels=32, lateral=16),  # for experiments on a CPU
    "tiny": ModelConfig(width=4, channels=16, lateral=8, bins=16, stride=1, keep=64, balance=1, squeeze=4),  # for tests
}  # fmt: skip


def config_from_dict(values: dict) -> ModelConfig:
    """Make a configuration from the values in a checkpoint or ``config.json``.

    Raises:
        ValueError: a field is unknown or missing; the message names it.
    """
    known = {f.name for f in fields(ModelConfig)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"The model's configuration has unknown fields: {', '.join(unknown)}.")
    if missing := sorted(known - set(values)):
        raise ValueError(f"The model's configuration lacks fields: {', '.join(missing)}.")
    return ModelConfig(**values)


@dataclass
class PhotoFeatures:
    """The features that depend on the photo alone: :meth:`Colorizer.encode` computes them once, for many histograms."""

    L: Tensor  #: ``[N, 1, H, W]`` in [0, 100]
    f_t: Tensor | None  #: F_T, ``[N, C, H/4, W/4]``; None for a network without attention

    def expand(self, n: int) -> PhotoFeatures:
        """Repeat the features of one photo for ``n`` histograms, without copying them."""
        return PhotoFeatures(*(None if x is None else x.expand(n, -1, -1, -1) for x in (self.L, self.f_t)))


class ResidualBlock(nn.Module):
    """A residual block: two 3×3 convolutions, each normalised, and the identity."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), make_norm(norm, channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1), make_norm(norm, channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, h, w]`` → the same shape."""
        return F.relu(x + self.body(x))


class PhotoBranch(nn.Module):
    """The first branch of S: L → T_RGB → backbone → F_T. The backbone is frozen, unless training changes it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.backbone = build_backbone(config.backbone).requires_grad_(False)
        c = config.lateral
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(n, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, c, 3, padding=1))
            for n in self.backbone.channels
        )
        self.join = nn.Sequential(make_norm(config.norm, 4 * c), nn.Conv2d(4 * c, config.channels, 1))
        self.blocks = nn.Sequential(*(ResidualBlock(config.channels, config.norm) for _ in range(3)))

    def hypercolumns(self, L: Tensor) -> Tensor:
        """Join the backbone's four maps at one resolution: ``[N, 1, H, W]`` → ``[N, C, H/4, W/4]``."""
        size = (L.shape[-2] // 4, L.shape[-1] // 4)
        # a frozen backbone costs nothing in the backward pass: neither its input nor its weights need a gradient
        maps = self.backbone(gray_rgb(L).contiguous(memory_format=torch.channels_last))
        joined = [upsample(lateral(x), size) for lateral, x in zip(self.laterals, maps, strict=True)]
        return self.join(torch.cat(joined, dim=1))

    def forward(self, L: Tensor) -> Tensor:
        """L ``[N, 1, H, W]`` in [0, 100] → F_T ``[N, C, H/4, W/4]``."""
        return self.blocks(self.hypercolumns(L))


class HistogramBranch(nn.Module):
    """The second branch of S: R_I → F_R, one feature vector for each token, on the grid of the ab plane."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.AvgPool2d(config.stride))
        self.widen = nn.Conv2d(64, config.channels, 1) if config.channels != 64 else nn.Identity()
        self.blocks = nn.Sequential(*(ResidualBlock(config.channels, config.norm) for _ in range(3)))

    def forward(self, r_i: Tensor) -> Tensor:
        """R_I ``[N, 3, bins, bins]`` → F_R ``[N, C, bins/stride, bins/stride]``."""
        return self.blocks(self.widen(self.stem[1:](in_eights(self.stem[0], r_i))))


class KnowsAverage:
    """A network's ``average``: the mean histogram of its training images, zeros if it always had a histogram."""

    average: Tensor  #: ``[bins, bins]``

    @property
    def automatic(self) -> bool:
        """Whether the network was trained to colour without a histogram."""
        return bool(self.average.any())

    def average_histogram(self) -> Tensor:
        """Return the average histogram of the training images, ``[bins, bins]``, which is used where none is given.

        Raises:
            ValueError: the model was not trained to colour without a histogram.
        """
        if not self.automatic:
            raise ValueError("This model was not taught to colour without a histogram: give one.")
        return self.average / self.average.sum()


class Colorizer(KnowsAverage, nn.Module):
    """The whole network, Y_ab = C(T_L, S(T_L, R_I)) (1)."""

    method = "colorizer"  #: its name in checkpoints
    sees_histogram = True
    trained_size: int | None = None  #: pixels along each side of the crops in its training; None: not known

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.photo = PhotoBranch(config) if config.attention else None
        self.histogram = HistogramBranch(config)
        colours = 2 if config.readout == "palette" else 0
        features = config.squeeze or config.channels
        self.squeeze = nn.Conv2d(config.channels + colours, features, 1) if config.squeeze else nn.Identity()
        self.unet = UNet(1 + features + colours, config.width, config.norm)
        self.register_buffer("average", torch.zeros(config.bins, config.bins))
        # the exponent, so that the temperature stays positive while it is learned
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.temperature)))
        self.log_temperature.requires_grad_(config.learn_temperature and config.attention)
        start(self.histogram, self.unet, self.squeeze, self.photo)

    def encode(self, L: Tensor) -> PhotoFeatures:
        """Compute what depends on the photo alone.

        Args:
            L: ``[N, 1, H, W]`` in [0, 100]; H and W must be multiples of 8, and better of 32.

        Raises:
            ValueError: wrong shape, or a size that is no multiple of 8, or below 16 with VGG19 or ``norm="instance"``.
        """
        check_L(L, self.config)
        return PhotoFeatures(L, self.photo(L) if self.photo else None)

    def tokens(self, hist: Tensor) -> Tokens:
        """Turn histograms ``[N, bins, bins]`` that sum to 1 into the attention's tokens."""
        f_r = self.histogram(represent(hist, with_palette=self.config.palette))
        return make_tokens(f_r, hist, self.config.stride, self.config.keep)

    def compare(
        self, f_t: Tensor, tokens: Tokens, given: Tensor | None = None, raised: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute queries, keys and bias of (2), see :func:`histcolor.attention.compare`."""
        prior, temperature = self.config.readout == "palette", self.log_temperature.float().exp()
        return compare(f_t, tokens, temperature, given, raised, prior=prior, rounds=self.config.balance)

    def attend(self, f_t: Tensor, tokens: Tokens, given: Tensor | None = None, pins: Pins | None = None) -> Tensor:
        """Compute F_U' (2), with palette readout also the attended mean colour: ``[N, C (+2), H/4, W/4]``."""
        raised = None if pins is None else pins.logits(unscale_ab(tokens.ab))
        query, key, bias = self.compare(f_t, tokens, given, raised)
        value = key if self.config.values == "Phi_R" else tokens.f_r.float()
        if self.config.readout == "palette":
            value = torch.cat([value, tokens.ab], dim=2)
        out = attend(query, key, bias if self.config.readout == "palette" else None, value, raised)
        out = out.unflatten(2, f_t.shape[-2:])
        if pins is not None and self.config.readout == "palette":
            out = torch.cat([out[:, :-2], scale_ab(pins.correct(unscale_ab(out[:, -2:])))], dim=1)
        return out

    def attention_weights(self, photo: PhotoFeatures, hist: Tensor, given: Tensor | None = None) -> Tensor:
        """Compute softmax_j(M(i, j)) of (2) for all places and tokens: ``[N, H/4, W/4, bins/stride, bins/stride]``.

        The attention explorer shows it. These are places × tokens numbers, so use it for one photo only.
        """
        tokens = self.tokens(hist)
        query, key, bias = self.compare(photo.f_t, tokens, given)
        weights = torch.softmax(query @ key.transpose(1, 2) + bias[:, None], dim=2)
        side = self.config.bins // self.config.stride
        full = weights.new_zeros(*weights.shape[:2], side**2)
        full.scatter_(2, tokens.index[:, None].expand_as(weights), weights)
        return full.unflatten(2, (side, side)).unflatten(1, photo.f_t.shape[-2:])

    def decode(
        self, photo: PhotoFeatures, hist: Tensor, given: Tensor | None = None, pins: Pins | None = None
    ) -> Tensor:
        """Colour encoded photos with histograms.

        Args:
            photo: from :meth:`encode`, for N photos.
            hist: ``[N, bins, bins]``, each summing to 1; the average histogram where none is given.
            given: ``[N]``, booleans: whether a histogram is given. None: given everywhere.
            pins: colours of places (:mod:`histcolor.points`), which the attention and C take account of; whoever
                calls then corrects the result by them.

        Returns:
            Y_ab divided by 110, ``[N, 2, H, W]``, about [-1, 1].
        """
        L = scale_L(photo.L)
        if photo.f_t is None:
            f_u = self.histogram(represent(hist, with_palette=self.config.palette))
        else:
            tokens = self.tokens(hist)
            with torch.autocast(L.device.type, enabled=False):  # bfloat16 would round the logits
                f_u = self.attend(photo.f_t, tokens, given, pins)
        if self.config.readout == "features":
            return self.unet(torch.cat([L, upsample(self.squeeze(f_u), L.shape[-2:])], dim=1))
        with torch.autocast(L.device.type, enabled=False):  # … and the colours
            colours = upsample(f_u[:, -2:], L.shape[-2:])  # the attended colour of each place, which C corrects
        f_u = in_eights(self.squeeze, f_u) if self.config.squeeze else f_u[:, :-2]
        features = upsample(f_u, L.shape[-2:])
        return colours + self.unet(torch.cat([L.to(features), features, colours.to(features)], dim=1))

    def forward(self, L: Tensor, hist: Tensor, given: Tensor | None = None) -> Tensor:
        """Compute Y_ab / 110 for L ``[N, 1, H, W]`` in [0, 100] and histograms ``[N, bins, bins]``: ``[N, 2, H, W]``.

        ``given``: see :meth:`decode`.
        """
        return self.decode(self.encode(L), hist, given)


def check_L(L: Tensor, config: ModelConfig) -> None:
    """Raise a ValueError if a network of this configuration can not use this L: see :meth:`Colorizer.encode`."""
    if L.ndim != 4 or L.shape[1] != 1 or L.shape[2] % 8 or L.shape[3] % 8 or L.numel() == 0:
        raise ValueError(f"L must be [N, 1, H, W] with H and W multiples of 8, got {tuple(L.shape)}.")
    for name, value in {"norm": "instance", "backbone": "vgg19"}.items():
        # one place at the bottleneck has no variance; VGG19 halves the photo four times
        if getattr(config, name) == value and min(L.shape[2:]) < 16:
            raise ValueError(f"L must have H and W of at least 16 where {name}={value!r}, got {tuple(L.shape)}.")


def start(*parts: nn.Module | None) -> None:
    """Initialise trained convolutions and linear layers as He et al. 2015 do; the U-Net's last layer is zero.

    So the first results are gray or the attended colours, not noise. The U-Net's three transposed convolutions stay as
    torch makes them, 3.5 to 5 times smaller and with biases: every network that was measured began so.
    """
    for part in parts:
        for module in part.modules() if part is not None else ():
            if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.requires_grad:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if isinstance(part, UNet):
            nn.init.zeros_(part.out.weight)
