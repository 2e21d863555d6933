"""Pins: they hold at their place, spread to what is alike, leave the rest alone, and bad ones are refused."""

import numpy as np
import pytest
import torch

import histcolor as hc
import histcolor.baselines
from histcolor.attention import normalise
from histcolor.checkpoint import build
from histcolor.colorize import pin
from histcolor.evaluate import true_points
from histcolor.points import FLOOR, RAISE, read_points, sample

SIDE = 160  # of the fixture's photos, and of the working size: the result has no resizing in it


@pytest.fixture(scope="module")
def small():
    return hc.load("small")


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    model = build(hc.PRESETS["tiny"]).eval()
    model.average[8:10, 8:12] = 1.0
    return model


@pytest.fixture(scope="module")
def labs(photos):
    return [hc.rgb_to_lab(hc.read_image(path)) for path in sorted(photos.iterdir())]


def colours(model, photo, hist, points=(), **options):
    """The result's ab, ``[2, H, W]``."""
    return hc.rgb_to_lab(hc.colorize(model, photo, hist, points=points, **options))[1:]


def at(ab, point):
    """The mean of a pin's 7×7 pixels."""
    x, y, _ = point
    return ab[:, max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4].mean((1, 2))


def targets(lab, bins):
    return {"given": hc.ab_histogram(lab[1:], bins), "automatic": None}


def test_no_pins_change_nothing(tiny, labs):
    photo = hc.encode(tiny, hc.lab_to_rgb(labs[0]), size=64)
    for hist in targets(labs[0], 16).values():
        assert torch.equal(hc.colorize(tiny, photo, hist, points=[]), hc.colorize(tiny, photo, hist))


@pytest.mark.parametrize("transport", [0.0, 1.0])
def test_a_pins_own_place_has_its_colour(small, labs, transport):
    with_pins, without = [], []
    for lab in labs[:4]:
        photo, points = hc.encode(small, hc.lab_to_rgb(lab), size=SIDE), true_points(lab, 4)
        hist = hc.ab_histogram(labs[0][1:], small.config.bins) if transport else None  # of another photo, but for one
        before, after = (colours(small, photo, hist, p, transport=transport) for p in ((), points))
        for point in points:
            wanted = torch.tensor(point[2])
            without.append((at(before, point) - wanted).norm())
            with_pins.append((at(after, point) - wanted).norm())
    assert torch.stack(with_pins).mean() < 6 < torch.stack(without).mean()


@pytest.mark.parametrize("kind", ["given", "automatic"])
def test_far_unlike_places_keep_their_colours(small, labs, kind):
    far_unlike, near_alike = [], []
    for lab in labs:
        photo, hist = hc.encode(small, hc.lab_to_rgb(lab), size=SIDE), targets(lab, small.config.bins)[kind]
        (point,) = true_points(lab, 1)
        change = colours(small, photo, hist, [point]) - colours(small, photo, hist)
        change = torch.nn.functional.avg_pool2d(change.norm(dim=0)[None], 4)[0]
        place = read_points([point], SIDE, SIDE)[0]
        phi = normalise(photo.features.f_t)
        cosine = torch.cosine_similarity(phi[0], sample(phi, place[None])[0, 0][:, None, None], dim=0)
        y, x = torch.meshgrid(*2 * [torch.arange(2.0, SIDE, 4)], indexing="ij")
        distance = torch.hypot(x - point[0], y - point[1]) / SIDE
        far_unlike.append(change[(distance > 0.5) & (cosine < 0.2)])
        near_alike.append(change[(distance < 0.15) & (cosine > 0.7)])
    assert len(torch.cat(far_unlike)) > 100
    assert torch.cat(far_unlike).mean() < 2 < torch.cat(near_alike).mean()


def test_their_order_does_not_matter(small, labs):
    photo, points = hc.encode(small, hc.lab_to_rgb(labs[0]), size=SIDE), true_points(labs[0], 6)
    one, other = (hc.colorize(small, photo, points=p) for p in (points, points[::-1]))
    torch.testing.assert_close(one, other, atol=2e-3, rtol=0)
    assert (one - hc.colorize(small, photo, points=points[:3])).abs().max() > 0.02


def test_two_colours_at_one_place_give_one_between(small, labs):
    photo = hc.encode(small, hc.lab_to_rgb(labs[2]), size=SIDE)
    first, second = (60, 90, (20.0, 30.0)), (60, 90, (-5.0, -15.0))
    a, b, both = (at(colours(small, photo, None, points), first) for points in ([first], [second], [first, second]))
    share = ((both - a) @ (b - a) / (b - a).square().sum()).item()
    assert share == pytest.approx(0.5, abs=0.1)
    assert (both - a - share * (b - a)).norm() < 3


def test_a_pin_of_a_colour_that_the_histogram_lacks(small, labs):
    """No token has it, so attention can not bring it."""
    photo = hc.encode(small, hc.lab_to_rgb(labs[0]), size=SIDE)
    hist = torch.zeros(64, 64)
    hist[32:36, 34:38] = 1.0  # yellowish grays
    point = (80, 80, (-15.0, -20.0))
    assert (at(colours(small, photo, hist, [point]), point) - torch.tensor(point[2])).norm() < 6


