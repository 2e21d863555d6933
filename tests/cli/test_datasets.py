"""histcolor.cli.datasets: what torchvision is asked for, where the photos lie, and what is said when they do not."""

import inspect
from dataclasses import replace
from pathlib import Path

import pytest
import torchvision
from PIL import Image
from scipy.io import savemat

from histcolor.cli.datasets import DATASETS, get_dataset
from histcolor.files import HeldError, hold, lock_beside
from histcolor.images import find_images

README = Path(__file__).parents[2] / "data" / "README.md"


def test_the_readme_lists_the_data_sets_of_data_get():
    rows = [line.split("|") for line in README.read_text(encoding="utf-8").splitlines()]
    listed = {row[1].strip(" `"): row for row in rows if len(row) == 7}
    for name, source in DATASETS.items():
        assert listed[name][3].strip() == f"{source.photos:,}"
        size = f"{source.megabytes / 1000:.1f} GB" if source.megabytes >= 1000 else f"{source.megabytes} MB"
        assert listed[name][4].strip() == size or name == "imagenet"


CALLS = {
    "caltech101": ("Caltech101", [{}]),
    "flowers102": ("Flowers102", [{"split": "train"}]),
    "food101": ("Food101", [{"split": "train"}]),
    "imagenet": ("ImageNet", [{"split": "train"}, {"split": "val"}]),
    "imagenette": ("Imagenette", [{"split": "train", "size": "320px"}]),
    "pets": ("OxfordIIITPet", [{"split": "trainval"}]),
    "places365-val": ("Places365", [{"split": "val", "small": True}]),
    "voc2012": ("VOCDetection", [{"year": "2012", "image_set": "trainval"}]),
}


def expect_photos(monkeypatch, name, count):
    monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], photos=count))


@pytest.fixture
def fake(monkeypatch):
    """Puts a class in the place of torchvision's that notes its calls, and calls ``work`` with what it may do."""

    def install(name, work):
        calls = []

        def construct(root, **arguments):
            calls.append(arguments)
            work(root / DATASETS[name].folder, arguments.get("download", True))

        monkeypatch.setattr(torchvision.datasets, DATASETS[name].kind, construct)
        expect_photos(monkeypatch, name, 1)
        return calls

    return install


@pytest.mark.parametrize("name", DATASETS)
def test_torchvision_is_asked_for_each_data_set(name, fake, tmp_path):
    def work(folder, download):
        if download:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "a.jpg").write_bytes(b"")

    kind, arguments = CALLS[name]
    assert DATASETS[name].kind == kind
    calls, fetches = fake(name, work), name != "imagenet"
    for may_download in (True, False):  # at first it is not there; then it is, and nothing is fetched again
        assert get_dataset(name, tmp_path / "new") == tmp_path / "new" / DATASETS[name].folder
        expected = [a | {"download": may_download} for a in arguments] if fetches else arguments
        assert calls == expected
        calls.clear()


@pytest.mark.parametrize("name", DATASETS)
def test_torchvision_takes_these_arguments(name, tmp_path):
    source = DATASETS[name]
    kind = getattr(torchvision.datasets, source.kind)
    for arguments in source.calls:
        download = {"download": False} if source.megabytes else {}
        inspect.signature(kind).bind(tmp_path, **arguments, **download)
        with pytest.raises(RuntimeError):  # not there; a value that it does not know would be a ValueError
            kind(tmp_path, **arguments, **download)


def test_torchvision_can_not_fetch_flickr8k():
    # the day that it can, Flickr8k belongs into the table
    assert "download" not in inspect.signature(torchvision.datasets.Flickr8k).parameters


