"""The metrics against their definitions."""

import math

import pytest
import torch

import histcolor as hc
from histcolor.metrics import colourfulness, measure, psnr, round8, ssim


@pytest.fixture(scope="module")
def truth(photos):
    return round8(hc.read_image(photos / "astronaut_face.jpg")[:, :96, :96])


def test_psnr_is_its_definition(truth):
    from skimage.metrics import peak_signal_noise_ratio

    noisy = round8(truth + 0.05 * torch.randn_like(truth))
    expected = peak_signal_noise_ratio(truth.numpy(), noisy.numpy(), data_range=1)
    assert float(psnr(noisy, truth)) == pytest.approx(expected, abs=1e-4)
    assert float(psnr(truth, truth)) == math.inf
    assert psnr(noisy.expand(4, -1, -1, -1), truth).shape == (4,)


def test_ssim_both_ways(truth):
    noisy = round8(truth + 0.05 * torch.randn_like(truth))
    assert ssim(truth, truth) == pytest.approx(1)
    assert ssim(truth, truth, gauss=True) == pytest.approx(1)
    assert 0 < ssim(noisy, truth) != ssim(noisy, truth, gauss=True) < 1


def test_colourfulness_of_known_pictures():
    assert colourfulness(torch.full((3, 4, 4), 0.4)) == pytest.approx(0, abs=1e-9)
    # half red, half green: rg = ±255, yb = 127.5 everywhere
    half = torch.zeros(3, 2, 2)
    half[0, 0], half[1, 1] = 1.0, 1.0
    assert colourfulness(half) == pytest.approx(255 + 0.3 * 127.5)


def test_rounding_is_no_truncation():
    assert torch.equal(
        round8(torch.tensor([0.9999, 1.2, -0.1, 0.5 / 255 + 1e-4])) * 255, torch.tensor([255.0, 255, 0, 1])
    )


def test_numbers_of_a_result(truth):
    lab = hc.rgb_to_lab(truth)
    exact, alone = measure(truth, lab, truth), measure(truth, lab)
    assert exact["psnr"] == math.inf
    assert exact["ssim"] == exact["ssim_gauss"] == pytest.approx(1)
    assert exact["intersection"] == pytest.approx(1, abs=1e-5)
    assert exact["hellinger"] == pytest.approx(0, abs=1e-3)
    assert exact["colourfulness"] == pytest.approx(exact["colourfulness_reference"], abs=0.01)
    del exact["psnr"], exact["ssim"], exact["ssim_gauss"]  # without the true photo there are none
    assert alone == exact
    gray = measure(hc.lab_to_rgb(lab * torch.tensor([1, 0, 0])[:, None, None]), lab)
    assert gray["intersection"] < 0.5 < gray["hellinger"]
    assert gray["earth_movers"] > 5
