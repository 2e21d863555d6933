"""``make notebooks``: run the lessons on the demo profile, and keep their outputs in the pages.

So a reader on a code host sees the figures. What differs from run to run or from machine to machine is left out, and a
hash of the code in the page's metadata says whether its outputs still belong to it.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
import math
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image

from histcolor.images import write_text
from histcolor.lessons.notebook import project_root
from histcolor.lessons.runner import read_profile, run_notebook

LIMIT, TOTAL = 120_000, 3_000_000  #: bytes of one picture, and of the pictures of all pages
GOAL = 60_000  #: bytes; a picture is made narrower until it has no more, or until it is hard to read
WIDEST, NARROWEST = 1200, 720  #: pixels
QUALITY = 72  #: of a JPEG
WORDS, CELLS, LINES, BOOKKEEPING = 1400, 25, 12, 0.2  #: limits of a page: see :func:`measure`
#: lines of code that a reader learns nothing from: imports, paths, the layout of figures
_BOOKKEEPING = re.compile(r"^(from|import) |\bfolder\b|\bPath\(|\bplt\.|\bax(es|is)?\b|\bsubplots\b|\bfigure\b[.,(\[ ]")
_CHANGING = (
    (re.compile(r"\b\d+(\.\d+)?(?= ?(s|ms|seconds?|minutes?)\b)"), "…"),  # how long something took
    (re.compile(r"\bat 0x[0-9a-f]+"), "at 0x…"),  # where Python keeps an object
)


def code_hash(page: NotebookNode) -> str:
    """Compute a hash of a page's code cells; words may be mended without running the page again."""
    code = [cell.source for cell in page.cells if cell.cell_type == "code"]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()


def has_outputs(page: NotebookNode) -> bool:
    """Tell whether any cell of a page has an output."""
    return any(cell.get("outputs") for cell in page.cells)


def is_fresh(page: NotebookNode) -> bool:
    """Tell whether a page's outputs belong to its code as it is now."""
    return has_outputs(page) and page.metadata.get("histcolor", {}).get("code") == code_hash(page)


def measure(page: NotebookNode) -> dict[str, float]:
    """Count what makes a page long.

    Returns:
        ``words`` of the Markdown cells without code; ``cells`` with code; ``lines`` of the longest of them; ``code``,
        all lines of code that are neither empty nor a comment; ``bookkeeping``, the share of those that are imports,
        paths or the layout of figures, in [0, 1]. The parameters' cell counts as a cell alone.
    """
    text = [re.sub(r"```.*?```", "", cell.source, flags=re.S) for cell in page.cells if cell.cell_type == "markdown"]
    cells = [cell for cell in page.cells if cell.cell_type == "code"]
    taught = [cell.source for cell in cells if "parameters" not in cell.metadata.get("tags", [])]
    code = [line for source in taught for line in source.splitlines() if line.strip() and line.strip()[0] != "#"]
    return {
        "words": len(" ".join(text).split()),
        "cells": len(cells),
        "lines": max((len(cell.source.splitlines()) for cell in cells), default=0),
        "code": len(code),
        "bookkeeping": sum(bool(_BOOKKEEPING.search(line)) for line in code) / max(1, len(code)),
    }


def pictures(page: NotebookNode) -> list[bytes]:
    """Return the PNG and JPEG files in a page's outputs."""
    data = [output.get("data", {}) for cell in page.cells for output in cell.get("outputs", [])]
    return [base64.b64decode(found[kind]) for found in data for kind in ("image/png", "image/jpeg") if kind in found]


def shrink(png: bytes) -> tuple[str, bytes]:
    """Make a PNG small: one of 256 colours, or where that is larger than :data:`GOAL`, as photos are, a JPEG.

    Returns:
        ``"image/png"`` or ``"image/jpeg"``, and the file.
    """
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    narrow = _resize(picture, width := min(WIDEST, picture.width))
    # maximum coverage keeps rare colours, which are what many figures are about; median cut makes them gray. It takes
    # seconds for a photo, so that the quick octree says first whether there is hope
    if len(_indexed(narrow, Image.Quantize.FASTOCTREE)) <= 2 * GOAL:
        small = _indexed(narrow, Image.Quantize.MAXCOVERAGE)
        if len(small) <= GOAL:
            return "image/png", small
    while True:
        file = io.BytesIO()
        _resize(picture, width).save(file, "JPEG", quality=QUALITY, optimize=True)
        found = len(file.getvalue())
        if found <= GOAL or (width <= NARROWEST and found <= LIMIT):
            return "image/jpeg", file.getvalue()
        narrower = min(width - 50, round(width * math.sqrt(GOAL / found)))
        width = max(NARROWEST, narrower) if width > NARROWEST else width - 50


