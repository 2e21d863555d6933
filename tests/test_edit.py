"""histcolor.edit: what is true for every histogram (hypothesis), and cases worked out by hand."""

import contextlib
import inspect
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from histcolor import edit
from histcolor.color import in_gamut, rgb_to_lab
from histcolor.histogram import (
    ab_histogram,
    bin_centres,
    bin_width,
    check_histogram,
    earth_movers,
    mean_ab,
    palette,
)

quick = settings(deadline=None, max_examples=40, derandomize=True, database=None)
NAN, INF = math.nan, math.inf


@st.composite
def histograms(draw, chroma=INF, bins=None):
    """A histogram with a few peaks on 2 to 24 bins along each axis, none beyond the given chroma; not normalised."""
    bins = bins or draw(st.integers(2, 24))
    free = (palette(bins).norm(dim=-1) <= chroma + 1e-3).nonzero().tolist()
    peaks = draw(st.lists(st.tuples(st.sampled_from(free), st.floats(1e-3, 1e3)), min_size=1, max_size=6))
    hist = torch.zeros(bins, bins)
    for (i, j), mass in peaks:
        hist[i, j] += mass
    return hist


in_plane = st.floats(-110, 110)
colours = st.tuples(in_plane, in_plane)
radii = st.floats(0, 1e3)
hexes = st.integers(0, 0xFFFFFF).map("#{:06x}".format)


def peak(bins, *places):
    hist = torch.zeros(bins, bins)
    for i, j in places:
        hist[i, j] = 1 / len(places)
    return hist


def assert_histogram(hist, bins):
    assert hist.shape == (bins, bins)
    assert hist.dtype == torch.float32
    assert torch.isfinite(hist).all()
    assert (hist >= 0).all()
    assert hist.double().sum().item() == pytest.approx(1, abs=1e-6)


def mean_chroma(hist):
    return (hist * palette(len(hist)).norm(dim=-1)).sum().item()


def ab_of(entry):
    rgb = torch.tensor(list(bytes.fromhex(entry.lstrip("#"))), dtype=torch.float64) / 255
    return rgb_to_lab(rgb.reshape(3, 1, 1))[1:]  # [2, 1, 1]


# --- every edit ---


@quick
@given(st.data(), histograms(), colours, st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), radii)
def test_every_edit_returns_a_histogram_and_leaves_its_input(data, hist, ab, end, radius):
    before, bins = hist.clone(), len(hist)
    edits = [
        edit.paint(hist, ab, radius=radius, strength=data.draw(st.floats(0, 1e300))),
        edit.erase(hist, ab, radius=radius, strength=data.draw(st.floats(0, 0.999))),
        edit.move(hist, ab, end, radius=radius),
        edit.rotate_hue(hist, data.draw(st.floats(-1e6, 1e6))),
        edit.scale_saturation(hist, data.draw(st.floats(0, 1e300))),
        edit.blend(hist, data.draw(histograms(bins=bins)), data.draw(st.floats(0, 1))),
        edit.clip_to_gamut(hist, data.draw(st.floats(0, 100))),
        edit.from_palette(data.draw(st.lists(hexes, min_size=1, max_size=4)), bins, radius=radius),
    ]
    for result in edits:
        assert_histogram(result, bins)
    assert hist.equal(before)


@quick
@given(histograms())
def test_edits_that_ask_for_nothing_change_nothing(hist):
    same = check_histogram(hist)
    assert edit.paint(hist, (5, 5), strength=0).equal(same)
    assert edit.move(hist, (5, 5), (5, 5), radius=50).equal(same)
    assert edit.rotate_hue(hist, 0).equal(same)
    assert edit.scale_saturation(hist, 1).equal(same)
    assert torch.allclose(edit.erase(hist, (5, 5), strength=0), same)


def test_a_stroke_is_a_list_of_pairs_of_any_kind():
    path = [[1.0, 2.0], [30.0, -40.0]]
    wanted = edit.paint(H, path)
    for kind in (np.array, torch.tensor, lambda x: [np.array(ab) for ab in x], lambda x: [tuple(ab) for ab in x]):
        assert edit.paint(H, kind(path)).equal(wanted)


