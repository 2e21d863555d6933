"""Tables of experiments: what is printed are the numbers of the tables, and whose they are."""

import html
import re

import numpy as np
import pandas as pd
import pytest
from test_statistics import two_methods

from histcolor.experiments import styling
from histcolor.experiments.claims import claims_table
from histcolor.experiments.statistics import differences, experiment_table

METHODS = ["one", "two", "none yet"]


@pytest.fixture
def results():
    return two_methods()


@pytest.mark.parametrize(
    ("name", "width", "shown"),
    [
        ("R_P and L_Grad", 0, "$\\mathit{R}_{\\mathit{P}}$ and $\\mathit{L}_{\\mathit{Grad}}$"),
        ("one semantic-aware net", 14, "one\nsemantic-aware\nnet"),
        ("ORL_P", 0, "ORL_P"),
    ],
)
def test_names_look_as_in_the_paper(name, width, shown):
    assert styling.label(name, width) == shown


def test_names_in_tables_are_escaped():
    assert styling.label_html("<b> & R_P") == "&lt;b&gt; &amp; <i>R</i><sub>P</sub>"


def cells(style):
    """A styled table's texts, read from its HTML."""
    table = pd.DataFrame("", style.data.index, style.data.columns, dtype=str)
    for row, column, text in re.findall(r"<td id=\"\w+_row(\d+)_col(\d+)\"[^>]*>(.*?)</td>", style.to_html()):
        table.iat[int(row), int(column)] = html.unescape(re.sub("<[^>]*>", "", text))
    return table


def set_in(style, css):
    """The heads of the columns with cells that have this style."""
    rules = re.findall(r"([^{}]*)\{([^{}]*)\}", style.to_html())
    found = [re.findall(r"_col(\d+)", where) for where, what in rules if css in what and "_row" in where]
    return {style.data.columns[int(column)] for columns in found for column in columns}


def test_a_table_shows_its_numbers_and_whose_they_are(results):
    paper = {"paper_psnr": [28.9036, np.nan, 29.0697], "paper_ssim": [0.9373, np.nan, 0.9485]}
    style = styling.styled(experiment_table(results, METHODS).assign(**paper), numbers=("psnr", "cross_hellinger"))
    text = cells(style)
    assert text["self-reference", "PSNR, dB"].tolist() == ["26.50 ± 2.12", "22.00"], "the third was not run"
    assert text["the paper's, on its photos", "PSNR, dB"].tolist() == ["28.9036", "–"]
    assert text.iloc[0, :2].tolist() == ["one", "2"], "the seeds; all have the same photos"
    heads = list(text.columns)
    assert heads[-2:] == [("the paper's, on its photos", "PSNR, dB"), ("the paper's, on its photos", "SSIM")]
    assert set_in(style, "font-style: italic") == set(heads[-2:])
    assert set_in(style, "font-weight: bold") == {heads[2], heads[3]}


def test_photos_are_counted_where_methods_differ_in_them(results):
    table = experiment_table(results, METHODS[:2])
    assert ("", "photos") not in styling.styled(table).data
    assert cells(styling.styled(table.assign(photos=[2, 1])))["", "photos"].tolist() == ["2", "1"]


@pytest.mark.parametrize(("number", "best"), [("psnr", 0), ("hellinger", 1)])
def test_the_best_is_bold(results, number, best):
    table = experiment_table(results, METHODS)
    table[number] = [30.0, 20.0, np.nan]
    html_text = styling.styled(table, numbers=(number,)).to_html()
    (cell,) = re.findall(r"_row(\d)_col2 \{\s*font-weight: bold", html_text)
    assert int(cell) == best


def test_methods_compared_with_one_get_its_intervals(results):
    found = differences(results, [("two", "one")])
    text = cells(styling.styled(experiment_table(results, METHODS[:2]), found, numbers=("psnr",)))
    line = found[found["number"] == "psnr"].iloc[0]
    shown = text["less “one”, 95 %", "PSNR, dB"].tolist()
    assert shown == ["", styling.interval_text(line, "psnr")]
    assert shown[1].startswith("−4.50 [")
    both = pd.concat([found, found.assign(against="three")])
    with pytest.raises(ValueError, match="Methods are compared with 'one' and 'three'; they need one in common"):
        styling.styled(experiment_table(results, METHODS), both)


def test_a_table_without_numbers_is_dashes(results):
    text = cells(styling.styled(experiment_table(results[:0], ["one"]), numbers=("psnr",)))
    assert text["self-reference", "PSNR, dB"].tolist() == ["–"]


def test_methods_that_were_not_run_are_named_below(results):
    paper = {"paper_psnr": [29.0, 30.0, np.nan], "paper_ssim": [0.9, 0.95, np.nan]}
    table = experiment_table(results[results["method"] == "one"], ["one", "quoted", "<told>"]).assign(**paper)
    style = styling.styled(table, numbers=("psnr",))
    assert cells(style).iloc[:, 0].tolist() == ["one"]
    said = "Not run here; in brackets the paper&#x27;s PSNR and SSIM: quoted (30.00, 0.950); &lt;told&gt; (–)."
    assert style.caption == said


def test_verdicts():
    line = {"claim": "R_P helps", "source": "Table 1", "against": "<two>", "number": "psnr", "seeds": "3 and 1"}
    numbers = {"measured": 0.5, "low": 0.25, "high": 0.75, "verdict": "holds"}
    style = styling.styled_verdicts(pd.DataFrame([{**line, **numbers}, {**line, **numbers, "verdict": "open"}]))
    assert cells(style).iloc[0].tolist() == [
        "RP helps",
        "Table 1",
        "<two>",
        "+0.50 [0.25, 0.75] dB",
        "3 and 1",
        "holds",
    ]
    colours = [colour in style.to_html() for colour in (styling.GREEN, styling.GRAY, styling.ORANGE)]
    assert colours == [True, True, False]
    assert "verdict" in styling.styled_verdicts(claims_table([])).to_html(), "none is no error"
