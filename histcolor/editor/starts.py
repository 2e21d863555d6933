"""Start points for the editor: palettes, reference photos, and random histograms of real photos."""

from __future__ import annotations

import base64
import io
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from histcolor.color import lab_to_rgb
from histcolor.colorize import resize
from histcolor.demo import DEMO_PHOTOS, demo_photo
from histcolor.edit import parse_palette
from histcolor.images import to_uint8

REFERENCES = (*DEMO_PHOTOS, "immunohistochemistry")
PALETTES = {
    "Sepia": ("#5b4226", "#9b7a4c", "#cdb283"),
    "Sunset": ("#2d3a66", "#b3475a", "#f0854b", "#f7c873"),
    "Forest": ("#26402a", "#5d7f3a", "#a3a765", "#7b5b3c"),
    "Sea": ("#0e4a6b", "#2f8fa8", "#8fc9c4", "#e2d3a4"),
    "Autumn": ("#6b2b1a", "#bf5b23", "#dba63d", "#79803a"),
    "Berries": ("#401f4d", "#a02a68", "#d9719c", "#5a7d52"),
}


@dataclass(frozen=True)
class Start:
    """A start point as the page shows it."""

    name: str
    tip: str
    background: str  #: CSS


@cache
def starts() -> tuple[Start, ...]:
    """List the palettes, the reference photos that are on this computer, and the random histogram."""
    made = []
    for name, colours in PALETTES.items():
        part = 100 / len(colours)
        stops = ", ".join(f"{colour} {i * part:.4g}% {(i + 1) * part:.4g}%" for i, colour in enumerate(colours))
        made.append(Start(name, f"The palette {name}: {', '.join(colours)}", f"linear-gradient(90deg, {stops})"))
    for name in REFERENCES:
        try:
            photo = demo_photo(name)
        except OSError:  # not on this computer, and no network
            continue
        file, scale = io.BytesIO(), 48 / min(photo.shape[1:])
        small = resize(photo, (round(photo.shape[1] * scale), round(photo.shape[2] * scale)))
        Image.fromarray(to_uint8(small)).save(file, "webp", quality=70)
        code = base64.b64encode(file.getvalue()).decode()
        made.append(
            Start(name, f"The colours of the photo {name}", f"center / cover url(data:image/webp;base64,{code})")
        )
    return (*made, Start("Surprise me", "The histogram of a photo, chosen at random from 200", ""))


@cache
def real_histograms() -> Tensor:
    """Read 200 histograms of real photos, ``[200, 16, 16]``, each summing to 1.

    They are those of every 140th of the 28,130 images that the shipped models were trained on, or of the next one that
    has colours. The file holds the square roots of the bins, 255 at each histogram's largest.
    """
    with np.load(Path(__file__).parent / "static" / "histograms.npz") as file:
        mass = torch.from_numpy(file["roots"]).double().square()
    return (mass / mass.sum((1, 2), keepdim=True)).float()


def surprise() -> Tensor:
    """Choose one of the real histograms at random, ``[16, 16]``."""
    return random.choice(real_histograms())


def hex_of(colour: str | tuple[float, float] | None, L: float = 62.0) -> str:
    """Show a pin's colour as hex digits: a pair (a, b) at lightness L, as far as sRGB can show it."""
    if isinstance(colour, str) and colour != "gray":
        return parse_palette([colour])[0]
    a, b = (0.0, 0.0) if colour in (None, "gray") else colour
    red, green, blue = to_uint8(lab_to_rgb(torch.tensor([L, a, b])[:, None, None]))[0, 0]
    return f"#{red:02x}{green:02x}{blue:02x}"
