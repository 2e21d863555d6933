"""Colouring photos of any size and shape, with the options of colorize, and every wrong input."""

import copy
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import histcolor as hc
import histcolor.baselines
from histcolor.checkpoint import build
from histcolor.color import gray_rgb
from histcolor.colorize import SIZES, colorize_file, encode, join, working_size
from histcolor.images import open_rgb


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build(hc.PRESETS["tiny"]).eval()


@pytest.fixture(scope="module")
def photo(photos):
    return hc.read_image(photos / "astronaut_suit.jpg")


def histogram(rgb, bins=16):
    return hc.ab_histogram(hc.rgb_to_lab(rgb)[1:], bins)


def test_the_five_lines_of_the_readme(photos, tmp_path):
    model = hc.load("small")  # a shipped checkpoint by name
    image = hc.read_image(photos / "chelsea_eye.jpg")
    hist = hc.ab_histogram(hc.rgb_to_lab(hc.read_image(photos / "coffee_cup.jpg"))[1:], bins=model.config.bins)
    out = hc.colorize(model, image, hist)
    hc.write_image(out, tmp_path / "out.png")
    assert out.shape == image.shape
    assert 0 <= out.min() <= out.max() <= 1
    assert open_rgb(tmp_path / "out.png").size == (160, 160)


def test_flips_make_the_mirrored_photo_the_mirrored_picture(model, photo):
    """The mean over both makes it the same to mirror before or after colouring; the network alone differs a little."""
    hist = histogram(photo)
    twice = hc.colorize(model, photo, torch.stack([hist, hist.flip(0)]), flips=True, size=64)
    mirrored = hc.colorize(model, photo.flip(-1), hist, flips=True, size=64).flip(-1)
    once = hc.colorize(model, photo, hist, size=64)
    assert torch.allclose(twice[0], mirrored, atol=1e-4)
    assert not torch.allclose(twice[0], once, atol=1e-4)
    assert torch.allclose(twice[0], hc.colorize(model, photo, hist, flips=True, size=64), atol=1e-5)


def test_shipped_model_follows_the_histogram(photos):
    model = hc.load("small")
    images = [hc.read_image(p) for p in sorted(photos.iterdir())]
    hists = torch.stack([histogram(x, model.config.bins) for x in images])
    photo = hc.encode(model, images[0])
    achieved = torch.stack([histogram(out, 16) for out in hc.colorize(model, photo, hists)])
    targets = hc.resize_histogram(hists, 16)
    overlap = hc.intersection(achieved[:, None], targets[None])
    # some of the targets are nearly alike, so that their results are, too
    assert (overlap.diagonal() > overlap.mean(dim=0) + 0.2).all(), "each target is met best with itself as the target"
    assert overlap.diagonal().mean() > 0.6


def test_without_a_histogram(model, photo):
    model = copy.deepcopy(model)
    with pytest.raises(ValueError, match="not taught to colour without a histogram: give one"):
        hc.colorize(model, photo)
    model.average[3, 12], model.average[8, 8] = 0.1, 0.3  # sums to 0.4: it is normalised
    average = torch.zeros(16, 16)
    average[3, 12], average[8, 8] = 0.25, 0.75
    assert torch.equal(model.average_histogram(), average)
    automatic, given = hc.colorize(model, photo), hc.colorize(model, photo, average)
    assert not torch.equal(automatic, given)  # the average histogram can also be a target like any other …
    assert not torch.equal(hc.colorize(model, photo, average, transport=1), given)  # … for transport, too
    with pytest.raises(ValueError, match="transport needs a target histogram"):
        hc.colorize(model, photo, transport=0.5)


def test_a_network_that_sees_no_histogram_needs_none(photo):
    model = build(hc.PRESETS["tiny"], "automatic").eval()
    assert model.automatic
    automatic = hc.colorize(model, photo, size=64)
    assert automatic.shape == photo.shape
    with pytest.raises(ValueError, match="sees no histogram: give none, or say by transport"):
        hc.colorize(model, photo, torch.ones(16, 16), size=64)
    assert not torch.equal(hc.colorize(model, photo, torch.ones(16, 16), transport=0.5, size=64), automatic)


