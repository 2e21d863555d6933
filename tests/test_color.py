"""histcolor.color against skimage.color, against written-down values, and against its own derivatives."""

import warnings

import numpy as np
import pytest
import skimage.color
import torch
from torch.autograd import gradcheck

from histcolor import color

# Made with scikit-image 0.26:
#   rgb = np.array([...]); skimage.color.rgb2lab(rgb[None])[0].round(4)
REFERENCE = [
    ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ((1.0, 1.0, 1.0), (100.0, -0.0025, 0.0047)),
    ((1.0, 0.0, 0.0), (53.2406, 80.0923, 67.2028)),
    ((0.0, 1.0, 0.0), (87.7351, -86.183, 83.1797)),
    ((0.0, 0.0, 1.0), (32.2957, 79.1856, -107.8573)),
    ((1.0, 1.0, 0.0), (97.1395, -21.5547, 94.4781)),
    ((0.0, 1.0, 1.0), (91.1133, -48.0906, -14.1263)),
    ((1.0, 0.0, 1.0), (60.3235, 98.2331, -60.821)),
    ((0.5, 0.5, 0.5), (53.389, -0.0015, 0.0028)),
    ((0.2, 0.4, 0.6), (42.008, -0.154, -32.8429)),
    ((0.9, 0.7, 0.1), (75.3621, 6.2336, 74.4063)),
    ((0.01, 0.02, 0.03), (1.3001, -0.3124, -1.1998)),
]


def cube(n):
    """The sRGB cube as a picture, [1, n³, 3] in float64."""
    steps = np.linspace(0, 1, n)
    return np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)


def edges():
    """All 8-bit values along the cube's twelve edges and its gray diagonal, [1, 13·256, 3]."""
    steps = np.arange(256) / 255
    lines = [np.stack([steps] * 3, axis=-1)]
    for axis in range(3):
        for corner in np.ndindex(2, 2):
            lines.append(np.insert(np.tile(np.array(corner, float), (256, 1)), axis, steps, axis=1))
    return np.concatenate(lines)[None]


def planes(picture, dtype=torch.float32):
    """[H, W, 3] as numpy has it → [3, H, W]."""
    return torch.from_numpy(picture).to(dtype).permute(2, 0, 1)


def largest_difference(x, picture):
    return (x.permute(1, 2, 0).double() - torch.from_numpy(picture)).abs().max().item()


COLOURS = pytest.mark.parametrize("picture", [cube(33), edges()], ids=["cube", "edges"])


@COLOURS
def test_rgb_to_lab_agrees_with_skimage(picture):
    assert largest_difference(color.rgb_to_lab(planes(picture)), skimage.color.rgb2lab(picture)) < 1e-3


@COLOURS
def test_lab_to_rgb_agrees_with_skimage(picture):
    lab = skimage.color.rgb2lab(picture)
    assert largest_difference(color.lab_to_rgb(planes(lab)), skimage.color.lab2rgb(lab)) < 1e-3


@COLOURS
def test_double_precision_agrees_with_skimage_much_closer(picture):
    lab = skimage.color.rgb2lab(picture)
    assert largest_difference(color.rgb_to_lab(planes(picture, torch.float64)), lab) < 1e-9
    assert largest_difference(color.lab_to_rgb(planes(lab, torch.float64)), skimage.color.lab2rgb(lab)) < 1e-9


