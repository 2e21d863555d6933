"""The page that ``histcolor reproduce`` writes: claims, tables, and each notebook with its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from histcolor.images import write_text

COLOURS = {"holds": "#2f855a", "refuted": "#c53030", "open": "#718096"}
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>histcolor: {{ profile }} profile</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #8884; text-align: left }
.failure { color: #c53030; font-weight: 600 }
figure { margin: 1.5rem 0 } img { max-width: 100%; background: #fff; border-radius: 6px }
figcaption { color: #888; font-size: .9rem }
</style>
<h1>histcolor, {{ profile }} profile</h1>
<p>{{ minutes | length }} notebooks, {{ "%.1f" | format(minutes.values() | sum) }} minutes.</p>
{% for line in failures %}<p class="failure">{{ line }}</p>{% endfor %}
<h2>Claims</h2>{{ claims | table }}
<h2>scikit-image's photos, self-reference</h2>{{ photos | table }}
{% for name, figures in executed.items() %}
<h2><a href="executed/{{ name }}.html">{{ name }}</a></h2><p>{{ "%.1f" | format(minutes[name]) }} minutes</p>
{% for figure in figures %}
<figure><img src="figures/{{ figure.name }}" alt="{{ figure.stem }}" loading="lazy">
<figcaption>{{ figure.name }}</figcaption></figure>
{% endfor %}{% endfor %}"""


def html_table(table: pd.DataFrame) -> str:
    """Write a table as escaped HTML; numbers have four digits, verdicts their colour."""
    numbers = table.select_dtypes("float").columns
    style = table.style.hide(axis="index").format(escape="html", na_rep="").format_index(escape="html", axis=1)
    style = style.format("{:.4g}", subset=numbers, na_rep="").set_properties(subset=numbers, **{"text-align": "right"})
    verdicts = table.columns.intersection(["verdict"])
    return style.map(lambda verdict: f"color: {COLOURS[verdict]}; font-weight: bold", subset=verdicts).to_html()


def write_page(
    output: Path, profile: str, minutes: Mapping[str, float], claims: pd.DataFrame, failures: Sequence[str]
) -> None:
    """Write ``index.html``, and each executed notebook as HTML.

    Args:
        output: the folder of this run, with ``executed``, ``figures`` and ``tables``.
        profile: what the notebooks ran with.
        minutes: what each notebook took, by its name.
        claims: see :func:`histcolor.experiments.claims.claims_table`; all of its columns are shown.
        failures: a sentence for each notebook that failed.
    """
    from jinja2 import Environment
    from markupsafe import Markup
    from nbconvert import HTMLExporter

    executed = {}
    for name in minutes:
        path = output / "executed" / f"{name}.ipynb"
        if path.is_file():
            write_text(HTMLExporter().from_filename(str(path))[0], path.with_suffix(".html"))
            executed[name] = sorted((output / "figures").glob(f"{name[:2]}_*.png"))
    environment = Environment(autoescape=True)
    environment.filters["table"] = lambda table: Markup(html_table(table))
    photos = pd.read_csv(output / "tables" / "demo_photos.csv")
    page = environment.from_string(PAGE)
    text = page.render(
        profile=profile, minutes=minutes, failures=failures, claims=claims, photos=photos, executed=executed
    )
    write_text(text, output / "index.html")
