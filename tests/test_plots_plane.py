"""Drawing the ab plane."""

import numpy as np
import torch
from skimage.measure import points_in_poly

from histcolor import edit
from histcolor.color import in_gamut
from histcolor.histogram import bin_centres, palette
from histcolor.plots import gamut_outline, mass_outline, plane_lab, plane_picture, upright, visible_mass


def test_the_plane_lies_as_it_should():
    picture = plane_picture(60, 64)
    red, green = picture[:, 32, -8], picture[:, 32, 8]  # +a to the right
    yellow, blue = picture[:, 8, 32], picture[:, -8, 32]  # +b upwards
    assert red[0] > green[0]
    assert yellow[2] < blue[2]
    values = torch.arange(6.0).view(2, 3)  # a = 0, 1; b = 0, 1, 2
    assert upright(values).tolist() == [[2, 5], [1, 4], [0, 3]]


def test_visible_mass_grows_from_nothing_to_all():
    shown = visible_mass(torch.tensor([0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0]))
    assert shown[:3].tolist() == [0, 0, 0]
    assert (shown.diff() >= 0).all()
    assert shown[-1] == 1
    assert shown[3] > 0.3


def test_gamut_outline_holds_what_srgb_can_show():
    for L in (30.0, 65.0, 90.0):
        (line,) = gamut_outline(L)
        ab = palette(40).flatten(0, 1)
        inside = points_in_poly(ab.numpy(), np.array(line))
        shown = in_gamut(torch.cat([torch.full((1, 1600, 1), L), ab.T[:, :, None]]))[:, 0].numpy()
        assert (inside == shown).mean() > 0.99
    assert gamut_outline(0) == []  # black alone, thinner than a bin


def test_mass_outline_holds_the_share_that_it_says():
    hist = edit.from_palette("#c33,#36c", 64, radius=30)
    lines = mass_outline(hist, 0.9)
    assert len(lines) == 2
    ab = palette(64).flatten(0, 1).numpy()
    inside = np.any([points_in_poly(ab, np.array(line)) for line in lines], axis=0)
    assert 0.8 < hist.flatten()[torch.from_numpy(inside)].sum() < 0.95
    corner = torch.zeros(16, 16)
    corner[0, 0] = 1  # at the edge of the plane: the line is closed there
    (line,) = mass_outline(corner)
    assert line[0] == line[-1]
    assert np.hypot(*(np.array(line).mean(0) - bin_centres(16)[0].item())) < 15


def test_plane_lab_has_the_axes_of_a_histogram():
    lab = plane_lab(50, 8)
    assert lab[:, 7, 0].tolist() == [50, bin_centres(8)[7].item(), bin_centres(8)[0].item()]
