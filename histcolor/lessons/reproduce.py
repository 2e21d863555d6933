"""One command: run the notebooks headlessly, measure the shipped models, check the claims, write a page of all."""

from __future__ import annotations

import html
import os
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from histcolor.checkpoint import shipped_models
from histcolor.demo import DEMO_PHOTOS, demo_photo
from histcolor.device import execution
from histcolor.experiments.claims import check_committed
from histcolor.images import read_table, write_image, write_table, write_text
from histcolor.lessons.notebook import Claim, claims_table, project_root

TIMEOUT = 1800  #: seconds that one cell may take on the smoke and demo profiles
TYPES = {"int": int, "float": float, "str": str, "bool": bool}


def read_profile(notebooks: Path, profile: str) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """Parameters of each notebook under a profile, and the files that each must leave.

    Raises:
        ValueError: there is no such profile, or it names a notebook that is not there.
        OSError: ``profiles.toml`` is missing.
    """
    path = notebooks / "profiles.toml"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: is missing; run this from the project's folder.")
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    files = table.pop("files")
    if profile not in {"demo", *table}:
        raise ValueError(f"There is no profile {profile!r}; there are {', '.join(sorted({'demo', *table}))}.")
    chosen = table.get(profile, {})
    for name in [*chosen, *files]:
        if not (notebooks / f"{name}.ipynb").is_file():
            raise ValueError(f"{path}: names the notebook {name}, which is not there.")
    return chosen, files


def check_parameters(notebook: Path, parameters: dict[str, Any]) -> None:
    """Refuse parameters that the notebook does not have, or of another type (papermill itself only warns).

    Raises:
        ValueError: names the parameter.
    """
    import papermill

    known = papermill.inspect_notebook(str(notebook))
    for name, value in parameters.items():
        if name not in known:
            raise ValueError(f"{notebook.stem}: has no parameter {name!r}; it has {', '.join(sorted(known))}.")
        kind = TYPES.get(known[name]["inferred_type_name"], object)
        if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
            raise ValueError(f"{notebook.stem}: parameter {name!r} must be {kind.__name__}, got {value!r}.")


def run_notebook(
    notebook: Path,
    output: Path,
    parameters: dict[str, Any],
    expected: list[str],
    *,
    quiet: bool,
    timeout: int | None = TIMEOUT,
) -> None:
    """Run one notebook in a kernel of this Python; the executed copy goes to ``output/executed``.

    Raises:
        ValueError: an unknown parameter.
        RuntimeError: a cell failed, or an expected file was not written in this run; one sentence.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    check_parameters(notebook, parameters)
    executed = output / "executed" / notebook.name
    executed.parent.mkdir(parents=True, exist_ok=True)
    for name in expected:  # an old file must not stand for one that this run failed to write
        (output / name).unlink(missing_ok=True)
    try:
        papermill.execute_notebook(
            str(notebook),
            str(executed),
            parameters={"results": str(output.resolve()), **parameters},
            kernel_name="python3",
            cwd=str(notebook.parent),
            progress_bar=not quiet,
            execution_timeout=timeout,
            log_output=False,
        )
    except papermill.PapermillExecutionError as error:
        raise RuntimeError(f"{notebook.stem}: cell {error.exec_count} failed: {error.ename}: {error.evalue}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise RuntimeError(f"{notebook.stem}: {type(error).__name__} after at most {timeout} s a cell.") from error
    if missing := [name for name in expected if not (output / name).is_file()]:
        raise RuntimeError(f"{notebook.stem}: did not write {', '.join(missing)}.")


def measure_demo_photos(output: Path, *, size: int, quiet: bool) -> list[Claim]:
    """Measure the shipped models on scikit-image's photos next to the rows without training; writes two tables."""
    from histcolor.baselines.classical import gray, mean_colour, transport
    from histcolor.checkpoint import load
    from histcolor.evaluate import evaluate, model_method, summarise

    folder = output / "demo_photos"
    for name in DEMO_PHOTOS:
        write_image(demo_photo(name), folder / f"{name}.png")
    rows = {"gray": gray, "mean colour": mean_colour, "transport": transport}
    rows |= {name: model_method(load(name)) for name in shipped_models()}
    table, _ = evaluate(sorted(folder.glob("*.png")), rows, size=size, quiet=quiet)
    write_table(table.round(5), output / "tables" / "demo_photos_each.csv")
    means = summarise(table)
    write_table(means.round(5), output / "tables" / "demo_photos.csv")
    psnr = means.set_index("method")["psnr"]
    best = psnr.drop(shipped_models()).max()
    return [
        Claim(f"demo photos: {name} is above every row without training, dB", "ours", psnr[name] - best, ">", 0.0)
        for name in shipped_models()
    ]


