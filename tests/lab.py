"""JupyterLab on a notebook, and Chromium on JupyterLab: for the browser tests, the benchmark and the screenshots."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

CHROMIUM = os.environ.get("HISTCOLOR_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
RESULT = ".histcolor-result .histcolor-photo"  #: the coloured photo on the page


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_settings(folder, plugin, settings):
    path = folder / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings))


def write_notebook(cells: list[str], path: Path) -> None:
    """Write a notebook of these code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


@contextmanager
def serve(cells: list[str], folder: Path, *, theme: str = "JupyterLab Light") -> Iterator[str]:
    """JupyterLab on ``folder``, with a notebook ``lab.ipynb`` of these code cells: its address."""
    write_notebook(cells, folder / "lab.ipynb")
    with serve_folder(folder, theme=theme) as address:
        yield address


@contextmanager
def serve_folder(folder: Path, *, theme: str = "JupyterLab Light") -> Iterator[str]:
    """JupyterLab on the notebooks of ``folder``: its address."""
    write_settings(folder / "settings", "apputils-extension/notification", {"fetchNews": "false"})
    write_settings(folder / "settings", "apputils-extension/themes", {"theme": theme})
    address = f"http://127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        **{f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")},
    }
    command = [
        sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={address.rpartition(':')[2]}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}", "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]  # fmt: skip
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"{address}/api", timeout=5):
                    break
            except OSError:
                if server.poll() is not None:
                    raise RuntimeError((folder / "server.log").read_text()[-2000:]) from None
                time.sleep(0.25)
        yield address
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def browse(address: str, done: Path, *, width: int = 1400, height: int = 1100, scale: float = 1.0) -> Iterator:
    """Open ``lab.ipynb`` and run it until the file ``done`` exists; ``page.errors`` lists the console's messages."""
    with open_browser(width=width, height=height, scale=scale) as page:
        run_notebook(page, address, "lab.ipynb", done)
        page.locator("canvas.histcolor-plane").scroll_into_view_if_needed()
        yield page


@contextmanager
def open_browser(*, width: int = 1400, height: int = 1100, scale: float = 1.0) -> Iterator:
    """An empty page of Chromium; ``page.errors`` lists the messages of its console."""
    from playwright.sync_api import sync_playwright

    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=scale)
        page.set_default_timeout(120_000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.errors = errors
        yield page
        browser.close()


def run_notebook(page, address: str, name: str, done: Path) -> None:
    """Open a notebook and run all its cells, until the file ``done`` exists."""
    page.goto(f"{address}/lab/tree/{name}?reset")
    page.locator(".jp-Notebook").wait_for()
    page.get_by_text("| Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name=re.compile("^Run All Cells")).click()
    failed = page.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']")
    for _ in range(2400):  # ten minutes: machines may be busy
        page.wait_for_timeout(250)
        if failed.count():
            raise RuntimeError(failed.first.inner_text())
        if done.is_file():
            return


def at(plane, a: float, b: float) -> tuple[float, float]:
    """The place of a colour of the plane on the page."""
    box = plane.bounding_box()
    return box["x"] + box["width"] * (a + 110) / 220, box["y"] + box["height"] * (110 - b) / 220


def choose(page, tool: str) -> None:
    """Press a tool's button."""
    page.locator(".histcolor-tools").get_by_role("button", name=tool).click()


def drag(page, *points: tuple[float, float]) -> None:
    """Move the mouse through these places with its button down."""
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=6)
    page.mouse.up()
