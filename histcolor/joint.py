"""Places and tokens look at one another before they are matched: joint self-attention (ours, not the paper's)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 128  #: features of a place or a token here
HEADS = 4


class Block(nn.Module):
    """A pre-norm transformer block: self-attention, then a layer of four times the width."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.qkv, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.norm2, self.wide, self.narrow = (
            nn.LayerNorm(WIDTH),
            nn.Linear(WIDTH, 4 * WIDTH),
            nn.Linear(4 * WIDTH, WIDTH),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[N, S, WIDTH]`` → the same shape."""
        heads = self.qkv(self.norm1(x)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)  # [3, N, HEADS, S, D]
        seen = F.scaled_dot_product_attention(*heads.unbind(0))
        x = x + self.out(seen.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))


class Joint(nn.Module):
    """What goes where depends on all places and all colours together: a sky leaves the blue of a jacket no mass.

    Places (F_T, two by two) and tokens (F_R, mean colour and mass) form one sequence; a few blocks of self-attention
    run over it, and what they found is added to F_T and F_R. Both additions start from zero.
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.place = nn.Linear(channels, WIDTH)
        self.token = nn.Linear(channels + 3, WIDTH)
        self.given = nn.Parameter(torch.zeros(WIDTH))  # told to the tokens of a histogram that is to be met
        self.blocks = nn.Sequential(*(Block() for _ in range(blocks)))
        self.norm = nn.LayerNorm(WIDTH)
        self.to_place, self.to_token = nn.Linear(WIDTH, channels), nn.Linear(WIDTH, channels)

    def start_from_zero(self) -> None:
        """Add nothing at first: a network that is given these blocks starts as what it was without."""
        for layer in (self.to_place, self.to_token):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, f_t: Tensor, f_r: Tensor, ab: Tensor, log_mass: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Add to each place what the tokens mean for it, and to each token what the places do.

        Args:
            f_t: F_T, ``[N, C, h, w]``, h and w even.
            f_r: F_R of the tokens, ``[N, T, C]``.
            ab: the tokens' mean colours over 110, ``[N, T, 2]``.
            log_mass: ``[N, T]``.
            asked: ``[N]``, booleans: false where no histogram was given, and the tokens are the average one's.

        Returns:
            F_T and F_R, in the shapes given.
        """
        coarse = F.avg_pool2d(f_t, 2)
        places = self.place(coarse.flatten(2).transpose(1, 2))
        tokens = self.token(torch.cat([f_r, ab.to(f_r), log_mass[..., None].to(f_r) / 8], dim=2))
        tokens = tokens + asked[:, None, None].to(tokens) * self.given
        x = self.norm(self.blocks(torch.cat([places, tokens.to(places)], dim=1)))
        count = places.shape[1]
        more = self.to_place(x[:, :count]).transpose(1, 2).unflatten(2, coarse.shape[-2:])
        return f_t + upsample(more, f_t.shape[-2:]), f_r + self.to_token(x[:, count:])


def linear_weights(inputs: int, outputs: int, like: Tensor) -> Tensor:
    """The matrix of linear interpolation from ``inputs`` to ``outputs`` samples, as F.interpolate places them."""
    where = (torch.arange(outputs, device=like.device, dtype=torch.float32) + 0.5) * (inputs / outputs) - 0.5
    grid = torch.arange(inputs, device=like.device, dtype=torch.float32)
    return (1 - (where.clamp(0, inputs - 1)[:, None] - grid).abs()).clamp(min=0).to(like.dtype)


def upsample(x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """Bilinear interpolation of ``[N, C, h, w]`` to ``size``, as two products with constant matrices.

    The same numbers as ``F.interpolate(…, mode="bilinear", align_corners=False)``; but its backward pass is two
    products as well, where that of ``F.interpolate`` adds pixel by pixel.
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    rows, columns = linear_weights(x.shape[2], size[0], x), linear_weights(x.shape[3], size[1], x)
    wide = columns @ x.permute(0, 2, 3, 1)  # [N, h, W, C]: the memory of channels last, read in order
    tall = rows @ wide.flatten(2)  # [N, H, W·C]
    return tall.unflatten(2, (size[1], -1)).permute(0, 3, 1, 2)
