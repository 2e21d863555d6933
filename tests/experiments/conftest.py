"""Results that several of this folder's tests read."""

import pandas as pd
import pytest
from test_statistics import photos_csv


@pytest.fixture
def results():
    """Per-image results: a method with two seeds, whose means are 25 and 28 dB, and one with a seed, 22 dB."""
    parts = [photos_csv("one", 0, [20.0, 30.0]), photos_csv("one", 1, [22.0, 34.0]), photos_csv("two", 0, [21.0, 23.0])]
    return pd.concat(parts, ignore_index=True)
