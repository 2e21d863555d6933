"""histcolor.histogram: exact counts, the differentiable form, what the network sees, and distances."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plain import plain_histogram
from torch.autograd import gradcheck

from histcolor import histogram as H
from histcolor.color import AB_MAX, rgb_to_lab
from histcolor.histogram import read_histogram

METHODS = pytest.mark.parametrize("method", ["splat", "matmul"])
EXACT_AND_SOFT = pytest.mark.parametrize(
    "count",
    [
        H.ab_histogram,
        lambda ab, bins: H.soft_ab_histogram(ab, bins, method="splat"),
        lambda ab, bins: H.soft_ab_histogram(ab, bins, method="matmul"),
    ],
    ids=["exact", "splat", "matmul"],
)
BINS = st.integers(2, 20)


def ab_images(limit=AB_MAX):
    """Small ab images [2, H, W], often with zeros and with values on the bins' edges."""
    values = st.floats(-limit, limit, width=32) | st.sampled_from([-limit, -55.0, 0.0, 55.0, limit])
    return hnp.arrays(np.float32, st.tuples(st.just(2), st.integers(1, 6), st.integers(1, 6)), elements=values)


def histograms(bins):
    """Histograms [bins, bins] that sum to 1, many of them sparse."""
    masses = hnp.arrays(np.float64, (bins, bins), elements=st.sampled_from([0.0, 0.0, 0.0, 1e-6, 0.2, 1.0, 7.0]))
    return masses.filter(lambda m: m.sum() > 0).map(lambda m: torch.from_numpy(m / m.sum()))


def pixels(*colours):
    """(a, b) pairs → an image [2, 1, N]."""
    return torch.tensor(colours, dtype=torch.float32).T.unsqueeze(1)


def between_centres(bins, pixel_count, dtype=torch.float64, lead=()):
    """Random ab [..., 2, 1, pixel_count] away from the kernel's kinks, which are at the bin centres."""
    lower = torch.randint(0, bins - 1, (*lead, 2, 1, pixel_count))
    return ((lower + 0.15 + 0.7 * torch.rand(lower.shape, dtype=dtype)) + 0.5) * H.bin_width(bins) - AB_MAX


def delta(bins, i, j, dtype=torch.float64):
    hist = torch.zeros(bins, bins, dtype=dtype)
    hist[i, j] = 1
    return hist


# ---- bins and palette


def test_bins_tile_the_range():
    for bins in (2, 5, 16, 64):
        centres = H.bin_centres(bins, dtype=torch.float64)
        assert H.bin_width(bins) * bins == pytest.approx(2 * AB_MAX)
        assert centres[0].item() == pytest.approx(-AB_MAX + H.bin_width(bins) / 2)
        assert centres[-1].item() == pytest.approx(AB_MAX - H.bin_width(bins) / 2)
        torch.testing.assert_close(centres.diff(), torch.full((bins - 1,), H.bin_width(bins), dtype=torch.float64))


def test_palette_holds_a_then_b():
    colours, centres = H.palette(5), H.bin_centres(5)
    assert colours.shape == (5, 5, 2)
    assert colours[1, 3].tolist() == [centres[1].item(), centres[3].item()]


# ---- the exact histogram


@given(ab_images(), BINS)
def test_exact_sums_to_one_and_is_not_negative(ab, bins):
    hist = H.ab_histogram(torch.from_numpy(ab), bins)
    assert hist.dtype == torch.float32
    assert hist.shape == (bins, bins)
    assert (hist >= 0).all()
    assert hist.double().sum().item() == pytest.approx(1, abs=1e-6)


@given(ab_images(), BINS, st.randoms(use_true_random=False))
def test_where_a_pixel_lies_does_not_matter(ab, bins, random):
    order = list(range(ab[0].size))
    random.shuffle(order)
    shuffled = torch.from_numpy(ab.reshape(2, 1, -1)[:, :, order].copy())
    ab = torch.from_numpy(ab)
    assert torch.equal(H.ab_histogram(ab, bins), H.ab_histogram(shuffled, bins))
    torch.testing.assert_close(H.soft_ab_histogram(ab, bins), H.soft_ab_histogram(shuffled, bins))


