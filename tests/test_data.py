"""histcolor.data: packs from folders and tars, what is left out and why, and what happens to broken sources."""

import hashlib
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from histcolor import data
from histcolor.cli.main import main
from histcolor.data import Pack, build_pack, iterate_files
from histcolor.files import HeldError
from histcolor.images import find_images, read_image, read_table


def manifest(folder):
    return pd.read_csv(folder / "manifest.csv", keep_default_na=False)


def make_tar(source, path, mode):
    with tarfile.open(path, mode) as tar:
        tar.add(source, arcname="photos")
    return path


def rejected_files(photo):
    """Name → (bytes, the reason to leave it out)."""
    noise = np.random.default_rng(0).integers(0, 256, (80, 80), np.uint8)
    gray, tiny = io.BytesIO(), io.BytesIO()
    Image.fromarray(noise).save(gray, "PNG")
    Image.new("RGB", (64, 64), "red").save(tiny, "PNG")
    return {
        "gray.png": (gray.getvalue(), "gray"),
        "gray_in_colour.png": (gray_saved_as_rgb(noise), "gray"),
        "text.jpg": (b"no photo at all\n" * 400, "unreadable"),
        "tiny.png": (tiny.getvalue(), "under 3072 bytes"),
        "truncated.jpg": (photo.read_bytes()[: 2 * data.MIN_BYTES], "unreadable"),
    }


def gray_saved_as_rgb(noise):
    file = io.BytesIO()
    # a breath of colour, as scans have
    Image.fromarray(np.stack([noise, noise, np.minimum(noise, 254) + 1], axis=-1)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def mixed(photos, tmp_path):
    """A folder with two good photos, one of them in a subfolder, and one file for each reason to leave it out."""
    folder = tmp_path / "mixed"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(photos / "coffee_cup.jpg", folder / "a.jpg")
    shutil.copy(photos / "chelsea_eye.jpg", folder / "deep" / "b.jpg")
    (folder / "notes.txt").write_text("not met at all")
    for name, (content, _) in rejected_files(photos / "coffee_cup.jpg").items():
        (folder / name).write_bytes(content)
    return folder


# ---- building


def test_a_pack_from_a_folder(photos, pack_folder):
    assert sorted(p.name for p in pack_folder.iterdir()) == ["images.npy", "manifest.csv", "pack.json"]
    about = json.loads((pack_folder / "pack.json").read_text())
    assert about == {"photos": 6, "size": 64, "min_bytes": 3072, "rejected": {}, "sources": [photos.name]}
    images = np.load(pack_folder / "images.npy")
    assert images.shape == (6, 64, 64, 3)
    assert images.dtype == np.uint8
    table = manifest(pack_folder)
    files = sorted(photos.iterdir())
    assert table["file"].tolist() == [f"{photos.name}/{p.name}" for p in files]
    assert table["sha256"].tolist() == [hashlib.sha256(p.read_bytes()).hexdigest() for p in files]
    assert (table["rejected"] == "").all()
    # in the manifest's order, and the photos' own colours
    for packed, file in zip(images, files, strict=True):
        original = read_image(file).permute(1, 2, 0) * 255
        assert np.abs(packed.mean((0, 1)) - original.mean((0, 1)).numpy()).max() < 2


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(".tar", "w"), (".TAR", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz"), (".tar.xz", "w:xz"), (".txz", "w:xz"),
     (".tbz", "w:bz2"), (".TBZ2", "w:bz2")],
)  # fmt: skip
def test_a_pack_from_a_tar_holds_the_same(suffix, mode, photos, pack, tmp_path):
    tar = make_tar(photos, tmp_path / f"photos{suffix}", mode)
    about = build_pack([tar], tmp_path / "pack", 64, quiet=True)
    assert about["photos"] == 6
    # a tar keeps the order in which files were put in
    names = [Path(name).name for name in manifest(tmp_path / "pack")["file"]]
    order = [sorted(names).index(name) for name in names]
    assert np.array_equal(Pack.open(tmp_path / "pack").images, pack.images[order])


