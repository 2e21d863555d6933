"""The attention explorer: it shows what the network uses, and refuses bad questions in one sentence."""

from dataclasses import replace

import pytest
import torch

import histcolor as hc
from histcolor.checkpoint import build
from histcolor.editor.explore import attention_maps, colours_at, places_of, tokens_near
from histcolor.histogram import ab_histogram
from histcolor.model import PRESETS

TINY = PRESETS["tiny"]
SIDE = TINY.bins // TINY.stride
NAN = float("nan")


def explored(config=TINY, hist=None, shape=(64, 96)):
    model = build(config).eval()
    photo = hc.encode(model, torch.rand(3, *shape), size=64)
    hist = ab_histogram(torch.randn(2, 64, 64) * 25, config.bins) if hist is None else hist
    return model, photo, hist, attention_maps(model, photo, hist)


@pytest.fixture(scope="module")
def tiny():
    """A model that was never trained, a photo, a histogram, and the attention."""
    torch.manual_seed(0)  # made before the seed of the tests is set
    return explored()


@pytest.fixture(scope="module")
def small():
    """The shipped model's attention on the astronaut, with self-reference and with the coffee as reference image."""
    model = hc.load("small")
    photo = hc.encode(model, hc.demo_photo("astronaut"))
    hists = [ab_histogram(hc.rgb_to_lab(hc.demo_photo(name))[1:], 64) for name in ("astronaut", "coffee")]
    return [attention_maps(model, photo, hist) for hist in hists]


@pytest.mark.parametrize(
    "switch", [{}, {"stride": 2}, {"keep": 0}, {"readout": "features", "balance": 0}, {"bins": 32, "keep": 20}], ids=str
)
def test_places_and_tokens_are_what_they_say(switch):
    config = replace(TINY, **switch)
    _, photo, _, maps = explored(config)
    h, w = photo.features.f_t.shape[-2:]
    side = config.bins // config.stride
    assert maps.weights.shape == (h, w, side, side)
    assert maps.weights.dtype == torch.float32
    assert maps.weights.min() >= 0
    torch.testing.assert_close(maps.weights.sum((2, 3)), torch.ones(h, w))
    assert maps.colours.shape == (side, side, 2)
    assert maps.mass.shape == (side, side)
    assert float(maps.mass.sum()) == pytest.approx(1, abs=1e-5)
    # axis 0 is a, axis 1 is b, both ascending
    assert (maps.colours[..., 0].diff(dim=0) > 0).all()
    assert (maps.colours[..., 1].diff(dim=1) > 0).all()


@pytest.mark.parametrize("radius", [0, 0.02, 0.5])
@pytest.mark.parametrize(("x", "y"), [(0, 0), (1, 1), (0.3, 0.8), (0.5, 0)])
def test_colours_at_a_place_are_a_distribution(tiny, x, y, radius):
    attention, (a, b) = colours_at(tiny[3], x, y, radius)
    assert attention.shape == (SIDE, SIDE)
    assert attention.min() >= 0
    assert float(attention.sum()) == pytest.approx(1, abs=1e-5)
    assert isinstance(a, float)
    assert abs(a) <= 110
    assert abs(b) <= 110


