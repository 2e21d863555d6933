"""What every notebook needs: where results go, the versions, shapes to print, and the record of its claims."""

from __future__ import annotations

import io
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from histcolor.experiments.claims import Claim, write_claims

if TYPE_CHECKING:
    from IPython.display import Image


def project_root() -> Path:
    """Find the project's folder: the nearest upwards with ``notebooks`` and ``pyproject.toml``, or the current one."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return here


def begin(results: str) -> Path:
    """Start a notebook: set the look of figures, print the versions, give the folder for results.

    Args:
        results: folder for figures, tables and claims; relative to the project, wherever the notebook is run.
    """
    from histcolor.plots import use_style

    use_style()
    names = ("histcolor", "torch", "scikit-image", "matplotlib", "pandas")
    print(f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names), sep=" · ")
    folder = project_root() / results
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def figure_saver(folder: Path) -> Callable[[Figure, str], object]:
    """Make a function that shows a figure in a notebook, and writes it to ``folder/figures/NAME.png``."""
    from histcolor.plots import show_figure

    return lambda figure, name: show_figure(figure, folder / "figures" / f"{name}.png")


def record_claims(folder: Path, notebook: str, claims: list[Claim]) -> pd.DataFrame:
    """Write a notebook's claims to ``folder/claims/NOTEBOOK.csv``; returns them as a table without empty columns."""
    return write_claims(claims, folder / "claims" / f"{notebook}.csv").dropna(axis="columns", how="all")


def shapes(**tensors: Tensor) -> None:
    """Print the name and the shape of each tensor, a line each."""
    for name, tensor in tensors.items():
        print(f"{name:12} {list(tensor.shape)}")


def as_picture(figure: Figure) -> Image:
    """Draw a figure as a picture, and close it: what a function of ``ipywidgets.interact`` returns."""
    import matplotlib.pyplot as plt
    from IPython.display import Image

    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=80)
    plt.close(figure)
    return Image(file.getvalue())
