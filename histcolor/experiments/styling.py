"""Tables of experiments for notebooks and pages; how methods and numbers are written there and in figures."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Mapping, Sequence

import pandas as pd
from pandas.io.formats.style import Styler

from histcolor.experiments.statistics import NUMBERS, printed
from histcolor.plots import STYLE

BLUE, ORANGE, GREEN, PURPLE, GRAY, OCHRE = STYLE["axes.prop_cycle"].by_key()["color"]
NAMES = {"psnr": "PSNR, dB", "ssim": "SSIM", "ssim_gauss": "SSIM (gauss)", "hellinger": "Hellinger"}
SHOWN = ("psnr", "ssim", "intersection", "colourfulness", "cross_intersection")
PAPER = "the paper's, on its photos"
INDEXED = re.compile(r"\b([LR])_([A-Za-z]+)\b")  #: R_P, L_Grad …
LOOK = {  # no colour of the page's, which may be light or dark
    "th, td": "text-align: right; font-variant-numeric: tabular-nums",
    "caption": "caption-side: top; text-align: left; font-weight: bold; padding: 1em 0 0.3em; white-space: nowrap",
} | {"td": "white-space: nowrap", "sub": "line-height: 0"}
HEADS = {"th.level0": "text-align: center; font-weight: normal; opacity: 0.75"}  #: where there are two lines of heads


def name_of(number: str, *, alone: bool = True) -> str:
    """Say what a number of an experiment's table is called; ``alone``: no head says which kind of reference it has."""
    kind, column, _ = NUMBERS[number]
    return NAMES.get(column, column) + (", cross-reference" if alone and kind == "cross" else "")


def label(name: str, width: int = 0) -> str:
    """Write a method's name for a figure: R_P and L_H get their index; lines of at most ``width`` letters, if given."""
    lines = textwrap.fill(name, width, break_long_words=False, break_on_hyphens=False) if width else name
    return INDEXED.sub(r"$\\mathit{\1}_{\\mathit{\2}}$", lines)


def label_html(name: str) -> str:
    """Write a method's name for a table, as HTML."""
    return INDEXED.sub(r"<i>\1</i><sub>\2</sub>", html.escape(name))


def interval_text(line, number: str) -> str:
    """Write a line's ``difference``, ``low`` and ``high`` as ``−0.25 [−0.43, −0.08]``."""
    digits = NUMBERS[number][2]
    mean, low, high = (round(x, digits) + 0.0 for x in (line.difference, line.low, line.high))  # no -0.00
    return f"{mean:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]".replace("-", "−")


def styled(table: pd.DataFrame, differences: pd.DataFrame | None = None, *, numbers: Sequence[str] = SHOWN) -> Styler:
    """Style an experiment's table for a notebook: mean ± spread over seeds, a column's best mean bold, "–" for none.

    The paper's own numbers stand to the right, in gray italics, under a head that says whose they are. Methods that
    were not measured are named below the table, with the paper's numbers.

    Args:
        table: from :func:`histcolor.experiments.run.tabulate`.
        differences: those of the same experiment, if all are with one method: the intervals get columns.
        numbers: which of :data:`histcolor.experiments.statistics.NUMBERS` are shown.

    Raises:
        ValueError: ``differences`` are with several methods.
    """
    measured = table[[*numbers]].notna().any(axis=1)
    below = not_run(table[~measured]) if measured.any() and not measured.all() else ""
    table = table[measured | (not below)].reset_index(drop=True)
    text = printed(table)
    about = ["method", "told", *["photos"] * (table["photos"].nunique() > 1), "seeds"]  # not what is the same for all
    shown = {("", name): text[name] for name in about if name in text}
    heads = {number: (f"{NUMBERS[number][0]}-reference", name_of(number, alone=False)) for number in numbers}
    shown |= {head: text[number].str.removesuffix(" ± –") for number, head in heads.items()}
    if differences is not None and len(differences):
        against, *others = differences["against"].unique()
        if others:
            raise ValueError(f"Methods are compared with {against!r} and {others[0]!r}; they need one in common.")
        for number in numbers:
            found = {x.method: interval_text(x, number) for x in differences.query("number == @number").itertuples()}
            shown[f"less “{against}”, 95 %", name_of(number)] = [found.get(name, "") for name in table["method"]]
    quoted = [name for name in ("psnr", "ssim") if f"paper_{name}" in table and table[f"paper_{name}"].notna().any()]
    muted = {(PAPER, name_of(name)): text[f"paper_{name}"] for name in quoted}
    texts = [("", name) for name in ("method", "told") if name in text]
    style = dressed(pd.DataFrame(shown | muted), texts, HEADS).format_index(escape="html", axis=1)
    for number in (number for number in numbers if number != "colourfulness" and table[number].notna().any()):
        best = table[number].idxmin() if number.endswith("hellinger") else table[number].idxmax()
        style = style.set_properties(subset=pd.IndexSlice[[best], [heads[number]]], **{"font-weight": "bold"})
    if below:
        rules = [("caption-side", "bottom"), ("font-weight", "normal"), ("white-space", "normal")]
        style = style.set_caption(html.escape(below))
        style = style.set_table_styles([{"selector": "caption", "props": rules}], overwrite=False)
    return style.set_properties(subset=[*muted], **{"font-style": "italic", "color": "#8a8f98"})


def not_run(table: pd.DataFrame) -> str:
    """Name methods that were not measured, with the paper's numbers for them, in a sentence."""
    found = []
    for line in table.to_dict("records"):
        values = [(line.get(f"paper_{name}"), digits) for name, digits in (("psnr", ".2f"), ("ssim", ".3f"))]
        numbers = ", ".join(format(value, digits) for value, digits in values if not pd.isna(value))
        found.append(f"{line['method']} ({numbers or '–'})")
    return f"Not run here; in brackets the paper's PSNR and SSIM: {'; '.join(found)}."


def styled_verdicts(claims: pd.DataFrame) -> Styler:
    """Style claims about methods (:func:`histcolor.experiments.claims.claims_table`), the verdicts in colour."""
    lines = claims.rename(columns={"measured": "difference"}).itertuples()
    found = [f"{interval_text(line, line.number)}{' dB' * (line.number == 'psnr')}" for line in lines]
    table = claims[["claim", "source", "against"]].set_axis(["claim", "from", "decided by"], axis=1)
    numbers = {"difference, 95 %": found, "seeds": claims["seeds"], "verdict": claims["verdict"]}
    style = dressed(table.assign(**numbers), [*table])
    colours = {"holds": GREEN, "refuted": ORANGE, "open": GRAY}
    return style.map(lambda verdict: f"color: {colours[verdict]}; font-weight: bold", subset=["verdict"])


def dressed(table: pd.DataFrame, texts: Sequence, look: Mapping[str, str] | None = None) -> Styler:
    """Style a table without its index, the columns ``texts`` to the left; in them R_P and L_H look as in the paper."""
    where = [table.columns.get_loc(name) for name in texts]
    left = {f".col{i}": f"text-align: left{'; white-space: normal; min-width: 8em' * (i > 0)}" for i in where}
    rules = [{"selector": cells, "props": rule} for cells, rule in (LOOK | (look or {}) | left).items()]
    style = table.style.hide(axis="index").set_table_styles(rules)
    return style.format(escape="html", precision=2, thousands=",").format(label_html, subset=[*texts])
