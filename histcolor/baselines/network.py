"""What the trained baselines share: the call of :class:`histcolor.Colorizer`, on this project's U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histcolor.color import scale_L
from histcolor.model import ModelConfig, PhotoFeatures, check_L


class Baseline(nn.Module):
    """A compared method. By itself it sees no histogram; it is called with one, as :class:`histcolor.Colorizer` is."""

    method = ""  #: its name in experiments and checkpoints
    sees_histogram = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config  # width and norm of the U-Net, backbone, bins; what is of the attention is not looked at

    @property
    def automatic(self) -> bool:
        """Whether it colours without a histogram."""
        return True

    def average_histogram(self) -> Tensor:
        """A histogram to call it with where none is given, ``[bins, bins]``; it is not looked at."""
        return torch.full((self.config.bins,) * 2, self.config.bins**-2.0)

    def features(self, L: Tensor) -> Tensor | None:
        """What it takes from the photo's content; nothing by itself."""
        return None

    def paint(self, L: Tensor, features: Tensor | None, hist: Tensor) -> Tensor:
        """The U-Net's output for L in [-1, 1], the photo's features and histograms."""
        raise NotImplementedError

    def encode(self, L: Tensor) -> PhotoFeatures:
        """Compute what depends on the photo alone, see :meth:`histcolor.Colorizer.encode`."""
        check_L(L)
        return PhotoFeatures(L, self.features(L))

    def decode(self, photo: PhotoFeatures, hist: Tensor, given: Tensor | None = None) -> Tensor:
        """Colour encoded photos, see :meth:`histcolor.Colorizer.decode`."""
        return self.paint(scale_L(photo.L), photo.f_t, hist)

    def forward(self, L: Tensor, hist: Tensor, given: Tensor | None = None) -> Tensor:
        """Y_ab over 110, see :meth:`histcolor.Colorizer.forward`; a classifier in training gives its logits."""
        return self.decode(self.encode(L), hist, given)


def fully_connected(inputs: int, outputs: int, layers: int) -> nn.Sequential:
    """Linear layers ``[N, inputs]`` → ``[N, outputs]``, each with ReLU and LayerNorm.

    That is for the batch normalisation of the works below: a hint is as large as the features that it is added to.
    """
    sizes = [inputs] + [outputs] * (layers - 1)
    return nn.Sequential(*(nn.Sequential(nn.Linear(n, outputs), nn.ReLU(), nn.LayerNorm(outputs)) for n in sizes))
