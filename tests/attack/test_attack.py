"""Bad input of all kinds: the answer is a sentence that names the thing, and nothing else has happened.

The cases are made by the functions of the files ``against_*.py``, each with a random state of its own; ``arena.py``
says what is checked. The counts are printed at the end.
"""

import against_arrays  # noqa: F401  (each of them fills KINDS)
import against_pages  # noqa: F401
import against_photos  # noqa: F401
import against_tables  # noqa: F401
import against_training  # noqa: F401
import against_words  # noqa: F401
import pytest
from arena import KINDS

SEEDS_BEYOND = 3  #: the slow run has so many times the cases, and none of the quick ones


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_a_sentence(kind, tries):
    count, _ = KINDS[kind]
    faults = tries(kind, range(count))
    assert not faults, faults


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_more(kind, tries):
    count, _ = KINDS[kind]
    faults = tries(kind, range(count, count * SEEDS_BEYOND))
    assert not faults, faults


def test_there_are_enough():
    assert sum(count for count, _ in KINDS.values()) >= 1000