def test_exact_counts_by_hand():
    # 4 bins of width 55: [-110, -55), [-55, 0), [0, 55), [55, 110]
    ab = pixels((-100, 100), (-100, 60), (10, -10), (0, 0))
    expected = torch.zeros(4, 4)
    expected[0, 3] = 2 / 4  # axis 0 is a (low), axis 1 is b (high)
    expected[2, 1] = 1 / 4
    expected[2, 2] = 1 / 4
    assert torch.equal(H.ab_histogram(ab, 4), expected)


@EXACT_AND_SOFT
def test_axis_0_is_a_and_axis_1_is_b(count):
    reddish, bluish = pixels((80, 0)), pixels((0, -80))
    assert count(reddish, 11).argmax().item() == 9 * 11 + 5
    assert count(bluish, 11).argmax().item() == 5 * 11 + 1


@pytest.mark.parametrize("bins", [2, 7, 16, 64])
def test_exact_agrees_with_numpy(bins):
    ab = (torch.rand(2, 60, 70, dtype=torch.float64) * 2 - 1) * AB_MAX
    a, b = ab.flatten(1).numpy()
    expected, _, _ = np.histogram2d(a, b, bins=bins, range=[[-AB_MAX, AB_MAX]] * 2)
    # whole pixels: any difference would be of 1
    assert np.array_equal((H.ab_histogram(ab, bins).double() * 60 * 70).round().numpy(), expected)


def test_beyond_the_range_falls_into_the_bins_at_the_edge():
    hist = H.ab_histogram(pixels((-200, 110), (110, -110), (200, 200), (-110, -1e6)), 8)
    assert hist[0, 7] == hist[7, 0] == hist[7, 7] == hist[0, 0] == 0.25


def test_leading_axes_are_photos():
    ab = (torch.rand(2, 3, 2, 5, 6) * 2 - 1) * AB_MAX
    for count in (H.ab_histogram, H.soft_ab_histogram):
        hist = count(ab, 9)
        assert hist.shape == (2, 3, 9, 9)
        torch.testing.assert_close(hist[1, 2], count(ab[1, 2], 9))
    assert H.ab_histogram(ab[:0], 9).shape == (0, 3, 9, 9)


@pytest.mark.parametrize(
    ("ab", "message"),
    [
        (torch.zeros(3, 4, 4), r"\[\.\.\., 2, H, W\], got shape \(3, 4, 4\)"),
        (torch.zeros(2, 4, 4, dtype=torch.int64), "floating point"),
        (torch.zeros(2, 0, 4), "at least one pixel"),
        (torch.full((2, 4, 4), math.nan), "no NaN"),
        (torch.full((2, 4, 4), -math.inf), "infinity"),
    ],
    ids=["channels", "integers", "no pixel", "NaN", "infinity"],
)
def test_exact_names_what_is_wrong(ab, message):
    with pytest.raises(ValueError, match=message):
        H.ab_histogram(ab, 8)


# ---- the differentiable histogram


@METHODS
@given(ab=ab_images(limit=300.0), bins=BINS)
def test_soft_sums_to_one_to_the_very_edge_and_beyond(method, ab, bins):
    hist = H.soft_ab_histogram(torch.from_numpy(ab), bins, method=method)
    assert (hist >= 0).all()
    assert hist.double().sum().item() == pytest.approx(1, abs=1e-5)


@METHODS
@pytest.mark.parametrize("value", [109.99, 110.0, 110.01, 500.0])
def test_soft_gives_the_edge_bin_all_of_a_pixel_at_the_edge(method, value):
    hist = H.soft_ab_histogram(pixels((value, -value)), 16, method=method)
    assert hist[15, 0] == 1
    assert hist.sum() == 1


@METHODS
def test_soft_equals_exact_on_bin_centres(method):
    for bins in (2, 7, 16, 64):
        index = torch.randint(0, bins, (2, 30, 30))
        ab = H.bin_centres(bins)[index]
        torch.testing.assert_close(
            H.soft_ab_histogram(ab, bins, method=method), H.ab_histogram(ab, bins), atol=1e-5, rtol=0
        )


