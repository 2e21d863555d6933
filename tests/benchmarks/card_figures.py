"""Make the model card's three figures anew: python -m tests.benchmarks.card_figures --help.

The photos are not part of the project; ``data/README.md`` and ``data/manifests`` say which they are.
"""

import argparse
import io
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from PIL import Image
from torch import Tensor

import histcolor as hc
from histcolor.cli.evaluate import write_sheet
from histcolor.color import gray_rgb
from histcolor.evaluate import Task, model_method, name_photos, squash
from histcolor.images import atomic, find_images, read_image, read_table
from histcolor.plots import image_grid, use_style

RESULTS = Path(__file__).parents[2] / "results"


def halves(rows: list[list[Tensor]], columns: list[str], path: Path) -> None:
    """Write a grid of pictures as a WebP, its second half beside the first."""
    pictures, middle = [], len(rows) // 2
    for part in (rows[:middle], rows[middle:]):
        figure = image_grid(part, columns, height=1.1)
        figure.savefig(buffer := io.BytesIO(), dpi=100)
        plt.close(figure)
        pictures.append(Image.open(buffer).convert("RGB"))
    (width, height), gap = pictures[0].size, 20
    sheet = Image.new("RGB", (2 * width + gap, height), "white")
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (i * (width + gap), 0))
    save(sheet, path)


def save(sheet: Image.Image, path: Path) -> None:
    """Write a figure of the card."""
    with atomic(path) as draft:
        sheet.save(draft, "WEBP", quality=82, method=6)
    print(path, *sheet.size, f"{path.stat().st_size / 1000:.0f} kB")


def many_kinds(folder: Path, model: hc.Colorizer, before: hc.Colorizer) -> None:
    """The first six photos by name of each source, and the ten that the table has as the worst."""
    photos = find_images(folder, unread := [])
    assert not unread, unread
    now, then, sources, chosen = model_method(model), model_method(before), {}, []
    names = {name: path for path, name in name_photos(photos).items()}
    for i, (name, path) in enumerate(names.items()):
        source = next(source for source in ("ade20k", "coco", "imagenet", "osie") if name.startswith(source))
        sources.setdefault(source, []).append((path, photos[(i + len(photos) // 2) % len(photos)]))
    for path, other in (pair for source in sources.values() for pair in source[:6]):
        truth, lab = (squash(read_image(path), 256), rgb_to_lab(path))
        own, cross = Task(lab[:1], lab), Task(lab[:1], rgb_to_lab(other))
        chosen.append([gray_rgb(lab[:1]), truth, then(own), now(own), now(cross)])
    halves(chosen, ["gray", "true", "before", "now", "now, cross"], RESULTS / "figures/diverse_val.webp")

    table = read_table(RESULTS / "tables/diverse_self.json.xz")
    worst = table[table["method"] == "base"].nsmallest(10, "psnr")
    tasks = [Task(lab[:1], lab) for lab in (rgb_to_lab(names[photo]) for photo in worst["photo"])]
    rows = [[task.gray, hc.lab_to_rgb(task.reference), now(task)] for task in tasks]
    halves(rows, ["gray", "true", "result"], RESULTS / "figures/worst.webp")
    print(worst[["photo", "psnr"]].to_string(index=False))


def rgb_to_lab(path: Path) -> Tensor:
    """Read a photo as the protocol does."""
    return hc.rgb_to_lab(squash(read_image(path), 256))


def ten_kinds(folder: Path, model: hc.Colorizer) -> None:
    """Eight photos spread evenly over the folder, each also with the histogram of the one half of the folder on."""
    photos = find_images(folder, unread := [])
    assert not unread, unread
    pairs = list(zip(photos, photos[len(photos) // 2 :] + photos[: len(photos) // 2], strict=True))
    draft = RESULTS / "figures/imagenette_val.png"
    write_sheet(pairs, model_method(model), draft, 256)
    sheet = Image.open(draft).convert("RGB")
    save(
        sheet.resize((720, round(720 * sheet.height / sheet.width)), Image.Resampling.LANCZOS),
        draft.with_suffix(".webp"),
    )
    draft.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("diverse", type=Path, help="folder of the 1,050 images of many kinds")
    parser.add_argument("imagenette", type=Path, help="folder of Imagenette's 1,500 validation photos")
    parser.add_argument("--before", required=True, help="weights that the first figure compares with")
    args = parser.parse_args()
    use_style()
    with torch.inference_mode():
        shipped = hc.load("base")
        many_kinds(args.diverse, shipped, hc.load(args.before))
        ten_kinds(args.imagenette, shipped)
