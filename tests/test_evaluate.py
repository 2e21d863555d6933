"""The protocol: its tables, and the results of other programs."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import histcolor as hc
from histcolor.baselines.classical import gray, mean_colour
from histcolor.checkpoint import build
from histcolor.cli.main import main
from histcolor.evaluate import (
    evaluate,
    find_predictions,
    model_method,
    name_photos,
    prediction_method,
    squash,
    summarise,
    true_points,
)
from histcolor.images import find_images
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


def test_gray_photos_are_left_out_of_means():
    lines = [("a", "a", True, math.inf), ("b", "b", False, 20.0), ("b", "a", False, 10.0), ("c", "c", False, 30.0)]
    table = pd.DataFrame(lines, columns=["photo", "reference", "gray", "psnr"]).assign(method="gray")
    assert summarise(table)[["photos", "psnr"]].to_numpy().tolist() == [[2, 25.0]], "nor as a reference image"
    assert summarise(table[:1])["psnr"].tolist() == [100], "there is nothing else"


def test_methods_of_one_model_may_work_at_two_sizes(files):
    model = hc.load("small")
    small, large = (model_method(model, size=size) for size in (32, 64))
    both, _ = evaluate(files[:2], {"small": small, "large": large}, size=64, quiet=True)
    alone, _ = evaluate(files[:2], {"large": large}, size=64, quiet=True)
    assert both.query("method == 'large'")["psnr"].tolist() == alone["psnr"].tolist()
    assert both.query("method == 'small'")["psnr"].tolist() != alone["psnr"].tolist()


def test_a_network_without_attention_works_at_the_size_of_its_training(files):
    network = build(replace(hc.PRESETS["tiny"], attention=False, readout="features")).eval()
    torch.nn.init.normal_(network.unet.out.weight)  # new ones paint gray
    network.trained_size = 96
    methods = {"own": model_method(network), "96": model_method(network, size=96), "64": model_method(network, size=64)}
    psnr = evaluate(files[:2], methods, size=64, quiet=True)[0].groupby("method")["psnr"].mean()
    assert psnr["own"] == psnr["96"] != psnr["64"]


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


def test_photos_whose_reference_is_unreadable_are_named(files, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    table, failed = evaluate([bad, *files[:2]], {"gray": gray}, size=32, cross=True, quiet=True)
    assert table["photo"].tolist() == [files[0].stem]
    why = f"{bad}: is not a readable image, or is damaged."
    assert failed == [why, f"{files[1]}: its reference image could not be read: {why}"]


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


def test_predictions_of_another_program(files, photos, tmp_path):
    for path in files:  # a perfect program, which writes files of another format
        Image.open(path).save(tmp_path / f"{path.stem}.png")
    found, missing, other = find_predictions(tmp_path, files, photos)
    assert (len(found), missing, other) == (6, {}, [])
    table, failed = evaluate(files, {"perfect": prediction_method(found, 64)}, size=64, quiet=True)
    assert not failed
    assert (table["psnr"] == np.inf).all()
    assert table["photo"].tolist() == [path.stem for path in files]
    assert summarise(table)["psnr"][0] == 100
    with pytest.raises(OSError, match="no such folder"):
        find_predictions(tmp_path / "none", files, photos)


@pytest.fixture
def classes(files, tmp_path):
    """Photos of equal names in folders of classes, and a perfect program's results; returns both folders."""
    for i, path in enumerate(files):
        place = f"{'abc'[i // 2]}/image_{i % 2:04d}"
        for target in (tmp_path / "in" / f"{place}.jpg", tmp_path / "its" / f"{place}.png"):
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.open(path).save(target, quality=95)
    for path in (tmp_path / "in").rglob("*.jpg"):  # what JPEG makes of it
        Image.open(path).save((tmp_path / "its" / path.relative_to(tmp_path / "in")).with_suffix(".png"))
    return tmp_path / "in", tmp_path / "its"


