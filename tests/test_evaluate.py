"""The protocol: its tables, and the results of other programs."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import histcolor as hc
from histcolor.baselines.classical import gray, mean_colour
from histcolor.evaluate import evaluate, model_method, prediction_method, squash, summarise, true_points
from histcolor.metrics import round8


@pytest.fixture(scope="module")
def files(photos):
    return sorted(photos.glob("*.jpg"))


@pytest.fixture(scope="module")
def truth(files):
    return squash(hc.read_image(files[0]), 96)


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


def test_cross_reference_takes_other_photos(files):
    table, _ = evaluate(files, {"mean": mean_colour}, size=32, cross=True, quiet=True)
    assert (table["photo"] != table["reference"]).all()
    assert sorted(table["reference"]) == sorted(table["photo"])
    with pytest.raises(ValueError, match="at least two"):
        evaluate(files[:1], {"gray": gray}, cross=True, quiet=True)


def test_unreadable_photos_are_left_out_and_named(files, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    table, failed = evaluate([bad, files[0]], {"gray": gray}, size=32, quiet=True)
    assert table["photo"].tolist() == [files[0].stem]
    assert len(failed) == 1
    assert "bad.jpg" in failed[0]
    with pytest.raises(OSError, match="None of the 1 photos"):
        evaluate([bad], {"gray": gray}, size=32, quiet=True)


def test_pins_that_tell_true_colours_help(files, truth):
    lab = hc.rgb_to_lab(truth)
    points = true_points(lab, 20)
    assert points[:5] == true_points(lab, 5)
    assert points != true_points(hc.rgb_to_lab(truth.flip(-1)), 20)
    for x, y, ab in points:
        torch.testing.assert_close(torch.tensor(ab), lab[1:, y - 3 : y + 4, x - 3 : x + 4].mean((1, 2)))
    model = hc.load("small")
    methods = {f"{n}": model_method(model, automatic=True, pins=n) for n in (0, 20)}
    means = summarise(evaluate(files[:3], methods, size=96, quiet=True)[0])
    assert means["psnr"][1] > means["psnr"][0] + 1


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
