"""histcolor.images: all kinds of files that people have, and many ways in which they may be damaged."""

import errno
import io
import math
import os
import stat
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tifffile  # scikit-image brings it
import torch
from PIL import EpsImagePlugin, Image, ImageCms, ImageOps, features

from histcolor import images, pictures
from histcolor.images import ImageError, find_images, open_rgb, read_image, write_image


@pytest.fixture(scope="module")
def colours():
    """A picture [24, 32, 3] in which every row, column and channel differs, so that turns and swaps show."""
    y, x = np.mgrid[0:24, 0:32]
    return np.stack([x * 8, y * 10, (x + y) * 4], axis=-1).astype(np.uint8)


def save(pixels, path, mode=None, **options):
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def read8(path):
    """The result of :func:`read_image`, as uint8 [H, W, 3]."""
    rgb = read_image(path)
    assert rgb.dtype == torch.float32
    assert rgb.ndim == 3
    assert rgb.shape[0] == 3
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    return (rgb.permute(1, 2, 0) * 255).round().byte().numpy()


def as_saved(path, attribute):
    """What PIL reports about the file, so that a test knows that it has the right kind of file."""
    with Image.open(path) as picture:
        return getattr(picture, attribute)


def check_message(error, name):
    message = str(error.value)
    assert name in message
    assert "\n" not in message
    assert message.endswith(".")
    assert isinstance(error.value, OSError)


# ---- files that are no photo


def broken_files(photo):
    jpeg = photo.read_bytes()
    png = io.BytesIO()
    Image.open(io.BytesIO(jpeg)).save(png, "PNG")
    return {
        "text.jpg": b"this is no photo, though its name says so\n" * 100,
        "empty.jpg": b"",
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated.png": png.getvalue()[: len(png.getvalue()) // 2],
        "header.png": png.getvalue()[:20],
        "noise.png": png.getvalue()[:50] + bytes(range(256)) * 8,
    }


@pytest.mark.parametrize("name", ["text.jpg", "empty.jpg", "truncated.jpg", "truncated.png", "header.png", "noise.png"])
def test_a_broken_file_is_named(name, photos, tmp_path):
    path = tmp_path / name
    path.write_bytes(broken_files(photos / "coffee_cup.jpg")[name])
    with pytest.raises(ImageError, match="not a readable image, or is damaged") as error:
        read_image(path)
    check_message(error, str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match="there is no such file") as error:
        read_image(tmp_path / "missing.jpg")
    check_message(error, "missing.jpg")


def test_a_folder_is_no_photo(tmp_path):
    with pytest.raises(ImageError, match="is a folder") as error:
        read_image(tmp_path)
    check_message(error, str(tmp_path))


def test_a_file_that_may_not_be_read_is_named(colours, tmp_path):
    path = save(colours, tmp_path / "secret.png")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root may read everything")
    with pytest.raises(ImageError, match="permission denied") as error:
        read_image(path)
    check_message(error, "secret.png")


@pytest.mark.parametrize(
    "raised",
    [PermissionError(13, "denied"), RuntimeError("decoder"), struct.error("short"), IndexError(), KeyError(1)],
    ids=lambda e: type(e).__name__,
)
def test_whatever_a_decoder_raises_is_told_in_one_sentence(raised):
    class Broken(io.BytesIO):
        def read(self, *_):
            raise raised

    with pytest.raises(ImageError) as error:
        open_rgb(Broken(b"x" * 100), "old photo.jpg")
    check_message(error, "old photo.jpg")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_a_damaged_avif_is_named(colours, tmp_path):
    path = save(colours, tmp_path / "a.avif")
    data = bytearray(path.read_bytes())
    data[-len(data) // 4 :] = bytes(len(data[-len(data) // 4 :]))
    path.write_bytes(data)
    with pytest.raises(ImageError) as error:  # its decoder raises RuntimeError
        read_image(path)
    check_message(error, "a.avif")


def test_a_picture_too_large_to_be_true_is_refused(colours, tmp_path, monkeypatch):
    path = save(colours, tmp_path / "bomb.png")
    for limit, value in (("MAX_PIXELS", 24 * 32 - 1), ("MAX_SIDE", 31), ("MAX_BYTES", path.stat().st_size - 1)):
        with monkeypatch.context() as patch:
            patch.setattr(pictures, limit, value)
            with pytest.raises(ImageError, match="too large, ") as error:
                read_image(path)
        check_message(error, "bomb.png")
    assert read_image(path).shape == (3, 24, 32)


@pytest.mark.parametrize(("side", "accepted"), [(14142, True), (14143, False)])
def test_200_megapixels_are_the_limit_whatever_pillow_thinks(side, accepted, tmp_path):
    """A PNG that ends before its pixels: a refusal for its size comes before anything is decoded."""
    header = b"IHDR" + struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)
    path = tmp_path / "huge.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + header + struct.pack(">2I", zlib.crc32(header), 9) + b"IDAT")
    for read in (read_image, strips_of):
        with pytest.raises(
            ImageError, match="is not a readable image" if accepted else "too large, more than 200,000,000 pixels"
        ):
            read(path)


