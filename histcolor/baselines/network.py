"""What the trained baselines share: the call of :class:`histcolor.Colorizer`, on this project's U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histcolor.color import scale_L
from histcolor.model import ModelConfig, PhotoFeatures, check_L


class Baseline(nn.Module):
    """A compared method. By itself it sees no histogram; it is called with one, as :class:`histcolor.Colorizer` is.

    A subclass has a ``unet``, and a ``photo``, which takes L ``[N, 1, H, W]``, if it looks at the photo's content.
    """

    method = ""  #: its name in experiments and checkpoints
    sees_histogram = False
    trained_size: int | None = None  #: see :class:`histcolor.Colorizer`

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config  # width and norm of the U-Net, backbone, bins; what is of the attention is not looked at

    @property
    def automatic(self) -> bool:
        """Whether it colours without a histogram."""
        return True

    def average_histogram(self) -> Tensor:
        """Give a histogram to call it with where none is given, ``[bins, bins]``; it is not looked at."""
        return torch.full((self.config.bins,) * 2, self.config.bins**-2.0)

    def paint(self, L: Tensor, features: Tensor | None, hist: Tensor) -> Tensor:
        """Run the U-Net on L in [-1, 1], what ``photo`` found, and histograms; a subclass says which of them count."""
        return self.unet(L)

    def encode(self, L: Tensor) -> PhotoFeatures:
        """Compute what depends on the photo alone, see :meth:`histcolor.Colorizer.encode`."""
        check_L(L, self.config)
        photo = getattr(self, "photo", None)
        return PhotoFeatures(L, photo(L) if photo else None)

    def decode(self, photo: PhotoFeatures, hist: Tensor, given: Tensor | None = None) -> Tensor:
        """Colour encoded photos, see :meth:`histcolor.Colorizer.decode`."""
        return self.paint(scale_L(photo.L), photo.f_t, hist)

    def forward(self, L: Tensor, hist: Tensor, given: Tensor | None = None) -> Tensor:
        """Y_ab over 110, see :meth:`histcolor.Colorizer.forward`; a classifier in training gives its logits."""
        return self.decode(self.encode(L), hist, given)


def fully_connected(inputs: int, outputs: int, layers: int) -> nn.Sequential:
    """Linear layers ``[N, inputs]`` → ``[N, outputs]``, each with ReLU and LayerNorm.

    That is for the batch normalisation of the published methods: a hint is as large as the features it is added to.
    """
    sizes = [inputs] + [outputs] * (layers - 1)
    return nn.Sequential(*(nn.Sequential(nn.Linear(n, outputs), nn.ReLU(), nn.LayerNorm(outputs)) for n in sizes))
