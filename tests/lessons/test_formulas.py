"""Formulas drawn as SVG: the same in every browser, without a network."""

import re
from pathlib import Path

import nbformat
import pytest

from histcolor.lessons.formulas import draw_formulas, formula

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def test_a_formula_is_drawn_and_named():
    found = formula(r"\mathcal{L}_H = \sum_{i,j} \big(T_H[i,j]\big)")
    assert found.startswith('<svg role="img" aria-label="\\mathcal{L}_H')
    assert found.count("<path") == 1
    assert "currentColor" in found, "it follows the page's theme"
    assert len(re.search(r' d="([^"]*)"', found)[1]) > 500


def test_words_keep_their_spaces_and_large_formulas_their_line():
    narrow, wide = (
        float(re.search(r'viewBox="\S+ \S+ (\S+)', formula(tex))[1]) for tex in (r"\text{ab}", r"\text{a b}")
    )
    assert wide > narrow + 2
    assert "display:block" in formula("x", display=True)
    assert "display:block" not in formula("x")


def test_what_can_not_be_drawn_stays_as_code():
    assert formula(r"\nonesuch{<b>}") == r"<code>\nonesuch{&lt;b&gt;}</code>"


def test_code_and_money_are_left_alone():
    text = "`$a$` and ```\n$b$\n``` cost 3$ or 4$"
    assert draw_formulas(text) == text
    assert draw_formulas("so $a$, $$b$$").count("<svg") == 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_formula_of_the_lessons_can_be_drawn(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            drawn = draw_formulas(cell.source)
            kept = re.findall("<code>(.*?)</code>", drawn, re.S)
            assert not kept, kept
            without = re.sub(r"```.*?```|`[^`\n]*`|<svg.*?</svg>", "", drawn, flags=re.S)
            assert "$" not in without, without
