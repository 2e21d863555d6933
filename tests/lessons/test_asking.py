"""Lesson 07's own parts: the plain percentile bootstrap beside the intervals of the analysis."""

import numpy as np
import torch

from histcolor.lessons import asking
from histcolor.study.analysis import shares, simulate_answers


def test_percentiles_are_those_of_stub_3_and_narrow_for_few_people():
    answers = simulate_answers([f"group {i}" for i in range(15)], asking.INVENTED, 5, likeness=0.1)
    table = shares(answers)
    found = asking.percentiles(answers, resamples=400)
    assert found.shape == (len(table), 2)
    assert ((found[:, 0] <= table["share"]) & (table["share"] <= found[:, 1])).all(), "one order"
    assert np.ptp(found, axis=1).mean() < 0.8 * (table["high"] - table["low"]).mean()
    part = answers[answers["question"] == "natural"]
    votes = part.groupby(["participant", "method"]).size().unstack(fill_value=0)
    draws = np.random.default_rng(0).integers(len(votes), size=(400, len(votes)))
    each = [asking.DRAWN_SHARES.right(torch.tensor(votes.to_numpy()), torch.tensor(draw)).numpy() for draw in draws]
    ends = np.quantile(each, (0.025, 0.975), axis=0).T
    np.testing.assert_allclose(found[: len(ends)], ends, atol=1e-6)
