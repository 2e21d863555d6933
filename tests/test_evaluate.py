"""The protocol: metrics against their definitions, predictions of other programs."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import histcolor as hc
from histcolor.baselines.classical import gray, mean_colour
from histcolor.evaluate import (
    colourfulness,
    evaluate,
    measure,
    model_method,
    prediction_method,
    psnr,
    round8,
    squash,
    ssim,
    summarise,
)


@pytest.fixture(scope="module")
def files(photos):
    return sorted(photos.glob("*.jpg"))


@pytest.fixture(scope="module")
def truth(files):
    return squash(hc.read_image(files[0]), 96)


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


def test_squash_is_bilinear_and_antialiased(truth):
    from torchvision.transforms.v2.functional import resize

    expected = round8(resize(truth, [40, 40], antialias=True))
    torch.testing.assert_close(squash(truth, 40), expected, atol=1 / 255 + 1e-6, rtol=0)
    assert torch.equal(squash(truth, 96), truth)


def test_table_and_summary(files):
    model = hc.load("small")
    table, failed = evaluate(files[:3], {"gray": gray, "small": model_method(model)}, size=64, quiet=True)
    assert not failed
    assert len(table) == 6
    assert (table["photo"] == table["reference"]).all()
    assert table["hellinger"].between(0, 1).all()
    means = summarise(table)
    assert means["method"].tolist() == ["gray", "small"]
    assert means["photos"].tolist() == [3, 3]
    assert means["psnr"][1] == pytest.approx(table.query("method == 'small'")["psnr"].mean())


def test_foreign_references_are_other_photos(files):
    table, _ = evaluate(files, {"mean": mean_colour}, size=32, foreign=True, quiet=True)
    assert (table["photo"] != table["reference"]).all()
    assert sorted(table["reference"]) == sorted(table["photo"])
    with pytest.raises(ValueError, match="at least two"):
        evaluate(files[:1], {"gray": gray}, foreign=True, quiet=True)


def test_unreadable_photos_are_left_out_and_named(files, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    table, failed = evaluate([bad, files[0]], {"gray": gray}, size=32, quiet=True)
    assert table["photo"].tolist() == [files[0].stem]
    assert len(failed) == 1
    assert "bad.jpg" in failed[0]
    with pytest.raises(OSError, match="None of the 1 photos"):
        evaluate([bad], {"gray": gray}, size=32, quiet=True)


def test_predictions_of_another_program(files, tmp_path):
    for path in files:  # a perfect program, which writes larger files of another format
        picture = Image.open(path)
        picture.resize((picture.width * 1, picture.height * 1)).save(tmp_path / f"{path.stem}.png")
    table, _ = evaluate(files, {"perfect": prediction_method(tmp_path, files, 64)}, size=64, quiet=True)
    assert (table["psnr"] == np.inf).all()
    assert summarise(table)["psnr"][0] == 100
    (tmp_path / f"{files[3].stem}.png").unlink()
    with pytest.raises(OSError, match=f"no prediction for 1 photos, first '{files[3].stem}'"):
        prediction_method(tmp_path, files, 64)
    with pytest.raises(OSError, match="no such folder"):
        prediction_method(tmp_path / "none", files, 64)


def test_summary_of_infinite_psnr():
    table = pd.DataFrame({"photo": ["a", "b"], "reference": ["a", "b"], "method": ["x", "x"], "psnr": [np.inf, 20.0]})
    assert summarise(table)["psnr"][0] == 60