def test_out_of_gamut_is_clipped_as_skimage_does():
    steps = np.linspace(-110, 110, 23)
    lab = np.stack(np.meshgrid(np.linspace(0, 100, 21), steps, steps, indexing="ij"), axis=-1).reshape(1, -1, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skimage warns of the negative Z that is meant here
        expected = skimage.color.lab2rgb(lab)
    assert largest_difference(color.lab_to_rgb(planes(lab)), expected) < 1e-3
    unclipped = color.lab_to_rgb(planes(lab), clip=False)
    assert unclipped.min() < -0.1
    assert unclipped.max() > 1.1
    torch.testing.assert_close(unclipped.clamp(0, 1), color.lab_to_rgb(planes(lab)))


@pytest.mark.parametrize(("rgb", "lab"), REFERENCE)
def test_written_down_values(rgb, lab):
    x, y = torch.tensor(rgb).view(3, 1, 1), torch.tensor(lab).view(3, 1, 1)
    torch.testing.assert_close(color.rgb_to_lab(x), y, atol=1e-3, rtol=0)
    # the values are rounded to 4 places, of which the steepest, dark blue, keeps 3
    torch.testing.assert_close(color.lab_to_rgb(y), x, atol=1e-3, rtol=0)


def test_round_trip_keeps_every_8_bit_value():
    rgb = planes(np.concatenate([cube(18), edges()], axis=1))
    rgb = (rgb * 255).round() / 255
    back = color.lab_to_rgb(color.rgb_to_lab(rgb))
    torch.testing.assert_close(back, rgb, atol=1e-4, rtol=0)
    assert torch.equal((back * 255).round(), (rgb * 255).round())


# the ranges keep clear of the two kinks: 0.04045 in sRGB, and 0.008856 in XYZ
@pytest.mark.parametrize(("low", "high"), [(0.15, 0.95), (0.002, 0.03)], ids=["power", "linear"])
def test_gradients_are_right(low, high):
    rgb = (low + (high - low) * torch.rand(2, 3, 3, 4, dtype=torch.float64)).requires_grad_()
    assert gradcheck(color.rgb_to_lab, (rgb,), eps=1e-7)
    lab = color.rgb_to_lab(rgb).detach().requires_grad_()
    assert gradcheck(color.lab_to_rgb, (lab,), eps=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_on_the_whole_cube_with_black_and_white(dtype):
    rgb = planes(np.concatenate([cube(17), edges()], axis=1), dtype).requires_grad_()
    lab = color.rgb_to_lab(rgb)
    lab.sum().backward()
    assert torch.isfinite(rgb.grad).all()
    for clip in (True, False):
        leaf = lab.detach().requires_grad_()
        color.lab_to_rgb(leaf, clip=clip).sum().backward()
        assert torch.isfinite(leaf.grad).all()


def test_gradients_are_finite_out_of_gamut():
    lab = (torch.rand(3, 50, 50) * 2 - 1) * torch.tensor([50.0, 110.0, 110.0]).view(3, 1, 1)
    lab = torch.cat([lab[:1] + 50, lab[1:]]).requires_grad_()
    color.lab_to_rgb(lab).sum().backward()
    assert torch.isfinite(lab.grad).all()
    clipped = (color.lab_to_rgb(lab, clip=False) < 0).all(0) | (color.lab_to_rgb(lab, clip=False) > 1).all(0)
    assert (lab.grad[:, clipped] == 0).all()


@pytest.mark.parametrize("lead", [(), (2,), (2, 1, 3)])
@pytest.mark.parametrize("convert", [color.rgb_to_lab, color.lab_to_rgb])
def test_leading_axes_are_photos(convert, lead):
    x = torch.rand(*lead, 3, 4, 5, dtype=torch.float64)
    y = convert(x)
    assert y.shape == x.shape
    flat = torch.stack([convert(one) for one in x.reshape(-1, 3, 4, 5)]).reshape(x.shape)
    torch.testing.assert_close(y, flat)


@pytest.mark.parametrize("convert", [color.rgb_to_lab, color.lab_to_rgb])
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 4, 4, dtype=torch.uint8), "divide 8-bit pixels by 255"),
        (torch.zeros(1, 4, 4), r"\[\.\.\., 3, H, W\], got shape \(1, 4, 4\)"),
        (torch.zeros(4, 4, 3), "got shape"),
        (torch.zeros(3, 4), "got shape"),
    ],
    ids=["integers", "one channel", "channels last", "no width"],
)
def test_wrong_input_is_named(convert, x, message):
    with pytest.raises(ValueError, match=message):
        convert(x)


def test_ab_max_covers_srgb_without_waste():
    ab = color.rgb_to_lab(planes(np.concatenate([cube(33), edges()], axis=1)))[1:]
    assert ab.abs().max() <= color.AB_MAX
    # a wider range would spend bins on colours that no screen shows
    assert ab.abs().max() > color.AB_MAX - 3
    # the numbers in the module's own comment
    torch.testing.assert_close(ab.amin((1, 2)), torch.tensor([-86.2, -107.9]), atol=0.1, rtol=0)
    torch.testing.assert_close(ab.amax((1, 2)), torch.tensor([98.3, 94.5]), atol=0.1, rtol=0)


def test_in_gamut():
    assert color.in_gamut(color.rgb_to_lab(planes(np.concatenate([cube(9), edges()], axis=1)))).all()
    outside = torch.tensor([[50.0, 110.0, 110.0], [100.0, 20.0, 0.0], [0.0, 0.0, -30.0]]).T[:, None]
    assert not color.in_gamut(outside).any()
    assert color.in_gamut(torch.zeros(2, 3, 4, 5)).shape == (2, 4, 5)


@pytest.mark.parametrize(("coloured", "gray"), [(0, True), (3, True), (4, False), (64, False)])
def test_a_few_coloured_pixels_in_a_hundred_leave_a_photo_gray(coloured, gray):
    rgb = torch.full((3, 64, 64), 0.5)
    rgb[:, :, :coloured] = torch.tensor([0.8, 0.25, 0.25])[:, None, None]  # 3 columns are 4.7 %, 4 are 6.3 %
    assert color.is_gray(rgb) == gray


def test_a_photo_of_more_than_16_million_pixels_can_be_gray(monkeypatch):
    monkeypatch.setattr(color, "rgb_to_lab", lambda rgb: rgb)  # which takes seconds
    for chroma in (1.0, 3.0):
        assert color.is_gray(torch.full((3, 1, 1), chroma / 2**0.5).expand(3, 1, 16_000_001)) == (chroma < 2)


def test_scales():
    L, ab = torch.tensor([0.0, 50.0, 100.0]), torch.tensor([-110.0, 0.0, 55.0, 110.0])
    assert color.scale_L(L).tolist() == [-1, 0, 1]
    assert color.scale_ab(ab).tolist() == [-1, 0, 0.5, 1]
    assert color.unscale_ab(color.scale_ab(ab)).tolist() == ab.tolist()


def test_gray_rgb_has_the_lightness_and_no_colour():
    L = torch.linspace(0, 100, 101).view(1, 1, 1, 101)
    rgb = color.gray_rgb(L)
    assert rgb.shape == (1, 3, 1, 101)
    # sRGB's white is not to the last digit the D65 of Lab, hence not exactly equal channels
    assert (rgb.amax(1) - rgb.amin(1)).max() < 1e-3
    torch.testing.assert_close(color.rgb_to_lab(rgb)[:, :1], L, atol=2e-2, rtol=0)
    with pytest.raises(ValueError, match=r"\[\.\.\., 1, H, W\]"):
        color.gray_rgb(torch.zeros(3, 4, 4))