@pytest.mark.parametrize("switch", [{}, {"stride": 2, "keep": 20}], ids=str)
def test_the_expected_colour_is_what_the_palette_readout_gives(switch):
    model, photo, hist, maps = explored(replace(TINY, **switch))
    with torch.no_grad():
        given = model.attend(photo.features.f_t, model.tokens(hist[None]))[0, -2:] * 110
    h, w = given.shape[1:]
    for row, column in [(0, 0), (h - 1, w - 1), (2, 7), (h // 2, 1)]:
        _, ab = colours_at(maps, (column + 0.5) / w, (row + 0.5) / h, 0)
        torch.testing.assert_close(torch.tensor(ab), given[:, row, column], atol=1e-3, rtol=1e-4)


def test_a_place_is_averaged_with_its_neighbours(tiny):
    _, _, _, maps = tiny
    h, w = maps.weights.shape[:2]
    attention, _ = colours_at(maps, 4.5 / w, 6.5 / h, 1.1 / min(h, w))  # the place and the four beside it
    cross = [(6, 4), (5, 4), (7, 4), (6, 3), (6, 5)]
    torch.testing.assert_close(attention, torch.stack([maps.weights[i, j] for i, j in cross]).mean(0))
    corner, _ = colours_at(maps, 1, 0, 0)
    assert torch.equal(corner, maps.weights[0, w - 1])


def test_a_histogram_of_one_colour_goes_everywhere():
    hist = torch.zeros(16, 16)
    hist[11, 9] = 1
    maps = explored(replace(TINY, keep=1), hist)[3]
    colour = (11.5 / 16 * 220 - 110, 9.5 / 16 * 220 - 110)
    assert (places_of(maps, colour) == 1).all()
    assert (places_of(maps, (-60, -60)) == 0).all()
    assert colours_at(maps, 0.2, 0.9)[1] == pytest.approx(colour, abs=1e-3)


def test_places_of_a_partition_add_up_to_one():
    maps = explored(replace(TINY, stride=2))[3]
    middles = [(i + 0.5) * 220 / 8 - 110 for i in range(8)]
    parts = [places_of(maps, (a, b), 0) for a in middles for b in middles]  # radius 0: the token that holds (a, b)
    torch.testing.assert_close(torch.stack(parts).sum(0), torch.ones(maps.weights.shape[:2]))
    everything = places_of(maps, (0, 0), 400)
    assert everything.max() <= 1
    torch.testing.assert_close(everything, torch.ones_like(everything))


def test_tokens_near_a_colour(tiny):
    maps = tiny[3]
    for ab in [(0.0, 0.0), (110, -110), (-110, 110), (33, -71)]:
        one, some, more = (tokens_near(maps, ab, radius) for radius in (0, 20, 40))
        i, j = (min(int((v + 110) / 220 * SIDE), SIDE - 1) for v in ab)
        assert one.nonzero().tolist() == [[i, j]]
        assert (one <= some).all()
        assert (some <= more).all()
        assert some.sum() < more.sum()
        assert ((maps.colours[some & ~one] - torch.tensor(ab, dtype=torch.float)).norm(dim=-1) <= 20).all()
        assert (places_of(maps, ab, 20) <= places_of(maps, ab, 40) + 1e-6).all()


@pytest.mark.parametrize(("which", "limit"), [(0, 0.12), (1, 0.3)], ids=["self", "cross"])
def test_balance_gives_a_colour_its_share_of_the_target(small, which, limit):
    maps = small[which]
    # total variation between the tokens' attention and their mass; no map's mean can be further off
    off = 0.5 * float((maps.weights.mean((0, 1)) - maps.mass).abs().sum())
    assert off < limit
    for ab in [(0, 0), (0, 10), (15, 20), (40, 30), (25, 45), (-30, -60)]:
        share = float(maps.mass[tokens_near(maps, ab)].sum())
        assert float(places_of(maps, ab).mean()) == pytest.approx(share, abs=off + 1e-4)


def test_the_suit_attends_to_orange(small):
    _, (a, b) = colours_at(small[0], 0.42, 0.8)
    assert a > 25
    assert b > 20
    heat = places_of(small[0], (45, 40))
    assert heat[45:55, 20:30].mean() > 3 * heat[:20].mean()  # the suit's chest against wall and flag


def test_refusals(tiny):
    model, photo, hist, maps = tiny
    for place in [(NAN, 0.5), (0.5, NAN), (-0.01, 0.5), (0.5, 1.01), ("0.5", 0.5), (None, 0)]:
        with pytest.raises(ValueError, match=r"[xy] must be a finite number in \[0, 1\]"):
            colours_at(maps, *place)
    for radius in (NAN, -0.1, 0.6):
        with pytest.raises(ValueError, match=r"radius must be a finite number in \[0, 0.5\]"):
            colours_at(maps, 0.5, 0.5, radius)
    for ab in [(NAN, 0), (0, 111), (-200, 0)]:
        with pytest.raises(ValueError, match=r"of ab must be a finite number in \[-110, 110\]"):
            places_of(maps, ab)
    with pytest.raises(ValueError, match=r"ab must be a pair"):
        places_of(maps, 3)
    for radius in (NAN, -1, float("inf")):
        with pytest.raises(ValueError, match="radius must be a finite number"):
            places_of(maps, (0, 0), radius)
    with pytest.raises(ValueError, match="explore them one by one"):
        attention_maps(model, photo, hist[None].expand(2, -1, -1))
    with pytest.raises(ValueError, match="16 are needed"):
        attention_maps(model, photo, torch.ones(8, 8))
    with pytest.raises(ValueError, match="all zero"):
        attention_maps(model, photo, torch.zeros(16, 16))
    with pytest.raises(ValueError, match="One photo with 16 channels is needed"):
        attention_maps(model, replace(photo, features=photo.features.expand(2)), hist)
    with pytest.raises(ValueError, match=r"what histcolor\.encode made"):
        attention_maps(model, torch.rand(3, 64, 64), hist)
    blind = build(replace(TINY, readout="features", attention=False)).eval()
    with pytest.raises(ValueError, match="no attention to explore"):
        attention_maps(blind, photo, hist)
    with pytest.raises(ValueError, match="with the same model"):
        attention_maps(model, hc.encode(blind, torch.rand(3, 64, 64), size=64), hist)
