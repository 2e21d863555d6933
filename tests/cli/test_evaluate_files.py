"""``histcolor evaluate``: what it may replace, and that no method's lines stand for another's."""

import shutil

import pandas as pd
import pytest
import torch
from PIL import Image

from histcolor.checkpoint import SHIPPED
from histcolor.cli.main import main


@pytest.fixture
def evaluate(photos, tmp_path, capsys):
    """Run the command on small photos; returns the exit code and what was said on stderr."""

    def run(*options, photos=photos):
        words = ["evaluate", photos, "--size", "32", "--limit", "2", "--output", tmp_path / "t.csv", *options]
        return main(list(map(str, words))), capsys.readouterr().err

    return run


def test_a_picture_is_no_sheet_because_a_table_is_there(evaluate, photos, tmp_path):
    assert evaluate("--methods", "gray") == (0, "")
    for name in ("family.png", "family.jpg"):
        with Image.open(photos / "coffee_cup.jpg") as picture:
            picture.save(tmp_path / name)
        before = (tmp_path / name).read_bytes()
        code, said = evaluate("--methods", "gray", "--sheet", tmp_path / name)
        assert code == 1
        assert f"{name}: " in said
        assert (tmp_path / name).read_bytes() == before
    assert evaluate("--methods", "gray", "--sheet", tmp_path / "sheet.png") == (0, "")
    assert evaluate("--methods", "gray", "--sheet", tmp_path / "sheet.png") == (0, ""), "its own one"


def test_a_sheet_leaves_out_what_can_not_be_read(evaluate, photos, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"no photo")
    shutil.copy(photos / "coffee_cup.jpg", folder / "b.jpg")
    code, said = evaluate("--methods", "gray", "--sheet", tmp_path / "sheet.png", photos=folder)
    assert code == 1
    assert said.splitlines() == [
        f"histcolor: {folder / 'a.jpg'}: is not a readable image, or is damaged.",
        "histcolor: 1 of 2 photos were skipped.",
    ]
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


def test_photos_are_not_their_own_predictions(evaluate, photos, tmp_path):
    (tmp_path / "link").symlink_to(photos)
    code, said = evaluate("--predictions", tmp_path / "link")
    assert code == 1
    assert "link: is the folder of the photos themselves" in said


def test_two_methods_of_one_name_are_refused(evaluate, tmp_path):
    model = tmp_path / "gray.safetensors"
    shutil.copy(SHIPPED / "small.safetensors", model)
    for options in (["--model", model, "--methods", "model,gray"], ["--transport", "0.1,0.10000001"]):
        code, said = evaluate(*options)
        assert code == 1
        assert "Two methods would be named" in said
    assert evaluate("--model", model, "--methods", "model") == (0, "")


def test_names_of_photos_are_no_formulas(evaluate, photos, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("=1+1.jpg", "@x.jpg"):
        shutil.copy(photos / "coffee_cup.jpg", folder / name)
    assert evaluate("--methods", "gray", photos=folder) == (0, "")
    assert pd.read_csv(tmp_path / "t.csv")["photo"].tolist() == ["'=1+1", "'@x"]


def test_a_photo_is_counted_once_whatever_it_lacks(evaluate, photos, tmp_path):
    folder, its = shutil.copytree(photos, tmp_path / "photos"), shutil.copytree(photos, tmp_path / "its")
    (folder / "bad.jpg").write_bytes(b"no photo")
    code, said = evaluate("--predictions", its, "--limit", "7", photos=folder)
    assert code == 1
    assert said.splitlines() == [
        f"histcolor: {folder / 'bad.jpg'}: has no prediction; it should be {its / 'bad'} with any suffix.",
        "histcolor: 1 of 7 photos were skipped.",
    ]
    assert len(pd.read_csv(tmp_path / "t.csv")) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--predictions", "its", "--methods", "gray"], "--predictions makes no use of --methods: "),
        (["--predictions", "its", "--model", "small", "--flips"], "--predictions makes no use of --model, --flips: "),
        (["--predictions", "its", "--transport", "0"], "--predictions makes no use of --transport: "),
        (["--predictions", "its", "--working-size", "32", "--pins", "0"], "no use of --working-size, --pins: "),
        (["--methods", "automatic,gray", "--transport", "0.5"], "--methods automatic,gray makes no use of --transport"),
        (["--methods", "gray", "--flips", "--pins", "1"], "--methods gray makes no use of --flips, --pins: "),
    ],
)
def test_options_that_change_nothing_are_refused(evaluate, tmp_path, options, message):
    code, said = evaluate(*options)
    assert code == 1
    assert message in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "t.csv").exists()


def test_an_option_that_one_of_the_methods_uses_is_taken(evaluate, tmp_path):
    assert evaluate("--methods", "gray,automatic,model", "--transport", "0.5") == (0, "")
    names = ["gray", "small automatic", "small transport 0.5"]
    assert pd.read_csv(tmp_path / "t.csv")["method"].tolist() == names * 2


@pytest.fixture
def drawn(monkeypatch):
    """The columns of the sheets, in place of their files: gray, true, self-reference, cross-reference, reference."""
    sheets = []
    monkeypatch.setattr("histcolor.plots.save_sheet", lambda sheet, path: sheets.append(sheet))
    return sheets


def test_the_sheet_shows_the_first_method_of_the_model_as_it_was_measured(evaluate, tmp_path, drawn):
    sheet = ("--sheet", tmp_path / "sheet.png")
    for given in ([], ["--transport", "1,0"], ["--flips"], ["--working-size", "64"], ["--methods", "automatic,gray"]):
        assert evaluate(*given, *sheet) == (0, "")
    assert evaluate("--methods", "gray,rank,model", *sheet) == (0, "")
    assert evaluate("--pins", "3", *sheet) == (0, "")
    assert evaluate("--methods", "gray", *sheet) == (0, "")
    plain, *others, last, pins, gray = drawn
    for other in [*others, pins]:
        assert not torch.equal(other[2], plain[2])
    assert torch.equal(last[2], plain[2]), "not of gray, which comes first"
    assert torch.equal(others[3][2], others[3][3]), "automatic: whatever the histogram"
    assert pins[3].min() == 1, "pins tell the photo's own colours"
    assert torch.equal(gray[2], gray[0])


def test_the_sheet_of_predictions_shows_them_alone(evaluate, photos, tmp_path, drawn):
    its = shutil.copytree(photos, tmp_path / "its")
    sheet = ("--predictions", its, "--sheet", tmp_path / "sheet.png")
    assert evaluate(*sheet) == (0, "")
    assert evaluate(*sheet, "--cross") == (0, "")
    own, cross = drawn
    assert torch.equal(own[2], own[1]), "a perfect program's"
    assert own[3].min() == own[4].min() == 1, "there are no others"
    assert torch.equal(cross[3], cross[1])
    assert cross[2].min() == 1
    assert torch.equal(cross[4], cross[1].flip(0)), "the references that they were measured with"