def test_decoders_that_take_much_memory_have_lower_limits(colours, tmp_path):
    sizes = {}
    for name, options in (
        ("a.png", {}),
        ("a.jpg", {}),
        ("b.jpg", {"progressive": True, "subsampling": 0}),
        ("c.jpg", {"progressive": True, "subsampling": 2}),
        ("a.webp", {}),
        ("a.tif", {}),
        ("b.tif", {"compression": "tiff_lzw"}),
    ):
        with pictures.open_picture(save(colours, tmp_path / name, **options), name) as picture:
            sizes[name] = pictures.decoder_bytes(picture)
    assert sizes == {"a.png": 4, "a.jpg": 4, "b.jpg": 10, "c.jpg": 7, "a.webp": 16, "a.tif": 4, "b.tif": 9}


def test_no_decoder_but_those_of_photos_sees_a_file(tmp_path, monkeypatch):
    path = tmp_path / "drawing.jpg"
    Image.new("RGB", (8, 8)).save(path, "EPS")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was called"))
    with pytest.raises(ImageError, match="not a readable image"):
        read_image(path)


# ---- kinds of files


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".ppm"])
def test_lossless_formats_come_back_exactly(suffix, colours, tmp_path):
    options = {"lossless": True} if suffix == ".webp" else {}
    assert np.array_equal(read8(save(colours, tmp_path / f"a{suffix}", **options)), colours)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".pgm", ".tif"])
def test_gray(suffix, colours, tmp_path):
    found = read8(save(colours, tmp_path / f"gray{suffix}", mode="L", **({"quality": 100} if suffix == ".jpg" else {})))
    expected = np.asarray(Image.fromarray(colours).convert("L"))[..., None]
    assert np.abs(found.astype(int) - expected).max() <= 2
    assert (found == found[..., :1]).all()


def over_white(pixels, alpha):
    alpha = alpha[..., None] / 255
    return pixels * alpha + 255 * (1 - alpha)


def test_rgba_is_laid_over_white(colours, tmp_path):
    alpha = np.linspace(0, 255, 24 * 32).reshape(24, 32).astype(np.uint8)
    path = save(np.dstack([colours, alpha]), tmp_path / "a.png")
    assert np.abs(read8(path) - over_white(colours, alpha)).max() <= 1
    assert (read8(path)[0, 0] == 255).all()


def test_gray_with_alpha_is_laid_over_white(tmp_path):
    gray = np.full((4, 4), 100, np.uint8)
    alpha = np.array([[0, 85, 170, 255]] * 4, np.uint8)
    path = tmp_path / "la.png"
    Image.merge("LA", (Image.fromarray(gray), Image.fromarray(alpha))).save(path)
    assert as_saved(path, "mode") == "LA"
    assert np.abs(read8(path) - over_white(gray[..., None].repeat(3, -1), alpha)).max() <= 1


