"""Bad photos, and odd ones that are good."""

import os
import shutil

import numpy as np
from arena import Case, attack
from making import SMALL, bad_photo, colorize, damaged, read, same_light, special
from PIL import Image, ImageCms


@attack("photos, odd but good", 90)
def odd_mode(world, room, random):
    mode, suffix = random.choice(
        [
            ("L", "png"),
            ("LA", "png"),
            ("RGBA", "png"),
            ("P", "png"),
            ("P", "gif"),
            ("I;16", "png"),
            ("I;16", "tif"),
            ("I", "tif"),
            ("F", "tif"),
            ("CMYK", "jpg"),
            ("CMYK", "tif"),
            ("YCbCr", "jpg"),
            ("RGB", "jpg"),
            ("RGB", "webp"),
            ("RGB", "bmp"),
            ("RGB", "tiff"),
            ("RGB", "ppm"),
            ("L", "pgm"),
            ("RGB", "jp2"),
            ("RGBA", "webp"),
            ("1", "png"),
        ]
    )
    base = read(world.photo)
    gray = np.asarray(base.convert("L"))
    expected, picture = base.convert("L").convert("RGB"), None
    if mode == "I;16":
        picture = Image.fromarray(gray.astype(np.uint16) * 257)
    elif mode == "I":
        picture = Image.fromarray(gray.astype(np.int32) * 257)
    elif mode == "F":
        picture = Image.fromarray(gray.astype(np.float32) / 255)
    elif mode in ("L", "LA"):
        picture = base.convert(mode)
    else:
        picture, expected = base.convert(mode), base
    picture.save(room / f"a.{suffix}")
    if mode == "1":
        expected = picture.convert("RGB")
    lossy = suffix in ("jpg", "webp", "jp2") or mode in ("P", "1", "CMYK")
    return Case(
        colorize(world, room / f"a.{suffix}", room / "o.png"),
        True,
        check=same_light(room / "o.png", expected, exact=not lossy)
        if mode != "1"
        else same_light(room / "o.png", None),
    )


@attack("photos, odd but good")
def turned(world, room, random):
    base, exif, how = read(world.photo), Image.Exif(), random.choice([*range(10), 77])
    exif[0x0112] = how
    suffix = random.choice(("png", "jpg", "webp", "tif"))
    base.save(room / f"a.{suffix}", exif=exif, quality=95)
    expected = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    base = base.transpose(expected[how]) if how in expected else base
    return Case(
        colorize(world, room / f"a.{suffix}", room / "o.png"),
        True,
        check=same_light(room / "o.png", base, exact=suffix in ("png", "tif")),
    )


@attack("photos, odd but good")
def profiled(world, room, random):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    data = random.choice([srgb, lab, b"", b"x", srgb[: random.randrange(len(srgb))], random.randbytes(500)])
    base, suffix = read(world.photo), random.choice(("png", "jpg", "webp", "tif"))
    base.convert(random.choice(("RGB", "L")) if suffix != "webp" else "RGB").save(
        room / f"a.{suffix}", icc_profile=data
    )
    return Case(
        colorize(world, room / f"a.{suffix}", room / "o.png"), True, check=same_light(room / "o.png", base, exact=False)
    )


@attack("photos, odd but good")
def odd_size(world, room, random):
    from conftest import picture

    size = random.choice([(1, 1), (1, 2), (2, 1), (3, 5000), (5000, 3), (1, 3000), (7, 7), (31, 33), (500, 1)])
    base = Image.fromarray(picture(1, *size))
    base.save(room / "a.png")
    with_pins = ["--point", f"{size[1] - 1},{size[0] - 1},#c33"] if random.random() < 0.3 else []
    return Case(
        colorize(world, room / "a.png", room / "o.png", *with_pins),
        True,
        check=lambda: same_light(room / "o.png", None)() or _has_size(room / "o.png", size[::-1]),
    )


def _has_size(path, size):
    with Image.open(path) as picture:
        assert picture.size == size, f"{picture.size}, not {size}"


@attack("photos, odd but good")
def odd_name(world, room, random):
    name = random.choice(
        [
            "n" * 245 + ".png",
            "é" * 122 + ".jpg",
            "=1+1.png",
            "@sum.png",
            "+a.png",
            "a b\t.png",
            "new\nline.png",
            "\x1b[31m.png",
            "<img src=x onerror=alert(1)>.png",
            "$(touch pickle-ran).png",
            "%s%n{0}.png",
            "'; drop table--.png",
            os.fsdecode(b"\xff\xfe.png"),
            "λ.PNG",
            "a.JPeG",
            "ＮＵＬ.png",
            "con.png",
            "-x.png",
        ]
    )
    (room / "in").mkdir()
    with open(room / "in" / name, "wb") as file:
        read(world.photo).save(file, "JPEG" if name.lower().endswith("g.") else "PNG")
    given = room / "in" if random.random() < 0.5 else room / "in" / name
    out = (room / "out" / name).with_suffix(".png")
    return Case(colorize(world, given, room / "out"), True, check=same_light(out, read(world.photo)))


