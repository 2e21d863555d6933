"""``histcolor evaluate``: what it may replace, and that no method's lines stand for another's."""

import shutil

import pandas as pd
import pytest
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