def test_the_photos_colours_do_not_count(model, photo):
    gray = gray_rgb(hc.rgb_to_lab(photo)[:1])
    hist = histogram(photo)
    torch.testing.assert_close(hc.colorize(model, photo, hist), hc.colorize(model, gray, hist), atol=2e-3, rtol=0)


def test_L_is_kept(model, photo):
    out = hc.colorize(model, photo, histogram(photo), size=64)
    inside = ((out > 0.002) & (out < 0.998)).all(0)  # where nothing had to be clipped
    difference = (hc.rgb_to_lab(out)[0] - hc.rgb_to_lab(photo)[0]).abs()
    assert difference[inside].max() < 0.1


def test_a_batch_of_histograms_equals_one_by_one(model, photo):
    hists = torch.stack([histogram(photo), histogram(photo.flip(0))])
    encoded = hc.encode(model, photo, size=64)
    batch = hc.colorize(model, encoded, hists)
    assert batch.shape == (2, *photo.shape)
    for hist, out in zip(hists, batch, strict=True):
        torch.testing.assert_close(hc.colorize(model, photo, hist, size=64), out, atol=1e-4, rtol=0)


def test_a_photo_that_another_model_encoded_is_refused(model, photo):
    encoded = hc.encode(copy.deepcopy(model), photo, size=64)
    with pytest.raises(ValueError, match="encoded by another model"):
        hc.colorize(model, encoded, histogram(photo))


def test_a_photo_is_never_replaced_by_its_result(model, photo, tmp_path):
    path = tmp_path / "a.png"
    hc.write_image(photo, path)
    (tmp_path / "link.png").symlink_to(path)
    before = path.read_bytes()
    for output in (path, tmp_path / "link.png"):
        with pytest.raises(ValueError, match="is the photo itself, which is not replaced; choose another name"):
            colorize_file(model, path, output, histogram(photo))
    assert path.read_bytes() == before


def test_a_file_takes_one_histogram(model, photo, tmp_path):
    hc.write_image(photo, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"takes one histogram, \[bins, bins\], got shape \[2, 16, 16\]"):
        colorize_file(model, tmp_path / "a.png", tmp_path / "b.png", histogram(photo).expand(2, -1, -1))
    assert not (tmp_path / "b.png").exists()


def test_histograms_may_be_lists_and_arrays(model, photo):
    encoded, hist = hc.encode(model, photo, size=64), histogram(photo)
    expected = hc.colorize(model, encoded, hist)
    assert torch.equal(hc.colorize(model, encoded, hist.tolist()), expected)
    assert torch.equal(hc.colorize(model, encoded, hist[None].numpy()), expected[None])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5000), (5000, 3), (97, 131), (31, 64), (1, 40)])
def test_any_size(model, height, width):
    rgb = torch.rand(3, height, width)
    out = hc.colorize(model, rgb, histogram(rgb), transport=0.5)
    assert out.shape == rgb.shape
    assert torch.isfinite(out).all()


def test_working_size():
    assert working_size(256, 256, 256) == (256, 256)
    assert working_size(3000, 4000, 256) == (224, 288)
    assert working_size(1, 1, 256) == (256, 256)
    assert working_size(3, 5000, 256) == (32, 1024)
    assert working_size(9000, 12000, 256) == (224, 288)


def test_strips_do_not_show(model, photo, monkeypatch):
    hist = histogram(photo)
    whole = hc.colorize(model, photo, hist, size=64)
    monkeypatch.setattr(sys.modules["histcolor.colorize"], "STRIP", 160 * 7)
    torch.testing.assert_close(hc.colorize(model, photo, hist, size=64), whole, atol=1e-6, rtol=0)


