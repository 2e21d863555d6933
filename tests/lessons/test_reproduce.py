"""The runner's own parts: claims, the page, the project's folder. The notebooks run in test_notebooks.py."""

import math

import pandas as pd
import pytest

from histcolor.lessons.notebook import Claim, claims_table, project_root, record_claims
from histcolor.lessons.reproduce import committed_claims, free_cores, html_table, read_profile


@pytest.mark.parametrize(
    ("relation", "expected", "holds"), [(">", 1.0, False), (">=", 1.0, True), ("<", 2.0, True), ("<=", 0.5, False)]
)
def test_claims_can_be_refuted(relation, expected, holds):
    assert Claim("x", "ours", 1.0, relation, expected).holds is holds


def test_nan_never_holds():
    assert not any(Claim("x", "ours", math.nan, relation, 0.0).holds for relation in (">", ">=", "<", "<="))


def test_claims_are_recorded(tmp_path):
    table = record_claims(tmp_path, "nb", [Claim("a, b", "2.1", 1.23456789, ">", 1.0), Claim("c", "2.1", 0, ">", 1.0)])
    again = pd.read_csv(tmp_path / "claims" / "nb.csv", dtype={"source": str})
    assert again.to_dict("list") == table.to_dict("list")
    assert again["holds"].tolist() == ["yes", "no"]
    assert again["expected"].tolist() == ["> 1", "> 1"]


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


def test_pages_escape_what_they_show():
    page = html_table(pd.DataFrame({"claim": ["a < b & c"], "measured": [0.123456], "holds": ["no"]}))
    assert "a &lt; b &amp; c" in page
    assert '<td class="no">no</td>' in page
    assert "0.1235" in page


def test_missing_profiles(tmp_path):
    with pytest.raises(OSError, match=r"profiles\.toml: is missing"):
        read_profile(tmp_path, "demo")


def test_cores_that_others_use_are_left_to_them(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 4)
    for busy, free in ((0, 4), (10, 4), (50, 2), (100, 1)):
        monkeypatch.setattr("psutil.cpu_percent", lambda interval, busy=busy: busy)
        assert free_cores() == free
