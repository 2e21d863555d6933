"""The network: semantic-aware network S with its attention, and the whole (2.1, 2.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from histcolor.backbone import build_backbone
from histcolor.baselines.guides import ColourClasses, ColourHints, GlobalHints, PhotoHints
from histcolor.color import AB_MAX, gray_rgb, scale_L
from histcolor.config import PRESETS, ModelConfig, config_from_dict  # noqa: F401 - found here by all others
from histcolor.histogram import palette, represent
from histcolor.joint import Joint, upsample
from histcolor.unet import UNet, in_eights, make_norm


@dataclass
class PhotoFeatures:
    """What depends on the photo alone: computed once by :meth:`Colorizer.encode`, used with many histograms."""

    L: Tensor  #: ``[N, 1, H, W]`` in [0, 100]
    #: F_T, ``[N, C, H/4, W/4]``; without tokens hypercolumns of that shape, or the mean of the backbone's deepest map,
    #: ``[N, C', 1, 1]``; None without attention
    semantics: Tensor | None

    def expand(self, n: int) -> PhotoFeatures:
        """The features of one photo, repeated for ``n`` histograms without a copy."""
        parts = (self.L, self.semantics)
        return PhotoFeatures(*(None if x is None else x.expand(n, -1, -1, -1) for x in parts))


class ResidualBlock(nn.Module):
    """Two normalised 3×3 convolutions and the identity."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), make_norm(norm, channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1), make_norm(norm, channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, h, w]`` → the same shape."""
        return F.relu(x + self.body(x))


def normalise(x: Tensor, axis: int = 1) -> Tensor:
    """Centre and normalise features along an axis: F → Φ (2.2), so that Φ_T Φ_Rᵀ is a centred cosine in [-1, 1]."""
    x = x.float()
    return F.normalize(x - x.mean(axis, keepdim=True), dim=axis, eps=1e-6)


class PhotoBranch(nn.Module):
    """The first branch of S: L → T_RGB → backbone → F_T. The backbone is frozen unless training frees it.

    Rows without tokens stop earlier: "hypercolumns" where the four maps are joined, at one resolution and in C
    channels (Larsson 2016 joins the maps as they are), "fusion" at the mean of the deepest map (Iizuka 2016).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.backbone = build_backbone(config.backbone).requires_grad_(False)
        self.readout, c = config.readout, config.lateral
        if config.readout == "fusion":
            return
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(n, c, 3, padding=1), nn.ReLU(), nn.Conv2d(c, c, 3, padding=1))
            for n in self.backbone.channels
        )
        self.join = nn.Sequential(make_norm(config.norm, 4 * c), nn.Conv2d(4 * c, config.channels, 1))
        if config.attends:
            self.blocks = nn.Sequential(*(ResidualBlock(config.channels, config.norm) for _ in range(3)))

    def train(self, mode: bool = True) -> PhotoBranch:
        """As in torch, but for the backbone, which is never in training mode."""
        super().train(mode)
        self.backbone.eval()  # its BatchNorm keeps ImageNet's statistics
        return self

    def forward(self, L: Tensor) -> Tensor:
        """L ``[N, 1, H, W]`` in [0, 100] → F_T ``[N, C, H/4, W/4]``, or what the row takes instead."""
        size = (L.shape[-2] // 4, L.shape[-1] // 4)
        # a frozen backbone leaves no trace for the backward pass: neither its input nor its weights want a gradient
        maps = self.backbone(gray_rgb(L).contiguous(memory_format=torch.channels_last))
        if self.readout == "fusion":
            return maps[-1].mean((2, 3), keepdim=True)
        joined = [upsample(lateral(x), size) for lateral, x in zip(self.laterals, maps, strict=True)]
        f_t = self.join(torch.cat(joined, dim=1))
        return f_t if self.readout == "hypercolumns" else self.blocks(f_t)


class HistogramBranch(nn.Module):
    """The second branch of S: R_I → F_R, one feature a token, on the grid of the ab plane."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.AvgPool2d(config.stride))
        self.widen = nn.Conv2d(64, config.channels, 1) if config.channels != 64 else nn.Identity()
        self.blocks = nn.Sequential(*(ResidualBlock(config.channels, config.norm) for _ in range(3)))

    def forward(self, r_i: Tensor) -> Tensor:
        """R_I ``[N, 3, bins, bins]`` → F_R ``[N, C, bins/stride, bins/stride]``."""
        return self.blocks(self.widen(self.stem[1:](in_eights(self.stem[0], r_i))))


