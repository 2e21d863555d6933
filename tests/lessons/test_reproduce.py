"""The runner's own parts: claims, the page, the project's folder. The notebooks run in test_notebooks.py."""

import re

import nbformat
import pandas as pd
import pytest
from PIL import Image

from histcolor.experiments.claims import Claim, claims_table, read_claims
from histcolor.images import write_table
from histcolor.lessons.notebook import project_root, record_claims
from histcolor.lessons.page import captions, count_words, in_words, lessons, paper_table, write_page
from histcolor.lessons.reproduce import committed_claims, free_cores, run_pages
from histcolor.lessons.runner import read_profile


def test_claims_are_recorded(tmp_path):
    table = record_claims(tmp_path, "nb", [Claim("a, b", "2.1", 2.0, ">", 1.0), Claim("c", "2.1", 0, ">", 1.0)])
    assert table.columns.tolist() == ["claim", "source", "expected", "measured", "verdict"], "no empty columns"
    again = read_claims(tmp_path / "claims" / "nb.csv")
    assert again[table.columns].to_dict("list") == table.to_dict("list")
    assert again["verdict"].tolist() == ["holds", "refuted"]


def test_claims_about_the_shipped_models_come_from_the_tables():
    claims = committed_claims(project_root() / "results")
    assert len(claims) == 12  # six of each model
    assert all(claim.holds for claim in claims), claims_table(claims).to_string()


def test_without_tables_there_are_no_claims(tmp_path):
    assert committed_claims(tmp_path) == []


def test_project_root_is_found_from_within(monkeypatch):
    root = project_root()
    monkeypatch.chdir(root / "notebooks")
    assert project_root() == root


def test_reports_escape_what_they_show(tmp_path):
    write_table(pd.DataFrame({"method": ["<gray>"], "psnr": [0.123456]}), tmp_path / "tables" / "demo_photos.csv")
    checks = claims_table([Claim("a < b & c", "ours", 1.23456, ">", 2.0), Claim("d", "ours", 3.0, ">", 2.0)])
    about = {"experiment": "x", "method": "<new>", "against": "old R_P", "number": "psnr"}
    claims = [Claim("<e> helps", "2.1", 0.5, ">", 0.0, low=-0.25, high=1.25, **about)]
    write_page(tmp_path, "<demo>", {"00_none": 1.25}, checks, ["00_none: failed: <b>"], claims=claims)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for text in (
        "a &lt; b &amp; c",
        "&lt;gray&gt;",
        "&lt;demo&gt; profile",
        "failed: &lt;b&gt;",
        "1.235",
        "1 of 2 hold",
        "&lt;e&gt; helps",
        "&lt;new&gt;” less “old <i>R</i><sub>P</sub>” is <span class='whole'>+0.50 [−0.25, 1.25] dB",
        "in 1.2 minutes",
    ):
        assert text in page, text
    assert page.count('<li class="open">') == 1
    assert page.count('<td class="holds">') == page.count('<td class="refuted">') == 1, "a verdict each"
    assert "PSNR, dB</th>" in page
    assert "None is measured here yet" in page, "no claim of our own"


def test_the_verdict_counts_the_papers_claims():
    holds, refuted = Claim("a", "2.1", 1, ">", 0), Claim("b", "2.1", -1, ">", 0)
    open_ = Claim("c", "2.1", 1, ">", 0, low=-1, high=2)
    assert count_words([holds, holds, refuted]) == "2 of 3 claims of the paper hold here, 1 is refuted, 0 are open."
    assert count_words([refuted, refuted, open_]) == "0 of 3 claims of the paper hold here, 2 are refuted, 1 is open."
    assert count_words([]) == "No claim of the paper is measured here yet."


def test_a_claim_that_goes_on_is_told_whole():
    told = in_words([Claim("A is ahead of B", "ours", 1, ">", 0), Claim("… and of C", "Table 2", 2, ">=", 1.5)])
    assert [words["words"] for words in told] == ["A is ahead of B", "A is ahead of B, and of C"]
    assert told[1]["needed"] == "needed: ≥ 1.5"


def test_a_claim_about_single_seeds_says_so():
    pair = {"low": 0.5, "high": 1.5, "method": "a", "against": "b", "number": "psnr"}
    told = in_words([Claim("A", "ours", 1, ">", 0, **pair, seeds=seeds) for seeds in ("1 and 1", "3 and 1")])
    assert [words["number"].endswith(", one seed each: over photos alone") for words in told] == [True, False]


def test_the_papers_tables_mark_the_papers_numbers():
    root = project_root()
    table = paper_table("comparison", root, root / "results" / "tables")
    below, lines = table["html"].split("</caption>")
    assert "Su et al. 2020 (25.99, 0.925)" in below
    assert "Su et al. 2020" not in lines, "what has no number of ours stands below"
    assert "s, on its photos" in table["html"]
    assert "font-style: italic" in table["html"]