def _indexed(picture: Image.Image, how: Image.Quantize) -> bytes:
    """Write a picture as a PNG of 256 colours."""
    file = io.BytesIO()
    picture.quantize(256, how, kmeans=1, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _resize(picture: Image.Image, width: int) -> Image.Image:
    size = (width, round(picture.height * width / picture.width))
    return picture.resize(size, Image.Resampling.LANCZOS) if width < picture.width else picture


def clean(output: NotebookNode, places: dict[str, str]) -> NotebookNode | None:
    """Take out of an output what changes: places on the machine, times, addresses; None for warnings and widgets.

    ``places`` are the folders to replace, and by what.
    """
    if output.get("name") == "stderr" or "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
        return None
    output = copy.deepcopy(output)
    output.get("metadata", {}).clear()

    def still(text: str) -> str:
        for place, name in places.items():
            text = text.replace(place, name)
        for pattern, instead in _CHANGING:
            text = pattern.sub(instead, text)
        return text

    if "text" in output:
        output.text = still(output.text)
    for kind, content in list(output.get("data", {}).items()):
        if kind == "image/png":
            small, file = shrink(base64.b64decode(output.data.pop(kind)))
            output.data[small] = base64.b64encode(file).decode() + "\n"
        elif isinstance(content, str):
            output.data[kind] = still(content)
    return output


def keep_outputs(page: NotebookNode, executed: NotebookNode, places: dict[str, str]) -> NotebookNode:
    """Put the outputs of an executed copy into a page, cleaned, with the hash of the code that they belong to.

    The copy has the page's cells by their ids, and perhaps another one with the parameters of the run.
    """
    page, ran = copy.deepcopy(page), {cell.id: cell for cell in executed.cells}
    for count, cell in enumerate((cell for cell in page.cells if cell.cell_type == "code"), 1):
        cell.outputs = []
        for output in filter(None, (clean(output, places) for output in ran[cell.id].outputs)):
            if "text" in output and cell.outputs and "text" in cell.outputs[-1]:
                cell.outputs[-1].text += output.text  # where a kernel cuts what a cell prints is chance
            else:
                cell.outputs.append(output)
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
    page.metadata["histcolor"] = {"code": code_hash(page)}
    return page


def execute(path: Path, *, profile: str = "demo", quiet: bool = False) -> str:
    """Run a page and write it again with its outputs; returns a line on how long it took and how large it is.

    Raises:
        RuntimeError: a cell failed; the page stays as it is.
    """
    parameters, files = read_profile(path.parent, profile)
    page, began = nbformat.read(path, as_version=4), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder).resolve()
        run_notebook(path, output, parameters.get(path.stem, {}), files.get(path.stem, []), quiet=quiet)
        executed = nbformat.read(output / "executed" / path.name, as_version=4)
        # the longest first: one may lie in another
        places = {str(output): "results/reproduce", str(path.parent.parent.resolve()): ".", str(Path.home()): "~"}
    page = keep_outputs(page, executed, places)
    write_text(nbformat.writes(page) + "\n", path)
    sizes, found = [len(png) for png in pictures(page)], measure(page)
    return (
        f"{path.stem}: {time.perf_counter() - began:.0f} s; {found['words']} words, {found['cells']} cells, "
        f"{found['bookkeeping']:.0%} of {found['code']} lines bookkeeping; {len(sizes)} pictures, "
        f"{sum(sizes) / 1000:.0f} KB, the largest {max(sizes, default=0) / 1000:.0f} KB"
    )


def main(names: list[str]) -> int:
    """Run the named pages, by default all of them; returns 1 if one failed or there is no such page."""
    os.environ["MPLBACKEND"] = "agg"
    folder, failed = project_root() / "notebooks", 0
    known = sorted(path.stem for path in folder.glob("*.ipynb"))
    for name in names or known:
        try:
            if name not in known:
                raise ValueError(f"There is no page {name!r}; there are {', '.join(known)}.")
            print(execute(folder / f"{name}.ipynb", quiet=not sys.stderr.isatty()), flush=True)
        except (RuntimeError, ValueError, OSError) as error:
            print(f"histcolor: {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