def lay_out(name, root):
    """The files of a data set of one photo of 7×5 pixels, with masks where it has some, as its archives unpack."""
    files = {
        "caltech101": {
            "101_ObjectCategories/ant/image_0001.jpg": None,
            "101_ObjectCategories/BACKGROUND_Google/tmp": "",
        },
        "flowers102": {"jpg/image_00001.jpg": None},
        "food101": {"images/pie/1.jpg": None, "meta/train.json": '{"pie": ["pie/1"]}'},
        "imagenette": {"train/n01440764/a.JPEG": None, "val/n01440764/b.JPEG": None},
        "pets": {
            "images/a_1.jpg": None,
            "images/a_1.mat": "",
            "annotations/trainval.txt": "a_1 1 1 1",
            "annotations/trimaps/a_1.png": None,
        },
        "places365-val": {
            "val_256/Places365_val_1.jpg": None,
            "categories_places365.txt": "/a/abbey 0",
            "places365_val.txt": "Places365_val_1.jpg 0",
        },
        "voc2012": {
            "VOC2012/JPEGImages/1.jpg": None,
            "VOC2012/SegmentationClass/1.png": None,
            "VOC2012/ImageSets/Main/trainval.txt": "1",
            "VOC2012/Annotations/1.xml": "<annotation><object><name>a</name></object></annotation>",
        },
    }
    top = {"caltech101": "caltech101", "flowers102": "flowers-102", "food101": "food-101", "places365-val": ""}
    top |= {"imagenette": "imagenette2-320", "pets": "oxford-iiit-pet", "voc2012": "VOCdevkit"}
    for file, text in files[name].items():
        path = root / top[name] / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            path.write_text(text)
        else:
            Image.new("RGB", (7, 5)).save(path)
    if name == "flowers102":
        savemat(root / top[name] / "setid.mat", {"trnid": [1, 1], "valid": [1, 1], "tstid": [1, 1]})
        savemat(root / top[name] / "imagelabels.mat", {"labels": [1, 1]})


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "imagenet"])
def test_the_folder_is_where_torchvision_reads_photos_and_holds_no_masks(name, tmp_path, monkeypatch):
    lay_out(name, tmp_path)
    for module in ("flowers102", "places365"):  # their lists are checked by hash
        monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", lambda *args, **kwargs: True)
    expect_photos(monkeypatch, name, 1)
    kind, made = getattr(torchvision.datasets, DATASETS[name].kind), []

    def construct(root, **arguments):
        made.append(kind(root, **arguments))

    monkeypatch.setattr(torchvision.datasets, DATASETS[name].kind, construct)
    folder = get_dataset(name, tmp_path)
    (photo,) = find_images(folder)
    assert photo.suffix.lower() in (".jpg", ".jpeg")
    with made[0][0][0] as picture:
        assert picture.size == (7, 5)
    photo.unlink()
    with pytest.raises(FileNotFoundError):
        made[0][0]


def test_what_is_there_by_half_is_completed(fake, tmp_path):
    def work(folder, download):
        if not download:
            raise RuntimeError("Dataset not found or corrupted.")
        (folder / "b.jpg").write_bytes(b"")

    calls = fake("pets", work)
    (tmp_path / "oxford-iiit-pet" / "images").mkdir(parents=True)
    get_dataset("pets", tmp_path)
    assert [call["download"] for call in calls] == [False, True]


def test_too_few_photos_are_told(fake, tmp_path, monkeypatch):
    fake("pets", lambda folder, download: None)
    folder = tmp_path / "oxford-iiit-pet" / "images"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"")
    expect_photos(monkeypatch, "pets", 7390)
    with pytest.raises(OSError, match="holds 1 of 7,390") as error:
        get_dataset("pets", tmp_path)
    # all of it: torchvision does not unpack an archive anew if the folder around the photos is there
    mend = f"remove {tmp_path / 'oxford-iiit-pet'}, and get pets again."
    assert str(error.value) == f"{folder}: holds 1 of 7,390 photos; {mend}"


def test_why_a_data_set_could_not_be_got(fake, tmp_path):
    def work(folder, download):
        raise OSError(28, "No space left on device")

    fake("voc2012", work)
    with pytest.raises(OSError, match=r"voc2012: could not be got into .* \(No space left on device\): connect to"):
        get_dataset("voc2012", tmp_path)
    with pytest.raises(ValueError, match=r"no data set 'coco'; there are caltech101, .*voc2012\."):
        get_dataset("coco", tmp_path)


def test_two_downloads_at_once(fake, tmp_path):
    name = "voc2012"
    fake(name, lambda folder, download: None)
    with hold(tmp_path / "VOCdevkit", lock_beside(tmp_path / name)), pytest.raises(HeldError, match="works on it now"):
        get_dataset(name, tmp_path)
