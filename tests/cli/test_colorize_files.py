"""``histcolor colorize``: whose files it may replace, and that one photo's failure stops no other."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

import histcolor as hc
from histcolor.checkpoint import build, save_model
from histcolor.cli.colorize import photo_histogram
from histcolor.cli.main import main

colorize_module = sys.modules["histcolor.cli.colorize"]


@pytest.fixture
def scans(photos, tmp_path):
    """A folder of two photos."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name, source in (("a.png", "coffee_cup.jpg"), ("b.jpg", "chelsea_eye.jpg")):
        with Image.open(photos / source) as picture:
            picture.save(folder / name)
    return folder


@pytest.fixture
def colorize(monkeypatch, capsys):
    """Run the command with a small working size; returns the exit code and the lines on stderr."""

    def run(*arguments):
        code = main(["colorize", *map(str, arguments), "--size", "32"])
        return code, capsys.readouterr().err.splitlines()

    return run


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_target_for_a_model_that_sees_none_is_refused(scans, photos, colorize, tmp_path):
    save_model(build(hc.PRESETS["tiny"], "automatic"), tmp_path / "m.safetensors")
    np.save(tmp_path / "h.npy", np.ones((16, 16)))
    given = [scans / "a.png", "--model", tmp_path / "m.safetensors", "--output", tmp_path / "out.png"]
    for target in (
        ["--palette", "#c33"],
        ["--reference", photos / "chelsea_eye.jpg"],
        ["--histogram", tmp_path / "h.npy"],
    ):
        code, errors = colorize(*given, *target)
        assert (code, len(errors)) == (1, 1)
        assert "sees no histogram: give none, or say by transport" in errors[0]
    assert colorize(*given, *target, "--transport", "0.5") == (0, [])


def test_results_do_not_go_among_the_photos(scans, colorize, tmp_path):
    before = content(scans)
    (tmp_path / "link").symlink_to(scans)
    for output in (scans, scans / ".", scans / ".." / "scans", tmp_path / "link"):
        code, errors = colorize(scans, "--output", output, "--overwrite")
        assert (code, len(errors)) == (1, 1)
        assert "is the folder of the photos; choose another --output" in errors[0]
    assert content(scans) == before


def test_no_input_is_replaced_whatever_its_name(scans, photos, colorize, tmp_path):
    (tmp_path / "hard.png").hardlink_to(scans / "a.png")
    (tmp_path / "soft.png").symlink_to(scans / "a.png")
    np.save(tmp_path / "h.npy", np.ones((8, 8)))
    (tmp_path / "h.png").hardlink_to(tmp_path / "h.npy")
    before = content(tmp_path)
    for photo, *options, output in (
        (scans / "a.png", scans / "a.png"),
        (scans / "a.png", scans / ".." / "scans" / "a.png"),
        (scans / "a.png", tmp_path / "hard.png"),
        (scans / "a.png", tmp_path / "soft.png"),
        (tmp_path / "soft.png", scans / "a.png"),
        (scans / "b.jpg", "--reference", scans / "a.png", scans / "a.png"),
        (scans / "b.jpg", "--histogram", tmp_path / "h.npy", tmp_path / "h.png"),
        (scans / "a.png", scans / "b.jpg", scans),  # a.png would go onto a.png
    ):
        code, errors = colorize(photo, *options, "--output", output, "--overwrite")
        assert code == 1
        assert "is a file that this command reads or wrote" in errors[0]
        (scans / "b.png").unlink(missing_ok=True)
    assert content(tmp_path) == before


