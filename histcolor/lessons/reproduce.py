"""One command: run the notebooks headlessly, measure the shipped models, check the claims, write a page of all."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from histcolor.checkpoint import shipped_models
from histcolor.checks import visible
from histcolor.demo import DEMO_PHOTOS, demo_photo
from histcolor.device import execution
from histcolor.experiments.claims import SHOWN, Claim, claims_table, read_claims
from histcolor.experiments.statements import check_committed, measure_statements
from histcolor.images import read_table, write_image, write_table
from histcolor.lessons.notebook import project_root
from histcolor.lessons.page import count_words, write_page
from histcolor.lessons.runner import TIMEOUT, read_profile, run_notebook

AT_ONCE = 2  #: pages that run side by side: two with one thread each are done sooner than one by one with two threads


def measure_demo_photos(output: Path, *, size: int, quiet: bool) -> list[Claim]:
    """Measure the shipped models on scikit-image's photos, beside methods without training; writes two tables."""
    from histcolor.baselines.classical import gray, mean_colour, rank
    from histcolor.checkpoint import load
    from histcolor.evaluate import evaluate, model_method, summarise

    folder = output / "demo_photos"
    for name in DEMO_PHOTOS:
        write_image(demo_photo(name), folder / f"{name}.png")
    methods = {"gray": gray, "mean colour": mean_colour, "rank of L": rank}
    methods |= {name: model_method(load(name)) for name in shipped_models()}
    table, _ = evaluate(sorted(folder.glob("*.png")), methods, size=size, quiet=quiet)
    write_table(table.round(5), output / "tables" / "demo_photos_each.csv")
    means = summarise(table)
    write_table(means.round(5), output / "tables" / "demo_photos.csv")
    psnr = means.set_index("method")["psnr"]
    best = psnr.drop(shipped_models()).max()
    return [
        Claim(f"demo photos: {name} is above every method without training, dB", "ours", psnr[name] - best, ">", 0.0)
        for name in shipped_models()
    ]


def committed_claims(results: Path) -> list[Claim]:
    """Make claims about the shipped models, computed again from the committed per-image results."""
    from histcolor.evaluate import summarise

    paths = [results / "tables" / f"imagenette_val_{kind}.json.xz" for kind in ("self", "cross")]
    if not paths[0].is_file():
        return []
    each, cross = map(read_table, paths)
    psnr = summarise(each).set_index("method")["psnr"]
    fidelity = summarise(cross).set_index("method")["intersection"]
    plain = psnr.drop([method for method in psnr.index if method.split()[0] in shipped_models()]).max()
    each = each.pivot(index="photo", columns="method", values="psnr")
    colour = each[each["gray"] < 45]  # dB; a gray photo that is left gray is perfect
    claims = []
    for name in shipped_models():
        alone = (colour[f"{name} automatic"] - colour["gray"]).mean()
        cost = psnr[name] - psnr[f"{name} transport 1"]
        claims += [
            Claim(f"{name}, imagenette/val at 256, self-reference: PSNR, dB", "ours", psnr[name], ">=", 29.0),
            Claim("… above the best method without training, dB", "ours", psnr[name] - plain, ">", 0.0),
            Claim("… cross-reference: intersection", "ours", fidelity[name], ">=", 0.7),
            Claim("… with transport = 1", "ours", fidelity[f"{name} transport 1"], ">=", 0.9),
            # transport to the true distribution costs at most a factor of 2 in squared error (Blau and Michaeli 2018)
            Claim("… self-reference: what transport = 1 costs, dB", "ours", cost, "<=", 3.0),
            Claim("… automatic, photos with colour: PSNR above gray's, dB", "ours", alone, ">", 0.0),
        ]
    return claims


def free_cores() -> int:
    """Count this machine's cores that nothing else keeps busy, at least 1.

    Threads wait for one another at every operation: two of them, with one of two cores busy, took 9.1 s for steps of
    training that one took 3.6 s for (the lab book has the trial).
    """
    import psutil

    cores = torch.get_num_threads()
    return max(1, cores - round(cores * psutil.cpu_percent(interval=1.0) / 100))


