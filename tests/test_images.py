"""histcolor.images: all kinds of files that people have, and many ways in which they may be damaged."""

import io
import math
import os
import stat
import struct

import numpy as np
import pytest
import torch
from PIL import Image, features

from histcolor import images
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
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match="too large, more than 200 pixels") as error:
        read_image(path)
    check_message(error, "bomb.png")


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


def test_a_dark_16_bit_photo_stays_dark(tmp_path):
    # a peak below 256 must not make it an 8-bit one
    path = save(np.full((8, 8), 255, np.uint16), tmp_path / "night.png")
    assert (read8(path) == 1).all()


@pytest.mark.parametrize(("top", "scale"), [(255, 1), (65535, 257)])
def test_32_bit_integers_hold_8_or_16_bits(top, scale, tmp_path):
    values = np.linspace(0, top, 600).reshape(20, 30).astype(np.int32)
    assert np.array_equal(read8(save(values, tmp_path / "i.tif"))[..., 0], (values / scale).round().astype(np.uint8))


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_float_tiff(top, tmp_path):
    values = np.linspace(0, top, 600).reshape(20, 30).astype(np.float32)
    path = save(values, tmp_path / "f.tif")
    assert as_saved(path, "mode") == "F"
    assert np.abs(read8(path)[..., 0] - values / top * 255).max() <= 0.51


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


def test_write_jpeg_keeps_colours(tmp_path):
    rgb = torch.zeros(3, 32, 32)
    rgb[0, :, ::2], rgb[2, :, 1::2] = 1, 1  # red and blue columns, which chroma subsampling would blend
    write_image(rgb, tmp_path / "a.jpg")
    assert as_saved(tmp_path / "a.jpg", "format") == "JPEG"
    assert (read_image(tmp_path / "a.jpg") - rgb).abs().mean() < 0.05


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.psd", "a.fits"])
def test_write_refuses_a_suffix_that_it_can_not_write(name, tmp_path):
    with pytest.raises(ValueError, match=r"names no image format; use \.png or \.jpg") as error:
        write_image(torch.rand(3, 4, 4), tmp_path / name)
    assert name in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (4, 4, 3), (1, 4, 4), (4, 4)])
def test_write_refuses_other_shapes(shape, tmp_path):
    with pytest.raises(ValueError, match=r"needs RGB \[3, H, W\], got shape"):
        write_image(torch.rand(shape), tmp_path / "a.png")


def test_writing_where_a_file_stands_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_image(torch.rand(3, 4, 4), tmp_path / "file" / "a.png")


# ---- atomic


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

    table = pd.DataFrame({"photo": ["0001", "ü"], "psnr": [28.5, math.inf], "ssim": [math.nan, 0.9], "seed": [0, 1]})
    images.write_table(table, tmp_path / name)
    pd.testing.assert_frame_equal(images.read_table(tmp_path / name), table)
    content = (tmp_path / name).read_bytes()
    images.write_table(table, tmp_path / name)
    assert (tmp_path / name).read_bytes() == content, "the same table gives the same bytes"


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


def test_find_images_in_a_folder_without(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(OSError, match="holds no photo") as error:
        find_images(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_find_images_in_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match="no such file or folder") as error:
        find_images(tmp_path / "nowhere")
    assert "nowhere" in str(error.value)