@attack("photos, odd but good")
def odd_place(world, room, random):
    how = random.randrange(6)
    if how == 0:
        (room / "a.png").symlink_to(world.photo)
    else:
        shutil.copy(world.photo, room / "a.png")
    folder = room / "in"
    folder.mkdir()
    shutil.copy(world.photo, folder / "b.png")
    (folder / ".hidden.png").write_bytes(b"no photo")
    (folder / ".histcolor-left.png").write_bytes(b"no photo")
    (folder / "notes.txt").write_text("no photo")
    (folder / "loop").symlink_to(folder)
    (folder / "folder.png").mkdir()
    return Case(
        ["colorize", room / "a.png", folder, "--model", world.model, *SMALL, "--output", room / "out"],
        True,
        check=lambda: [same_light(room / "out" / n, read(world.photo))() for n in ("a.png", "b.png")],
    )


@attack("photos, odd but good")
def animated_or_misnamed(world, room, random):
    base = read(world.photo)
    more = [base.transpose(Image.Transpose.ROTATE_180)] * 3
    suffix, kind = random.choice([("png", "PNG"), ("webp", "WEBP"), ("tif", "TIFF"), ("jpg", "PNG"), ("bmp", "WEBP")])
    with open(room / f"a.{suffix}", "w+b") as file:
        base.save(file, kind, save_all=True, append_images=more if kind != "JPEG" else [])
    return Case(
        colorize(world, room / f"a.{suffix}", room / "o.png"),
        True,
        check=same_light(room / "o.png", base, exact=kind != "WEBP"),
    )


@attack("photos, bad", 170)
def no_photo(world, room, random):
    path = bad_photo(world, room, random)
    return Case(colorize(world, path, room / "o.png"), names=[path])


@attack("photos, bad")
def damaged_photo(world, room, random):
    base, suffix = (
        read(world.photo),
        random.choice(("jpg", "png", "webp", "tif", "gif", "bmp", "jp2", "ppm", "avif")),
    )
    base.save(room / f"a.{suffix}")
    (room / f"a.{suffix}").write_bytes(damaged((room / f"a.{suffix}").read_bytes(), random))
    return Case(
        colorize(world, room / f"a.{suffix}", room / "o.png"),
        None,
        [room / f"a.{suffix}"],
        check=same_light(room / "o.png", None),
    )


@attack("photos, bad")
def one_bad_of_three(world, room, random):
    (room / "in" / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png"):
        shutil.copy(world.photo, room / "in" / name)
    path = bad_photo(world, room / "in", random)
    bad = os.path.lexists(path) and not path.is_dir()
    makes = [r"out", r"out/sub", r"out/a\.png", r"out/sub/b\.png"]

    def check():
        same_light(room / "out" / "sub" / "b.png", read(world.photo))()

    return Case(colorize(world, room / "in", room / "out"), not bad, [path], check, makes)


@attack("photos, bad")
def left_out(world, room, random):
    (room / "in").mkdir()
    (room / "elsewhere").mkdir()
    shutil.copy(world.photo, room / "in" / "b.png")
    path, how = room / "in" / "bad.png", random.randrange(4)
    if how:
        path.symlink_to(("bad.png", "nowhere", room / "elsewhere")[how - 1])
    else:
        os.mkfifo(path)
    return Case(colorize(world, room / "in", room / "out"), names=[path], makes=[r"out", r"out/b\.png"])


@attack("photos, bad")
def no_file(world, room, random):
    path = special(room, random)
    return Case(colorize(world, path, room / "o.png"), names=[path, "names a file, but"])


@attack("photos, bad")
def no_reference(world, room, random):
    path = special(room, random) if random.random() < 0.4 else bad_photo(world, room, random)
    return Case(colorize(world, world.photo, room / "o.png", "--reference", path), names=[path])


@attack("photos, bad")
def nothing_to_colour(world, room, random):
    shutil.copy(world.photo, room / ".hidden.png")
    (room / "empty" / ".git").mkdir(parents=True)
    (room / "empty" / "a.txt").touch()
    path = random.choice(
        [
            room / "empty",
            room / "none.jpg",
            room / "empty" / "a.txt" / "b.jpg",
            room / ("n" * 300 + ".jpg"),
            room / ("d/" * 2500 + "a.jpg"),
        ]
    )
    return Case(colorize(world, path, room / "o.png"), names=[path, "File name too long", "names a file, but"])
