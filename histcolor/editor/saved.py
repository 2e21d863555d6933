"""What the editor writes: its state as JSON, which it also reads, and the files that the user saves."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from histcolor.color import gray_rgb
from histcolor.histogram import check_histogram
from histcolor.images import to_uint8
from histcolor.points import Point

FORMAT = "histcolor editor 1"  #: what a state's ``format`` says
MOST = 4 * 2**20  #: bytes of a state
PICTURES = 12  #: that a film has at most


def photo_hash(image: Tensor) -> str:
    """Compute the SHA-256 of a photo's 8-bit pixels; the photo is RGB ``[3, H, W]`` in [0, 1]."""
    pixels = to_uint8(image)
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()


def state_text(photo: str, hist: Tensor, automatic: bool, points: Sequence[Point], transport: float) -> str:
    """Write an editor's state as JSON.

    Args:
        photo: from :func:`photo_hash`.
        hist: the target histogram ``[bins, bins]``.
        automatic: ``hist`` is the average histogram, and none is given.
        points: pins, see :func:`histcolor.points.read_points`.
        transport: the transport strength.
    """
    state = {"format": FORMAT, "photo": photo, "transport": transport, "points": points, "automatic": automatic}
    return json.dumps({**state, "target": hist.tolist()})


def read_state(content: bytes, name: str, photo: str, bins: int) -> tuple[float, dict[str, Any]]:
    """Read an editor's state from JSON.

    Args:
        content: of the file.
        name: of the file, for messages.
        photo: the hash of the photo in use.
        bins: of the target histogram, along each axis.

    Returns:
        The transport strength, and the edit that brings back target histogram and pins; the pins are not yet checked.

    Raises:
        ValueError: no state, a damaged one, or that of another photo or of a model with other bins.
    """
    try:
        if len(content) > MOST:
            raise ValueError("too long")
        state = json.loads(content)
        if state["format"] != FORMAT:
            raise ValueError("no state")
        transport, automatic, points = state["transport"], state["automatic"], state["points"]
        saved_with = state["photo"]
        hist = check_histogram(torch.tensor(state["target"], dtype=torch.float32))
        whole = type(transport) in (int, float) and 0 <= transport <= 1 and math.isfinite(transport)
        if not (whole and type(automatic) is bool and isinstance(points, list) and hist.ndim == 2):
            raise ValueError("damaged")
    except (ValueError, TypeError, KeyError, ArithmeticError, RuntimeError) as error:
        raise ValueError(f"{name}: is no state of the editor, or a damaged one; save it again.") from error
    if saved_with != photo:
        raise ValueError(f"{name}: was saved with another photo; choose that photo first.")
    if len(hist) != bins:
        raise ValueError(f"{name}: has {len(hist)} bins along each axis, and this model {bins}: use the same model.")
    return float(transport), {"tool": "load", "hist": hist, "average": automatic, "points": points}


def compared(L: Tensor, after: Tensor) -> Tensor:
    """Put a photo before and after side by side, with a white gap: RGB ``[3, H, 2·W + gap]`` in [0, 1].

    Args:
        L: ``[1, H, W]`` in [0, 100].
        after: RGB ``[3, H, W]`` in [0, 1].
    """
    gap = after.new_ones(3, after.shape[1], max(2, after.shape[2] // 64))
    return torch.cat([gray_rgb(L), gap, after], dim=2)


class Film:
    """Keeps small pictures of the last edits, at most :data:`PICTURES`, and makes an animation of them."""

    def __init__(self) -> None:
        self.frames: list[tuple[object, Image.Image]] = []

    def add(self, began: object, rgb: Tensor) -> None:
        """Add an edit's picture, RGB ``[3, H, W]`` in [0, 1].

        If ``began``, what the edit changed, is that of the last picture, as with a slider, it takes its place.
        """
        kept = self.frames[: -1 if self.frames and self.frames[-1][0] is began else None]
        self.frames = [*kept, (began, Image.fromarray(to_uint8(rgb)))][-PICTURES:]

    def animated(self) -> bytes:
        """Make an animated WebP, which begins again and again; the last picture stays longer."""
        if not self.frames:
            raise ValueError("There is no picture yet: wait for the first one.")
        first, *others = (picture for _, picture in self.frames)
        file = io.BytesIO()
        duration = [600] * len(others) + [1800]
        first.save(file, "webp", save_all=True, append_images=others, duration=duration, loop=0, quality=85)
        return file.getvalue()


def npy(hist: Tensor) -> bytes:
    """Write a histogram ``[bins, bins]`` as the bytes of an ``.npy`` file."""
    file = io.BytesIO()
    np.save(file, hist.numpy())
    return file.getvalue()
