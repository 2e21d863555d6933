"""Bad input of all kinds: the answer is a sentence that names the thing, and nothing else has happened.

The cases are made by the functions of the files ``against_*.py``, each with a random state of its own; ``arena.py``
says what is checked. The counts are printed at the end.
"""

import math

import against_arrays  # noqa: F401  (each of them fills KINDS)
import against_pages  # noqa: F401
import against_photos  # noqa: F401
import against_tables  # noqa: F401
import against_training  # noqa: F401
import against_words  # noqa: F401
import pytest
from arena import KINDS

QUICK = 0.6  #: of a kind's cases; the slow run tries the others, up to ALL times as many
ALL = 2


def quick(kind):
    """How many cases of a kind the quick run tries."""
    return math.ceil(QUICK * KINDS[kind][0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_a_sentence(kind, tries):
    faults = tries(kind, range(quick(kind)))
    assert not faults, faults


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_more(kind, tries):
    faults = tries(kind, range(quick(kind), ALL * KINDS[kind][0]))
    assert not faults, faults


def test_there_are_enough():
    assert sum(map(quick, KINDS)) >= 1000
