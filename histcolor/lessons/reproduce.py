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
from histcolor.demo import DEMO_PHOTOS, demo_photo
from histcolor.device import execution
from histcolor.experiments.claims import SHOWN, Claim, claims_table, read_claims
from histcolor.experiments.statements import check_committed
from histcolor.images import read_table, write_image, write_table
from histcolor.lessons.notebook import project_root
from histcolor.lessons.page import write_page
from histcolor.lessons.runner import TIMEOUT, read_profile, run_notebook


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
    recorded = [path for name in names if (path := output / "claims" / f"{name}.csv").is_file()]
    own = measure_demo_photos(output, size=64 if profile == "smoke" else 256, quiet=quiet)
    own += committed_claims(root / "results")
    own += check_committed(root / "notebooks" / "experiments.toml", root / "results")
    tables = [*map(read_claims, recorded), claims_table(own)]
    claims = pd.DataFrame([line for table in tables for line in table.to_dict("records")])
    write_table(claims, output / "claims.csv")
    write_page(output, profile, minutes, claims[SHOWN], failures)
    print(claims[SHOWN].to_string(index=False, float_format="{:.4g}".format, na_rep=""))
    hold, ran = int((claims["verdict"] == "holds").sum()), len(names) - len(failures)
    print(f"\n{hold} of {len(claims)} claims hold; {ran} of {len(names)} notebooks ran; ", end="")
    print(f"{sum(minutes.values()):.1f} minutes. See {output / 'index.html'}")
    return 1 if failures or hold < len(claims) else 0
