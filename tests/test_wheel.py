"""What a user gets who installs the wheel: all files of the package, and they work without the repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
EDITOR = """
import importlib, pkgutil, sys
import histcolor
from histcolor.editor.widget import HistogramEditor

editor = HistogramEditor("small", "photo.png")
assert "application/vnd.jupyter.widget-view+json" in editor._repr_mimebundle_(), "what JupyterLab displays"
for view in (editor.plane, editor.photo_view):
    assert "export default" in str(view._esm) and "{" in str(view._css)
for module in pkgutil.walk_packages(histcolor.__path__, "histcolor."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("histcolor") and module.__file__))
"""


def run(*words, **options):
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def files(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel of a copy of the sources, in a folder: a build leaves files behind, and would take up old ones."""
    folder = tmp_path_factory.mktemp("wheel")
    source, target = folder / "source", folder / "target"
    shutil.copytree(ROOT / "histcolor", source / "histcolor", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, source)
    (wheel,) = folder.glob("*.whl")
    run(*pip, "install", "--no-deps", "--no-index", "--target", target, wheel)
    return target


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(installed):
    assert files(installed / "histcolor") == files(ROOT / "histcolor")


@pytest.mark.slow
def test_the_wheel_works_without_the_repository(installed, tmp_path):
    pytest.importorskip("anywidget")
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    Image.linear_gradient("L").resize((70, 50)).save(tmp_path / "photo.png")
    words = ("colorize", "photo.png", "--palette", "#c33,#2a6", "--output", "out.png")
    run("-m", "histcolor", *words, cwd=tmp_path, env=environment)
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (70, 50)
        assert picture.convert("HSV").getchannel("S").getextrema()[1] > 50, "it has colours"
    loaded = run("-c", EDITOR, cwd=tmp_path, env=environment).split()
    assert len(loaded) > 40
    assert all(path.startswith(str(installed)) for path in loaded), loaded
