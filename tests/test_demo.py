"""scikit-image's photos, and the crops of them that small trainings use."""

import pytest
import torch
from PIL import Image

from histcolor.demo import demo_photo, save_demo_crops
from histcolor.images import read_image


@pytest.mark.parametrize(
    ("name", "shape"),
    [("astronaut", (512, 512)), ("chelsea", (300, 451)), ("coffee", (400, 600)), ("rocket", (427, 640))],
)
def test_demo_photo(name, shape):
    photo = demo_photo(name)
    assert photo.shape == (3, *shape)
    assert photo.dtype == torch.float32
    assert photo.min() >= 0
    assert 0.5 < photo.max() <= 1
    assert (photo[0] != photo[2]).any()


@pytest.mark.parametrize("name", ["mona_lisa", "_fetchers", "", "data_dir", "download_all", "file_hash", "horse"])
def test_demo_photo_of_another_name(name):
    # scikit-image.data has functions that give no photo, and one that would download all it has
    with pytest.raises(ValueError, match="astronaut") as error:
        demo_photo(name)
    assert repr(name) in str(error.value)


def test_demo_photo_that_can_not_be_fetched(monkeypatch):
    import skimage.data

    def offline():
        raise ConnectionError("no network")

    monkeypatch.setattr(skimage.data, "lily", offline)
    with pytest.raises(OSError, match="'lily' could not be fetched: connect to a network"):
        demo_photo("lily")


def test_demo_crops_of_two_parts_do_not_overlap(tmp_path):
    for name, left, right in (("a", 0.0, 0.5), ("again", 0.0, 0.5), ("b", 0.5, 1.0)):
        save_demo_crops(tmp_path / name, 3, names=("coffee", "chelsea"), left=left, right=right, seed=4)
    files = {name: sorted((tmp_path / name).iterdir()) for name in ("a", "again", "b")}
    assert [path.name for path in files["a"]] == ["chelsea_001.jpg", "coffee_000.jpg", "coffee_002.jpg"]
    assert [path.read_bytes() for path in files["a"]] == [path.read_bytes() for path in files["again"]]
    for path in files["a"] + files["b"]:
        with Image.open(path) as picture:
            shorter = min(400, 300) if "coffee" in path.name else min(300, 225)
            assert picture.width == picture.height
            assert 0.4 * shorter - 1 <= picture.width <= shorter
    cup = demo_photo("coffee")[:, :, :300]
    crop = read_image(files["a"][1])
    side = crop.shape[1]
    windows = cup.unfold(1, side, 1).unfold(2, side, 1)[..., ::7, ::7]  # every place that the crop may be from
    nearest = (windows - crop[:, None, None, ::7, ::7]).abs().mean((0, 3, 4)).min()
    assert nearest < 0.03, "it is a piece of the left half"