def test_a_file_that_is_there_is_replaced_only_if_asked(scans, colorize, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_text("precious")
    (out / "b.png").symlink_to(tmp_path / "nowhere")
    code, errors = colorize(scans, "--output", out)
    assert code == 1
    assert ["is there already" in line for line in errors] == [True, True, False]
    assert errors[-1] == "histcolor: 2 of 2 photos were skipped."
    assert (out / "a.png").read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()
    assert colorize(scans, "--output", out, "--overwrite") == (0, [])
    assert hc.read_image(out / "a.png").shape == (3, 160, 160)


def test_a_second_run_does_not_colour_its_own_results(scans, colorize):
    (scans / "sub").mkdir()
    (scans / "b.jpg").rename(scans / "sub" / "b.jpg")
    assert colorize(scans, "--output", scans / "out") == (0, [])
    first = content(scans)
    assert set(first) == {"a.png", "sub/b.jpg", "out/a.png", "out/sub/b.png"}
    code, errors = colorize(scans, "--output", scans / "out", "--overwrite")
    assert code == 0
    assert errors == [f"histcolor: {scans / 'out'}: its 2 pictures are results and not coloured."]
    assert content(scans) == first


def test_photos_of_one_name_and_two_suffixes(scans, colorize, tmp_path):
    (scans / "a.JPG").write_bytes((scans / "b.jpg").read_bytes())
    assert colorize(scans, "--palette", "#c33", "--output", tmp_path / "out")[0] == 0
    assert sorted(content(tmp_path / "out")) == ["a.JPG.png", "a.png.png", "b.png"]


def test_a_photo_that_is_named_twice_is_coloured_once(scans, colorize, tmp_path):
    assert colorize(scans, scans / "a.png", "--palette", "#c33", "--output", tmp_path / "out")[0] == 0
    assert sorted(content(tmp_path / "out")) == ["a.png", "b.png"]
    assert colorize(scans / "a.png", scans / "a.png", "--palette", "#c33", "--output", tmp_path / "one.png")[0] == 0
    assert hc.read_image(tmp_path / "one.png").equal(hc.read_image(tmp_path / "out" / "a.png"))


def test_photos_of_one_name_in_two_folders(scans, colorize, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.png").write_bytes((scans / "a.png").read_bytes())
    code, errors = colorize(scans, tmp_path / "more", "--palette", "#c33", "--output", tmp_path / "out")
    assert code == 1
    assert "Several photos would be written to" in errors[0]
    assert not (tmp_path / "out").exists()


def test_a_folder_with_a_dot_in_its_name(scans, colorize, tmp_path):
    code, errors = colorize(scans, "--palette", "#c33", "--output", tmp_path / "out.v2")
    assert code == 1
    assert "name a folder; one with a dot in its name has to be there already" in errors[0]
    (tmp_path / "out.v2").mkdir()
    assert colorize(scans, "--palette", "#c33", "--output", tmp_path / "out.v2")[0] == 0
    assert sorted(content(tmp_path / "out.v2")) == ["a.png", "b.png"]


def test_two_names_that_lead_to_one_file(scans, colorize, tmp_path, monkeypatch):
    """As on a file system that ignores case: the second result would replace the first."""
    (scans / "A.jpg").write_bytes((scans / "b.jpg").read_bytes())
    known = colorize_module.identity
    lower = lambda path: known(path.with_name(path.name.lower()) if path.parent == tmp_path / "out" else path)  # noqa: E731
    monkeypatch.setattr(colorize_module, "identity", lower)
    code, errors = colorize(scans / "a.png", scans / "A.jpg", "--output", tmp_path / "out", "--overwrite")
    assert code == 1
    assert "A.png: is a file that this command reads or wrote" in errors[0]


def test_a_name_of_249_bytes_is_a_name_like_others(scans, colorize, tmp_path):
    long = scans / ("x" * 245 + ".jpg")
    (scans / "b.jpg").rename(long)
    assert colorize(scans, "--output", tmp_path / "out") == (0, [])
    assert sorted(content(tmp_path / "out")) == ["a.png", "x" * 245 + ".png"]


@pytest.mark.parametrize(
    "raised", [OSError(28, "No space left on device"), MemoryError(), RuntimeError("two\nlines"), AssertionError()]
)
def test_one_photos_failure_is_one_line(raised, scans, colorize, tmp_path, monkeypatch):
    real = colorize_module.colorize_file

    def fail(model, photo, *arguments, **options):
        if photo.name == "a.png":
            raise raised
        real(model, photo, *arguments, **options)

    monkeypatch.setattr(colorize_module, "colorize_file", fail)
    code, errors = colorize(scans, "--output", tmp_path / "out")
    assert code == 1
    assert len(errors) == 2
    assert errors[0].startswith(f"histcolor: {scans / 'a.png'}: ")
    assert errors[1] == "histcolor: 1 of 2 photos were skipped."
    assert list(content(tmp_path / "out")) == ["b.png"]


@pytest.mark.parametrize("size", [(1, 1), (3, 5000), (5000, 3)])
def test_odd_shapes(size, colorize, tmp_path):
    Image.new("L", size, 100).save(tmp_path / "odd.png")
    assert colorize(tmp_path / "odd.png", "--palette", "#c33,#2a6", "--output", tmp_path / "out.jpg") == (0, [])
    with Image.open(tmp_path / "out.jpg") as picture:
        assert picture.size == size


def test_a_references_histogram_is_the_same_strip_by_strip(photos, monkeypatch):
    path = photos / "coffee_cup.jpg"
    whole = hc.ab_histogram(hc.rgb_to_lab(hc.read_image(path))[1:], 64)
    monkeypatch.setattr(sys.modules["histcolor.images"], "STRIP", 160 * 7)
    assert torch.equal(photo_histogram(path, 64), whole)


def test_a_photo_over_the_limit_is_one_line(scans, colorize, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["histcolor.pictures"], "MAX_PIXELS", 160 * 160)
    assert colorize(scans, "--output", tmp_path / "out") == (0, [])
    Image.new("L", (161, 160)).save(scans / "c.png")
    code, errors = colorize(scans, "--output", tmp_path / "out", "--overwrite")
    assert code == 1
    assert "c.png: too large, 161 × 160" in errors[0]
    assert sorted(content(tmp_path / "out")) == ["a.png", "b.png"]


def test_a_name_too_long_stops_no_other_photo(scans, colorize, tmp_path):
    code, errors = colorize("x" * 300 + ".jpg", scans, "--output", tmp_path / "out")
    assert code == 1
    assert errors == [f"histcolor: {'x' * 300}.jpg: File name too long.", "histcolor: 1 of 3 photos were skipped."]
    assert sorted(content(tmp_path / "out")) == ["a.png", "b.png"]


def test_a_name_with_blanks_is_named_as_it_is(colorize, tmp_path):
    (tmp_path / "two  blanks.jpg").write_text("no photo")
    code, errors = colorize(tmp_path / "two  blanks.jpg", "--output", tmp_path / "out")
    assert code == 1
    assert errors == [f"histcolor: {tmp_path}/two  blanks.jpg: is not a readable image, or is damaged."]


def test_a_file_that_came_while_colouring_stays(scans, colorize, tmp_path, monkeypatch):
    """As of a second command with the same output."""
    out, known = tmp_path / "out.png", colorize_module.check_target

    def slowly(*arguments):
        known(*arguments)
        out.write_text("precious")

    monkeypatch.setattr(colorize_module, "check_target", slowly)
    code, errors = colorize(scans / "a.png", "--output", out)
    assert code == 1
    assert "out.png: is there already; choose another name" in errors[0]
    assert out.read_text() == "precious"


def test_a_file_where_a_folder_is_needed(scans, colorize, tmp_path):
    (tmp_path / "file").write_text("precious")
    code, errors = colorize(scans / "a.png", "--output", tmp_path / "file")
    assert code == 1
    assert "file/a.png: a file stands where a folder is needed; choose another name." in errors[0]
    assert (tmp_path / "file").read_text() == "precious"