def test_gray_times_its_alpha_is_laid_over_white(tmp_path):
    """TIFF calls it associated alpha: the file has gray times alpha."""
    gray, alpha = np.full((4, 4), 100), np.array([[51, 85, 170, 255]] * 4)
    path, stored = tmp_path / "la.tif", np.dstack([gray * alpha // 255, alpha]).astype(np.uint8)
    tifffile.imwrite(path, stored, photometric="minisblack", extrasamples=["assocalpha"])
    assert as_saved(path, "mode") == "La"
    assert np.abs(read8(path) - over_white(gray[..., None].repeat(3, -1), alpha)).max() <= 3


def test_palette(colours, tmp_path):
    few = (colours // 128) * 255
    path = tmp_path / "p.png"
    Image.fromarray(few).quantize(8).save(path)
    assert np.array_equal(read8(path), few)


def test_palette_with_a_transparent_colour(tmp_path):
    picture = Image.new("P", (2, 2))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.putdata([0, 1, 2, 0])
    path = tmp_path / "p.png"
    picture.save(path, transparency=0)
    assert as_saved(path, "info")["transparency"] is not None
    white, green, blue = [255] * 3, [0, 255, 0], [0, 0, 255]
    assert read8(path).tolist() == [[white, green], [blue, white]]


def test_rgb_with_a_transparent_colour(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (2, 2), (10, 20, 30)).save(path, transparency=(10, 20, 30))
    assert (read8(path) == 255).all()


def test_cmyk(colours, tmp_path):
    path = save(colours, tmp_path / "print.jpg", mode="CMYK", quality=100, subsampling=0)
    assert as_saved(path, "mode") == "CMYK"
    assert np.abs(read8(path).astype(int) - colours).max() <= 4


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit(suffix, tmp_path):
    values = np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16)
    path = save(values, tmp_path / f"deep{suffix}")
    assert as_saved(path, "mode") == "I;16"
    assert np.array_equal(read8(path), (values / 257).round().astype(np.uint8)[..., None].repeat(3, -1))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_tiff_whose_white_is_zero(kind, tmp_path):
    top = 1 if kind is np.float32 else np.iinfo(kind).max
    values = np.linspace(0, top, 600).reshape(20, 30).astype(kind)
    tifffile.imwrite(tmp_path / "fax.tif", values, photometric="miniswhite")
    assert np.abs(read8(tmp_path / "fax.tif")[..., 0] - (255 - values / top * 255)).max() <= 0.51


def test_12_bit(tmp_path):
    packed = np.frombuffer(bytes.fromhex("000 7ff 800 fff".replace(" ", "")), np.uint8)  # two values in three bytes
    tifffile.imwrite(tmp_path / "deep.tif", np.arange(4, dtype=np.uint8)[None], photometric="minisblack")
    with Image.open(tmp_path / "deep.tif") as picture:
        at = picture.tile[0].offset
    data = bytearray((tmp_path / "deep.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "deep.tif") as tiff:
        tags = tiff.pages[0].tags
        depth, length = tags["BitsPerSample"].valueoffset, tags["StripByteCounts"].valueoffset
    data[depth], data[length] = 12, 6
    (tmp_path / "deep.tif").write_bytes(data[:at] + packed.tobytes() + data[at + 4 :])
    assert as_saved(tmp_path / "deep.tif", "mode") == "I;16"
    assert read8(tmp_path / "deep.tif")[0, :, 0].tolist() == [0, 127, 128, 255]


def test_16_bit_with_a_transparent_value(tmp_path):
    path = tmp_path / "hole.png"
    Image.fromarray(np.array([[0, 32125, 65535]], np.uint16)).save(path, transparency=32125)
    assert read8(path)[0, :, 0].tolist() == [0, 255, 255]


def test_a_dark_16_bit_photo_stays_dark(tmp_path):
    # a peak below 256 must not make it an 8-bit one
    path = save(np.full((8, 8), 255, np.uint16), tmp_path / "night.png")
    assert (read8(path) == 1).all()


@pytest.mark.parametrize(("top", "scale"), [(255, 1), (65535, 257), (10**9, 10**9 / 255)])
def test_32_bit_integers_hold_8_or_16_bits_or_more(top, scale, tmp_path):
    values = np.linspace(0, top, 600).reshape(20, 30).astype(np.int32)
    assert np.array_equal(read8(save(values, tmp_path / "i.tif"))[..., 0], (values / scale).round().astype(np.uint8))


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_float_tiff(top, tmp_path):
    values = np.linspace(0, top, 600).reshape(20, 30).astype(np.float32)
    path = save(values, tmp_path / "f.tif")
    assert as_saved(path, "mode") == "F"
    assert np.abs(read8(path)[..., 0] - values / top * 255).max() <= 0.51


def test_highlights_above_1_darken_no_float_tiff(tmp_path):
    values = np.array([[0.5, 1.0, 1.3]], np.float32)
    assert read8(save(values, tmp_path / "f.tif"))[0, :, 0].tolist() == [128, 255, 255]


def test_nan_in_a_float_tiff_is_black_and_harms_no_other_pixel(tmp_path):
    values = np.full((4, 4), 0.5, np.float32)
    values[0, 0] = np.nan
    found = read8(save(values, tmp_path / "f.tif"))
    assert found[0, 0, 0] == 0
    assert (found[1:] == 128).all()


def test_1_bit(tmp_path):
    bits = np.indices((8, 8)).sum(0) % 2 == 0
    found = read8(save(bits, tmp_path / "bits.png"))
    assert np.array_equal(found[..., 0] == 255, bits)
    assert set(np.unique(found)) == {0, 255}


def test_an_animated_gif_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert as_saved(path, "n_frames") == 3
    assert (read8(path) == [255, 0, 0]).all()


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [(1, lambda x: x), (3, lambda x: np.rot90(x, 2)), (6, lambda x: np.rot90(x, -1)), (8, lambda x: np.rot90(x))],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_exif_turns_the_photo(orientation, turn, suffix, colours, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(colours, tmp_path / f"turned{suffix}", exif=exif, **({"quality": 100} if suffix == ".jpg" else {}))
    expected = turn(colours).astype(int)
    assert read8(path).shape == expected.shape
    assert np.abs(read8(path) - expected).mean() < 3  # JPEG shares colour among neighbours


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (501, 1)])
def test_odd_sizes(shape, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert np.array_equal(read8(save(pixels, tmp_path / "odd.png")), pixels)


def test_an_open_file_is_read_too(colours):
    file = io.BytesIO()
    Image.fromarray(colours).save(file, "PNG")
    file.seek(0)
    assert np.array_equal(read8(file), colours)


# ---- ICC profiles


def fixed(*values):
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def icc_profile(space, tags):
    """An ICC profile (version 2) for displays, with the tags' contents; those of one length share nothing."""
    start, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += name.encode() + struct.pack(">2I", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    pcs = b"Lab " if "A2B0" in tags else b"XYZ "
    head = struct.pack(
        ">I4xI4s4s4s12x4s", start + len(body), 0x02400000, b"mntr", space.ljust(4).encode(), pcs, b"acsp"
    )
    head = head.ljust(68, b"\0") + fixed(0.9642, 1.0, 0.8249)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def xyz(*values):
    return b"XYZ \0\0\0\0" + fixed(*values)


def gamma(value):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def display_p3():
    """Display P3's primaries (adapted to D50) with a gamma of 2.2."""
    primaries = {"rXYZ": (0.5151, 0.2412, -0.0011), "gXYZ": (0.2919, 0.6922, 0.0419), "bXYZ": (0.1572, 0.0666, 0.7841)}
    curves = {f"{c}TRC": gamma(2.2) for c in "rgb"}
    return icc_profile("RGB", {"wtpt": xyz(0.9642, 1, 0.8249), **{k: xyz(*v) for k, v in primaries.items()}, **curves})


def negative_cmyk():
    """A made-up ink: the more cyan, the lighter; so that nobody can guess its colours."""
    curve = bytes(range(256))
    grid = b"".join(bytes([255 * c, 128, 128]) for c in (0, 1) for _ in range(8))  # L, a, b at the corners of CMYK
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + curve * 4 + grid + curve * 3
    return icc_profile("CMYK", {"wtpt": xyz(0.9642, 1, 0.8249), "A2B0": lut})


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_display_p3_is_converted_to_srgb(suffix, tmp_path):
    options = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
    pixels = np.full((16, 16, 3), (200, 60, 60), np.uint8)
    path = save(pixels, tmp_path / f"p3{suffix}", icc_profile=display_p3(), **options)
    linear = np.array([[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]]) @ (
        (np.array([200, 60, 60]) / 255) ** 2.2
    )  # Display P3 to sRGB, by the primaries
    expected = 255 * np.where(linear > 0.0031308, 1.055 * linear.clip(0) ** (1 / 2.4) - 0.055, 12.92 * linear)
    assert np.abs(read8(path).astype(float) - expected.clip(0)).max() < 3
    assert expected[0] > 210, "as sRGB it would be 200"


def test_a_gray_profile_is_used(tmp_path):
    profile = icc_profile("GRAY", {"wtpt": xyz(0.9642, 1, 0.8249), "kTRC": gamma(1.0)})
    path = save(np.full((8, 8), 55, np.uint8), tmp_path / "linear.png", icc_profile=profile)
    linear = 55 / 255
    assert np.abs(read8(path).astype(float) - 255 * (1.055 * linear ** (1 / 2.4) - 0.055)).max() <= 1
    deep = save(np.full((8, 8), 55 * 257, np.uint16), tmp_path / "deep.png", icc_profile=profile)
    assert np.array_equal(read8(deep), read8(path))


def test_a_cmyk_profile_is_used(tmp_path):
    picture = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    picture.save(tmp_path / "cyan.tif", icc_profile=negative_cmyk())
    assert (read8(tmp_path / "cyan.tif") >= 250).all()
    picture.save(tmp_path / "plain.tif")
    assert (read8(tmp_path / "plain.tif") == [0, 255, 255]).all()


def test_alpha_and_a_profile(tmp_path):
    rgba = np.full((8, 8, 4), (200, 60, 60, 255), np.uint8)
    rgba[0, 0, 3] = 0
    found = read8(save(rgba, tmp_path / "a.png", icc_profile=display_p3()))
    assert (found[0, 0] == 255).all()
    assert np.array_equal(found[1], read8(save(rgba[..., :3], tmp_path / "b.png", icc_profile=display_p3()))[1])


@pytest.mark.parametrize(
    "profile",
    [b"noise" * 50, display_p3()[:200], icc_profile("GRAY", {"kTRC": gamma(1.0)}), icc_profile("RGB", {})],
    ids=["noise", "cut off", "of another kind", "without curves"],
)
def test_a_profile_of_no_use_is_ignored(profile, colours, tmp_path):
    path = save(colours, tmp_path / "a.png", icc_profile=profile)
    assert as_saved(path, "info")["icc_profile"] == profile
    assert np.array_equal(read8(path), colours)


def test_srgb_stays_srgb(colours, tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.abs(read8(save(colours, tmp_path / "a.png", icc_profile=profile)).astype(int) - colours).max() <= 1


# ---- strips


@pytest.fixture
def narrow_strips(monkeypatch):
    monkeypatch.setattr(images, "STRIP", 5 * 32)
    monkeypatch.setattr(pictures, "STRIP", 5 * 32)


def strips_of(path):
    with images.read_strips(path) as (height, width, strips):
        found = np.concatenate(list(strips))
    assert found.shape == (height, width, 3)
    return found


@pytest.mark.parametrize("orientation", range(1, 9))
def test_strips_are_turned_like_the_whole(orientation, colours, tmp_path, narrow_strips):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(colours, tmp_path / "a.png", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(path))
    assert np.array_equal(strips_of(path), np.asarray(expected))
    assert np.array_equal(read8(path), np.asarray(expected))


@pytest.mark.parametrize("kind", ["rgba", "palette", "16 bit", "float", "profile"])
def test_strips_are_converted_like_the_whole(kind, colours, tmp_path, narrow_strips):
    path, ramp = tmp_path / "a.tif", np.arange(24 * 32).reshape(24, 32)
    if kind == "rgba":
        save(np.dstack([colours, colours[..., 0]]), path)
    elif kind == "palette":
        Image.fromarray(colours).quantize(16).save(path)
    elif kind == "16 bit":
        save((ramp * 80).astype(np.uint16), path)
    elif kind == "float":
        save(ramp.astype(np.float32), path)  # only the last strips have values above 255
    else:
        save(colours, path, icc_profile=display_p3())
    assert np.array_equal(strips_of(path), read8(path))


def test_a_large_photo_is_decoded_and_encoded_in_other_processes(colours, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "LARGE", 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    name = "größe  x.png"  # with two blanks
    path = save(colours, tmp_path / name, exif=exif, icc_profile=display_p3())
    assert np.array_equal(strips_of(path), read8(path))
    with images.write_strips(tmp_path / "b.png", 24, 32) as write:
        for strip in np.split(colours, 4):
            write(strip)
    assert np.array_equal(read8(tmp_path / "b.png"), colours)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ImageError, match="is not a readable image, or is damaged") as error:
        strips_of(path)
    check_message(error, name)
    assert {p.name for p in tmp_path.iterdir()} == {name, "b.png"}


@pytest.mark.parametrize("large", [0, 2**25])
def test_a_picture_that_is_not_written_to_its_end_leaves_nothing(large, colours, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "LARGE", large)

    def stop():
        with images.write_strips(tmp_path / "a.png", 24, 32) as write:
            write(colours[:5])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("large", [0, 2**40])
def test_an_encoder_that_fails_says_why(large, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "LARGE", large)
    row = np.zeros((1, 70_000, 3), np.uint8)  # longer than a JPEG may be

    def write():
        with images.write_strips(tmp_path / "a.jpg", 1000, 70_000) as write:
            for _ in range(1000):
                write(row)

    with pytest.raises(OSError, match=r"a\.jpg: could not be written: ."):
        write()
    assert list(tmp_path.iterdir()) == []


def test_the_decoding_process_imports_no_torch():
    code = "import sys, runpy; sys.argv = ['x', 'send', 'none']\n"
    code += "try: runpy.run_path(%r, run_name='__main__')\nexcept SystemExit: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code % pictures.__file__], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


# ---- writing


def test_write_then_read_keeps_every_8_bit_value(tmp_path):
    values = torch.arange(256).float().view(1, 16, 16).repeat(3, 1, 1) / 255
    write_image(values, tmp_path / "a.png")
    assert torch.equal(read_image(tmp_path / "a.png"), values)


def test_write_rounds_and_clips(tmp_path):
    # the authors' release truncates, half a step too dark on average
    values = torch.tensor([0.4, 0.5001, 0.9, 1.4, 254.6, -0.2 * 255, 1.7 * 255]) / 255
    write_image(values.expand(3, 1, -1), tmp_path / "a.png")
    assert read8(tmp_path / "a.png")[0, :, 0].tolist() == [0, 1, 1, 1, 255, 0, 255]


def test_write_takes_a_gradients_tensor_and_makes_folders(tmp_path):
    path = tmp_path / "new" / "folder" / "a.png"
    write_image(torch.rand(3, 5, 7).requires_grad_(), path)
    assert read_image(path).shape == (3, 5, 7)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_a_picture_too_long_for_its_format(suffix, tmp_path):
    with pytest.raises(OSError, match=rf"long\{suffix}: could not be written: ."):
        write_image(torch.zeros(3, 2, 70_000), tmp_path / f"long{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".avif"])
def test_write_keeps_colours(suffix, tmp_path):
    rgb = torch.zeros(3, 32, 32)
    rgb[0, :, ::2], rgb[2, :, 1::2] = 1, 1  # red and blue columns, which chroma subsampling would blend
    path = tmp_path / f"a{suffix}"
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    write_image(rgb, path)
    assert as_saved(path, "format") == (suffix[1:].upper() if suffix in (".webp", ".avif") else "JPEG")
    assert (read_image(path) - rgb).abs().mean() < 0.05


@pytest.mark.parametrize(
    "name", ["a.xyz", "a", "a.psd", "a.fits", "a.ico", "a.icns", "a.gif", "a.pgm", "a.pdf", "a.h5"]
)
def test_write_refuses_a_suffix_that_it_can_not_write(name, tmp_path):
    with pytest.raises(ValueError, match=r"written with all its colours; use \.png or \.jpg") as error:
        write_image(torch.rand(3, 4, 4), tmp_path / name)
    assert name in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (4, 4, 3), (1, 4, 4), (4, 4), (3, 0, 4)])
def test_write_refuses_other_shapes(shape, tmp_path):
    with pytest.raises(ValueError, match=r"RGB \[3, H, W\] with at least one pixel, got shape"):
        write_image(torch.rand(shape), tmp_path / "a.png")


@pytest.mark.parametrize(
    ("rgb", "message"),
    [
        (torch.full((3, 4, 4), 128, dtype=torch.uint8), "got torch.uint8: divide by 255"),
        (torch.full((3, 4, 4), torch.nan), r"must be in \[0, 1\], got nan"),
        (torch.tensor([0.0, 0.5, torch.inf]).view(3, 1, 1), r"must be in \[0, 1\], got 0 to inf"),
        (np.zeros((3, 4, 4)), "must be a tensor"),
    ],
    ids=["8 bits", "NaN", "infinity", "array"],
)
def test_write_refuses_values_that_are_no_colours(rgb, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_image(rgb, tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_writing_where_a_file_stands_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_image(torch.rand(3, 4, 4), tmp_path / "file" / "a.png")


# ---- atomic


def test_atomic_replaces_nothing_that_came_meanwhile(tmp_path, monkeypatch):
    for place, links in (("with links", True), ("without", False)):
        path = tmp_path / place / "a.txt"
        if not links:

            def refuse(*_):
                raise OSError(errno.EPERM, "Operation not permitted")

            monkeypatch.setattr(os, "link", refuse)
        with images.atomic(path, replace=False) as temporary:
            temporary.write_text("first")
        with (
            pytest.raises(OSError, match="is there already; choose another name"),
            images.atomic(path, replace=False) as temporary,
        ):
            temporary.write_text("second")
        assert path.read_text() == "first"
        assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_atomic_names_the_file_and_not_the_temporary_one(tmp_path):
    (tmp_path / "file").write_text("")
    for path, why in ((tmp_path / "file" / "a", "a file stands where"), (tmp_path / ("x" * 300), "File name too long")):
        with pytest.raises(OSError, match=why) as error:
            images.write_text("x", path)
        assert error.value.filename == str(path)


def test_atomic_replaces_in_one_step(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with images.atomic(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent  # a rename across file systems would be a copy
        assert temporary.suffix == path.suffix  # PIL and numpy go by it
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt])
def test_atomic_leaves_the_old_file_when_the_block_fails(stop, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write():
        with images.atomic(path) as temporary:
            temporary.write_text("half of the n")
            raise stop

    with pytest.raises(stop):
        write()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_atomic_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_text("")
    images.write_text("x", tmp_path / "atomic")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")}
    assert len(modes) == 1


def test_a_name_as_long_as_a_file_system_allows(tmp_path):
    path = tmp_path / ("ü" * 125 + ".txt")
    assert len(os.fsencode(path.name)) == 254
    images.write_text("x", path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_atomic_onto_a_folder_fails_and_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        images.write_text("x", tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_write_text_and_table(tmp_path):
    import pandas as pd

    images.write_text("Φ_T Φ_Rᵀ\n", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "Φ_T Φ_Rᵀ\n"
    images.write_table(pd.DataFrame({"file": ["a"], "psnr": [28.5]}), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "file,psnr\na,28.5\n"


@pytest.mark.parametrize("name", ["t.csv", "t.json.xz"])
def test_tables_are_read_as_they_were_written(tmp_path, name):
    import pandas as pd

    table = pd.DataFrame({"photo": ["0001", "NA"], "psnr": [28.5, math.inf], "ssim": [math.nan, 0.9], "seed": [0, 1]})
    table["method"] = ["2020", "null"]
    images.write_table(table, tmp_path / name)
    pd.testing.assert_frame_equal(images.read_table(tmp_path / name), table)
    content = (tmp_path / name).read_bytes()
    images.write_table(table, tmp_path / name)
    assert (tmp_path / name).read_bytes() == content, "the same table gives the same bytes"


@pytest.mark.parametrize("name", ["t.csv", "t.json.xz"])
def test_names_that_a_spreadsheet_would_compute(tmp_path, name):
    import pandas as pd

    names = ["=1+1", "+1", "-x", "@x", "\tx", "a=b", "'quoted'"]
    table = pd.DataFrame({"photo": names, "psnr": [-1.5] * 7})
    images.write_table(table, tmp_path / name)
    if name == "t.csv":
        lines = (tmp_path / name).read_text().splitlines()
        assert not any(line.lstrip('"').startswith(("=", "+", "-", "@", "\t")) for line in lines)
    pd.testing.assert_frame_equal(images.read_table(tmp_path / name), table)


def test_texts_of_a_csv_are_read_as_they_were_written(tmp_path):
    import pandas as pd

    table = pd.DataFrame(
        {"claim": ["+1 dB", "'quoted'", "a"], "source": ["2.1", "=x", "ours"], "low": [-1.5, math.nan, 2]}
    )
    table["method"] = ["@home", None, "-R_P"]
    images.write_table(table, tmp_path / "t.csv")
    again = images.read_csv(tmp_path / "t.csv", dtype={"source": str})
    pd.testing.assert_frame_equal(again, table, check_dtype=False)


def test_packed_tables_are_read_by_pandas_alone(tmp_path):
    import pandas as pd

    table = pd.DataFrame({"row": ["a", "b"], "psnr": [28.5, math.nan]})
    images.write_table(table, tmp_path / "t.json.xz")
    pd.testing.assert_frame_equal(pd.read_json(tmp_path / "t.json.xz"), table)


# ---- finding


def test_find_images_sorts_and_leaves_out_what_is_no_photo(tmp_path):
    for name in ("b.jpg", "a.PNG", "deep/er/c.jpeg", "notes.txt", "d.npy"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    assert [p.relative_to(tmp_path).as_posix() for p in find_images(tmp_path)] == ["a.PNG", "b.jpg", "deep/er/c.jpeg"]
    assert find_images(str(tmp_path / "b.jpg")) == [tmp_path / "b.jpg"]


def test_find_images_knows_the_names_of_all_formats():
    Image.init()
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in pictures.FORMATS}
    assert known - images.SUFFIXES == {".apng", ".avifs", ".j2c", ".jpc", ".jpf", ".jpx", ".pfm"}  # hardly a photo's
    assert known | {".avif"} >= images.SUFFIXES  # which not each Pillow reads


@pytest.mark.skipif(os.name != "posix", reason="needs pipes and links")
def test_find_images_leaves_out_nothing_without_a_word(colours, tmp_path):
    folder, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    for place in (folder / "deep", elsewhere):
        place.mkdir(parents=True)
        save(colours, place / "a.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "link").symlink_to(elsewhere)
    (folder / "shallow").symlink_to("deep")  # its photos are found there
    (folder / "circle").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    assert find_images(folder, failed := []) == [folder / "deep" / "a.png"]
    assert "can not read 3 of the folders and files in it" in failed[0]
    for named in ("gone.png (No such file", "pipe.png (is no file", "link (a link to a folder elsewhere"):
        assert named in failed[0]
    with pytest.raises(OSError, match=r"gone\.png"):
        find_images(folder)


def test_find_images_in_a_folder_without(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(OSError, match="holds no photo") as error:
        find_images(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_find_images_in_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="no such file or folder") as error:
        find_images(tmp_path / "nowhere")
    assert "nowhere" in str(error.value)