@dataclass
class Tokens:
    """The histogram as the attention sees it: T tokens, heaviest first if not all are kept."""

    f_r: Tensor  #: F_R, ``[N, T, C]``
    ab: Tensor  #: mean colour of a token's mass over 110, ``[N, T, 2]`` in [-1, 1]
    log_mass: Tensor  #: natural logarithm of a token's mass, ``[N, T]``
    index: Tensor  #: place of the token in the grid of (bins/stride)² tokens, ``[N, T]``
    asked: Tensor  #: ``[N]``, false where the histogram is the usual one, which asks for nothing


def token_colours(hist: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Mass ``[N, T]`` and mean colour over 110 ``[N, T, 2]`` of each block of stride × stride bins, row by row."""
    plane = palette(hist.shape[-1], dtype=hist.dtype, device=hist.device).permute(2, 0, 1) / AB_MAX
    mass = F.avg_pool2d(hist.unsqueeze(1), stride) * stride**2
    moment = F.avg_pool2d(hist.unsqueeze(1) * plane, stride) * stride**2
    centre = F.avg_pool2d(plane, stride)
    colour = torch.where(mass > 0, moment / mass.clamp(min=1e-12), centre)
    return mass.flatten(1), colour.flatten(2).transpose(1, 2)


def balance(logits: Tensor, log_mass: Tensor, rounds: int) -> Tensor:
    """Sinkhorn's balancing: the tokens' prior such that all places together use each token by its mass.

    If the asked histogram is the photo's true one, the chance that a place has colour j, added up over all places,
    is the mass of j. Attention that looks at each place alone does not know that; this does.

    Args:
        logits: M over the temperature, ``[N, I, T]``, for I places.
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


class Colorizer(nn.Module):
    """The whole network, Y_ab = C(T_L, S(T_L, R_I)) (1)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.photo = PhotoBranch(config) if config.attention else None
        self.histogram = HistogramBranch(config) if config.guide == "tokens" else None
        colours = 2 if config.readout == "palette" else 0
        joined = self.histogram is not None or config.readout == "hypercolumns"  # features at each place, beside L
        features = (config.squeeze or config.channels) if joined else 0
        squeezed = joined and config.squeeze
        self.squeeze = nn.Conv2d(config.channels + colours, features, 1) if squeezed else nn.Identity()
        self.classes = ColourClasses() if config.head == "classes" else None
        outputs = len(self.classes) if self.classes else 0
        self.joint = Joint(config.channels, config.joint) if config.joint else None
        self.unet = UNet(1 + features + colours, config.width, config.norm, outputs, config.channels * config.semantics)
        if config.guide != "none":  # zeros: never taught to colour without a histogram
            self.register_buffer("usual", torch.zeros(config.bins, config.bins))
        self.hints: nn.Module | None = None  # what makes a vector for the bottleneck
        if config.guide == "global":
            self.hints = GlobalHints(config.bins, 8 * config.width)
        elif config.guide == "colours":
            self.hints = ColourHints(config.colours, 8 * config.width)
        elif config.readout == "fusion":
            self.hints = PhotoHints(self.photo.backbone.channels[-1], 8 * config.width)
        # the exponent, so that the temperature stays positive while it is learned
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.temperature)))
        self.log_temperature.requires_grad_(config.learn_temperature and config.attends)
        parts = (self.histogram, self.unet, self.squeeze, self.photo, self.hints)
        for part in parts:  # the blocks of self-attention keep torch's own start
            for module in part.modules() if part is not None else ():
                if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.requires_grad:
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
        # training starts from gray, from the attended colours or from even odds, not from noise
        nn.init.zeros_(self.unet.out.weight)
        if self.joint:
            self.joint.start_from_zero()
        if self.unet.see:
            nn.init.zeros_(self.unet.see.weight)

    @property
    def automatic(self) -> bool:
        """Whether the network learned to colour without a histogram, or sees none at all."""
        return self.config.guide == "none" or bool(self.usual.any())

    def usual_histogram(self) -> Tensor:
        """What stands for a histogram where none is given: the mean over the training photos, ``[bins, bins]``.

        It asks for nothing: the attention takes it for a prior, and is not balanced.

        Raises:
            ValueError: the model was not taught that.
        """
        if not self.automatic:
            raise ValueError("This model was not taught to colour without a histogram: give one.")
        if self.config.guide == "none":  # not looked at
            return torch.full((self.config.bins,) * 2, self.config.bins**-2.0)
        return self.usual / self.usual.sum()

    def asks(self, hist: Tensor) -> Tensor:
        """Which of the histograms ``[N, bins, bins]`` ask for something: all but the usual one. ``[N]``, booleans."""
        if self.config.guide == "none":
            return torch.ones(len(hist), dtype=torch.bool, device=hist.device)
        usual = self.usual / self.usual.sum().clamp(min=1e-12)  # it was rounded when it was saved
        return (hist - usual).abs().sum((1, 2)) > 1e-4

    def encode(self, L: Tensor) -> PhotoFeatures:
        """Compute what depends on the photo alone.

        Args:
            L: ``[N, 1, H, W]`` in [0, 100]; H and W multiples of 32 are best, of 8 needed.

        Raises:
            ValueError: wrong shape, or a size that is not a multiple of 8.
        """
        if L.ndim != 4 or L.shape[1] != 1 or L.shape[2] % 8 or L.shape[3] % 8 or L.numel() == 0:
            raise ValueError(f"L must be [N, 1, H, W] with H and W multiples of 8, got {tuple(L.shape)}.")
        return PhotoFeatures(L, self.photo(L) if self.photo else None)

    def tokens(self, hist: Tensor) -> Tokens:
        """Turn histograms ``[N, bins, bins]`` that sum to 1 into the tokens that the attention sees."""
        config = self.config
        f_r = self.histogram(represent(hist, with_palette=config.palette)).flatten(2).transpose(1, 2)
        mass, ab = token_colours(hist, config.stride)
        keep = min(config.keep, mass.shape[1]) or mass.shape[1]
        if keep < mass.shape[1]:
            mass, index = mass.topk(keep, dim=1)
            f_r, ab = (x.gather(1, index[..., None].expand(-1, -1, x.shape[2])) for x in (f_r, ab))
        else:
            index = torch.arange(keep, device=hist.device).expand(len(hist), -1)
        return Tokens(f_r, ab, mass.clamp(min=1e-8).log(), index, self.asks(hist))

    def meet(self, photo: PhotoFeatures, hist: Tensor) -> tuple[Tensor, Tokens]:
        """F_T ``[N, C, H/4, W/4]`` and the tokens, after they looked at one another, if they do."""
        tokens = self.tokens(hist)
        if self.joint is None:
            return photo.semantics, tokens
        f_t, f_r = self.joint(photo.semantics, tokens.f_r, tokens.ab, tokens.log_mass, tokens.asked)
        return f_t, replace(tokens, f_r=f_r)

    def attention(self, f_t: Tensor, tokens: Tokens) -> tuple[Tensor, Tensor, Tensor]:
        """Queries over the temperature ``[N, H·W/16, C]``, keys ``[N, T, C]``, biases ``[N, T]`` (zero in (2))."""
        phi_t, key = normalise(f_t) / self.log_temperature.float().exp(), normalise(tokens.f_r, 2)
        query = phi_t.flatten(2).transpose(1, 2)
        if self.config.readout == "features":
            return query, key, torch.zeros_like(tokens.log_mass)
        if not self.config.balance:
            return query, key, tokens.log_mass
        # every second place along each axis tells the histogram of all well enough, at a quarter of the work
        logits = phi_t[..., ::2, ::2].flatten(2).transpose(1, 2) @ key.transpose(1, 2)
        balanced = balance(logits, tokens.log_mass, self.config.balance)
        # where nothing is asked, no photo need have every usual colour
        return query, key, torch.where(tokens.asked[:, None], balanced, tokens.log_mass)

    def attend(self, f_t: Tensor, tokens: Tokens) -> Tensor:
        """F_U' (2), with the tokens' mean colour as two more channels in palette readout: ``[N, C (+2), H/4, W/4]``."""
        query, key, bias = self.attention(f_t, tokens)
        value = key if self.config.values == "Phi_R" else tokens.f_r.float()
        if self.config.readout == "palette":
            value = torch.cat([value, tokens.ab], dim=2)
        # one head; the bias is shared by all places
        mask = None if self.config.readout == "features" else bias[:, None, None, :].expand(-1, 1, query.shape[1], -1)
        out = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None], mask, scale=1.0)
        return out[:, 0].transpose(1, 2).unflatten(2, f_t.shape[-2:])

    def attention_weights(self, photo: PhotoFeatures, hist: Tensor) -> Tensor:
        """softmax_j(M(i, j)) of (2) for every place and token: ``[N, H/4, W/4, bins/stride, bins/stride]``.

        What the attention explorer shows. Holds places × tokens numbers: use it on one photo.
        """
        f_t, tokens = self.meet(photo, hist)
        query, key, bias = self.attention(f_t, tokens)
        weights = torch.softmax(query @ key.transpose(1, 2) + bias[:, None], dim=2)
        side = self.config.bins // self.config.stride
        full = weights.new_zeros(*weights.shape[:2], side**2)
        full.scatter_(2, tokens.index[:, None].expand_as(weights), weights)
        return full.unflatten(2, (side, side)).unflatten(1, f_t.shape[-2:])

    def decode(self, photo: PhotoFeatures, hist: Tensor, *, raw: bool = False) -> Tensor:
        """Colour encoded photos with histograms.

        Args:
            photo: from :meth:`encode`, for N photos.
            hist: ``[N, bins, bins]``, each summing to 1; not looked at with ``guide="none"``.
            raw: give what the loss compares, which with ``head="classes"`` are logits ``[N, Q, H, W]``.

        Returns:
            Y_ab over 110, ``[N, 2, H, W]``, about [-1, 1].
        """
        L = scale_L(photo.L)

        def full(x: Tensor) -> Tensor:
            return upsample(x, L.shape[-2:])

        if self.histogram is None:
            x, hint = L, None
            if self.config.readout == "hypercolumns":
                x = torch.cat([L, full(self.squeeze(photo.semantics))], dim=1)
            if self.hints:
                with torch.autocast(L.device.type, enabled=False):
                    hint = self.hints(photo.semantics.float() if self.photo else hist)
            y = self.unet(x, hint)
            return y if raw or self.classes is None else self.classes.annealed_mean(y, self.config.anneal)
        seen = None
        if self.photo is None:
            f_u = self.histogram(represent(hist, with_palette=self.config.palette))
        else:
            f_t, tokens = self.meet(photo, hist)
            seen = f_t if self.config.semantics else None
            with torch.autocast(L.device.type, enabled=False):  # its short floats would round the logits
                f_u = self.attend(f_t, tokens)
        if self.config.readout == "features":
            return self.unet(torch.cat([L, full(self.squeeze(f_u))], dim=1), seen=seen)
        colours = full(f_u[:, -2:])  # the attended colour of each place; C adds what it knows better
        features = full(in_eights(self.squeeze, f_u)) if self.config.squeeze else full(f_u[:, :-2])
        return colours + self.unet(torch.cat([L.to(features), features, colours.to(features)], dim=1), seen=seen)

    def forward(self, L: Tensor, hist: Tensor, *, raw: bool = False) -> Tensor:
        """Y_ab over 110 for L ``[N, 1, H, W]`` in [0, 100] and histograms ``[N, bins, bins]``: ``[N, 2, H, W]``.

        With ``raw`` what the loss compares, see :meth:`decode`.
        """
        return self.decode(self.encode(L), hist, raw=raw)