def _run_page(job: tuple[Path, Path, dict[str, Any], list[str], dict[str, Any]]) -> tuple[str, float, str]:
    """Run a notebook in a process of its own; returns its name, the minutes it took, and why it failed, or ""."""
    path, output, parameters, files, options = job
    began, problem = time.perf_counter(), ""
    print(f"{path.stem} …", flush=True)
    try:
        run_notebook(path, output, parameters, files, **options)
    except (RuntimeError, ValueError) as error:
        problem = str(error)
    return path.stem, (time.perf_counter() - began) / 60, problem


def _leave_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # after Ctrl-C the parent ends its processes, and says so once


def run_pages(notebooks: Path, output: Path, profile: str, *, at_once: int, quiet: bool) -> tuple[dict, list[str]]:
    """Run all notebooks of a folder, some side by side.

    Returns:
        The minutes that each took, by its name, and a sentence for each that failed.
    """
    parameters, files = read_profile(notebooks, profile)
    options = {"quiet": quiet or at_once > 1, "timeout": None if profile == "paper" else TIMEOUT}
    paths = sorted(notebooks.glob("*.ipynb"))
    jobs = [(path, output, parameters.get(path.stem, {}), files.get(path.stem, []), options) for path in paths]
    minutes, failures = {}, {}
    with multiprocessing.get_context("spawn").Pool(at_once, _leave_to_parent) as pool:
        for name, took, problem in tqdm(pool.imap_unordered(_run_page, jobs), "notebooks", len(jobs), disable=quiet):
            minutes[name] = took
            if problem:
                failures[name] = problem
                print(f"histcolor: {visible(problem)}", file=sys.stderr)
            else:
                print(f"{name}: {took:.1f} minutes", flush=True)
    return dict(sorted(minutes.items())), [failures[name] for name in sorted(failures)]


def reproduce(profile: str = "demo", output: Path | None = None) -> int:
    """Run everything; returns 0 if all notebooks ran, left their files, and all checks hold, else 1."""
    began, cores = time.perf_counter(), free_cores()
    at_once = 1 if profile == "paper" else min(AT_ONCE, cores)  # on the paper's profile a page has the GPU for itself
    os.environ["MPLBACKEND"] = "agg"  # the kernels inherit it: no display is needed
    os.environ.setdefault("OMP_NUM_THREADS", str(cores // at_once))
    how = f"{at_once} at a time, with {os.environ['OMP_NUM_THREADS']} threads each"
    print(f"notebooks run {how}, training on {execution('cpu')}", flush=True)
    root, quiet = project_root(), not sys.stderr.isatty()
    output = (output or root / "results" / "reproduce").resolve()
    minutes, failures = run_pages(root / "notebooks", output, profile, at_once=at_once, quiet=quiet)
    names = list(minutes)
    recorded = [path for name in names if (path := output / "claims" / f"{name}.csv").is_file()]
    own = measure_demo_photos(output, size=64 if profile == "smoke" else 256, quiet=quiet)
    own += committed_claims(root / "results")
    file = root / "notebooks" / "experiments.toml"
    stated = measure_statements(file, root / "results" / "tables")
    own += check_committed(file, root / "results", stated)
    tables = [*map(read_claims, recorded), claims_table(own)]
    claims = pd.DataFrame([line for table in tables for line in table.to_dict("records")])
    write_table(claims, output / "claims.csv")
    whole = (time.perf_counter() - began) / 60
    write_page(output, profile, minutes, claims[SHOWN], failures, claims=stated, root=root, took=whole)
    print(count_words([claim for claim in stated if claim.source != "ours"]))
    print(claims[SHOWN].to_string(index=False, float_format="{:.4g}".format, na_rep=""))
    hold, ran = int((claims["verdict"] == "holds").sum()), len(names) - len(failures)
    print(f"\n{hold} of {len(claims)} checks hold; {ran} of {len(names)} notebooks ran; ", end="")
    print(f"{whole:.1f} minutes. See {output / 'index.html'}")
    return 1 if failures or hold < len(claims) else 0
