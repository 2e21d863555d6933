"""The stubs of the lessons: each page's solution is accepted, and each typical mistake is explained."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from histcolor.lessons import (
    ablations,
    asking,
    comparisons,
    editing,
    network,
    quickstart,
    representation,
    training,
)
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


def every_argument():
    """Each stub of any page with the number of each of its arguments."""
    for module in (*PAGES.values(), network, ablations, comparisons):
        for stub in (value for value in vars(module).values() if isinstance(value, Stub)):
            for number in range(len(stub.inputs())):
                yield pytest.param(stub, number, id=f"{module.__name__.split('.')[-1]}-{stub.name}-{number}")


@pytest.mark.parametrize(("stub", "number"), [*every_argument()])
def test_no_argument_can_be_left_out(stub, number):
    """An answer that takes 0, 1 or another argument in place of one is never right."""
    inputs = list(stub.inputs())
    given = torch.as_tensor(inputs[number])
    others = [other for i, other in enumerate(inputs) if i != number and torch.as_tensor(other).shape == given.shape]
    for instead in (torch.zeros_like(given), torch.ones_like(given), *others):
        wrong = instead if isinstance(inputs[number], torch.Tensor) else type(inputs[number])(instead)

        def answer(*arguments, wrong=wrong):
            return stub.right(*arguments[:number], wrong, *arguments[number + 1 :])

        assert stub.check(answer) != f"{stub.name}: right.", wrong


def test_a_sign_a_factor_and_a_square_are_noticed():
    wrong = {
        training.HUBER: lambda x, y, delta: training.HUBER.right(x, -y, delta),
        training.TOTAL: lambda gt, grad, hist, own, l1, l2: (own * l1 * (gt + grad) + l2 * hist).mean(),
        training.RATE: lambda step, steps, peak, warmup: training.RATE.right(step, steps, peak**2, warmup),
    }
    for stub, answer in wrong.items():
        assert stub.check(answer).startswith(f"{stub.name}: not yet."), stub.name


def test_what_is_as_good_as_a_tensor_is_taken():
    share, mean, verdict = quickstart.INTERSECT, representation.MEAN_COLOUR, ablations.VERDICT
    assert share.check(lambda *hists: share.right(*hists).item()) == "intersect: right."
    assert share.check(lambda P, Q: np.minimum(P.numpy(), Q.numpy()).sum()) == "intersect: right."
    assert mean.check(lambda *given: tuple(mean.right(*given))) == "mean_colour: right."
    assert verdict.check(lambda *ends: verdict.right(*ends).tolist()) == "verdict: right."
    assert verdict.check(lambda *ends: verdict.right(*ends).flip(0).numpy()[::-1]) == "verdict: right."
    for nothing in ("words", [None], [], np.array(["a"])):
        assert verdict.check(lambda *ends, found=nothing: found).startswith("verdict: must return a tensor, not ")


def test_quantiles_by_sorting_are_right():
    def by_sorting(differences, draws):
        means = differences[draws].mean(1).sort().values
        return means[int(0.025 * len(means))], means[int(0.975 * len(means)) - 1]

    assert ablations.INTERVAL.check(by_sorting) == "interval: right."


def test_numpys_standard_deviation_is_explained():
    answer = ablations.STANDARD_ERROR.check(lambda x, y: np.std((x - y).numpy()) / np.sqrt(len(x)))
    assert "n − 1 (ddof=1)" in answer


def test_counting_needs_no_clamp_where_ab_is_in_its_range():
    def count(ab, bins):
        index = ((ab + 110) / (220 / bins)).floor().long()
        return torch.bincount(index[0] * bins + index[1], minlength=bins**2).view(bins, bins) / ab.shape[1]

    assert representation.COUNT.check(count) == "count: right."