@METHODS
def test_soft_shares_a_pixel_among_its_four_neighbours_by_hand(method):
    # 4 bins, centres -82.5, -27.5, 27.5, 82.5; a lies a quarter, b half of the way to the next centre
    hist = H.soft_ab_histogram(pixels((-82.5 + 55 / 4, 0)), 4, method=method)
    expected = torch.zeros(4, 4)
    expected[0, 1] = expected[0, 2] = 0.75 * 0.5
    expected[1, 1] = expected[1, 2] = 0.25 * 0.5
    torch.testing.assert_close(hist, expected)


@METHODS
@pytest.mark.parametrize("bins", [2, 5, 16])
def test_soft_equals_the_definition_written_out(method, bins):
    ab = ((torch.rand(3, 2, 8, 8, dtype=torch.float64) * 2 - 1) * 130).requires_grad_()
    weight = torch.randn(3, bins, bins, dtype=torch.float64)
    ours, plain = H.soft_ab_histogram(ab, bins, method=method), plain_histogram(ab, bins)
    torch.testing.assert_close(ours, plain)
    (gradient,) = torch.autograd.grad((ours * weight).sum(), ab)
    (expected,) = torch.autograd.grad((plain * weight).sum(), ab)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("bins", [2, 16, 33])
def test_both_methods_agree(bins):
    ab = ((torch.rand(2, 2, 20, 20) * 2 - 1) * 130).requires_grad_()
    weight = torch.randn(2, bins, bins)
    values, gradients = [], []
    for method in ("splat", "matmul"):
        values.append(H.soft_ab_histogram(ab, bins, method=method))
        gradients.append(torch.autograd.grad((values[-1] * weight).sum(), ab)[0])
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients, atol=1e-7, rtol=1e-4)
    assert gradients[0].abs().max() > 0


@METHODS
def test_soft_gradients_are_right(method):
    ab = between_centres(6, 7, lead=(2,)).requires_grad_()
    assert gradcheck(lambda x: H.soft_ab_histogram(x, 6, method=method), (ab,))


@METHODS
@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_soft_keeps_the_type(method, kind):
    assert H.soft_ab_histogram(torch.zeros(2, 4, 4, dtype=kind), 4, method=method).dtype == kind


@METHODS
def test_soft_counts_large_photos_part_by_part(method, monkeypatch):
    ab = between_centres(6, 50, lead=(2,)).requires_grad_()
    whole = H.soft_ab_histogram(ab, 6, method=method)
    monkeypatch.setattr(H, "LARGE", 49)
    monkeypatch.setattr(H, "PART", 16)
    torch.testing.assert_close(H.soft_ab_histogram(ab, 6, method=method), whole)
    assert gradcheck(lambda x: H.soft_ab_histogram(x, 6, method=method), (ab,))


@METHODS
@pytest.mark.parametrize("value", [6.875, 3.3])
def test_soft_sums_to_one_for_large_photos(method, value):
    hist = H.soft_ab_histogram(torch.full((2, 1, 3 * 10**6), value), 16, method=method)
    assert hist.dtype == torch.float32
    assert hist.double().sum().item() == pytest.approx(1, abs=1e-6)


@METHODS
def test_soft_counts_half_precision_in_float32(method):
    ab = (torch.randn(2, 300, 300) * 15).half()
    hist, expected = (H.soft_ab_histogram(x, 16, method=method) for x in (ab, ab.float()))
    assert torch.equal(hist, expected.half())


@METHODS
def test_every_bin_can_be_reached(method):
    # the authors' released kernel reaches half of the bins on each axis
    bins = 16
    at_each = H.palette(bins).reshape(-1, 2, 1, 1)
    hist = H.soft_ab_histogram(at_each, bins, method=method).flatten(1)
    torch.testing.assert_close(hist, torch.eye(bins**2), atol=1e-5, rtol=0)


