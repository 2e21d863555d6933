"""Histogram-guided semantic-aware colorization: colour a gray photo with the colours of a target histogram."""

import sys
from itertools import pairwise
from pathlib import Path

# it is the command that begins, and no other program, which may be run by -m as well
if ("-m", __name__) in pairwise(sys.orig_argv) or Path(*sys.argv[:1]).stem == __name__:
    from histcolor.cli.signals import stop_quietly

    stop_quietly()

from histcolor.checkpoint import CheckpointError, load, save_model, shipped_models
from histcolor.color import in_gamut, lab_to_rgb, rgb_to_lab
from histcolor.colorize import EncodedPhoto, colorize, encode
from histcolor.demo import demo_photo
from histcolor.histogram import (
    ab_histogram,
    check_histogram,
    earth_movers,
    hellinger,
    intersection,
    palette,
    resize_histogram,
    soft_ab_histogram,
)
from histcolor.images import ImageError, read_image, write_image
from histcolor.model import PRESETS, Colorizer, ModelConfig

__version__ = "0.1.0"

__all__ = [
    "PRESETS",
    "CheckpointError",
    "Colorizer",
    "EncodedPhoto",
    "ImageError",
    "ModelConfig",
    "ab_histogram",
    "check_histogram",
    "colorize",
    "demo_photo",
    "earth_movers",
    "encode",
    "hellinger",
    "in_gamut",
    "intersection",
    "lab_to_rgb",
    "load",
    "palette",
    "read_image",
    "resize_histogram",
    "rgb_to_lab",
    "save_model",
    "shipped_models",
    "soft_ab_histogram",
    "write_image",
]
