"""Pins: places of a photo that hold a colour of their own; it spreads to the places that are near and alike.

Without pins the network's colours have an error at each place. A pin tells that error at one place, and errors of
places that are near, alike in Φ_T and equally light are alike. So each place is corrected by what the pins say,
weighted by a Gaussian process (kriging): first the attended colours, before C paints, then the result, after transport.
Besides, the attention prefers the tokens near the pins' colours. If a pin's colour has no token, because the target
histogram has no or little mass there, the corrections do it alone. The histogram is not given that mass: balancing
would send the new colour to places far from the pin (by 1.5 to 2.5 units of ab in a trial, instead of 0.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from histcolor.attention import normalise
from histcolor.color import rgb_to_lab
from histcolor.edit import check_colour, check_number, palette_rgb
from histcolor.unet import upsample

# Chosen by PSNR with 1 to 20 pins, on 36 images of 256 pixels that training had seen; RAISE and NEAR on 18 of them.
REACH = {True: 0.25, False: 0.8}  #: Gaussian's width in sides of the photo, with a target histogram and without one:
#: the first gives the photo's colours, and errors are local; without it a whole photo may be wrong in the same way
UNLIKE = 0.35  #: how much less a cosine of Φ_T must be, to count 1/e
CONTRAST = 30.0  #: Gaussian's width in units of L
NOISE = 0.15  #: variance of a pin, as a part of the error's: pins that contradict each other are averaged
RAISE, NEAR, FLOOR = 4.0, 15.0, 1.5  #: logits change by RAISE · max(−distance² / 2 NEAR², −FLOOR), NEAR in units of ab

#: x and y in pixels, and a colour: see :func:`read_points`
Point = tuple[float, float, str | tuple[float, float] | None]


def read_points(points: Iterable[Point], height: int, width: int) -> tuple[Tensor, Tensor]:
    """Read pins, and check that they lie on the photo and have colours.

    Args:
        points: for each pin x in [0, width - 1], y in [0, height - 1] (pixels from the top left one), and a colour: hex
            digits such as ``"#c33"``, of which hue and chroma count but not the lightness; ``"gray"`` or None: it stays
            gray; or a pair (a, b).
        height: of the photo, in pixels.
        width: of the photo, in pixels.

    Returns:
        Places ``[P, 2]``, x and y from edge to edge of the photo in [-1, 1], and colours ``[P, 2]`` in units of ab.

    Raises:
        ValueError: a pin is no (x, y, colour), lies outside of the photo, or has no colour; the message says which.
    """
    places, colours = [], []
    for number, point in enumerate(points, 1):
        try:
            x, y, colour = point
        except (TypeError, ValueError) as error:
            raise ValueError(f"Point {number} must be (x, y, colour), such as (120, 80, '#c33').") from error
        x = check_number(f"x of point {number}", x, 0, width - 1)
        y = check_number(f"y of point {number}", y, 0, height - 1)
        places.append(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1))
        colours.append(_colour(f"colour of point {number}", colour))
    return torch.tensor(places).reshape(-1, 2), torch.tensor(colours).reshape(-1, 2)


def _colour(name: str, colour: str | tuple[float, float] | None) -> tuple[float, float]:
    if colour is not None and not isinstance(colour, str):
        return check_colour(name, colour)
    if colour in (None, "gray"):
        return 0.0, 0.0
    try:
        rgb = palette_rgb([colour])
    except ValueError as error:
        raise ValueError(f"{name} must be hex digits such as '#c33', or 'gray', got {colour[:40]!r}.") from error
    a, b = rgb_to_lab(rgb)[1:].flatten().tolist()
    return a, b


def sample(maps: Tensor, place: Tensor) -> Tensor:
    """Read maps ``[N, C, h, w]`` at places ``[N, P, 2]``, bilinearly: ``[N, P, C]``."""
    return F.grid_sample(maps, place[:, None], padding_mode="border", align_corners=False)[:, :, 0].transpose(1, 2)


@dataclass(frozen=True)
class Pins:
    """Pins on N photos, or the same ones for N histograms, as the network uses them (:func:`place_pins`)."""

    place: Tensor  #: x and y in [-1, 1], ``[N or 1, P, 2]``
    ab: Tensor  #: colours in units of ab, ``[N or 1, P, 2]``
    likeness: Tensor  #: how alike the places of F_T are to each pin, in [0, 1], ``[N or 1, h·w, P]``
    weights: Tensor  #: the part of each pin's error that is corrected at each place of F_T, ``[N or 1, h·w, P]``
    size: tuple[int, int]  #: h and w

    def logits(self, colours: Tensor) -> Tensor:
        """Compute what is added to M in (2): more for tokens near the pins' colours, where a place is like a pin.

        Args:
            colours: the tokens' mean colours, ``[N, T, 2]`` in units of ab.

        Returns:
            ``[N, h·w, T]``, from -RAISE · FLOOR to 0.
        """
        wanted = torch.softmax(8 * self.likeness, dim=2) @ self.ab
        near = -torch.cdist(wanted, colours).square() / (2 * NEAR**2)
        return RAISE * self.likeness.amax(2, keepdim=True) * near.clamp(min=-FLOOR)

    def correct(self, ab: Tensor) -> Tensor:
        """Move colours towards those of the pins, at each place by how near and alike the pins are.

        Args:
            ab: ``[N, 2, h, w]`` as F_T, or a multiple of that size, in units of ab.

        Returns:
            The same shape. A pin's place is the mean over 7×7 pixels, if ab has four times the size of F_T.
        """
        window = 2 * (ab.shape[-1] // self.size[1]) - 1
        here = F.avg_pool2d(ab, window, 1, window // 2, count_include_pad=False)
        error = self.ab - sample(here, self.place.expand(len(ab), -1, -1))
        change = (self.weights @ error).transpose(1, 2).unflatten(2, self.size)
        return ab + upsample(change, ab.shape[-2:])


def place_pins(place: Tensor, ab: Tensor, L: Tensor, f_t: Tensor, *, given: bool) -> Pins:
    """Compute how each pin acts on each place of encoded photos; a few milliseconds.

    Args:
        place: x and y in [-1, 1], ``[N, P, 2]``, see :func:`read_points`.
        ab: colours in units of ab, ``[N, P, 2]``.
        L: at the working size, ``[N, 1, H, W]`` in [0, 100].
        f_t: F_T, ``[N, C, H/4, W/4]``.
        given: whether there is a target histogram; see :data:`REACH`.
    """
    h, w = f_t.shape[-2:]
    xs, ys = ((2 * torch.arange(n, device=L.device) + 1) / n - 1 for n in (w, h))
    grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), dim=-1).flatten(0, 1).expand(len(L), -1, -1)
    maps = torch.cat([normalise(f_t), F.interpolate(L, (h, w), mode="area")], dim=1)
    at_pins, everywhere = sample(maps, place), maps.flatten(2).transpose(1, 2)
    sides = torch.tensor([w, h], device=L.device) / (2 * (w * h) ** 0.5)  # so that 1 is a side of the photo

    def likeness(where: Tensor, x: Tensor) -> Tensor:  # to the pins: a kernel, 1 for equal ones
        far = torch.cdist(where * sides, place * sides) / REACH[given]
        cosine = F.normalize(x[..., :-1], dim=2) @ F.normalize(at_pins[..., :-1], dim=2).transpose(1, 2)
        contrast = (x[..., -1:] - at_pins[:, None, :, -1]) / CONTRAST
        return torch.exp(-(far.square() + contrast.square()) / 2 - (1 - cosine) / UNLIKE)

    of_places, of_pins = likeness(grid, everywhere), likeness(place, at_pins)
    noisy = of_pins + NOISE * torch.eye(place.shape[1], device=L.device)
    return Pins(place, ab, of_places, torch.linalg.solve(noisy, of_places.transpose(1, 2)).transpose(1, 2), (h, w))
