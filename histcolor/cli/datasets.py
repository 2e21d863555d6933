"""Data sets that ``histcolor data get`` fetches through torchvision, and where in them the photos lie."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from histcolor.files import HeldError, hold, lock_beside
from histcolor.images import find_images


@dataclass(frozen=True)
class Source:
    """A data set that torchvision can fetch."""

    holds: str  #: in a few words
    kind: str  #: torchvision's class
    calls: tuple[dict, ...]  #: that class's arguments, beside ``root`` and ``download``; a dict for each call
    folder: str  #: below the root: where the photos lie, and nothing but photos (no masks)
    photos: int  #: in that folder
    megabytes: int  #: to download, about; 0: the archives must be fetched by hand
    terms: str  #: of use


_RESEARCH = "non-commercial research and teaching"
#: Places has its validation photos alone, 100 of each scene: the training photos would be 24 GB. Flickr8k is not here:
#: torchvision reads it, but can not fetch it. Most archives hold all splits, so that one call fetches them all.
DATASETS = {
    "caltech101": Source(
        "101 kinds of things", "Caltech101", ({},), "caltech101/101_ObjectCategories", 9_144, 137, "CC BY 4.0"
    ),
    "flowers102": Source(
        "102 kinds of flowers",
        "Flowers102",
        ({"split": "train"},),
        "flowers-102/jpg",
        8_189,
        345,
        "none stated; from the web, for research",
    ),
    "food101": Source(
        "101 dishes",
        "Food101",
        ({"split": "train"},),
        "food-101/images",
        101_000,
        5_000,
        "Foodspotting's photos: scientific fair use",
    ),
    "imagenet": Source(
        "1,000 kinds", "ImageNet", ({"split": "train"}, {"split": "val"}), "train", 1_281_167, 0, _RESEARCH
    ),
    "imagenette": Source(
        "ten kinds of ImageNet",
        "Imagenette",
        ({"split": "train", "size": "320px"},),
        "imagenette2-320/train",  # val lies beside it: results are measured on it, so it must not be trained on
        9_469,
        340,
        _RESEARCH,
    ),
    "pets": Source(
        "37 breeds of cats and dogs",
        "OxfordIIITPet",
        ({"split": "trainval"},),
        "oxford-iiit-pet/images",
        7_390,
        810,
        "CC BY-SA 4.0",
    ),
    "places365-val": Source(
        "365 scenes, 256×256", "Places365", ({"split": "val", "small": True},), "val_256", 36_500, 600, _RESEARCH
    ),
    "voc2012": Source(
        "people, animals, traffic, rooms",
        "VOCDetection",
        ({"year": "2012", "image_set": "trainval"},),
        "VOCdevkit/VOC2012/JPEGImages",
        17_125,
        2_000,
        "Flickr's terms; the owners keep their rights",
    ),
}


def get_dataset(name: str, root: Path) -> Path:
    """Download a data set through torchvision, which checks its hash; what is there already is not fetched again.

    Args:
        name: a key of :data:`DATASETS`.
        root: folder to download into.

    Returns:
        The folder that holds its photos, and no other images.

    Raises:
        ValueError: there is no data set of that name.
        OSError: it could not be downloaded, or is there by half; the message says what to do.
    """
    if name not in DATASETS:
        raise ValueError(f"There is no data set {name!r}; there are {', '.join(sorted(DATASETS))}.")
    source = DATASETS[name]
    folder, top = root / source.folder, root / Path(source.folder).parts[0]
    try:
        with hold(top, lock_beside(root / name)):  # two downloads at once would write the same files
            for arguments in source.calls:
                _fetch(source, root, arguments)
            found = len(find_images(folder))
    except HeldError:
        raise
    except Exception as error:  # torchvision, urllib and zipfile each raise their own kinds
        mend = (
            f"connect to a network (after a download that was stopped, remove {top} first), "
            "or pack photos of your own with 'histcolor data pack FOLDER'"
            if source.megabytes
            else "put ILSVRC2012's archives, which need a registration, into the folder"
        )
        why = getattr(error, "strerror", None) or type(error).__name__  # "No space left on device" says more
        raise OSError(f"{name}: could not be got into {root} ({why}): {mend}.") from error
    if found < 0.99 * source.photos:  # torchvision takes what a killed extraction left for the whole
        raise OSError(f"{folder}: holds {found:,} of {source.photos:,} photos; remove {top}, and get {name} again.")
    return folder


def _fetch(source: Source, root: Path, arguments: dict) -> None:
    import torchvision.datasets

    kind = getattr(torchvision.datasets, source.kind)
    if not source.megabytes:
        kind(root, **arguments)
        return
    if (root / source.folder).is_dir():  # some classes unpack their archive anew each time that they may download
        with suppress(Exception):  # not all of it is there
            kind(root, download=False, **arguments)
            return
    kind(root, download=True, **arguments)