def test_a_report_shows_the_lessons_with_their_captions_and_needs_no_network(tmp_path):
    code = nbformat.v4.new_code_cell('show_figure(figure, folder / "09_bars.png")\nshow(figure, "09_bars_2")')
    code.outputs = [nbformat.v4.new_output("stream", name=name, text=f"to {name}") for name in ("stdout", "stderr")]
    words = nbformat.v4.new_markdown_cell(
        "**Figure 1. Bars** of $R_P$, see [01](01_x.ipynb), [notes](../notes.md).\n\nMore."
    )
    title = nbformat.v4.new_markdown_cell("# 09 · A page\n\n$$x^2$$")
    page = nbformat.v4.new_notebook(cells=[title, code, words], metadata={"widgets": {}})
    (tmp_path / "executed").mkdir()
    nbformat.write(page, tmp_path / "executed" / "09_page.ipynb")
    (tmp_path / "figures").mkdir()
    for name in ("09_bars", "09_bars_2", "09_another"):
        Image.new("RGB", (40, 20)).save(tmp_path / "figures" / f"{name}.png")
    (lesson,) = lessons(tmp_path, {"09_page": 0.5, "10_failed": 0.1}, tmp_path.parent)
    assert lesson["title"] == "09 · A page"
    assert [figure["file"] for figure in lesson["figures"]] == ["09_bars.png", "09_bars_2.png", "09_another.png"]
    assert lesson["figures"][1]["caption"] == lesson["figures"][0]["caption"] != ""
    caption = lesson["figures"][0]["caption"]
    assert "<strong>Figure 1. Bars</strong>" in caption
    assert "<svg" in caption
    assert 'href="executed/01_x.html"' in caption
    assert 'href="../notes.md"' in caption
    assert "More" not in caption
    html = (tmp_path / "executed" / "09_page.html").read_text(encoding="utf-8")
    assert html.count("<svg") >= 2
    assert "to stdout" in html
    assert "to stderr" not in html, "progress bars"
    assert 'href="01_x.html"' in html
    assert 'href="../../notes.md"' in html
    assert not re.search(r'(src|href)="https?:', html), "nothing is fetched"


def test_two_figures_of_a_cell_have_captions_of_their_own():
    code = nbformat.v4.new_code_cell('show(one, "09_one")\nshow(two, "09_two")')
    words = nbformat.v4.new_markdown_cell("**Figure 1. One.**\n\n**Figure 2. Two.**\n\nMore.")
    found = captions(nbformat.v4.new_notebook(cells=[code, words]))
    assert found == {"09_one": "**Figure 1. One.**", "09_two": "**Figure 2. Two.**"}


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


WAITING = """import pathlib, time
folder, end = pathlib.Path(results), time.time() + 120
(folder / {own!r}).write_text("here")
while not (folder / {other!r}).is_file():
    assert time.time() < end, "the other page never began"
    time.sleep(0.05)
"""


@pytest.mark.slow
def test_pages_run_side_by_side_and_failures_are_told(tmp_path, capfd):
    """Each of two pages waits for the other one's file; then the second one fails."""
    folder, output = tmp_path / "notebooks", tmp_path / "output"
    folder.mkdir()
    output.mkdir()
    (folder / "profiles.toml").write_text('[files]\n00_a = ["a.txt"]\n')
    for name, own, other, end in (("00_a", "a.txt", "b.txt", ""), ("01_b", "b.txt", "a.txt", "raise KeyError('x')")):
        parameters = nbformat.v4.new_code_cell('results: str = "x"', metadata={"tags": ["parameters"]})
        code = nbformat.v4.new_code_cell(WAITING.format(own=own, other=other) + end)
        page = nbformat.v4.new_notebook(cells=[parameters, code])
        page.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(page, folder / f"{name}.ipynb")
    minutes, failures = run_pages(folder, output, "demo", at_once=2, quiet=True)
    assert list(minutes) == ["00_a", "01_b"]
    assert len(failures) == 1
    assert re.fullmatch(r"01_b: cell .* failed: KeyError: 'x'", failures[0])
    told = capfd.readouterr()
    assert re.search(r"00_a: 0\.\d minutes", told.out)
    assert f"histcolor: {failures[0]}" in told.err


def test_cores_that_others_use_are_left_to_them(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 4)
    for busy, free in ((0, 4), (10, 4), (50, 2), (100, 1)):
        monkeypatch.setattr("psutil.cpu_percent", lambda interval, busy=busy: busy)
        assert free_cores() == free
