"""Lesson 00's own parts: photos by name or path, and figures that show what they should."""

import matplotlib

matplotlib.use("agg")

import pytest
import torch

import histcolor as hc
from histcolor.edit import blend
from histcolor.lessons import quickstart

pytestmark = pytest.mark.usefixtures("style")


@pytest.fixture
def photo():
    return torch.rand(3, 20, 30)


def test_a_photo_is_read_by_its_path_or_by_its_name(photo, tmp_path):
    hc.write_image(photo, tmp_path / "mine.png")
    assert quickstart.read_photo(str(tmp_path / "mine.png")).shape == (3, 20, 30)
    assert quickstart.read_photo("coffee").shape == (3, 400, 600)
    with pytest.raises(ValueError, match="no photo 'nonesuch'"):
        quickstart.read_photo("nonesuch")


def test_swatches_are_the_palettes_colours():
    assert (quickstart.swatches("#f00,#0080ff") * 255).round().tolist() == [[[255, 0]], [[0, 128]], [[0, 255]]]


def test_each_histogram_stands_over_its_result(photo):
    targets = {"one": torch.full((8, 8), 1 / 64), "two": torch.eye(8) / 8}
    figure = quickstart.histograms_figure(photo, photo, targets, [photo, 1 - photo], [photo])
    assert [axis.get_title() for axis in figure.axes[1:3]] == ["one", "two"]
    shown = [torch.as_tensor(figure.axes[k].images[0].get_array() / 255.0) for k in (4, 5)]
    for picture, result in zip(shown, (photo, 1 - photo), strict=True):
        torch.testing.assert_close(picture.permute(2, 0, 1).float(), result, atol=0.003, rtol=0)


def test_what_is_achieved_has_a_scale(photo):
    figure = quickstart.achieved_figure(photo, torch.full((8, 8), 1 / 64), {"transport 0": photo, "transport 1": photo})
    assert figure.axes[-1].get_ylabel() == "share of the pixels in a bin"
    assert [axis.get_title() for axis in figure.axes[:3]] == ["target histogram", "transport 0", "transport 1"]


def test_pins_are_drawn_where_they_are(photo):
    pins = {"with": [(3, 5, "#ff0000"), (20, 10, "#00ff00")]}
    figure = quickstart.pins_figure({"without": photo, "with": photo}, pins)
    assert not figure.axes[0].lines
    places = {(line.get_xdata()[0], line.get_ydata()[0]) for line in figure.axes[1].lines}
    assert places == {(3, 5), (20, 10)}


def test_the_stubs_are_what_the_module_does(photo):
    P, Q = torch.rand(2, 16, 16).unbind()
    P, Q = P / P.sum(), Q / Q.sum()
    torch.testing.assert_close(quickstart.INTERSECT.right(P, Q), hc.intersection(P, Q))
    torch.testing.assert_close(quickstart.MIX.right(P, Q, 0.3), blend(P, Q, 0.3))
    gray = hc.lab_to_rgb(quickstart.WITHOUT_COLOUR.right(hc.rgb_to_lab(photo)))
    assert (gray.amax(0) - gray.amin(0)).max() < 1e-3
