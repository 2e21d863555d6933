"""Photos for the editor: read from what the user gives, made small, and encoded for the page."""

from __future__ import annotations

import io
import reprlib
from pathlib import Path

from PIL import Image
from torch import Tensor

from histcolor.colorize import resize
from histcolor.demo import demo_photo
from histcolor.editor.starts import REFERENCES
from histcolor.images import open_rgb, read_image, to_tensor, to_uint8


def as_photo(photo: Tensor | str | Path | bytes, name: str = "") -> Tensor:
    """Read a photo from a path, a scikit-image name or a file's bytes: RGB ``[3, H, W]``; tensors stay as they are.

    Raises:
        ValueError, OSError: it is none of these, or no readable photo; the message is one sentence.
    """
    if isinstance(photo, Tensor):
        return photo
    if isinstance(photo, bytes):
        return to_tensor(open_rgb(io.BytesIO(photo), name or "the photo"))
    if not isinstance(photo, str | Path):
        raise ValueError(f"A photo must be a tensor, a path or the name of a photo at hand, got {reprlib.repr(photo)}.")
    return demo_photo(photo) if photo in REFERENCES else read_image(Path(photo).expanduser())


def shrunk(image: Tensor, longest: int = 512) -> Tensor:
    """Shrink a photo until its longer side has at most ``longest`` pixels: enough to show it and to count colours."""
    height, width = image.shape[-2:]
    scale = min(1.0, longest / max(height, width))
    return resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))


def encoded(rgb: Tensor, kind: str) -> bytes:
    """Encode RGB ``[3, H, W]`` in [0, 1] as the bytes of an image file; ``kind`` is "png" or "jpeg"."""
    file = io.BytesIO()
    options = {"quality": 92, "subsampling": 0} if kind == "jpeg" else {"compress_level": 1}
    Image.fromarray(to_uint8(rgb)).save(file, kind, **options)
    return file.getvalue()