@pytest.mark.parametrize("gray", [None, "gray", "#888"])
def test_leave_it_gray(small, labs, gray):
    lab = labs[0]
    photo, (x, y, colour) = hc.encode(small, hc.lab_to_rgb(lab), size=SIDE), true_points(lab, 1)[0]
    hist = torch.zeros(64, 64)
    hist[40, 44] = 1.0  # all orange
    assert at(colours(small, photo, hist), (x, y, colour)).norm() > 20
    assert at(colours(small, photo, hist, [(x, y, gray)]), (x, y, colour)).norm() < 6


def test_a_pin_lies_where_it_was_put_at_any_size(tiny, labs):
    """A photo of another size and shape than the network works at; the place is given in the photo's own pixels."""
    image = torch.full((3, 120, 330), 0.5)  # all places are alike, so that it is the distance that counts
    hist = hc.ab_histogram(labs[0][1:], 16)
    change = (colours(tiny, image, hist, [(280, 30, (0, 40))]) - colours(tiny, image, hist)).norm(dim=0)
    y, x = divmod(int(torch.nn.functional.avg_pool2d(change[None], 25, 1, 12).argmax()), 330)
    assert abs(x - 280) < 25
    assert abs(y - 30) < 25
    for height, width in [(1, 1), (3, 500), (31, 64)]:
        out = hc.colorize(tiny, torch.rand(3, height, width), hist, points=[(width - 1, height - 1, "#c33")])
        assert torch.isfinite(out).all()


def test_a_batch_of_histograms_and_mirrored_photos(tiny, labs):
    image, hists = hc.lab_to_rgb(labs[0]), torch.stack([hc.ab_histogram(lab[1:], 16) for lab in labs[:2]])
    points = [(30, 40, "#c33"), (100, 90, None)]
    batch = hc.colorize(tiny, image, hists, points=points, flips=True, size=64)
    single = hc.colorize(tiny, image, hists[1], points=points, flips=True, size=64)
    torch.testing.assert_close(batch[1], single, atol=1e-4, rtol=0)
    mirrored = [(SIDE - 1 - x, y, colour) for x, y, colour in points]
    # features of a mirrored photo are not quite the mirrored features
    difference = [
        (hc.colorize(tiny, image.flip(-1), hists[1], points=p, flips=True, size=64).flip(-1) - single).abs().max()
        for p in (mirrored, points)
    ]
    assert difference[0] < 0.03
    assert difference[1] > 0.1


def test_logits_prefer_the_pins_colour_where_places_are_like_it(tiny, labs):
    photo = hc.encode(tiny, hc.lab_to_rgb(labs[0]), size=64)
    pins = pin(tiny, photo.features, photo.L.shape[-2:], [(80, 80, (30.0, 20.0))], given=True)
    logits = pins.logits(torch.tensor([[[30.0, 20.0], [40.0, 20.0], [-60.0, 0.0]]]))[0]
    there = pins.likeness[0, :, 0].argmax()
    assert logits[there, 0] > -1e-3
    assert logits[there, 0] > logits[there, 1] > logits[there, 2]
    torch.testing.assert_close(logits[:, 2], -RAISE * FLOOR * pins.likeness[0, :, 0])


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ((160, 3, "#c33"), r"x of point 2 must be a finite number in \[0, 159\], got 160"),
        ((3, -1, "#c33"), r"y of point 2 must be a finite number in \[0, 159\], got -1"),
        ((float("nan"), 3, "#c33"), "x of point 2"),
        (("3", 3, "#c33"), "x of point 2"),
        ((3, 3), r"Point 2 must be \(x, y, colour\)"),
        (7, r"Point 2 must be \(x, y, colour\)"),
        ((3, 3, "red"), "colour of point 2 must be hex digits such as '#c33', or 'gray', got 'red'"),
        ((3, 3, "#c33,#2a6"), "colour of point 2 must be hex digits"),
        ((3, 3, 5), "colour of point 2 must be a pair"),
        ((3, 3, (200, 0)), "a of colour of point 2 must be"),
    ],
)
def test_bad_pins(tiny, labs, point, message):
    with pytest.raises(ValueError, match=message) as raised:
        hc.colorize(tiny, hc.lab_to_rgb(labs[0]), hc.ab_histogram(labs[0][1:], 16), points=[(3, 3, "#c33"), point])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_a_colour_is_any_pair(kind):
    _, colours = read_points([(1, 2, kind([10.0, -20.0]))], 8, 8)
    assert colours.tolist() == [[10, -20]]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.array([[1, 2]]), r"Point 1 must be \(x, y, colour\)"),
        (np.array([[1, 2, 3]]), "colour of point 1 must be a pair"),
        (np.array([1, 2]), r"Point 1 must be \(x, y, colour\)"),
        (torch.tensor(3.0), r"points must be a list of \(x, y, colour\), got tensor"),
        (5, r"points must be a list of \(x, y, colour\), got 5"),
    ],
)
def test_what_is_no_list_of_pins(tiny, points, message):
    with pytest.raises(ValueError, match=message):
        hc.colorize(tiny, torch.rand(3, 32, 32), torch.ones(16, 16), points=points, size=32)
    assert hc.colorize(tiny, torch.rand(3, 32, 32), torch.ones(16, 16), points=np.zeros((0, 3)), size=32).shape[0] == 3


def test_only_models_with_attention_have_pins(labs):
    image, hist = hc.lab_to_rgb(labs[0]), hc.ab_histogram(labs[0][1:], 16)
    for method, target in (("automatic", None), ("zhang2017", hist)):
        with pytest.raises(ValueError, match="points need a model with attention"):
            hc.colorize(build(hc.PRESETS["tiny"], method).eval(), image, target, points=[(3, 3, "#c33")], size=64)