@EXACT_AND_SOFT
def test_saturated_colours_have_mass(count):
    # the authors' release gives ab above about 70 no mass in the loss, and drops those beyond 80 in the representation
    for a, b in ((71, 71), (-85, 83), (98, -61), (79, -107)):
        assert count(pixels((a, b)), 16).sum().item() == pytest.approx(1, abs=1e-6)


@EXACT_AND_SOFT
def test_colours_with_a_plus_b_zero_are_counted(count):
    # the authors' release drops them
    hist = count(pixels((30, -30), (-30, 30), (0, 0), (30, 30)), 11)
    assert hist.sum().item() == pytest.approx(1, abs=1e-6)
    assert hist[5, 5].item() == pytest.approx(0.25)  # 11 bins: gray sits on a centre


@METHODS
def test_memory_grows_with_pixels_times_bins_at_most(method):
    bins, side = 16, 64
    ab = torch.zeros(2, side, side).uniform_(-AB_MAX, AB_MAX).requires_grad_()
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda x: sizes.append(x.untyped_storage().nbytes()) or x, lambda x: x
    ):
        H.soft_ab_histogram(ab, bins, method=method).square().sum().backward()
    largest = max(sizes) / 4  # in units of a float
    assert largest < side**2 * bins**2 / 4
    # splat: 8-byte indices, a few numbers a pixel; matmul: a weight for each pixel and bin of the two axes
    assert largest <= side**2 * (4 if method == "splat" else 2 * bins)


@EXACT_AND_SOFT
@pytest.mark.parametrize("bins", [1, 0, -2, 8.0, True, None])
def test_bins_are_whole_and_at_least_2(count, bins):
    with pytest.raises(ValueError, match=f"whole number of at least 2, such as 64, got {bins}"):
        count(torch.zeros(2, 4, 4), bins)
    with pytest.raises(ValueError, match="whole number of at least 2"):
        H.resize_histogram(torch.ones(4, 4), bins)


def test_soft_names_what_is_wrong():
    with pytest.raises(ValueError, match="soft_ab_histogram needs at least one pixel"):
        H.soft_ab_histogram(torch.zeros(2, 0, 4), 4)
    with pytest.raises(ValueError, match="'splat' or 'matmul', got 'sort'"):
        H.soft_ab_histogram(torch.zeros(2, 4, 4), 4, method="sort")
    with pytest.raises(ValueError, match=r"got shape \(1, 4, 4\)"):
        H.soft_ab_histogram(torch.zeros(1, 4, 4), 4)


# ---- checking and resizing


@pytest.mark.parametrize(
    ("hist", "message"),
    [
        (torch.ones(4, 5), r"square.*\(4, 5\)"),
        (torch.ones(16), r"square.*\(16,\)"),
        (torch.ones(1, 1), "square"),
        (torch.ones(8, 8), "has 8 bins an axis, 4 are needed"),
        (torch.ones(4, 4, dtype=torch.complex64), "complex"),
        (torch.full((4, 4), math.nan), "NaN"),
        (torch.full((4, 4), math.inf), "infinite"),
        (-torch.eye(4), "negative"),
        (torch.zeros(4, 4), "all zero"),
        (torch.stack([torch.eye(4), torch.zeros(4, 4)]), "all zero"),
        (None, "square array of numbers, got NoneType"),
        ("4×4", "square array of numbers, got str"),
        ([[1], [1, 2]], "square array of numbers, got list"),
        ([[10**400, 0.5]], "square array of numbers, got list"),
        (np.full((4, 4), "red"), "square array of numbers, got ndarray"),
    ],
)
def test_check_histogram_says_what_is_wrong(hist, message):
    with pytest.raises(ValueError, match=message):
        H.check_histogram(hist, 4)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e308])
def test_check_histogram_normalises_whatever_the_scale(scale):
    hist = np.full((3, 8, 8), scale)
    checked = H.check_histogram(hist, 8)
    assert checked.dtype == torch.float32
    torch.testing.assert_close(checked, torch.full((3, 8, 8), 1 / 64))


