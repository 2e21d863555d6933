"""What the network is: the configuration that a checkpoint carries, the presets, and how older files are read."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class ModelConfig:
    """All that decides what the network is; a checkpoint carries it.

    The ablations (Table 1) and the methods that the paper is compared with (Table 2) are switches of this class.

    Raises:
        ValueError: a value is out of its range, or does not go with another; the message names the field.
    """

    backbone: str = "tf_efficientnet_lite0"  #: the ImageNet network in S: "vgg19" or a name of timm's
    width: int = 16  #: channels of the U-Net's first group
    channels: int = 64  #: C, the length of a feature in F_T and F_R
    lateral: int = 32  #: channels that each of the backbone's four maps is brought to (the paper: C/4)
    bins: int = 64  #: B, bins of the histogram along each axis
    stride: int = 2  #: bins of a token along each axis: (bins/stride)² tokens
    keep: int = 256  #: how many of the heaviest tokens the attention sees; 0: all of them
    palette: bool = True  #: R_I = [R_H, R_P]; without: R_H alone
    attention: bool = True  #: S, which looks at the photo; without: F_R, if there is one, resized and joined to L
    #: what C takes from S. "features": equation (2); "palette": also the tokens' mass and mean colours; without
    #: tokens "hypercolumns": the backbone's maps (Larsson 2016), or "fusion": the deepest one, pooled (Iizuka 2016)
    readout: str = "palette"
    values: str = "F_R"  #: what the attention adds up: the features "F_R", or their normalised form "Phi_R" as in (2)
    temperature: float = 0.25  #: of the softmax in (2)
    learn_temperature: bool = True
    balance: int = 2  #: rounds of Sinkhorn's balancing, which make all places together use each token by its mass
    squeeze: int = 16  #: F_U is brought to so many channels before it is upsampled, for speed; 0: not (the paper)
    norm: str = "group"  #: "instance" as in the paper, or "group"
    joint: int = (
        0  #: blocks of self-attention over places and tokens together, before they are matched (the paper: none)
    )
    semantics: bool = False  #: C sees F_T besides F_U (the paper: not)
    #: what C learns of the histogram. "tokens": F_R, as in the paper; "global": one vector (Zhang 2017);
    #: "colours": one vector made of a few colours (Xiao 2019); "none": nothing, colours come from the photo alone
    guide: str = "tokens"
    colours: int = 6  #: K, for guide "colours"
    head: str = "regression"  #: what C gives: "regression": ab; "classes": a distribution over colours (Zhang 2016)
    anneal: float = 0.38  #: T of the annealed mean that turns classes into ab; 1: their expectation

    def __post_init__(self) -> None:
        for name in ("width", "channels", "lateral", "stride", "colours"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.bins < 4 or self.bins % self.stride:
            raise ValueError(f"bins must be at least 4 and a multiple of stride, got {self.bins} and {self.stride}.")
        if self.temperature <= 0 or self.keep < 0 or self.balance < 0 or self.joint < 0:
            raise ValueError("temperature must be above 0; keep, balance and joint at least 0.")
        if self.anneal <= 0:
            raise ValueError(f"anneal must be above 0, got {self.anneal}.")
        for name, allowed in (
            ("readout", ("features", "palette", "hypercolumns", "fusion")),
            ("values", ("F_R", "Phi_R")),
            ("norm", ("instance", "group")),
            ("guide", ("tokens", "global", "colours", "none")),
            ("head", ("regression", "classes")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}.")
        if self.readout == "palette" and not self.attention:
            raise ValueError("readout='palette' reads the histogram through the attention: it needs attention=True.")
        if self.readout in ("hypercolumns", "fusion") and not (self.attention and self.guide == "none"):
            raise ValueError(
                f"readout={self.readout!r} takes S for the photo alone: it needs attention=True and guide='none'."
            )
        if self.guide != "tokens" and self.attention and self.readout in ("features", "palette"):
            raise ValueError(
                f"guide={self.guide!r} gives no tokens to attend to: it needs attention=False and readout='features'"
                + (", or readout='hypercolumns' or 'fusion'." if self.guide == "none" else ".")
            )
        if (self.joint or self.semantics) and not self.attends:
            raise ValueError("joint and semantics need F_T and tokens: attention=True and guide='tokens'.")
        if self.head == "classes" and self.guide != "none":
            raise ValueError("head='classes' is trained without a histogram's loss: it needs guide='none'.")

    @property
    def attends(self) -> bool:
        """Whether the attention (2) is there."""
        return self.attention and self.guide == "tokens"


PRESETS: dict[str, ModelConfig] = {
    # the paper as written: 256 bins at stride 4 are 64×64 tokens, cosine attention at temperature 0.01
    "paper": ModelConfig(
        backbone="vgg19", width=64, channels=128, lateral=32, bins=256, stride=4, keep=0, readout="features",
        values="Phi_R", temperature=0.01, learn_temperature=False, balance=0, squeeze=0, norm="instance",
    ),
    "base": ModelConfig(width=32, channels=128, squeeze=32),
    "small": ModelConfig(),
    "mini": ModelConfig(width=8, channels=32, lateral=16),  # for experiments on a CPU
    "tiny": ModelConfig(width=4, channels=16, lateral=8, bins=16, stride=1, keep=64, balance=1, squeeze=4),  # for tests
}  # fmt: skip

#: fields that the first checkpoints did not have yet, and what those files meant
ADDED = {"joint": 0, "semantics": False, "guide": "tokens", "colours": 6, "head": "regression", "anneal": 0.38}


def config_from_dict(values: dict) -> ModelConfig:
    """A configuration from what a checkpoint or ``config.json`` holds; older files lack what :data:`ADDED` lists.

    Raises:
        ValueError: a field is unknown or missing; the message names it.
    """
    known = {f.name for f in fields(ModelConfig)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"The model's configuration has unknown fields: {', '.join(unknown)}.")
    if missing := sorted(known - set(values) - set(ADDED)):
        raise ValueError(f"The model's configuration lacks fields: {', '.join(missing)}.")
    return ModelConfig(**{**ADDED, **values})
