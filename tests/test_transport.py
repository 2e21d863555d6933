"""Transport: the colours that it takes from a histogram, how near it brings a picture to one, and what it keeps."""

import pytest
import torch
import torch.nn.functional as F

import histcolor as hc
from histcolor.transport import between, box, move_to_histogram, sample_histogram, sliced_transport, sort_order


@pytest.fixture(scope="module")
def photo(photos):
    return hc.read_image(photos / "astronaut_suit.jpg")


@pytest.fixture(scope="module")
def goal():
    """The histogram of another photo, [1, 64, 64]."""
    return hc.ab_histogram(hc.rgb_to_lab(hc.demo_photo("coffee"))[1:], 64)[None]


def test_sampled_colours_have_the_histogram():
    hist = torch.rand(16, 16) ** 6
    hist = hc.check_histogram(hist)
    colours = sample_histogram(hist, 50_000)
    achieved = hc.ab_histogram(colours.T.reshape(2, 250, 200), 16)
    assert hc.intersection(achieved, hist) > 0.995


def test_transport_reaches_the_histogram(photo, goal):
    lab = hc.rgb_to_lab(photo)
    overlap = []
    for strength in (0.0, 0.5, 1.0):
        ab = move_to_histogram(lab[None, 1:], goal, lab[None, :1], strength)
        overlap.append(float(hc.earth_movers(hc.ab_histogram(ab, 64)[0], goal[0])))
    assert overlap[1] < 0.65 * overlap[0]
    assert overlap[2] < 0.15 * overlap[0]
    torch.testing.assert_close(move_to_histogram(lab[None, 1:], goal, lab[None, :1], 0.0), lab[None, 1:])


def test_transport_keeps_neighbours_together(photo, goal):
    """Plain transport sends neighbours of one colour far apart in the ab plane; ours does so much less."""
    lab = hc.rgb_to_lab(photo)
    ab, L = lab[None, 1:] * 0.1, lab[None, :1]
    pixels = ab.flatten(2).transpose(1, 2)
    rough = sliced_transport(pixels, sample_histogram(goal[0], pixels.shape[1])[None], range(24))
    rough = rough.transpose(1, 2).reshape(ab.shape)
    smooth = move_to_histogram(ab, goal, L, 1.0)

    def roughness(x):
        return float(x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean())

    assert roughness(smooth) < 0.8 * roughness(rough)
    target, plain, ours = (
        hc.resize_histogram(h, 16) for h in (goal[0], *(hc.ab_histogram(x[0], 64) for x in (rough, smooth)))
    )
    assert hc.intersection(ours, target) > hc.intersection(plain, target) - 0.05


@pytest.mark.parametrize("shape", [(3, 2, 999), (1,), (2, 0)])
def test_sort_order_is_that_of_a_stable_sort(shape):
    x = torch.randn(shape) * torch.randn(shape).exp()
    for values in (x, x.round(), -x.abs(), x * 1e-40, torch.copysign(torch.zeros(shape), x)):
        assert torch.equal(sort_order(values), values.sort(stable=True).indices)


def test_box_is_the_mean_of_the_pixels_in_the_picture():
    x = torch.rand(2, 3, 7, 5)
    for radius in (0, 1, 4, 9):
        expected = F.avg_pool2d(x, 2 * radius + 1, 1, radius, count_include_pad=False)
        torch.testing.assert_close(box(x, radius), expected)


@pytest.mark.parametrize(("h", "w"), [(9, 7), (8, 6), (1, 2)])
def test_every_second_pixel_keeps_its_place(h, w):
    ramp = torch.arange(h)[:, None] * 10.0 + torch.arange(w)
    found = between(ramp[None, None, ::2, ::2], h, w)[0, 0]
    odd = (slice(h - 1 + h % 2), slice(w - 1 + w % 2))  # an even size's last pixels repeat those before them
    torch.testing.assert_close(found[odd], ramp[odd])
    assert found.shape == (h, w)
