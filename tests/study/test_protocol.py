"""The rules of the study: what may be judged together, and orders that are fair to every method."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from histcolor.study.protocol import QUESTIONS, Group, check_groups, plan

METHODS = ["ours", "transport", "mean, colour"]
GROUPS = [f"group {i}" for i in range(6)]


def picture(size=8):
    return torch.rand(3, size, size)


def group(name="one", methods=METHODS):
    return Group(name, picture(), picture(), {method: picture() for method in methods})


def test_questions_are_the_papers():
    assert list(QUESTIONS.values()) == [
        "Which image is more natural?",
        "Which image is more consistent with the exemplar image in color distribution?",
    ]


def test_groups_are_checked():
    assert check_groups([group("one"), group("two", METHODS[::-1])]) == METHODS
    with pytest.raises(ValueError, match=r"same methods: 'one' has ours, transport, mean, colour; 'two' has a, b\."):
        check_groups([group("one"), group("two", ["a", "b"])])
    with pytest.raises(ValueError, match="need different names"):
        check_groups([group(), group()])
    with pytest.raises(ValueError, match="at least one group"):
        check_groups([])
    with pytest.raises(ValueError, match="needs a name"):
        group(" ")
    with pytest.raises(ValueError, match=r"one: exemplar must be RGB \[3, H, W\], got shape \(8, 8\)"):
        Group("one", picture(), picture()[0], {"a": picture(), "b": picture()})
    with pytest.raises(ValueError, match="2 to 26 different methods, got ours"):
        group(methods=["ours"])
    with pytest.raises(ValueError, match=r"must not be empty or hold '\|', got 'a\|b'"):
        group(methods=["a|b", "c"])


@given(st.text(min_size=1).filter(str.strip), st.integers(0, 3), st.integers(2, 7), st.integers(1, 20))
def test_orders_are_fair_permutations(participant, seed, methods, groups):
    methods, groups = [f"method {i}" for i in range(methods)], [f"group {i}" for i in range(groups)]
    order = plan(groups, methods, participant, seed)
    assert order == plan(groups[::-1], methods[::-1], participant, seed), "whatever order the names come in"
    assert sorted(name for name, _ in order) == sorted(groups)
    assert all(sorted(shown) == methods for _, shown in order)
    for position in range(len(methods)):
        count = Counter(shown[position] for _, shown in order)
        assert max(count.values()) <= -(-len(groups) // len(methods)), "as balanced as the number of groups allows"


def test_orders_differ_between_people_and_seeds():
    orders = [plan(GROUPS, METHODS, f"P{i}", seed) for i in range(10) for seed in (0, 1)]
    assert len({str(order) for order in orders}) == 20
    first = Counter(order[0][0] for order in orders)
    assert len(first) == len(GROUPS)
    fixed = [("b", ["z", "x", "y"]), ("d", ["y", "z", "x"]), ("a", ["x", "y", "z"]), ("c", ["x", "z", "y"])]
    assert plan("abcd", "xyz", "P07", 1) == fixed, "who comes back after an upgrade goes on in the same order"
    with pytest.raises(ValueError, match="participant has no name"):
        plan(GROUPS, METHODS, " ")
