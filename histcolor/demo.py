"""The colour photos that come with scikit-image, for demonstrations, tests and short trainings without a download."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from histcolor.images import to_rgb, to_tensor, write_image

DEMO_PHOTOS = ("astronaut", "chelsea", "coffee", "motorcycle", "rocket")


def demo_photo(name: str) -> Tensor:
    """Load one of scikit-image's colour photos by name: RGB ``[3, H, W]`` in [0, 1].

    Raises:
        ValueError: there is no photo of that name.
        OSError: this scikit-image does not contain the photo, and it can not be downloaded.
    """
    import skimage.data

    no_photos = ("download_all", "file_hash")
    function = "stereo_motorcycle" if name == "motorcycle" else name
    if name.startswith("_") or name in no_photos or not callable(getattr(skimage.data, function, None)):
        raise ValueError(f"scikit-image has no photo {name!r}; among those it has are {', '.join(DEMO_PHOTOS)}.")
    try:
        pixels = getattr(skimage.data, function)()
    except Exception as error:  # pooch has its own exceptions
        raise OSError(f"scikit-image's photo {name!r} could not be fetched: connect to a network.") from error
    pixels = pixels[0] if name == "motorcycle" else pixels  # the left of a stereo pair
    if not (isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape[2:] in ((), (3,), (4,))):
        raise ValueError(f"scikit-image's {name!r} is no photo; among those it has are {', '.join(DEMO_PHOTOS)}.")
    return to_tensor(to_rgb(Image.fromarray(pixels)))


def save_demo_crops(
    folder: Path,
    count: int,
    *,
    names: Sequence[str] = DEMO_PHOTOS,
    left: float = 0.0,
    right: float = 1.0,
    seed: int = 0,
) -> None:
    """Write square crops of scikit-image's photos as JPEGs, to train on and to measure on.

    Args:
        folder: where the files are written.
        count: how many crops, taken from each photo in turn.
        names: of the photos, see :func:`demo_photo`.
        left: the crops come from the part of each photo between ``left`` and ``right``, both in [0, 1], as fractions of
            its width. So crops for training and crops for measuring can come from parts that do not overlap.
        right: see ``left``.
        seed: decides where the crops lie, and their sides: 0.4 to 1 times the shorter side of that part.
    """
    rng = np.random.default_rng(seed)
    photos = (demo_photo(name) for name in names)
    parts = [photo[:, :, int(left * photo.shape[2]) : int(right * photo.shape[2])] for photo in photos]
    for i in range(count):
        part = parts[i % len(parts)]
        side = int(min(part.shape[1:]) * rng.uniform(0.4, 1.0))
        y, x = (int(rng.integers(n - side + 1)) for n in part.shape[1:])
        write_image(part[:, y : y + side, x : x + side], folder / f"{names[i % len(parts)]}_{i:03}.jpg")
