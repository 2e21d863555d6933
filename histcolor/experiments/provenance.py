"""Where numbers come from: the packs, the machine, the versions, the commit, and what a run cost."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from histcolor.data import Pack


def digest(data: bytes) -> str:
    """Compute the start of a sha256, enough to tell two apart."""
    return hashlib.sha256(data).hexdigest()[:16]


def about_pack(path: Path) -> dict[str, Any]:
    """Say what tells a pack from others: its name, how many photos of what size, the hash of its manifest."""
    images, manifest = Pack.open(path).images, Path(path) / "manifest.csv"
    about = {"name": Path(path).name, "photos": images.shape[0], "size": images.shape[1]}
    return {**about, "manifest": digest(manifest.read_bytes()) if manifest.is_file() else ""}


def about_machine(device: str) -> dict[str, Any]:
    """Say what numbers come from: hardware, threads, versions, and the commit, "-dirty" if files were changed since."""
    hardware = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if device.startswith("cuda"):
        hardware = torch.cuda.get_device_name(device)
    elif cpus.is_file() and (found := re.search(r"model name\s*:\s*(.+)", cpus.read_text(encoding="utf-8"))):
        hardware = found[1]
    versions = {"torch": torch.__version__, "histcolor": version("histcolor"), "commit": find_commit(Path(__file__))}
    return {"hardware": hardware, "threads": torch.get_num_threads(), **versions}


def find_commit(file: Path) -> str:
    """Find the commit of the repository that tracks a file, "-dirty" if files were changed since; or "unknown"."""
    asked = (f"ls-files --error-unmatch {file.name}", "describe --always --dirty --abbrev=40 --exclude=*")
    try:
        for words in asked:  # the first fails for a file that lies in another project's repository, as in its .venv
            command = ["git", "-C", str(file.parent), *words.split()]
            said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return said or "unknown"


def cost(history: Path) -> dict[str, float]:
    """Count a run's photos, hours and photos a second, from its history: without validations and lost work."""
    lines = pd.read_csv(history)
    speed = lines["photos_per_second"].replace(0, 0.05)  # older histories are rounded to 0.1
    seconds = (lines["photos"].diff().fillna(lines["photos"]) / speed).sum()
    seen = int(lines["photos"].iloc[-1])
    return {"photos_seen": seen, "hours": round(seconds / 3600, 4), "photos_per_second": round(seen / seconds, 2)}