def test_predictions_are_found_by_their_path(classes):
    """By name alone all photos image_0001 would get one result."""
    photos, its = classes
    names = ["a/image_0000", "a/image_0001", "b/image_0000", "b/image_0001", "c/image_0000", "c/image_0001"]
    found, missing, other = find_predictions(its, find_images(photos), photos)
    assert (missing, other) == ({}, [])
    table, _ = evaluate(find_images(photos), {"perfect": prediction_method(found, 64)}, size=64, quiet=True)
    assert (table["psnr"] == np.inf).all()
    assert table["photo"].tolist() == names
    (photos / "a" / "image_0000.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"image_0000.png: differs from image_0000.jpg in its suffix alone"):
        find_predictions(its, find_images(photos), photos)


def test_missing_double_extra_and_broken_predictions_are_named(classes, tmp_path, capsys):
    photos, its = classes
    (its / "a" / "image_0000.png").unlink()
    Image.new("RGB", (8, 8)).save(its / "a" / "image_0001.webp")
    (its / "b" / "image_0000.png").write_bytes(b"no picture")
    Image.new("RGB", (8, 8)).save(its / "b" / "image_0007.png")
    (its / "b" / "notes.txt").write_text("no picture, and no fault")
    words = ["evaluate", str(photos), "--predictions", str(its), "--size", "64", "--output", str(tmp_path / "t.csv")]
    assert main(words) == 1
    lines = capsys.readouterr().err.splitlines()
    for line, said in zip(
        lines,
        (
            f"{photos}/a/image_0000.jpg: has no prediction; it should be {its}/a/image_0000 with any suffix.",
            f"{photos}/a/image_0001.jpg: has 2 predictions in {its}/a, image_0001.png and image_0001.webp.",
            f"{its}/b/image_0000.png: is not a readable image, or is damaged.",
            "3 of 6 photos were skipped.",
            f"{its}/b/image_0007.png: is the prediction of no photo; it would be that of {photos}",
        ),
        strict=True,
    ):
        assert line.startswith(f"histcolor: {said}")
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["photo"].tolist() == ["b/image_0001", "c/image_0000", "c/image_0001"]
    assert (table["psnr"] == np.inf).all()
    flat = tmp_path / "flat"
    flat.mkdir()
    Image.new("RGB", (8, 8)).save(flat / "image_0001.png")
    with pytest.raises(OSError, match=r"has no prediction for any photo; first: .*should be .*flat.a.image_0000 with"):
        find_predictions(flat, find_images(photos), photos)


def test_predictions_among_the_photos_are_no_photos(classes, tmp_path, capsys):
    photos, its = classes
    its.rename(photos / "coloured")
    words = ["evaluate", str(photos), "--predictions", str(photos / "coloured"), "--size", "64"]
    assert main([*words, "--output", str(tmp_path / "t.csv")]) == 0
    assert capsys.readouterr().err == ""
    assert len(pd.read_csv(tmp_path / "t.csv")) == 6


def test_a_contact_sheet_among_the_photos_is_no_photo(classes):
    photos, _ = classes
    made = ["--sheet", str(photos / "sheet.png"), "--output", str(photos / "t.csv")]
    for _ in range(2):  # the second time it is there
        assert main(["evaluate", str(photos), "--methods", "mean", "--size", "64", *made]) == 0
        assert len(pd.read_csv(photos / "t.csv")) == 6


def test_names_of_photos_in_tables(tmp_path):
    def names(*paths):
        return list(name_photos([tmp_path / path for path in paths]).values())

    assert names("a/1.jpg", "b/2.jpg") == ["1", "2"], "short where they can be"
    assert names("x/a/1.jpg", "x/b/1.jpg", "x/2.jpg") == ["a/1", "b/1", "2"]
    assert names("1.jpg", "1.png", "2.jpg") == ["1.jpg", "1.png", "2.jpg"]


def test_summary_of_infinite_psnr():
    table = pd.DataFrame({"photo": ["a", "b"], "reference": ["a", "b"], "method": ["x", "x"], "psnr": [np.inf, 20.0]})
    assert summarise(table)["psnr"][0] == 60
