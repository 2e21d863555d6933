"""One command: run the notebooks headlessly, measure the shipped models, check the claims, write a page of all."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

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
    wider = psnr["base"] - psnr["small"]
    return [*claims, Claim("base against small, self-reference: PSNR, dB", "ours", wider, ">", 0.0)]


def free_cores() -> int:
    """Count this machine's cores that nothing else keeps busy, at least 1.

    Threads wait for one another at every operation: two of them, with one of two cores busy, took 9.1 s for steps of
    training that one took 3.6 s for (the lab book has the trial).
    """
    import psutil

    cores = torch.get_num_threads()
    return max(1, cores - round(cores * psutil.cpu_percent(interval=1.0) / 100))


def reproduce(profile: str = "demo", output: Path | None = None) -> int:
    """Run everything; returns 0 if all notebooks ran, left their files, and all checks hold, else 1."""
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
            print(f"histcolor: {visible(error)}", file=sys.stderr)
        minutes[name] = (time.perf_counter() - began) / 60
    recorded = [path for name in names if (path := output / "claims" / f"{name}.csv").is_file()]
    own = measure_demo_photos(output, size=64 if profile == "smoke" else 256, quiet=quiet)
    own += committed_claims(root / "results")
    file = root / "notebooks" / "experiments.toml"
    stated = measure_statements(file, root / "results" / "tables")
    own += check_committed(file, root / "results", stated)
    tables = [*map(read_claims, recorded), claims_table(own)]
    claims = pd.DataFrame([line for table in tables for line in table.to_dict("records")])
    write_table(claims, output / "claims.csv")
    write_page(output, profile, minutes, claims[SHOWN], failures, claims=stated, root=root)
    print(count_words([claim for claim in stated if claim.source != "ours"]))
    print(claims[SHOWN].to_string(index=False, float_format="{:.4g}".format, na_rep=""))
    hold, ran = int((claims["verdict"] == "holds").sum()), len(names) - len(failures)
    print(f"\n{hold} of {len(claims)} checks hold; {ran} of {len(names)} notebooks ran; ", end="")
    print(f"{sum(minutes.values()):.1f} minutes. See {output / 'index.html'}")
    return 1 if failures or hold < len(claims) else 0