def test_joined_colours_follow_edges_that_the_small_picture_lost():
    # red left of column 29, blue right of it; at 1/8 of the size the edge falls within a pixel
    L = torch.full((1, 64, 64), 40.0)
    L[..., 29:] = 70.0
    ab = torch.zeros(1, 2, 64, 64)
    ab[:, 0, :, :29], ab[:, 1, :, 29:] = 50.0, -50.0
    small = [torch.nn.functional.avg_pool2d(x, 8) for x in (L[None], ab)]
    truth = hc.lab_to_rgb(torch.cat([L, ab[0]]))
    guided = join(L, small[1], small[0][0])[0]
    flat = join(L, small[1], torch.zeros_like(small[0][0]) + 50)[0]  # no edge in the guide: plain interpolation
    assert (guided - truth).abs().mean() < 0.7 * (flat - truth).abs().mean()


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan"), "0.5", None, [0.5], True])
def test_wrong_transport_strength(model, photo, bad):
    with pytest.raises(ValueError, match="transport must be in"):
        hc.colorize(model, photo, histogram(photo), transport=bad)


@pytest.mark.parametrize(
    ("hist", "message"),
    [
        (torch.full((16, 16), torch.nan), "NaN"),
        (-torch.eye(16), "negative"),
        (torch.zeros(16, 16), "all zero"),
        (torch.ones(16, 8), "square"),
        (torch.ones(16), "square"),
        (torch.ones(8, 8), "8 bins an axis, 16 are needed"),
        (torch.ones(1, 1, 16, 16), r"\[N, bins, bins\]"),
        ("16×16", "square array of numbers"),
    ],
)
def test_wrong_histograms(model, photo, hist, message):
    with pytest.raises(ValueError, match=message):
        hc.colorize(model, photo, hist)


def test_mass_out_of_gamut_is_allowed_and_clipped(model, photo):
    hist = torch.zeros(16, 16)
    hist[0, 0] = 1.0  # a = b = -103: no screen shows it
    out = hc.colorize(model, photo, hist, transport=1.0)
    assert torch.isfinite(out).all()
    assert 0 <= out.min() <= out.max() <= 1


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(1, 8, 8), "RGB"),
        (torch.zeros(3, 0, 8), "at least one pixel"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "divide by 255"),
        (torch.full((3, 8, 8), 255.0), "divide 8-bit pixels by 255"),
        (torch.full((3, 8, 8), torch.nan), "must be in"),
        (np.zeros((3, 8, 8), np.float32), "must be a tensor, .* got ndarray"),
        ("photo.jpg", "got str: read_image makes one of a file"),
    ],
)
def test_wrong_photos(model, image, message):
    with pytest.raises(ValueError, match=message):
        hc.encode(model, image)


def test_wrong_size(model, photo):
    with pytest.raises(ValueError, match="size must be from 32 to 1,024"):
        hc.encode(model, photo, size=16)
    with pytest.raises(ValueError, match="got 1025"):
        hc.encode(model, photo, size=1025)
    with pytest.raises(ValueError, match=r"got 64\.5"):
        hc.encode(model, photo, size=64.5)


