"""Time and memory of the differentiable histogram, compared with the form that weighs every pixel for every bin.

    python -m tests.benchmarks.bench_histogram [--bins 16] [--batch 8] [--size 256] [--repeats 3] [--device cpu]

Forward and backward pass are measured. Each form runs in its own process, as the peak memory of a process never falls.
This is no test: times depend on the machine and its other work. :func:`bench` returns the same numbers in Python.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

FORMS = ("splat", "matmul", "plain")


def peak_bytes():
    """Largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux's ru_maxrss counts the memory of the parent that started us, a notebook say
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # the Mac counts bytes, Linux KiB


def measure(form, bins, batch, size, repeats, device):
    """Time and peak memory of one form in this process, as {seconds, peak_mb}."""
    import torch

    from histcolor.color import AB_MAX
    from histcolor.histogram import soft_ab_histogram
    from tests.plain import plain_histogram

    cuda = torch.device(device).type == "cuda"
    generator = torch.Generator().manual_seed(0)

    def draw(n, side):
        return ((torch.rand(n, 2, side, side, generator=generator) * 2 - 1) * AB_MAX).to(device).requires_grad_()

    def once(ab):
        ab.grad = None
        began = time.perf_counter()
        hist = plain_histogram(ab, bins) if form == "plain" else soft_ab_histogram(ab, bins, method=form)
        hist.square().sum().backward()
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - began

    once(draw(1, 8))  # torch's own set-up does not count
    ab = draw(batch, size)
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        before = peak_bytes()
    seconds = min(once(ab) for _ in range(repeats))
    after = torch.cuda.max_memory_allocated() if cuda else peak_bytes()
    return {"seconds": seconds, "peak_mb": (after - before) / 2**20}


def bench(bins=16, batch=8, size=256, repeats=3, device="cpu"):
    """Measure every form, each in its own process.

    Returns a list of dictionaries: form, seconds (the best of the repeats), peak_mb (more than before), and the ratios
    of the plain form's time and memory to this form's: times_faster, times_smaller.
    """
    options = [f"--{k}={v}" for k, v in dict(bins=bins, batch=batch, size=size, repeats=repeats, device=device).items()]
    rows = []
    for form in FORMS:
        command = [sys.executable, "-m", "tests.benchmarks.bench_histogram", f"--form={form}", *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        if done.returncode:
            raise RuntimeError(f"{form} did not finish (exit code {done.returncode}):\n{done.stderr}")
        rows.append({"form": form, **json.loads(done.stdout)})
    plain = rows[FORMS.index("plain")]
    for row in rows:
        row["times_faster"] = plain["seconds"] / row["seconds"]
        row["times_smaller"] = plain["peak_mb"] / max(row["peak_mb"], 1e-9)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("bins", 16), ("batch", 8), ("size", 256), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--form", choices=FORMS, help="measure this form in this process, and print JSON")
    options = vars(parser.parse_args())
    form = options.pop("form")
    if form:
        print(json.dumps(measure(form, **options)))
        return
    print(", ".join(f"{k} {v}" for k, v in options.items()))
    print(f"{'form':8} {'seconds':>9} {'peak MB':>9} {'faster':>8} {'smaller':>8}")
    for row in bench(**options):
        print(
            f"{row['form']:8} {row['seconds']:9.3f} {row['peak_mb']:9.0f} "
            f"{row['times_faster']:7.1f}× {row['times_smaller']:7.1f}×"
        )


if __name__ == "__main__":
    main()
