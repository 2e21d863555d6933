"""The runner's own parts: claims, the page, the project's folder. The notebooks run in test_notebooks.py."""

import pandas as pd
import pytest

from histcolor.experiments.claims import Claim, claims_table, read_claims
from histcolor.images import write_table
from histcolor.lessons.notebook import project_root, record_claims
from histcolor.lessons.page import write_page
from histcolor.lessons.reproduce import committed_claims, free_cores
from histcolor.lessons.runner import read_profile


def test_claims_are_recorded(tmp_path):
    table = record_claims(tmp_path, "nb", [Claim("a, b", "2.1", 2.0, ">", 1.0), Claim("c", "2.1", 0, ">", 1.0)])
    assert table.columns.tolist() == ["claim", "source", "expected", "measured", "verdict"], "no empty columns"
    again = read_claims(tmp_path / "claims" / "nb.csv")
    assert again[table.columns].to_dict("list") == table.to_dict("list")
    assert again["verdict"].tolist() == ["holds", "refuted"]


def test_claims_about_the_shipped_models_come_from_the_tables():
    claims = committed_claims(project_root() / "results")
    assert len(claims) == 13  # six of each model, and one of both
    assert all(claim.holds for claim in claims), claims_table(claims).to_string()


def test_without_tables_there_are_no_claims(tmp_path):
    assert committed_claims(tmp_path) == []


def test_project_root_is_found_from_within(monkeypatch):
    root = project_root()
    monkeypatch.chdir(root / "notebooks")
    assert project_root() == root


def test_pages_escape_what_they_show(tmp_path):
    write_table(pd.DataFrame({"method": ["<gray>"], "psnr": [0.123456]}), tmp_path / "tables" / "demo_photos.csv")
    claims = claims_table([Claim("a < b & c", "ours", 1.23456, ">", 2.0), Claim("d", "ours", 3.0, ">", 2.0)])
    write_page(tmp_path, "<demo>", {"00_none": 1.25}, claims, ["00_none: failed: <b>"])
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for text in (
        "a &lt; b &amp; c",
        "&lt;gray&gt;",
        "&lt;demo&gt; profile",
        "failed: &lt;b&gt;",
        "1.235",
        "1 notebooks, 1.2",
    ):
        assert text in page, text
    assert page.count("color: #2f855a;\n") == page.count("color: #c53030;\n") == 1, "a verdict each"


def test_missing_profiles(tmp_path):
    with pytest.raises(OSError, match=r"profiles\.toml: is missing"):
        read_profile(tmp_path, "demo")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[demo.nb]\nx = 1", r"\[files\] must give a list of files"),
        ("files = 3", r"\[files\] must give a list of files"),
        ('[files]\nnb = "a.png"', r"\[files\] must give a list of files"),
        ('[files]\nnb = ["../../precious.txt"]', r"\[files\] must give a list of files in the results folder"),
        ("[files]\n[demo]\nnb = 3", r"\[demo\] must hold tables of parameters"),
        ("[files", "is no valid TOML"),
        ("[files]\nnb = []", "names the notebook nb, which is not there"),
    ],
)
def test_wrong_profiles(tmp_path, text, message):
    (tmp_path / "profiles.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"profiles\.toml: {message}"):
        read_profile(tmp_path, "demo")


def test_cores_that_others_use_are_left_to_them(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 4)
    for busy, free in ((0, 4), (10, 4), (50, 2), (100, 1)):
        monkeypatch.setattr("psutil.cpu_percent", lambda interval, busy=busy: busy)
        assert free_cores() == free
