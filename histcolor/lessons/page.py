"""The report that ``histcolor reproduce`` writes: the verdict, the paper's tables, the lessons' figures, provenance."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from nbformat import NotebookNode
from PIL import Image

from histcolor.experiments.claims import Claim
from histcolor.images import write_text
from histcolor.lessons.formulas import draw_formulas

MARKS = {"holds": "✓", "refuted": "✗", "open": "?"}
TABLES = {"ablation": "Table 1: what each part brings", "comparison": "Table 2: against other methods"}
#: what stands over the columns of a table of means
HEADS = {"psnr": "PSNR, dB", "ssim": "SSIM", "ssim_gauss": "SSIM, Gaussian window", "hellinger": "Hellinger distance"}
HEADS |= {"earth_movers": "earth mover's distance", "colourfulness_reference": "colourfulness of the true photo"}
#: an executed lesson as HTML: formulas are drawn already, and nothing is fetched from a network
LESSON = """{% extends 'lab/index.html.j2' %}{% block html_head_js %}{% endblock %}
{% block jupyter_widgets %}{% endblock %}{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}"""


def count_words(claims: Sequence[Claim]) -> str:
    """Say in a sentence how many of the paper's claims hold, are refuted and are open."""
    number = {verdict: sum(claim.verdict == verdict for claim in claims) for verdict in MARKS}
    if not claims:
        return "No claim of the paper is measured here yet."
    return (
        f"{number['holds']} of {len(claims)} claims of the paper hold here, {number['refuted']} "
        f"{'is' if number['refuted'] == 1 else 'are'} refuted, {number['open']} "
        f"{'is' if number['open'] == 1 else 'are'} open."
    )


def in_words(claims: Sequence[Claim]) -> list[dict[str, str]]:
    """Write claims about methods in plain words: the statement, what was measured, and what it needs.

    One that begins with "…" goes on from the last one that does not.
    """
    from markupsafe import Markup

    from histcolor.experiments.styling import interval_text, label_html, name_of

    found, whole = [], ""
    for claim in claims:
        go_on = claim.claim.startswith("… ")
        whole = whole if go_on else claim.claim
        text = f"{whole}, {claim.claim[2:]}" if go_on else claim.claim
        words = {"words": Markup(label_html(text)), "source": claim.source}
        words |= {"verdict": claim.verdict, "number": f"{claim.measured:.4g}".replace("-", "−")}
        words["needed"] = f"needed: {claim.relation} {claim.expected:g}".replace(">=", "≥").replace("<=", "≤")
        if claim.number:
            line = pd.Series({"difference": claim.measured, "low": claim.low, "high": claim.high})
            unit = " dB" if claim.number == "psnr" else ""
            difference = f"{interval_text(line, claim.number)}{unit}"
            name = name_of(claim.number).removesuffix(", dB")
            pair = f"{name}: “{claim.method}” less “{claim.against}” is"
            alone = ", one seed each: over photos alone" if claim.seeds == "1 and 1" else ""
            words["number"] = Markup(f"{label_html(pair)} <span class='whole'>{difference}</span>{alone}")
        found.append(words)
    return found


def paper_table(name: str, root: Path, tables: Path) -> dict[str, Any] | None:
    """Make one of the paper's tables with our numbers and, marked apart, the paper's; None if nothing is measured."""
    from markupsafe import Markup

    from histcolor.experiments.definition import read_experiment
    from histcolor.experiments.run import tabulate
    from histcolor.experiments.styling import label_html, styled

    experiment = read_experiment(root / "notebooks" / "experiments.toml", name)
    if not any((place / "run.json").is_file() for _, _, place in experiment.places(tables / name)):
        return None
    table, _ = tabulate(experiment, tables / name)
    html = styled(table).to_html()
    about = experiment.about.split(": ", 1)[-1]
    words = {"title": TABLES[name], "short": TABLES[name].split(":")[0]}
    words["about"] = Markup(label_html(about[:1].upper() + about[1:]))
    return {"name": name, "html": Markup(html), **words}


def captions(page: NotebookNode) -> dict[str, str]:
    """Find the figures of a lesson: the name of each file, as far as its code tells it, and its caption in Markdown.

    A caption is the first cell below the figure's that begins with "**Figure"; of several figures above it each has its
    own paragraph, if there are as many.
    """
    found: dict[str, str] = {}
    waiting: list[str] = []
    for cell in page.cells:
        if cell.cell_type == "code":
            waiting += re.findall(r"\b(\d\d_[a-z0-9_]+?)(?:\.png|\{|\"\))", cell.source)
        elif cell.source.startswith("**Figure"):
            own = [text for text in cell.source.split("\n\n") if text.startswith("**Figure")]
            own = own if len(own) == len(waiting) else own[:1] * len(waiting)
            found |= dict(zip(waiting, own, strict=True))
            waiting = []
    return found