@pytest.mark.parametrize(
    "call",
    [
        lambda h: edit.paint(h, (0, 0)),
        lambda h: edit.erase(h, (0, 0)),
        lambda h: edit.move(h, (0, 0), (9, 9)),
        lambda h: edit.rotate_hue(h, 9),
        lambda h: edit.scale_saturation(h, 2),
        lambda h: edit.blend(h, torch.ones(8, 8)),
        lambda h: edit.blend(torch.ones(8, 8), h),
        lambda h: edit.clip_to_gamut(h, 50),
    ],
)
@pytest.mark.parametrize(
    ("hist", "says"),
    [
        (torch.full((8, 8), NAN), "NaN"),
        (-torch.ones(8, 8), "negative"),
        (torch.ones(8, 7), "square"),
        (torch.ones(1, 1), "square"),
        (torch.ones(2, 8, 8), "one by one"),
        (torch.ones(8), "one histogram"),
        ("8×8", "square array of numbers"),
        (None, "square array of numbers"),
    ],
)
def test_what_is_no_histogram_is_refused(call, hist, says):
    with pytest.raises(ValueError, match=says):
        call(hist)


H = torch.ones(8, 8)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: edit.paint(H, (NAN, 0)), "a of ab"),
        (lambda: edit.paint(H, (0, 111)), "b of ab"),
        (lambda: edit.paint(H, 5), "pair"),
        (lambda: edit.paint(H, np.zeros((3, 3))), "ab, entry 1, must be a pair"),
        (lambda: edit.paint(H, (1, 2, 3)), "pair"),
        (lambda: edit.paint(H, ("1", 2)), "a of ab"),
        (lambda: edit.paint(H, (0, 0), radius=-1), "radius"),
        (lambda: edit.paint(H, (0, 0), radius=NAN), "radius"),
        (lambda: edit.paint(H, (0, 0), radius=INF), "radius"),
        (lambda: edit.paint(H, (0, 0), radius="8"), "radius"),
        (lambda: edit.paint(H, (0, 0), radius=10**400), "radius"),
        (lambda: edit.paint(H, (0, 0), strength=-0.1), "strength"),
        (lambda: edit.paint(H, (0, 0), strength=None), "strength"),
        (lambda: edit.paint(0 * H, (0, 0), strength=0), "all zero"),
        (lambda: edit.paint(torch.zeros(8, 7), (0, 0)), "square"),
        (lambda: edit.erase(H, (0, 0), strength=1.5), "strength"),
        (lambda: edit.erase(0 * H, (0, 0)), "all zero"),
        (lambda: edit.erase(H, (-120, 0)), "a of ab"),
        (lambda: edit.move(H, (0, 200), (0, 0)), "b of start"),
        (lambda: edit.move(H, (0, 0), (INF, 0)), "a of end"),
        (lambda: edit.move(H, (0, 0), (0, 0), radius=-2), "radius"),
        (lambda: edit.rotate_hue(H, INF), "degrees"),
        (lambda: edit.rotate_hue(H, True), "degrees"),
        (lambda: edit.rotate_hue(H, torch.ones(2)), "degrees"),
        (lambda: edit.scale_saturation(H, -1), "factor"),
        (lambda: edit.scale_saturation(H, NAN), "factor"),
        (lambda: edit.blend(H, H, 1.1), "t must"),
        (lambda: edit.blend(H, torch.ones(4, 4)), "8 and 4 bins"),
        (lambda: edit.clip_to_gamut(H, 101), "L must"),
        (lambda: edit.from_palette("#c33", 1), "bins"),
        (lambda: edit.from_palette("#c33", 8.0), "bins"),
        (lambda: edit.from_palette("#c33", True), "bins"),
        (lambda: edit.from_palette("#c33", 8, radius=-1), "radius"),
        (lambda: edit.from_palette("#c33", 8, weights=[1, 2]), "1 colours need"),
        (lambda: edit.from_palette("#c33", 8, weights=[0]), "not all be 0"),
        (lambda: edit.mix([H, H], [0, 0]), "not all be 0"),
        (lambda: edit.mix([H, H], [1]), "2 histograms need"),
        (lambda: edit.mix([H], 1), "list of numbers"),
        (lambda: edit.mix([], []), "not all be 0"),
        (lambda: edit.paint(H, [(0, 0), (0, 111)]), "b of ab, entry 2"),
        (lambda: edit.erase(H, []), "must be a pair"),
        (lambda: edit.from_palette("#c33", 8, weights=[-1]), "Weight 1"),
        (lambda: edit.from_palette("#c33", 8, weights=3), "list of numbers"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(call, says):
    with pytest.raises(ValueError, match=says) as caught:
        call()
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_numpy_lists_and_counts_are_taken():
    counts = [[0, 3], [1, 0]]
    expected = torch.tensor([[0, 0.75], [0.25, 0]])
    flipped = np.array([[1, 0], [0, 3]])[::-1]
    for hist in (counts, np.array(counts), flipped, torch.tensor(counts), torch.tensor(counts).half()):
        assert edit.rotate_hue(hist, 0).equal(expected)
    assert_histogram(edit.paint(H, torch.tensor([3.0, 4.0]), radius=np.float32(9)), 8)


def test_public_docstrings_name_shape_and_errors():
    functions = [f for name, f in inspect.getmembers(edit, inspect.isfunction) if f.__module__ == edit.__name__]
    about_histograms = set(functions) - {edit.parse_palette, edit.palette_rgb, edit.check_number, edit.check_colour}
    for function in functions:
        if not function.__name__.startswith("_"):
            assert "ValueError" in function.__doc__, function.__name__
            assert "bins" in function.__doc__ or function not in about_histograms, function.__name__


# --- paint and erase ---


@quick
@given(histograms(), colours, st.floats(0, 60), st.floats(0.01, 10))
def test_paint_adds_the_given_share_within_the_radius(hist, ab, radius, strength):
    bins = len(hist)
    painted, same = edit.paint(hist, ab, radius=radius, strength=strength), check_histogram(hist)
    blob = edit.paint(torch.zeros(bins, bins), ab, radius=radius)
    assert_histogram(blob, bins)
    assert torch.allclose(painted, (same + strength * blob) / (1 + strength), atol=1e-6)
    away = (palette(bins) - torch.tensor(ab, dtype=torch.float32)).norm(dim=-1)
    assert (away[blob > 0] <= max(radius, bin_width(bins)) + 1e-3).all()


@quick
@given(colours, st.floats(0, 60), st.integers(2, 24))
def test_erase_takes_what_one_stroke_painted(ab, radius, bins):
    canvas = torch.ones(bins, bins)
    stroke = edit.paint(torch.zeros(bins, bins), ab, radius=radius)
    with pytest.raises(ValueError, match="leaves no colour at all"):
        edit.erase(stroke, ab, radius=radius)
    assert torch.allclose(edit.erase(stroke, ab, radius=radius, strength=0.5), stroke)
    if radius < 40 and bins > 2:
        erased = edit.erase(edit.paint(canvas, ab, radius=radius), ab, radius=radius)
        assert torch.allclose(erased, edit.erase(canvas, ab, radius=radius))
        assert (erased[stroke > 0] == 0).all()


@quick
@given(histograms(), st.lists(colours, min_size=1, max_size=5), st.floats(0, 60), st.floats(0.01, 4))
def test_a_stroke_is_its_blobs_in_any_order(hist, path, radius, strength):
    bins, same = len(hist), check_histogram(hist)
    blobs = [edit.paint(torch.zeros(bins, bins), ab, radius=radius) for ab in path]
    stroke = edit.paint(hist, path, radius=radius, strength=strength)
    assert torch.allclose(stroke, (same + strength * sum(blobs) / len(blobs)) / (1 + strength), atol=1e-6)
    assert torch.allclose(edit.paint(hist, path[::-1], radius=radius, strength=strength), stroke, atol=1e-6)
    canvas = torch.ones(bins, bins)
    expected = canvas - 0.5 * (sum(blobs) > 0).float()
    assert torch.allclose(edit.erase(canvas, path, radius=radius, strength=0.5), expected / expected.sum(), atol=1e-6)


def test_blob_is_the_gaussian_it_says():
    ab, radius = (20.5, -31.25), 30.0
    blob = edit.paint(torch.zeros(220, 220), ab, radius=radius)
    away = palette(220) - torch.tensor(ab)
    assert torch.allclose(mean_ab(blob), torch.tensor(ab), atol=0.05)
    # a Gaussian cut at three sigma has 0.9494 of its variance: 1 - 4.5 / (exp(4.5) - 1)
    deviation = (blob[..., None] * away**2).sum((0, 1)).sqrt()
    assert torch.allclose(deviation, torch.full((2,), 10 * math.sqrt(0.9494)), atol=0.05)
    density = torch.exp(-away.square().sum(-1) / 200) * (away.norm(dim=-1) <= radius)
    assert torch.allclose(blob, density / density.sum(), atol=2e-6)


def test_erase_by_hand():
    hist = peak(8, (1, 1), (6, 6))
    there = bin_centres(8)[[1, 1]].tolist()
    assert edit.erase(hist, there).equal(peak(8, (6, 6)))
    assert edit.erase(hist, there, strength=0.5)[1, 1].item() == pytest.approx(1 / 3)
    assert edit.erase(hist, (0, 0), radius=0).equal(hist)


# --- move ---


@quick
@given(st.data(), st.integers(8, 24))
def test_undo_of_a_move_by_whole_bins_is_a_move(data, bins):
    width, centres = bin_width(bins), bin_centres(bins, dtype=torch.float64)
    place = st.tuples(st.integers(2, bins - 3), st.integers(2, bins - 3))
    start, end = (centres[list(data.draw(place))].tolist() for _ in range(2))
    blob = edit.paint(torch.zeros(bins, bins), start, radius=2 * width)
    moved = edit.move(blob, start, end, radius=2 * width)
    assert torch.allclose(mean_ab(moved), torch.tensor(end), atol=1e-3)
    assert torch.allclose(edit.move(moved, end, start, radius=2 * width), blob, atol=1e-7)


@quick
@given(st.data(), st.integers(12, 24), st.floats(-40, 40), st.floats(-40, 40))
def test_a_move_by_parts_of_a_bin_moves_the_mean_and_is_undone_within_a_bin(data, bins, da, db):
    width = bin_width(bins)
    start = data.draw(st.tuples(st.floats(-20, 20), st.floats(-20, 20)))
    end = (start[0] + da, start[1] + db)
    blob = edit.paint(torch.zeros(bins, bins), start, radius=width)
    moved = edit.move(blob, start, end, radius=2 * width)
    assert torch.allclose(mean_ab(moved) - mean_ab(blob), torch.tensor([da, db]), atol=1e-3)
    back = edit.move(moved, end, start, radius=4 * width)
    assert torch.allclose(mean_ab(back), mean_ab(blob), atol=1e-3)
    assert earth_movers(back, blob).item() <= width


def test_move_by_hand():
    hist, centres = peak(11, (5, 5), (9, 9)), bin_centres(11).tolist()
    there, shift = (centres[5], centres[5]), bin_width(11)
    moved = edit.move(hist, there, (centres[3], centres[5] + shift / 4))
    assert moved[3, 5].item() == pytest.approx(0.375)
    assert moved[3, 6].item() == pytest.approx(0.125)
    assert moved[9, 9].item() == 0.5
    assert (moved > 0).sum() == 3
    assert edit.move(hist, there, (1e300, -1e300)).equal(peak(11, (10, 0), (9, 9)))  # stays at the edge
    assert edit.move(hist, there, (centres[9], centres[9])).equal(peak(11, (9, 9)))  # added to what is there
    assert edit.move(hist, (centres[1], centres[1]), there).equal(hist)  # nothing was there


# --- hue and saturation ---


@quick
@given(histograms(), st.integers(-5, 5))
def test_full_turns_are_the_identity_and_quarter_turns_are_exact(hist, turns):
    same = check_histogram(hist)
    assert edit.rotate_hue(hist, 360 * turns).equal(same)
    assert edit.rotate_hue(hist, 90 * turns).equal(torch.rot90(same, turns))


@quick
@given(histograms(chroma=80), st.floats(-720, 720))
def test_rotation_keeps_the_chroma_and_turns_the_mean(hist, degrees):
    bins, same = len(hist), check_histogram(hist)
    turned = edit.rotate_hue(hist, degrees)
    if mean_chroma(same) < 80 and bins > 8:
        assert abs(mean_chroma(turned) - mean_chroma(same)) <= bin_width(bins)
        angle = math.radians(degrees)
        a, b = mean_ab(same).tolist()
        expected = [math.cos(angle) * a - math.sin(angle) * b, math.sin(angle) * a + math.cos(angle) * b]
        assert torch.allclose(mean_ab(turned), torch.tensor(expected), atol=1e-3)


@quick
@given(st.integers(12, 24).flatmap(lambda n: histograms(80, n)), st.floats(-360, 360), st.floats(-360, 360))
def test_rotations_compose_within_a_bin_and_a_half(hist, first, second):
    twice = edit.rotate_hue(edit.rotate_hue(hist, first), second)
    once = edit.rotate_hue(hist, first + second)
    # sharing moves mass by at most half a bin along each axis; three times, seen along all directions: 1.35 bins
    assert earth_movers(twice, once).item() <= 1.5 * bin_width(len(hist))
    assert torch.allclose(mean_ab(twice), mean_ab(once), atol=1e-3)


def test_red_turns_to_yellow():
    red, yellow = peak(9, (7, 4)), peak(9, (4, 7))
    assert edit.rotate_hue(red, 90).equal(yellow)


@quick
@given(histograms(chroma=100), st.floats(0, 1))
def test_saturation_scales_the_mean(hist, factor):
    same = check_histogram(hist)
    scaled = edit.scale_saturation(hist, factor)
    assert torch.allclose(mean_ab(scaled), factor * mean_ab(same), atol=1e-3)
    gray = edit.scale_saturation(hist, 0)
    near = palette(len(hist)).abs().amax(-1) < 0.9 * bin_width(len(hist))
    assert gray[near].sum().item() == pytest.approx(1)
    assert (gray > 0).sum() == (1 if len(hist) % 2 else 4)


def test_more_saturation_keeps_the_hue_at_the_edge():
    hist = peak(9, (6, 5))  # hue (2, 1)
    assert edit.scale_saturation(hist, 2).equal(peak(9, (8, 6)))
    assert edit.scale_saturation(hist, 1e308).equal(peak(9, (8, 6)))
    assert edit.scale_saturation(peak(9, (4, 4)), 1e308).equal(peak(9, (4, 4)))  # gray stays gray


# --- blend ---


@quick
@given(st.integers(2, 24).flatmap(lambda n: st.tuples(histograms(bins=n), histograms(bins=n))), st.floats(0, 1))
def test_blend_is_linear_with_exact_ends(pair, t):
    first, second = pair
    assert edit.blend(first, second, 0).equal(check_histogram(first))
    assert edit.blend(first, second, 1).equal(check_histogram(second))
    expected = (1 - t) * check_histogram(first) + t * check_histogram(second)
    assert torch.allclose(edit.blend(first, second, t), expected, atol=1e-7)
    assert edit.blend(first, first, t).allclose(check_histogram(first))


# --- gamut ---


@quick
@given(histograms(), st.floats(0, 100))
def test_clipping_leaves_no_hidden_mass_and_is_done_after_one_go(hist, L):
    bins, same = len(hist), check_histogram(hist)
    clipped = edit.clip_to_gamut(hist, L)
    lab = torch.cat([torch.full((bins, bins, 1), L), palette(bins)], dim=-1).movedim(-1, 0).double()
    shown = in_gamut(lab) | (palette(bins).abs().amax(-1) < 0.9 * bin_width(bins))
    assert (clipped[~shown] == 0).all()
    assert (clipped[shown] >= same[shown] - 1e-7).all()  # shown colours keep their mass
    assert torch.allclose(edit.clip_to_gamut(clipped, L), clipped, atol=1e-7)
    assert mean_chroma(clipped) <= mean_chroma(same) + 1e-3


def test_clipping_goes_straight_to_the_edge():
    bins, centres = 55, bin_centres(55)
    clipped = edit.clip_to_gamut(peak(bins, (53, 27)), 50)  # (104, 0): beyond every screen
    (i, j), *more = clipped.nonzero().tolist()
    assert not more
    assert j == 27
    lab = torch.tensor([50.0, centres[i], 0.0]).reshape(3, 1, 1)
    assert in_gamut(lab)
    assert not in_gamut(lab + torch.tensor([0, 4.0, 0]).reshape(3, 1, 1))  # the next bin
    assert edit.clip_to_gamut(peak(bins, (53, 27)), 0).equal(peak(bins, (27, 27)))  # black has no colour


# --- palettes ---


@quick
@given(hexes, st.integers(2, 40), st.floats(0, 30))
def test_from_palette_puts_a_blob_where_its_lab_says(entry, bins, radius):
    ab = ab_of(entry)
    flat = ab_histogram(ab, bins)
    assert edit.from_palette([entry], bins, radius=0).equal(flat)
    hist = edit.from_palette(entry, bins, radius=radius)
    assert hist[flat > 0].item() == pytest.approx(hist.max().item(), abs=1e-6)
    away = (palette(bins) - ab.flatten().float()).norm(dim=-1)
    assert (away[hist > 0] <= max(radius, bin_width(bins)) + 1e-3).all()


@quick
@given(st.lists(st.tuples(hexes, st.floats(0.1, 1e3)), min_size=1, max_size=5), st.integers(2, 24))
def test_palette_weights_are_shares_of_the_mass(entries, bins):
    colours, weights = zip(*entries, strict=True)
    hist = edit.from_palette(colours, bins, weights=weights)
    blobs = [weight * edit.from_palette([entry], bins) for entry, weight in entries]
    assert torch.allclose(hist, sum(blobs) / sum(weights), atol=1e-6)


def test_from_palette_by_hand():
    hist = edit.from_palette("#c33,#2a6", 64)
    assert torch.allclose(mean_ab(hist), (ab_of("cc3333") + ab_of("22aa66")).flatten().float() / 2, atol=0.1)
    assert edit.from_palette("#f00,#f00", 9, weights=[1e308] * 2, radius=0).equal(
        edit.from_palette("#f00", 9, radius=0)
    )
    first = edit.from_palette("#c33,#2a6", 64, weights=[1, 0])
    assert torch.allclose(first, edit.from_palette("#c33", 64))
    assert edit.from_palette("#000,#fff", 16).allclose(edit.from_palette("#888", 16), atol=1e-4)  # all gray


@quick
@given(st.lists(hexes, min_size=1, max_size=5))
def test_parse_palette_reads_what_it_writes(entries):
    assert edit.parse_palette(", ".join(entries)) == entries
    assert edit.parse_palette(entry.upper().lstrip("#") for entry in entries) == entries


def test_parse_palette_by_hand():
    assert edit.parse_palette("#c33, 2A6 ,#CC3333,22aa66") == ["#cc3333", "#22aa66"] * 2


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("red", "entry 1 is 'red'"),
        ("#c33,#12345", "entry 2 is '#12345'"),
        ("#c33,", "entry 2 is ''"),
        ("", "entry 1 is ''"),
        ("#c33;#2a6", "entry 1 is '#c33;#2a6'"),
        ("#c33 #2a6", "with commas"),
        ("##c33", "entry 1"),
        ("#٣٣٣", "entry 1"),
        ("#c333", "three or six hex digits"),
        (["#c33", 255], "entry 2 is 255"),
        ([], "empty"),
        (None, "None"),
    ],
)
def test_bad_palettes_are_named_with_the_mend(text, names):
    for read in (edit.parse_palette, lambda text: edit.from_palette(text, 8)):
        with pytest.raises(ValueError, match=names) as caught:
            read(text)
        assert "#c33" in str(caught.value)
        assert str(caught.value).endswith(".")