def test_several_sources_and_keep(photos, tmp_path):
    tar = make_tar(photos, tmp_path / "photos.tar", "w")
    about = build_pack([tar, photos], tmp_path / "both", 32, quiet=True)
    assert about["photos"] == 12
    assert about["sources"] == ["photos.tar", photos.name]
    about = build_pack([tar, photos], tmp_path / "cats", 32, keep="chelsea", quiet=True)
    assert about["photos"] == 4
    assert all("chelsea" in name for name in manifest(tmp_path / "cats")["file"])


def test_a_photo_of_two_sources_is_taken_once(mixed, tmp_path, monkeypatch):
    monkeypatch.chdir(mixed)  # the same folder by other names
    (mixed.parent / "by another name").symlink_to(mixed)
    sources = [mixed, mixed / "deep", Path("../mixed"), Path("a.jpg"), Path("../by another name")]
    about = build_pack(sources, tmp_path / "pack", 64, quiet=True)
    assert about == build_pack([mixed], tmp_path / "once", 64, quiet=True) | {"sources": [s.name for s in sources]}
    assert manifest(tmp_path / "pack").equals(manifest(tmp_path / "once"))


def test_what_is_a_tar(mixed, tmp_path):
    names = ("a.tar", "a.tgz", "a.b.tar", "a.tar.gz", "A.TAR.XZ", "a.tar.zst")
    assert all(data.is_tar(Path(name)) for name in names)
    assert not any(data.is_tar(Path(name)) for name in ("a.tar.jpg", "a.jpg", "a", "tar", "a.gz"))
    shutil.copy(mixed / "a.jpg", tmp_path / "a.tar.jpg")
    assert build_pack([tmp_path / "a.tar.jpg"], tmp_path / "pack", 64, quiet=True)["photos"] == 1


def test_the_middle_square_is_taken(tmp_path):
    wide = np.zeros((64, 192, 3), np.uint8)
    wide[:, :64, 0], wide[:, 64:128, 1], wide[:, 128:, 2] = 255, 255, 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    build_pack([tmp_path / "wide.png"], tmp_path / "pack", 32, min_bytes=0, quiet=True)
    packed = Pack.open(tmp_path / "pack").images[0]
    assert np.abs(packed[:, 2:-2].astype(int) - [0, 255, 0]).max() <= 2  # the filter reaches over the cut


def test_what_is_left_out_is_listed_with_its_reason(mixed, photos, tmp_path):
    about = build_pack([mixed], tmp_path / "pack", 32, quiet=True)
    assert about["photos"] == 2
    assert about["rejected"] == {"gray": 2, "unreadable": 2, "under 3072 bytes": 1}
    assert json.loads((tmp_path / "pack" / "pack.json").read_text()) == about
    table = manifest(tmp_path / "pack").set_index("file")
    expected = {f"mixed/{name}": why for name, (_, why) in rejected_files(photos / "coffee_cup.jpg").items()}
    assert table["rejected"].to_dict() == expected | {"mixed/a.jpg": "", str(Path("mixed/deep/b.jpg")): ""}
    assert table["sha256"].nunique() == len(table)
    assert len(Pack.open(tmp_path / "pack")) == 2


def test_files_of_fewer_bytes_are_left_out(photos, tmp_path):
    photo = photos / "coffee_cup.jpg"
    size = photo.stat().st_size
    about = build_pack([photo], tmp_path / "just", 32, min_bytes=size, quiet=True)
    assert (about["photos"], about["min_bytes"]) == (1, size)
    with pytest.raises(OSError, match=f"under {size + 1} bytes"):
        build_pack([photo], tmp_path / "too_small", 32, min_bytes=size + 1, quiet=True)


def test_small_files_can_be_kept(mixed, photos, tmp_path):
    (mixed / "empty.jpg").write_bytes(b"")
    about = build_pack([mixed], tmp_path / "pack", 32, min_bytes=0, quiet=True)
    assert about == json.loads((tmp_path / "pack" / "pack.json").read_text())
    assert (about["photos"], about["min_bytes"]) == (3, 0)
    assert about["rejected"] == {"gray": 2, "unreadable": 3}  # an empty file is no photo, whatever the limit
    table = manifest(tmp_path / "pack").set_index("file")
    assert (table.loc["mixed/tiny.png", "rejected"], table.loc["mixed/empty.jpg", "rejected"]) == ("", "unreadable")


