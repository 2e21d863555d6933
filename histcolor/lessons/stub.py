"""Stubs: small functions that a learner fills in, and a check that explains typical mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Number

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Stub:
    """A function to fill in: what is right, what it is tried on, and mistakes that the check knows by their result."""

    name: str
    right: Callable[..., Tensor]
    inputs: Callable[[], tuple]  #: makes the arguments that it is tried on
    mistakes: Sequence[Callable[..., Tensor]]  #: functions that make a mistake; their docstrings explain it
    tolerance: float = 1e-4  #: the largest difference that is still right

    def check(self, answer: Callable[..., Tensor]) -> str:
        """Try a learner's function, and say in a sentence whether it is right or what is wrong with it.

        Never raises: an unfinished function must not stop the page.
        """
        try:
            found = answer(*self.inputs())
        except Exception as error:  # whatever a learner's code raises
            return f"{self.name}: stops with {type(error).__name__}: {error}"
        if found is None or found is ...:
            return f"{self.name}: not filled in yet."
        try:
            found = _tensor(found)
        except (TypeError, ValueError, RuntimeError):
            return f"{self.name}: must return a tensor, not {type(found).__name__}."
        wanted = self.right(*self.inputs())
        if _same(found, wanted, self.tolerance):
            return f"{self.name}: right."
        for mistake in self.mistakes:
            if _same(found, mistake(*self.inputs()), self.tolerance):
                return f"{self.name}: not yet. {' '.join(mistake.__doc__.split())}"
        if found.shape != wanted.shape:
            return f"{self.name}: not yet. The result has shape {list(found.shape)}, needed is {list(wanted.shape)}."
        return f"{self.name}: not yet. The largest difference from the right result is {_distance(found, wanted):.3g}."


def _tensor(found: object) -> Tensor:
    """Make a tensor of what is as good as one: a number, a NumPy array, or a list or tuple of such things."""
    if isinstance(found, Tensor):
        return found
    if isinstance(found, list | tuple):
        return torch.stack([_tensor(part) for part in found])
    if isinstance(found, Number | np.ndarray | np.generic):
        return torch.from_numpy(np.array(found))  # a copy: PyTorch takes no array that runs backwards
    raise TypeError(f"{type(found).__name__} is no tensor")


def _distance(found: Tensor, wanted: Tensor) -> float:
    return float((found.detach().double() - wanted.double()).abs().max())


def _same(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    return found.shape == wanted.shape and bool(torch.isfinite(found).all()) and _distance(found, wanted) < tolerance