@pytest.mark.parametrize("large", [0, 2**25])
@pytest.mark.parametrize("name", ["a.jpg", "turned.png", "gray.png", "tiny.png"])
def test_from_file_to_file_is_the_same(model, photos, tmp_path, monkeypatch, name, large):
    """In strips, and with other processes for a photo that counts as large; EXIF turns it in both ways."""
    monkeypatch.setattr(sys.modules["histcolor.images"], "STRIP", 160 * 7)
    monkeypatch.setattr(sys.modules["histcolor.images"], "LARGE", large)
    with Image.open(photos / "astronaut_suit.jpg") as picture:
        picture = picture.convert("L") if name == "gray.png" else picture.crop((0, 0, 160, 130))
        exif = Image.Exif()
        exif[0x0112] = 6 if name == "turned.png" else 1
        (picture.resize((1, 1)) if name == "tiny.png" else picture).save(tmp_path / name, exif=exif)
    image = hc.read_image(tmp_path / name)
    hist = torch.rand(16, 16)
    for transport in (0.0, 0.5):
        options = {"transport": transport, "flips": True, "size": 64}
        hc.write_image(hc.colorize(model, image, hist, **options), tmp_path / f"whole_{transport}.png")
        colorize_file(model, tmp_path / name, tmp_path / f"strips_{transport}.png", hist, **options)
        whole, strips = (hc.read_image(tmp_path / f"{kind}_{transport}.png") * 255 for kind in ("whole", "strips"))
        assert strips.shape == image.shape
        difference = (whole - strips).abs()
        if transport:  # sorts colours, so that a rounding error may swap two of them
            assert difference.mean() < 0.3
        else:
            assert difference.max() <= 1.01
            assert (difference > 0.5).float().mean() < 0.001, "but for rounding"


@pytest.mark.slow
@pytest.mark.parametrize(("size", "kind"), [((12_000, 9000), "jpg"), ((14_142, 14_142), "png")])
def test_the_largest_photos_in_bounded_memory(tmp_path, monkeypatch, size, kind):
    """From file to file, in a new process: neither it nor those that it starts take 1.5 GB, torch included."""
    ramp = (np.add.outer(np.arange(size[1], dtype=np.uint16), np.arange(size[0], dtype=np.uint16)) >> 3).astype(
        np.uint8
    )
    picture = Image.merge("RGB", (Image.fromarray(ramp), Image.fromarray(ramp), Image.new("L", size, 60)))
    picture.save(tmp_path / f"large.{kind}", **({"compress_level": 1} if kind == "png" else {"quality": 60}))
    code = """
import resource, sys
from histcolor.cli.main import main
assert main(["colorize", sys.argv[1], "--output", sys.argv[2], "--palette", "#c33,#2a6", "--transport", "0.5"]) == 0
for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
    print(resource.getrusage(who).ru_maxrss * 1024)
"""
    files = [str(tmp_path / f"large.{kind}"), str(tmp_path / f"out.{kind}")]
    # a shell between: Linux counts the memory of the process that starts another one as that one's peak
    command = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", code, *files]
    del picture, ramp
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # Pillow warns of large pictures
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    with Image.open(files[1]) as picture:
        assert picture.size == size
    peaks = [int(line) / 1e9 for line in done.stdout.split()]
    assert max(peaks) < 1.5, f"{peaks} GB"


@pytest.mark.parametrize(("attention", "known", "size"), [(False, 64, 64), (False, None, 256), (True, 64, 256)])
def test_a_network_without_attention_works_at_the_size_of_its_training(photo, photos, tmp_path, attention, known, size):
    network = build(replace(hc.PRESETS["tiny"], attention=attention, readout="features")).eval()
    torch.nn.init.normal_(network.unet.out.weight)  # new ones paint gray
    network.trained_size = known
    assert encode(network, photo).features.L.shape[-2:] == (size, size)
    assert encode(network, photo, size=96).features.L.shape[-2:] == (96, 96)
    out = hc.colorize(network, photo, hist := histogram(photo))
    assert torch.equal(out, hc.colorize(network, photo, hist, size=size))
    assert (out - hc.colorize(network, photo, hist, size=96)).abs().max() > 0.01
    colorize_file(network, photos / "astronaut_suit.jpg", tmp_path / "out.png", hist)
    assert (hc.read_image(tmp_path / "out.png") - out).abs().max() < 0.01


def test_working_sizes_by_name(model):
    photo = torch.rand(3, 300, 400)
    for name, size in SIZES.items():
        assert encode(model, photo, size=name).features.L.shape == encode(model, photo, size=size).features.L.shape
    assert encode(model, photo).features.L.shape == encode(model, photo, size="full").features.L.shape
    with pytest.raises(ValueError, match="one of preview, fast, full, got 'quick'"):
        encode(model, photo, size="quick")