@quick
@given(st.text(max_size=8))
def test_parse_palette_reads_or_refuses_any_text(text):
    with contextlib.suppress(ValueError):
        assert all(re.fullmatch("#[0-9a-f]{6}", entry) for entry in edit.parse_palette(text))


def test_a_long_bad_argument_is_shown_short():
    for call in (
        lambda: edit.rotate_hue(H, torch.ones(90, 90)),
        lambda: edit.paint(H, torch.ones(90, 90)),
        lambda: edit.from_palette(["#c33"] * 3, 8, weights=[1] * 999),
        lambda: edit.parse_palette("red\n" * 999),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert len(str(caught.value)) < 200
        assert "\n" not in str(caught.value)


# --- mix ---


@quick
@given(st.lists(st.tuples(histograms(bins=9), st.floats(0, 1e300)), min_size=1, max_size=4))
def test_a_mixture_is_the_weighted_mean(entries):
    hists, weights = zip(*entries, strict=True)
    if not any(weights):
        return
    mixed = edit.mix(hists, weights)
    assert_histogram(mixed, 9)
    shares = [w / max(weights) for w in weights]
    expected = sum(s * check_histogram(h) for s, h in zip(shares, hists, strict=True)) / sum(shares)
    assert torch.allclose(mixed, expected, atol=1e-6)
    alone = edit.mix([*hists, torch.ones(9, 9)], [0] * len(hists) + [3])
    assert alone.equal(check_histogram(torch.ones(9, 9)))