def committed_claims(results: Path) -> list[Claim]:
    """Claims about the shipped models, computed again from the committed tables a photo."""
    from histcolor.evaluate import summarise

    tables = results / "tables"
    if not (tables / "imagenette_val_true.json.xz").is_file():
        return []
    kinds = ("true", "foreign")
    true, foreign = (
        summarise(read_table(tables / f"imagenette_val_{kind}.json.xz")).set_index("method") for kind in kinds
    )
    others = true.drop(index=[m for m in true.index if m.split()[0] in shipped_models()])
    each = read_table(tables / "imagenette_val_true.json.xz").pivot(index="photo", columns="method", values="psnr")
    colour = each[each["gray"] < 45]  # dB; a gray photo that is left gray is perfect
    claims = []
    for name in shipped_models():
        psnr, follows = float(true.loc[name, "psnr"]), foreign["intersection"]
        exact = float(true.loc[f"{name} match 1", "psnr"])
        alone = float((colour[f"{name} automatic"] - colour["gray"]).mean())
        claims += [
            Claim(f"{name}, imagenette/val at 256, true histograms: PSNR, dB", "ours", psnr, ">=", 29.0),
            Claim("… above the best row without training, dB", "ours", psnr - float(others["psnr"].max()), ">", 0.0),
            Claim("… foreign histograms: intersection", "ours", float(follows[name]), ">=", 0.75),
            Claim("… with match = 1", "ours", float(follows[f"{name} match 1"]), ">=", 0.9),
            # transport to the true distribution costs at most a factor of 2 in squared error (Blau and Michaeli 2018)
            Claim("… true histograms: what match = 1 costs, dB", "ours", psnr - exact, "<=", 3.0),
            Claim("… without a histogram, photos with colour: PSNR above gray's, dB", "ours", alone, ">", 0.0),
        ]
    wider = float(true.loc["base", "psnr"] - true.loc["small", "psnr"])
    return [*claims, Claim("base against small, true histograms: PSNR, dB", "ours", wider, ">", 0.0)]


def free_cores() -> int:
    """How many of this machine's cores nothing else keeps busy, at least 1.

    Threads wait for one another at every operation: two of them, with one of two cores busy, took 9.1 s for steps of
    training that one took 3.6 s for (the lab book has the trial).
    """
    import psutil

    cores = torch.get_num_threads()
    return max(1, cores - round(cores * psutil.cpu_percent(interval=1.0) / 100))