def test_a_negative_limit_is_refused(photos, tmp_path):
    with pytest.raises(ValueError, match="min_bytes must be 0 or more, got -1"):
        build_pack([photos], tmp_path / "pack", 32, min_bytes=-1, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_may_not_be_read_is_left_out_as_unreadable(mixed, tmp_path, monkeypatch):
    # by hand, as root may read everything
    read = Path.read_bytes

    def deny(path):
        if path.name == "a.jpg":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", deny)
    assert build_pack([mixed], tmp_path / "pack", 32, quiet=True)["photos"] == 1
    row = manifest(tmp_path / "pack").set_index("file").loc["mixed/a.jpg"]
    assert (row["sha256"], row["rejected"]) == ("", "unreadable")


@pytest.mark.skipif(os.name != "posix", reason="names are Unicode elsewhere")
def test_names_that_are_no_utf8_do_not_stop_a_pack(photos, tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    try:
        shutil.copy(photos / "coffee_cup.jpg", os.path.join(os.fsencode(folder), b"caf\xe9.jpg"))
    except OSError:
        pytest.skip("this file system takes Unicode names alone")
    assert build_pack([folder], tmp_path / "pack", 32, quiet=True)["photos"] == 1
    assert manifest(tmp_path / "pack")["file"].tolist() == ["old/caf\\udce9.jpg"]


# ---- refusing


def test_an_existing_output_is_refused_and_kept(photos, tmp_path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "precious").write_text("")
    with pytest.raises(ValueError, match="is there already") as error:
        build_pack([photos], tmp_path / "pack", 32, quiet=True)
    assert str(tmp_path / "pack") in str(error.value)
    assert [p.name for p in (tmp_path / "pack").iterdir()] == ["precious"]


def test_a_link_to_nothing_is_an_existing_output(photos, tmp_path):
    (tmp_path / "pack").symlink_to("nowhere")
    for output in (tmp_path / "pack", tmp_path / "new" / ".."):
        with pytest.raises(ValueError, match="is there already"):
            build_pack([photos], output, 32, quiet=True)
    assert [p.name for p in tmp_path.iterdir()] == ["pack"]


def test_links_in_a_tar_are_listed(photos, tmp_path):
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        tar.add(photos / "coffee_cup.jpg", "a.jpg")
        for name, kind in (("hard.jpg", tarfile.LNKTYPE), ("soft.jpg", tarfile.SYMTYPE)):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, "a.jpg"
            tar.addfile(link)
    about = build_pack([tmp_path / "photos.tar"], tmp_path / "pack", 32, quiet=True)
    assert (about["photos"], about["rejected"]) == (1, {"unreadable": 2})


def test_a_size_too_small_is_refused(photos, tmp_path):
    with pytest.raises(ValueError, match="at least 32 pixels a side, got 31"):
        build_pack([photos], tmp_path / "pack", 31, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_photos(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("")
    with pytest.raises(OSError, match="holds no photo") as error:
        build_pack([tmp_path / "empty"], tmp_path / "pack", 32, quiet=True)
    assert str(tmp_path / "empty") in str(error.value)


def test_a_tar_without_photos(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    make_tar(tmp_path / "notes.txt", tmp_path / "notes.tar", "w")
    with pytest.raises(OSError, match="no photo was left of 0 files") as error:
        build_pack([tmp_path / "notes.tar"], tmp_path / "pack", 32, quiet=True)
    assert "notes.tar" in str(error.value)


def test_a_missing_source(tmp_path):
    with pytest.raises(OSError, match="no such file or folder") as error:
        build_pack([tmp_path / "nowhere"], tmp_path / "pack", 32, quiet=True)
    assert "nowhere" in str(error.value)


def test_a_source_that_is_no_photo_and_no_tar(photos, tmp_path):
    """One that was named is not left out without a word, as a file in a folder is."""
    (tmp_path / "photos.zip").write_bytes(b"PK" * data.MIN_BYTES)
    with pytest.raises(OSError, match=r"photos\.zip: is no readable photo, and no tar by its name \(\.tar, ") as error:
        build_pack([photos, tmp_path / "photos.zip"], tmp_path / "pack", 32, quiet=True)
    assert str(tmp_path / "photos.zip") in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["photos.zip"]


def test_nothing_left(mixed, tmp_path):
    with pytest.raises(OSError, match=r"no photo was left of 1 files.*gray") as error:
        build_pack([mixed], tmp_path / "pack", 32, keep="gray.png", quiet=True)
    assert str(mixed) in str(error.value)


def damaged_tar(photos, path, damage):
    """A tar that was cut or written over: in a photo, in a header, before its end, or when compressed."""
    compressed = damage.startswith("gz")
    make_tar(photos, path, "w:gz" if compressed else "w")
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as tar:
        header, end = tar.getmembers()[4].offset, tar.offset
    if damage == "header overwritten":
        content[header : header + 512] = b"x" * 512
    else:
        cuts = {"photo cut": header + 2000, "header cut": header + 100, "gz cut": len(content) // 2, "end cut": end}
        del content[cuts[damage] :]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("damage", ["photo cut", "header cut", "end cut", "header overwritten", "gz cut"])
def test_a_damaged_tar_is_named_and_leaves_nothing(damage, photos, tmp_path):
    tar = damaged_tar(photos, tmp_path / ("photos.tar.gz" if damage.startswith("gz") else "photos.tar"), damage)
    with pytest.raises(OSError, match="is no readable tar, or is cut off") as error:
        build_pack([tar], tmp_path / "pack", 32, quiet=True)
    assert str(tar) in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == [tar.name]


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_tar_with_a_damaged_compressed_stream_is_named(kind, photos, tmp_path):
    tar = make_tar(photos, tmp_path / f"photos.tar.{kind}", f"w:{kind}")
    sound, noise = tar.read_bytes(), np.random.default_rng(0).bytes(300)
    for part in (0.0, 0.1, 0.5, 0.9):
        start = int(len(sound) * part)
        # only a checksum notices a single wrong byte within a photo
        length = 1 if part == 0.5 else 300
        tar.write_bytes(sound[:start] + noise[:length] + sound[start + length :])
        with pytest.raises(OSError, match="is no readable tar, or is cut off") as error:
            build_pack([tar], tmp_path / "pack", 32, quiet=True)
        assert str(tar) in str(error.value)


def test_a_tar_that_is_none(tmp_path):
    for content in (b"", b"no tar at all" * 100):
        (tmp_path / "a.tar").write_bytes(content)
        with pytest.raises(OSError, match=r"a\.tar: is no readable tar, or is cut off"):
            build_pack([tmp_path / "a.tar"], tmp_path / "pack", 32, quiet=True)


def test_what_fails_midway_leaves_nothing_and_can_be_run_again(photos, tmp_path):
    tar = damaged_tar(photos, tmp_path / "photos.tar", "photo cut")
    with pytest.raises(OSError, match="is cut off"):
        build_pack([photos, tar], tmp_path / "pack", 64, quiet=True)
    assert [p.name for p in tmp_path.iterdir()] == ["photos.tar"]
    assert build_pack([photos], tmp_path / "pack", 64, quiet=True)["photos"] == 6


def test_two_packs_of_one_name_are_not_mixed(photos, tmp_path, monkeypatch):
    """The second process says who makes it; another name is free, and clears nothing of the living one's."""
    said, real = [], data.examine

    def examine(*given):  # in the middle of the first pack
        if not said:
            said.append("")
            with pytest.raises(HeldError) as error:
                build_pack([photos], tmp_path / "pack", 32, quiet=True)
            said.append(str(error.value))
            build_pack([photos], tmp_path / "other", 32, quiet=True)
        return real(*given)

    monkeypatch.setattr(data, "examine", examine)
    assert build_pack([photos], tmp_path / "pack", 64, quiet=True)["photos"] == 6
    assert said[1].startswith(f"{tmp_path / 'pack'}: process {os.getpid()} on ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["other", "pack"]
    assert len(Pack.open(tmp_path / "pack")) == len(Pack.open(tmp_path / "other")) == 6


def test_what_the_disk_gives_back_is_compared(photos, tmp_path, monkeypatch):
    real = data.open_images

    def damaged(path):
        images = np.array(real(path))
        images[3, 0, 0, 0] ^= 1
        return images

    monkeypatch.setattr(data, "open_images", damaged)
    with pytest.raises(OSError, match="the photos read back are not those written"):
        build_pack([photos], tmp_path / "pack", 64, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_what_was_killed_midway_can_be_run_again(photos, pack, tmp_path):
    # a killed process removes nothing behind itself
    for name in (".pack.histcolor-0123abcd", ".another.histcolor-0123abcd"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "images.raw").write_bytes(bytes(10**6))
    for name in (".pack.histcolor-lock", ".pack.histcolor-lock.owner"):
        (tmp_path / name).write_text("process 1 on earth")
    (tmp_path / ".theirs").mkdir()
    build_pack([photos], tmp_path / "pack", 64, quiet=True)
    assert np.array_equal(Pack.open(tmp_path / "pack").images, pack.images)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".theirs", "pack"]


def test_subfolders_that_can_not_be_read_are_named(mixed, tmp_path, monkeypatch, capsys):
    # by hand, as root may read everything
    scan = os.scandir

    def deny(path):
        if path == str(mixed / "deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(OSError, match=r"can not read 1 of the folders and files in it: .*deep \(Permission denied\)"):
        build_pack([mixed], tmp_path / "no", 32, quiet=True)
    assert main(["data", "pack", str(mixed), "--output", str(tmp_path / "pack"), "--size", "32"]) == 1
    shown = capsys.readouterr()
    assert "1 photos of 32×32" in shown.out
    (line,) = shown.err.splitlines()
    assert f"1 of the folders and files in it, so leaves them out: {mixed / 'deep'} (Permission denied)" in line
    out = str(tmp_path / "x.csv")
    assert main(["evaluate", str(mixed), "--methods", "gray", "--size", "32", "--output", out]) == 1
    assert str(mixed / "deep") in capsys.readouterr().err


def test_hidden_files_are_no_photos(photos, tmp_path):
    folder = tmp_path / "mac"
    for name in ("a.jpg", "._a.jpg", ".trash/b.jpg", ".histcolor-12345678.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / "coffee_cup.jpg", folder / name)
    assert find_images(folder) == [folder / "a.jpg"]
    tar = make_tar(folder, tmp_path / "mac.tar", "w")
    assert [name for name, _ in iterate_files(tar)] == ["mac.tar/photos/a.jpg"]
    with tarfile.open(tar, "w") as file:  # as 'tar c .' and 'tar c -P ..' name them
        for name in ("./a.jpg", "./.trash/b.jpg", "../c.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 3
            file.addfile(member, io.BytesIO(b"abc"))
    assert [name for name, _ in iterate_files(tar)] == ["mac.tar/./a.jpg", "mac.tar/../c.jpg"]


def test_an_interrupted_pack_leaves_nothing(photos, tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "is_gray", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build_pack([photos], tmp_path / "pack", 32, quiet=True)
    assert list(tmp_path.iterdir()) == []


# ---- opening and cutting


def test_packs_are_joined_in_the_given_order(pack_folder, pack, mixed, tmp_path):
    build_pack([mixed], tmp_path / "two", 64, quiet=True)
    joined = Pack.open(tmp_path / "two", pack_folder)
    assert len(joined) == 8
    assert np.array_equal(joined.images[2:], pack.images)
    assert np.array_equal(joined.images[:2], Pack.open(str(tmp_path / "two")).images)


def test_one_pack_is_not_read_into_memory(pack):
    assert isinstance(pack.images, np.memmap)
    assert not pack.images.flags.writeable


def test_packs_of_different_size_are_refused(photos, pack_folder, tmp_path):
    build_pack([photos], tmp_path / "small", 32, quiet=True)
    with pytest.raises(ValueError, match="different sizes"):
        Pack.open(pack_folder, tmp_path / "small")


@pytest.mark.parametrize("kept", [None, 0, 60, 5000])
def test_an_incomplete_pack_is_refused(kept, pack_folder, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(pack_folder, broken)
    content = (broken / "images.npy").read_bytes()
    (broken / "images.npy").unlink()
    if kept is not None:
        (broken / "images.npy").write_bytes(content[:kept])
    with pytest.raises(OSError, match="is not a complete pack; make one with 'histcolor data pack'") as error:
        Pack.open(pack_folder, broken)
    assert str(broken) in str(error.value)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (lambda x: x.astype(np.float32) / 255, r"are uint8 \[N, size, size, 3\], these float32 \[6, 64, 64, 3\]"),
        (lambda x: x.astype(np.int16), "these int16"),
        (lambda x: x[..., 0], r"these uint8 \[6, 64, 64\]"),
        (lambda x: x[:, :, :32], r"these uint8 \[6, 64, 32, 3\]"),
        (lambda x: x[:5], "its manifest lists 6 photos, the file holds 5"),
        (lambda x: x[:0], "its manifest lists 6 photos, the file holds 0"),
        (lambda x: np.array([{}] * 6), "is not a complete pack"),
    ],
)
def test_arrays_that_are_no_packs_are_refused(images, message, pack_folder, pack, tmp_path):
    broken = shutil.copytree(pack_folder, tmp_path / "broken")
    np.save(broken / "images.npy", images(np.array(pack.images)), allow_pickle=True)
    with pytest.raises(OSError, match=message) as error:
        Pack.open(broken)
    assert str(error.value).startswith(f"{broken}: ")


def test_no_pack_is_refused(tmp_path):
    with pytest.raises(OSError, match="nowhere: is not a complete pack"):
        Pack.open(tmp_path / "nowhere")
    with pytest.raises(OSError, match="No pack was named"):
        Pack.open()


def numbered_pack(n=3, side=6):
    """Photos in which the values of every pixel are its photo, row and column."""
    grid = np.stack(np.meshgrid(np.arange(n), np.arange(side), np.arange(side), indexing="ij"), axis=-1)
    return Pack(grid.astype(np.uint8))


def test_crops_lie_where_the_corner_says():
    corner = np.array([[0.0, 0.0], [0.999, 0.0], [0.5, 0.999]])
    crops = numbered_pack().crops(np.array([2, 0, 1]), corner, np.zeros(3, bool), 4)
    assert crops.shape == (3, 3, 4, 4)
    assert crops.dtype == torch.uint8
    # room for 3 places along each axis: 0, 1, 2
    assert crops[:, :, 0, 0].tolist() == [[2, 0, 0], [0, 2, 0], [1, 1, 2]]
    assert crops[:, :, -1, -1].tolist() == [[2, 3, 3], [0, 5, 3], [1, 4, 5]]


def test_crops_reach_every_place_alike():
    draw = np.random.default_rng(0)
    n = 3000
    crops = numbered_pack().crops(np.zeros(n, int), draw.random((n, 2)), np.zeros(n, bool), 4)
    counts = np.bincount((crops[:, 1, 0, 0] * 3 + crops[:, 2, 0, 0]).numpy(), minlength=9)
    assert len(counts) == 9
    assert np.abs(counts / n - 1 / 9).max() < 0.03


def test_crops_flip_left_to_right():
    pack, corner = numbered_pack(), np.array([[0.4, 0.7]] * 2)
    plain, flipped = pack.crops(np.array([1, 1]), corner, np.array([False, True]), 4)
    assert torch.equal(flipped, plain.flip(-1))
    assert not torch.equal(flipped, plain)


def test_a_crop_may_be_the_whole_photo_but_no_more():
    pack, index, none = numbered_pack(), np.array([1]), np.array([False])
    whole = pack.crops(index, np.array([[0.99, 0.99]]), none, 6)
    assert np.array_equal(whole[0].permute(1, 2, 0).numpy(), pack.images[1])
    with pytest.raises(ValueError, match="6 pixels a side, too few for crops of 7"):
        pack.crops(index, np.array([[0.0, 0.0]]), none, 7)


# ---- what data/README.md says

DATA = Path(__file__).parents[1] / "data"


def test_the_committed_manifests_hold_what_the_readme_says():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    files = sorted((DATA / "manifests").iterdir())
    tables = {file.name.removesuffix(".csv.gz"): pd.read_csv(file, keep_default_na=False) for file in files}
    for file, table in zip(files, tables.values(), strict=True):
        assert file.read_bytes()[4:8] == bytes(4), "no time in it: the same table is the same file"
        assert table["sha256"].str.fullmatch("[0-9a-f]{16}").all()
    measured = read_table(DATA.parent / "results/tables/diverse_self.json.xz")
    assert set(tables.pop("diverse_val")["photo"]) == set(measured["photo"])
    assert [*tables] == ["caltech101", "imagenette_train", "imagenette_val"]
    for table in tables.values():
        counts = table["rejected"].value_counts()
        kept, left_out = counts.pop(""), ", ".join(f"{count} {reason}" for reason, count in counts.items())
        assert any(f"| {kept:,}" in line and line.endswith(f"| {left_out} |") for line in readme.splitlines())
