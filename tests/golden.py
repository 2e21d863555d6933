"""What the project computes, as a few thousand numbers that must not change: python tests/golden.py writes golden.json.

They were computed by commit c262470, before training was rewritten; ``test_golden.py`` compares. A commit that changes
behaviour on purpose also writes the file anew, and says so.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import histcolor as hc
from histcolor import losses
from histcolor.color import AB_MAX
from histcolor.colorize import resize
from histcolor.data import Pack
from histcolor.demo import DEMO_PHOTOS
from histcolor.optimize import TrainConfig
from histcolor.train import set_up, train

FILE = Path(__file__).with_name("golden.json")


def demo(side: int) -> dict[str, torch.Tensor]:
    """scikit-image's photos, ``side`` pixels high and 5/4 as wide, in 8-bit steps."""
    photos = {name: resize(hc.demo_photo(name), (side, side * 5 // 4)) for name in DEMO_PHOTOS}
    return {name: (photo * 255).round() / 255 for name, photo in photos.items()}


def summary(rgb: torch.Tensor) -> list[float]:
    """A picture ``[3, H, W]`` as the means of 4×4 fields and the spread of each channel."""
    fields = torch.nn.functional.adaptive_avg_pool2d(rgb, 4).flatten()
    return [round(v, 6) for v in [*fields.tolist(), *rgb.std((1, 2)).tolist()]]


def colours(name: str) -> dict[str, list[float]]:
    """A shipped model on each photo: self-reference with three transport strengths, and automatic."""
    model, found = hc.load(name), {}
    for photo, image in demo(128).items():
        hist = hc.ab_histogram(hc.rgb_to_lab(image)[1:], model.config.bins)
        encoded = hc.encode(model, image, size=128)
        for strength in (0.0, 0.5, 1.0):
            found[f"{photo} {strength:g}"] = summary(hc.colorize(model, encoded, hist, transport=strength))
        found[f"{photo} automatic"] = summary(hc.colorize(model, encoded))
    return found


def loss_terms() -> dict[str, list[float]]:
    """The terms of the loss between each photo's ab and the next one's: L_GT, L_Grad, L_H."""
    ab = [hc.rgb_to_lab(photo)[None, 1:] / AB_MAX for photo in demo(64).values()]
    pairs = zip(DEMO_PHOTOS, ab, [*ab[1:], ab[0]], strict=True)
    return {
        name: [
            float(losses.ground_truth_loss(y, t)),
            float(losses.gradient_loss(y, t)),
            float(losses.histogram_loss(y, hc.soft_ab_histogram(t * AB_MAX, 16))),
        ]
        for name, y, t in pairs
    }


def history(**options) -> list[list[float]]:
    """Loss and gradient norm of 24 steps of ``tiny``, every second step, in float32."""
    images = torch.stack([photo[:, :72, :72] for photo in demo(72).values()])
    pack = Pack(np.ascontiguousarray((images * 255).round().byte().permute(0, 2, 3, 1).numpy()))
    lines: list[dict] = []
    config = TrainConfig(
        steps=24, batch_size=4, size=64, warmup=4, log_every=2, save_every=24, cross=0.3,
        dropped=0.2, **(options or {"precision": "float32"}),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as run:
        model = set_up(config, hc.PRESETS["tiny"], pack)
        train(model, losses.Loss(), pack, config, run, callback=lines.append, quiet=True)
    return [[line["loss"], line["gradient_norm"]] for line in lines]


if __name__ == "__main__":
    golden = {name: colours(name) for name in ("small", "base")} | {"losses": loss_terms()}
    golden["history"] = history(**json.loads(sys.argv[1]) if len(sys.argv) > 1 else {})
    FILE.write_text(json.dumps(golden, separators=(",", ":")).replace('],"', '],\n"') + "\n")
