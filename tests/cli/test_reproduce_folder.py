"""``histcolor reproduce``: which folders it works in."""

from histcolor.cli.main import main
from histcolor.files import hold, lock_beside
from histcolor.lessons import reproduce as lessons


def test_a_folder_with_other_files_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(lessons, "reproduce", lambda profile, output: len(list(output.glob("*"))))
    site = tmp_path / "site"
    site.mkdir()
    words = ["reproduce", "--profile", "smoke", "--output", str(site)]
    assert main(words) == 0, "an empty folder is welcome"
    (site / "index.html").write_text("precious")
    assert main(words) == 1
    assert f"{site}: is there already, and this command did not make it" in capsys.readouterr().err
    (site / "executed").mkdir()
    assert main(words) == 2, "its own one, with two entries"


def test_two_in_one_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(lessons, "reproduce", lambda *_: 0)
    with hold(tmp_path / "out", lock_beside(tmp_path / "out")):
        assert main(["reproduce", "--output", str(tmp_path / "out")]) == 1
    assert "works on it now: wait until that ends" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
