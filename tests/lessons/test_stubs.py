"""The stubs of the lessons: a page's own solution is accepted, and each typical mistake is explained."""

import re
from pathlib import Path

import nbformat
import pytest
import torch

from histcolor.lessons import quickstart, training
from histcolor.lessons.stub import Stub

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PAGES = {"00_quickstart": quickstart, "03_training": training}
STUBS = [(page, stub) for page, room in PAGES.items() for stub in vars(room).values() if isinstance(stub, Stub)]
MISTAKES = [(stub, mistake) for _, stub in STUBS for mistake in stub.mistakes]


def sources(page, kind):
    cells = nbformat.read(NOTEBOOKS / f"{page}.ipynb", as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == kind)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_three(page):
    assert sum(name == page for name, _ in STUBS) == 3


@pytest.mark.parametrize(("page", "stub"), STUBS, ids=lambda value: getattr(value, "name", value))
def test_a_page_asks_each_stub_once_and_its_solution_is_accepted(page, stub):
    code = sources(page, "code")
    assert code.count(f"def {stub.name}(") == code.count(f"{stub.name.upper()}.check({stub.name})") == 1
    (solution,) = re.findall(rf"```python\n(def {stub.name}\(.*?)```", sources(page, "markdown"), re.S)
    space = {"torch": torch}
    exec(solution, space)
    assert stub.check(space[stub.name]) == f"{stub.name}: right."


@pytest.mark.parametrize(
    ("stub", "mistake"), MISTAKES, ids=lambda value: getattr(value, "name", None) or value.__name__
)
def test_typical_mistakes_are_explained(stub, mistake):
    answer = stub.check(lambda *inputs: mistake(*inputs))
    assert answer == f"{stub.name}: not yet. {' '.join(mistake.__doc__.split())}"
