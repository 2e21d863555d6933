"""The stubs of the lessons: each page's solution is accepted, and each typical mistake is explained."""

import re
from pathlib import Path

import nbformat
import pytest
import torch

from histcolor.lessons import asking, editing, quickstart, representation, training
from histcolor.lessons.stub import Stub

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PAGES = {
    "00_quickstart": quickstart,
    "01_histogram_representation": representation,
    "03_training": training,
    "06_histogram_editing": editing,
    "07_user_study": asking,
}
STUBS = {
    (page, name): stub
    for page, module in PAGES.items()
    for name, stub in vars(module).items()
    if isinstance(stub, Stub) and name.isupper()
}


def cells(page):
    return nbformat.read(NOTEBOOKS / f"{page}.ipynb", as_version=4).cells


def solution(page, name):
    """The function in the page's hidden solution."""
    for cell in cells(page):
        for text in re.findall(r"```python\n(def .*?)```", cell.source, re.S):
            if text.startswith(f"def {name}("):
                space = {"torch": torch}
                exec(text, space)
                return space[name]
    raise LookupError(f"{page} has no solution of {name}")


def test_each_page_has_three_stubs_and_asks_each_once():
    for page, module in PAGES.items():
        code = "\n".join(cell.source for cell in cells(page) if cell.cell_type == "code")
        names = [name for of, name in STUBS if of == page]
        assert len(names) == 3, page
        for name in names:
            stub = vars(module)[name]
            assert stub.name == name.lower()
            assert code.count(f"def {stub.name}(") == code.count(f"{name}.check({stub.name})") == 1, name


@pytest.mark.parametrize(("page", "name"), STUBS, ids="-".join)
def test_the_pages_solution_is_accepted(page, name):
    assert STUBS[page, name].check(solution(page, name.lower())) == f"{name.lower()}: right."


@pytest.mark.parametrize(
    ("stub", "mistake"),
    [(stub, mistake) for stub in STUBS.values() for mistake in stub.mistakes],
    ids=lambda value: value.name if isinstance(value, Stub) else value.__name__.strip("_"),
)
def test_typical_mistakes_are_explained(stub, mistake):
    answer = stub.check(lambda *inputs: mistake(*inputs))
    assert answer == f"{stub.name}: not yet. {' '.join(mistake.__doc__.split())}"


def test_a_number_is_as_good_as_a_tensor_of_one():
    right = quickstart.INTERSECT.right
    assert quickstart.INTERSECT.check(lambda *hists: right(*hists).item()) == "intersect: right."


def test_counting_needs_no_clamp_where_ab_is_in_its_range():
    def count(ab, bins):
        index = ((ab + 110) / (220 / bins)).floor().long()
        return torch.bincount(index[0] * bins + index[1], minlength=bins**2).view(bins, bins) / ab.shape[1]

    assert representation.COUNT.check(count) == "count: right."