def test_check_histogram_takes_arrays_and_lists():
    hist = np.arange(16.0).reshape(4, 4)
    expected = torch.from_numpy(hist).float() / 120
    read_only = hist.copy()
    read_only.flags.writeable = False
    for other in (hist, hist.tolist(), hist.astype(">f8"), hist.astype(">u2"), np.asfortranarray(hist), read_only):
        torch.testing.assert_close(H.check_histogram(other, 4), expected)
    torch.testing.assert_close(H.check_histogram(hist[::-1, ::-1]), expected.flip(0, 1))


def test_check_histogram_takes_counts_and_any_colour():
    counts = torch.zeros(4, 4, dtype=torch.int64)
    counts[0, 0], counts[3, 3] = 3, 1  # corners of the plane, which no screen shows at any L
    assert H.check_histogram(counts).unique().tolist() == [0, 0.25, 0.75]


@given(st.data(), BINS, BINS)
def test_resize_keeps_all_mass(data, n, bins):
    hist = data.draw(histograms(n))
    resized = H.resize_histogram(hist, bins)
    assert resized.shape == (bins, bins)
    assert (resized >= 0).all()
    assert resized.double().sum().item() == pytest.approx(1, abs=1e-5)


@given(st.data(), st.integers(2, 8), st.integers(1, 5))
def test_resize_to_a_multiple_repeats_and_comes_back(data, n, times):
    hist = data.draw(histograms(n)).float()
    finer = H.resize_histogram(hist, n * times)
    repeated = hist.repeat_interleave(times, 0).repeat_interleave(times, 1) / times**2
    torch.testing.assert_close(finer, repeated, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(H.resize_histogram(finer, n), hist, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(H.mean_ab(finer), H.mean_ab(hist), atol=1e-3, rtol=1e-4)


def test_resize_to_a_divisor_equals_counting_in_fewer_bins():
    ab = (torch.rand(2, 2, 40, 40) * 2 - 1) * AB_MAX
    torch.testing.assert_close(H.resize_histogram(H.ab_histogram(ab, 64), 16), H.ab_histogram(ab, 16))


@pytest.mark.parametrize(("n", "bins"), [(60, 20), (20, 60), (98, 14)])
def test_resize_leaves_no_crumbs_in_other_bins(n, bins):
    """Where edges coincide no rounding may give a colour to a bin that has no mass."""
    for i in range(n):
        hist = torch.zeros(n, n)
        hist[i, i] = 1
        assert (H.resize_histogram(hist, bins) > 0).sum() == max(1, bins // n) ** 2


# ---- what the network sees


def test_represent_shows_the_root_and_the_palette_where_there_is_mass():
    hist = torch.zeros(1, 8, 8)
    hist[0, 1, 6], hist[0, 4, 4] = 0.2, 0.8
    shown = H.represent(hist)
    assert shown.shape == (1, 3, 8, 8)
    assert shown[0, 0, 4, 4] == 1
    assert shown[0, 0, 1, 6].item() == pytest.approx(0.5)
    empty = hist[0] == 0
    assert (shown[0, :, empty] == 0).all()
    assert (shown[0, 1:, ~empty] != 0).all()


def test_represent_does_not_transpose_the_palette_against_the_histogram():
    # the authors' release does
    a, b = 90.0, -40.0
    shown = H.represent(H.ab_histogram(pixels((a, b)), 16)[None])
    i, j = divmod(shown[0, 0].argmax().item(), 16)
    colour = shown[0, 1:, i, j] * AB_MAX
    assert (colour - torch.tensor([a, b])).abs().max() <= H.bin_width(16) / 2
    torch.testing.assert_close(colour, H.palette(16)[i, j])


def test_represent_without_palette():
    hist = H.ab_histogram((torch.rand(3, 2, 9, 9) * 2 - 1) * AB_MAX, 8)
    with_palette, without = H.represent(hist), H.represent(hist, with_palette=False)
    assert with_palette.shape == without.shape
    assert torch.equal(with_palette[:, 0], without[:, 0])
    assert (without[:, 1:] == 0).all()


def test_represent_keeps_to_the_networks_range():
    shown = H.represent(H.ab_histogram((torch.rand(2, 2, 50, 50) * 2 - 1) * AB_MAX, 16))
    assert shown.abs().max() <= 1
    assert shown[:, 0].amax((1, 2)).tolist() == [1, 1]


def test_represent_counts_gray_and_saturated_pixels():
    # the authors' release drops a + b = 0 and ab beyond 80
    hist = H.ab_histogram(pixels((0, 0), (40, -40), (98, -61), (-86, 83)), 16)
    assert (H.represent(hist[None])[0, 0] > 0).sum() == 4


# ---- mean colour and distances


@pytest.mark.parametrize("bins", [4, 16, 64])
def test_mean_ab_is_the_mean_of_pixels_on_centres(bins):
    ab = H.bin_centres(bins)[torch.randint(0, bins, (3, 2, 20, 20))]
    torch.testing.assert_close(H.mean_ab(H.ab_histogram(ab, bins)), ab.mean((2, 3)), atol=1e-3, rtol=1e-4)


def test_mean_ab_of_a_photo_is_within_half_a_bin(photos):
    from histcolor.images import read_image

    ab = rgb_to_lab(read_image(photos / "coffee_cup.jpg"))[1:]
    difference = H.mean_ab(H.ab_histogram(ab, 64)) - ab.mean((1, 2))
    assert difference.abs().max() < H.bin_width(64) / 2


@given(st.data(), st.integers(2, 9))
def test_distances_keep_their_ranges_and_are_symmetric(data, bins):
    p, q = data.draw(histograms(bins)), data.draw(histograms(bins))
    for distance, low, high in (
        (H.intersection, 0, 1),
        (H.hellinger, 0, 1),
        (H.earth_movers, 0, 2 * math.sqrt(2) * AB_MAX),
    ):
        there, back = distance(p, q).item(), distance(q, p).item()
        assert low - 1e-9 <= there <= high + 1e-9
        assert there == pytest.approx(back, abs=1e-9)


@given(st.data(), st.integers(2, 9))
def test_distances_of_a_histogram_to_itself(data, bins):
    p = data.draw(histograms(bins))
    assert H.intersection(p, p).item() == pytest.approx(1)
    assert H.hellinger(p, p).item() == pytest.approx(0, abs=1e-6)
    assert H.earth_movers(p, p).item() == 0


def test_distances_of_disjoint_histograms():
    p, q = delta(8, 0, 0), delta(8, 7, 3)
    assert H.intersection(p, q) == 0
    assert H.hellinger(p, q) == 1


def test_distances_by_hand():
    p, q = (delta(8, 1, 1) + delta(8, 2, 2)) / 2, delta(8, 1, 1)
    assert H.intersection(p, q).item() == pytest.approx(0.5)
    assert H.hellinger(p, q).item() == pytest.approx(math.sqrt(1 - math.sqrt(0.5)))


def test_distances_take_leading_axes():
    p = H.ab_histogram((torch.rand(2, 3, 2, 9, 9) * 2 - 1) * AB_MAX, 8)
    q = H.ab_histogram((torch.rand(2, 3, 2, 9, 9) * 2 - 1) * AB_MAX, 8)
    for distance in (H.intersection, H.hellinger, H.earth_movers):
        assert distance(p, q).shape == (2, 3)
        torch.testing.assert_close(distance(p, q)[1, 2], distance(p[1, 2], q[1, 2]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("to", [(3, 5), (9, 5), (3, 12), (14, 1)])
def test_earth_movers_is_how_far_a_colour_moved(to):
    bins, start = 16, (3, 5)
    dx, dy = ((t - s) * H.bin_width(bins) for s, t in zip(start, to, strict=True))
    moved = H.earth_movers(delta(bins, *start), delta(bins, *to)).item()
    # seen from each direction in the plane, the way is shorter by |cos|
    angles = np.arange(16) * np.pi / 16
    assert moved == pytest.approx(np.abs(dx * np.cos(angles) + dy * np.sin(angles)).mean(), abs=1e-6)
    # and over all directions |cos| is 2/π on average
    assert moved == pytest.approx(2 / math.pi * math.hypot(dx, dy), rel=0.01)


def test_earth_movers_tells_near_from_far_where_intersection_does_not():
    p = delta(16, 8, 8)
    near, far = delta(16, 8, 9), delta(16, 8, 15)
    assert H.intersection(p, near) == H.intersection(p, far) == 0
    assert H.earth_movers(p, far).item() == pytest.approx(7 * H.earth_movers(p, near).item())


@pytest.mark.parametrize("pixels", [(32, 32), (64, 96), (30, 30)])
def test_counting_by_products_is_counting(pixels):
    """A GPU counts by products, except where the number of pixels is no multiple of 1024."""
    ab = (torch.rand(3, 2, *pixels) * 240 - 120) * torch.tensor([1.0, 0.01, 1.0])[:, None, None, None]
    assert torch.equal(H.count_ab(ab, 64, product=True), H.count_ab(ab, 64))


def test_histogram_files(tmp_path):
    path = tmp_path / "h.npy"
    np.save(path, np.eye(128))
    hist = read_histogram(path)
    assert hist.shape == (128, 128)
    assert hist.sum() == pytest.approx(1)
    for values, message in (
        (np.zeros((8, 8)), "all zero"),
        (-np.eye(8), "negative"),
        (np.full((8, 8), np.nan), "NaN"),
        (np.ones((8, 4)), "square"),
        (np.ones(8), "square array of numbers"),
        (np.full((8, 8), "red"), "square array of numbers"),
        (np.ones((8, 8), complex), "square array of numbers"),
        (np.zeros((1, 1)), "square"),
        (np.ones((1025, 1025), bool), "1,024 bins"),
    ):
        np.save(path, values)
        with pytest.raises(ValueError, match=f"h.npy: .*{message}"):
            read_histogram(path)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"h\.npy: .* got object"):
        read_histogram(path)
    path.write_bytes(b"")
    with pytest.raises(OSError, match=r"h\.npy: is no \.npy file"):
        read_histogram(path)
    with pytest.raises(OSError, match="there is no such file"):
        read_histogram(tmp_path / "none.npy")


def npy(path, shape, descr="<f8", size=0):
    """A sparse .npy file: a header, and then only holes."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + size)
    return path


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((500_000, 500_000), 2 * 10**12, "1,024 bins an axis, got 500,000"),
        ((2**62, 2**62), 0, "1,024 bins"),
        ((8, 8), 0, "cut off"),
        ((8, 8), 10**12, "all zero"),  # what follows the array is not read
        ((), 10**12, "square"),
    ],
)
def test_a_giant_file_is_judged_by_its_header(tmp_path, shape, size, message):
    with pytest.raises((ValueError, OSError), match=f"h.npy: .*{message}"):
        read_histogram(npy(tmp_path / "h.npy", shape, size=size))


@pytest.mark.parametrize(
    "content",
    [
        b"\x93NUMPY\1\0\x76\0" + b"(" * 118,
        b"\x93NUMPY\1\0\x76\0{'descr': '<f8', 'fortran_order': 0, 'shape': (8,8)}".ljust(128),
        b"\x93NUMPY\2\0\xff\xff\xff\xff{",
        b"\x93NUMPY\x09\0\x10\0" + b"{}" * 8,
        b"PK\3\4 a zip",
    ],
    ids=["nested", "types", "long", "version", "npz"],
)
def test_damaged_headers(tmp_path, content):
    (tmp_path / "h.npy").write_bytes(content)
    with pytest.raises(OSError, match=r"h\.npy: is no \.npy file"):
        read_histogram(tmp_path / "h.npy")


def test_an_npz_is_no_histogram(tmp_path):
    np.savez(tmp_path / "h.npz", hist=np.eye(8))
    with pytest.raises(OSError, match=r"h\.npz: is no \.npy file"):
        read_histogram(tmp_path / "h.npz")


@pytest.mark.parametrize("kind", ["?", "u1", ">i4", "<f2", "<u8", "g"])
def test_histograms_of_any_kind_of_number(tmp_path, kind):
    np.save(tmp_path / "h.npy", np.asfortranarray(np.triu(np.ones((8, 8)))).astype(kind))
    expected = np.triu(np.ones((8, 8))) / 36
    assert np.allclose(read_histogram(tmp_path / "h.npy").numpy(), expected)