def lessons(output: Path, minutes: Mapping[str, float], root: Path) -> Iterator[dict[str, Any]]:
    """Write each executed lesson as HTML, and say what the report shows of it: title, figures, captions.

    Links that lead to the project's files, in the folder ``root``, lead there from where the report is.
    """
    from jinja2 import DictLoader
    from markupsafe import Markup
    from nbconvert import HTMLExporter
    from nbconvert.filters import markdown2html

    exporter = HTMLExporter(extra_loaders=[DictLoader({"lesson.html.j2": LESSON})], template_file="lesson.html.j2")
    within, beside = (f"]({Path(os.path.relpath(root, place)).as_posix()}/" for place in (output, output / "executed"))
    for name in minutes:
        path = output / "executed" / f"{name}.ipynb"
        if not path.is_file():
            continue
        page = nbformat.read(path, as_version=4)
        told = captions(page)
        title = next((line[2:] for line in page.cells[0].source.splitlines() if line.startswith("# ")), name)
        for cell in page.cells:
            if cell.cell_type == "markdown":
                cell.source = draw_formulas(cell.source).replace(".ipynb)", ".html)").replace("](../", beside)
            else:  # warnings, and a progress bar once for each of its steps
                cell.outputs = [found for found in cell.get("outputs", []) if found.get("name") != "stderr"]
        resources = {"metadata": {"name": name}}
        write_text(exporter.from_notebook_node(page, resources)[0], path.with_suffix(".html"))
        shown, order = [], list(told)
        for file in sorted((output / "figures").glob(f"{name[:2]}_*.png")):
            start = next((start for start in order if file.stem.startswith(start)), "")
            caption = told.get(start, "")
            with Image.open(file) as picture:
                width, height = picture.size
            alt = re.sub(r"[*$`]|\\\w+", "", caption) or file.stem
            caption = re.sub(r"\]\((\w+)\.ipynb", r"](executed/\1.html", caption)
            caption = caption.replace("](../", within)
            html = Markup(markdown2html(draw_formulas(caption)))
            words = {"alt": alt, "caption": html, "place": order.index(start) if start else len(order)}
            shown.append({"file": file.name, "width": width, "height": height, **words})
        shown.sort(key=lambda figure: figure["place"])
        yield {"name": name, "title": title, "minutes": minutes[name], "figures": shown}


def provenance(
    root: Path, tables: Path, lessons: int, took: float, profile: str, experiments: Iterable[str]
) -> dict[str, str]:
    """Say when and on what this report was made, which of its numbers were measured now, and which are recorded.

    ``lessons`` is their number, ``took`` the minutes of all; ``experiments`` those whose recorded runs are used.
    """
    from histcolor.experiments.definition import read_experiment
    from histcolor.experiments.provenance import about_machine
    from histcolor.experiments.records import read_record

    here = about_machine("cpu")
    file, records = root / "notebooks" / "experiments.toml", []
    for name in experiments if file.is_file() else ():
        records += [read_record(place) for _, _, place in read_experiment(file, name).places(tables / name)]
    # a run that two tables share counts once
    records = [record for record in records if record.get("measured") and not record.get("taken_from")]
    every = {key: ", ".join(sorted({str(r[key]) for r in records if r.get(key)})) for key in ("hardware", "torch")}
    commits = sorted({str(r["commit"])[:10] for r in records if r.get("commit")})
    hours = sum(record.get("hours") or 0 for record in records)
    about = {
        "Made": f"{datetime.now(UTC):%d %B %Y, %H:%M} UTC, in {took:.1f} minutes",
        "Commit": here["commit"],
        "Machine": f"{here['hardware']}, {here['threads']} thread{'s' * (here['threads'] > 1)}, torch {here['torch']}",
        "Measured now": f"the figures of {lessons} lessons ({profile} profile), all checks, and the table below",
    }
    if records:
        about["From recorded runs"] = (
            f"Tables 1 and 2, and the claims above: {len(records)} methods and seeds, {hours:.1f} hours of training on "
            f"{every['hardware']} with torch {every['torch']}, at commit {', '.join(commits)}; means, intervals and "
            "verdicts were computed again now from their per-image results"
        )
    return about


def html_table(table: pd.DataFrame) -> str:
    """Write a table of means as escaped HTML, its columns in words; numbers have four digits."""
    table = table.rename(columns=HEADS)
    numbers = table.select_dtypes("number").columns
    style = table.style.hide(axis="index").format(escape="html", na_rep="").format_index(escape="html", axis=1)
    style = style.format("{:.4g}", subset=numbers, na_rep="")
    return style.set_properties(subset=numbers, **{"text-align": "right"}).to_html()


def write_page(
    output: Path,
    profile: str,
    minutes: Mapping[str, float],
    checks: pd.DataFrame,
    failures: Sequence[str],
    *,
    claims: Sequence[Claim] = (),
    root: Path | None = None,
    took: float | None = None,
) -> None:
    """Write ``index.html``, and each executed notebook as HTML; neither needs a network.

    Args:
        output: the folder of this run, with ``executed``, ``figures`` and ``tables``.
        profile: what the notebooks ran with.
        minutes: what each notebook took, by its name.
        checks: what this run computed, see :func:`histcolor.experiments.claims.claims_table`.
        failures: a sentence for each notebook that failed.
        claims: about methods, from recorded results: :func:`histcolor.experiments.statements.measure_statements`.
        root: the project's folder, for the paper's tables; None: without them.
        took: minutes of the whole run; None: the notebooks' together.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    environment = Environment(autoescape=True)
    environment.filters["table"] = lambda table: Markup(html_table(table))
    template = environment.from_string(files("histcolor.lessons").joinpath("report.html.j2").read_text("utf-8"))
    told = dict(zip(claims, in_words(claims), strict=True))
    recorded = (root or output) / "results" / "tables"
    took = sum(minutes.values()) if took is None else took
    experiments = dict.fromkeys([*TABLES, *(claim.experiment for claim in claims if claim.experiment)])
    text = template.render(
        MARKS=MARKS,
        profile=profile,
        failures=failures,
        verdict=count_words([claim for claim in claims if claim.source != "ours"]),
        paper=[words for claim, words in told.items() if claim.source != "ours"],
        ours=[words for claim, words in told.items() if claim.source == "ours"],
        tables=[table for name in TABLES if root and (table := paper_table(name, root, recorded))],
        lessons=list(lessons(output, minutes, root or output)),
        provenance=provenance(root or output, recorded, len(minutes), took, profile, experiments),
        photos=pd.read_csv(output / "tables" / "demo_photos.csv"),
        checks=checks.to_dict("records"),
    )
    write_text(text, output / "index.html")