def reproduce(profile: str = "demo", output: Path | None = None) -> int:
    """Run everything; returns 0 if all notebooks ran, all their files are there and all claims hold, else 1."""
    os.environ["MPLBACKEND"] = "agg"  # the kernels inherit it: no display is needed
    os.environ.setdefault("OMP_NUM_THREADS", str(free_cores()))
    print(f"notebooks run with {os.environ['OMP_NUM_THREADS']} threads, training on {execution('cpu')}", flush=True)
    root, quiet = project_root(), not sys.stderr.isatty()
    output = (output or root / "results" / "reproduce").resolve()
    parameters, files = read_profile(root / "notebooks", profile)
    failures: list[str] = []
    minutes: dict[str, float] = {}
    names = sorted(path.stem for path in (root / "notebooks").glob("*.ipynb"))
    for name in tqdm(names, desc="notebooks", disable=quiet):
        began = time.perf_counter()
        print(f"{name} …", flush=True)
        try:
            path = root / "notebooks" / f"{name}.ipynb"
            timeout = None if profile == "paper" else TIMEOUT
            run_notebook(path, output, parameters.get(name, {}), files.get(name, []), quiet=quiet, timeout=timeout)
        except (RuntimeError, ValueError) as error:
            failures.append(str(error))
            print(f"histcolor: {error}", file=sys.stderr)
        minutes[name] = (time.perf_counter() - began) / 60
    claims = claims_table(
        measure_demo_photos(output, size=64 if profile == "smoke" else 256, quiet=quiet)
        + committed_claims(root / "results")
        + check_committed(root / "notebooks" / "experiments.toml", root / "results")
    )
    recorded = [pd.read_csv(path) for n in names if (path := output / "claims" / f"{n}.csv").is_file()]
    claims = pd.concat([*recorded, claims], ignore_index=True)
    write_table(claims, output / "claims.csv")
    write_page(output, profile, names, minutes, claims, failures)
    print(claims.to_string(index=False, float_format="{:.4g}".format))
    refuted = int((claims["holds"] != "yes").sum())
    print(
        f"\n{len(claims) - refuted} of {len(claims)} claims hold; {len(names) - len(failures)} of {len(names)} ", end=""
    )
    print(f"notebooks ran; {sum(minutes.values()):.1f} minutes. See {output / 'index.html'}")
    return 1 if failures or refuted else 0


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>histcolor: {profile} profile</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }}
th, td {{ padding: .3rem .8rem; border-bottom: 1px solid #8884 }}
th {{ text-align: left }} td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
.no {{ color: #c53030; font-weight: 600 }} .yes {{ color: #2f855a }}
figure {{ margin: 1.5rem 0 }} img {{ max-width: 100%; background: #fff; border-radius: 6px }}
figcaption {{ color: #888; font-size: .9rem }}
</style><h1>histcolor, {profile} profile</h1><p>{summary}</p>{failures}<h2>Claims</h2>{claims}{tables}{figures}"""


def html_table(table: pd.DataFrame) -> str:
    """A table as HTML: numbers to the right with four digits, yes and no in colour."""

    def cell(value: Any) -> str:
        if isinstance(value, float):
            return f'<td class="number">{"–" if value != value else f"{value:.4g}"}</td>'
        mark = f' class="{value}"' if value in ("yes", "no") else ""
        return f"<td{mark}>{html.escape(str(value))}</td>"

    head = "".join(f"<th>{html.escape(c)}</th>" for c in table.columns)
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in table.itertuples(index=False))
    return f"<table><tr>{head}</tr>{body}</table>"


def write_page(
    output: Path, profile: str, names: list[str], minutes: dict, claims: pd.DataFrame, failures: list
) -> None:
    """Write ``index.html``: the claims, the tables, each notebook (as HTML) and its figures."""
    from nbconvert import HTMLExporter

    parts = []
    for name in names:
        executed = output / "executed" / f"{name}.ipynb"
        if not executed.is_file():
            continue
        page, _ = HTMLExporter().from_filename(str(executed))
        write_text(page, executed.with_suffix(".html"))
        parts.append(f'<h2><a href="executed/{name}.html">{name}</a></h2><p>{minutes[name]:.1f} minutes</p>')
        for figure in sorted((output / "figures").glob(f"{name[:2]}_*.png")):
            parts.append(
                f'<figure><img src="figures/{figure.name}" alt="{figure.stem}" loading="lazy">'
                f"<figcaption>{figure.name}</figcaption></figure>"
            )
    table = pd.read_csv(output / "tables" / "demo_photos.csv")
    write_text(
        PAGE.format(
            profile=profile,
            summary=f"{len(names)} notebooks, {sum(minutes.values()):.1f} minutes.",
            failures="".join(f'<p class="no">{html.escape(line)}</p>' for line in failures),
            claims=html_table(claims),
            tables=f"<h2>scikit-image's photos, true histograms</h2>{html_table(table)}",
            figures="".join(parts),
        ),
        output / "index.html",
    )
