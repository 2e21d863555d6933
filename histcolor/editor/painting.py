"""A target histogram that is being edited: its sources, the edits so far, undo and redo. It needs no widget."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from histcolor import edit
from histcolor.histogram import check_histogram, resize_histogram

SOURCES = ("photo", "reference", "painted")  #: the histograms that are mixed, in this order
STEPS = 200  #: edits that can be undone
MOST = 1000  #: points of a path, colours of a palette, bins of a loaded histogram along an axis
STROKES = ("paint", "erase", "move")  #: the tools that can be previewed


@dataclass(frozen=True)
class State:
    """Everything that an edit changes and that undo restores."""

    painted: Tensor  #: ``[bins, bins]``
    mix: tuple[float, ...] = (0.0, 0.0, 1.0)  #: weights ≥ 0 of photo, reference, painted
    hue: float = 0.0  #: degrees by which the mixture is turned
    saturation: float = 1.0  #: factor ≥ 0, applied last
    average: bool = False  #: ``painted`` is the average histogram: no histogram is given


class Painting:
    """A target histogram and its edits, which are mappings such as ``{"tool": "paint", "path": [[40, 20]]}``.

    These are the tools and their arguments (colours in units of ab; radius and strength as in :mod:`histcolor.edit`):

    - ``paint``, ``erase``: ``path`` (a list of colours), ``radius``, ``strength``;
    - ``move``: ``start``, ``end``, ``radius``;
    - ``palette``: ``colours`` (hex codes), ``radius``: the painted histogram becomes these colours;
    - ``clip``: ``L``: colours that sRGB cannot show at this lightness move to the gamut's edge;
    - ``load``: ``hist``, with any number of bins; with ``average``, it is the average histogram: none is given;
    - ``mix``: ``weights`` of photo, reference, painted; ``hue``: ``degrees``; ``saturation``: ``factor``;
    - ``undo``, ``redo``, ``reset`` (to the first target histogram, that of the reference image in use, or else the
      photo's own; this can be undone).

    A stroke changes the histogram as it is shown: mixture, hue and saturation become part of the painted histogram.
    Several ``mix`` edits one after the other are undone in one step, as a slider sends many; so are ``hue`` and
    ``saturation``.

    Args:
        photo: the photo's own histogram, ``[bins, bins]``.
        reference: the reference image's histogram; by default, the photo's own.
        average: ``photo`` is the average histogram, since the photo is gray.

    Raises:
        ValueError: not a histogram.
    """

    def __init__(self, photo: Tensor, reference: Tensor | None = None, *, average: bool = False) -> None:
        self.photo = check_histogram(photo)
        self.reference = self._fitting(photo if reference is None else reference)
        self._referred = reference is not None  # else the photo's own histogram is the first target
        self.first = self.state = State(self.reference, average=average and reference is None)
        self.done: list[State] = []
        self.undone: list[State] = []
        self._last = ""  # the last edit's tool
        self._target: tuple[tuple, Tensor] | None = None  # the target histogram, after what it was computed from

    @property
    def bins(self) -> int:
        """Bins along each axis."""
        return len(self.photo)

    @property
    def hist(self) -> Tensor:
        """The target histogram, ``[bins, bins]``, summing to 1; the same tensor until it changes."""
        source = (self.state, self.photo, self.reference)
        if self._target is None or any(a is not b for a, b in zip(self._target[0], source, strict=True)):
            self._target = (source, self._compute(self.state))
        return self._target[1]

    @property
    def automatic(self) -> bool:
        """Whether no histogram is given, so that the network chooses the colours: the average one was not edited."""
        state = self.state
        return state.average and (state.mix, state.hue, state.saturation) == ((0.0, 0.0, 1.0), 0.0, 1.0)

    def use_photo(self, hist: Tensor, *, average: bool = False) -> None:
        """Change the photo. Its histogram becomes the target, but not if there are edits: then the target stays.

        Earlier edits can still be undone. Mixtures are made with the new photo's histogram from now on.
        """
        target, edited = self.hist, bool(self.done)
        self.photo = self._fitting(hist)
        if not self._referred:
            self.first = State(self.photo, average=average)
        self.state = State(target) if edited or self._referred else self.first

    def use_reference(self, hist: Tensor) -> None:
        """Change the reference image; its histogram becomes the target. This can be undone, like a mixture."""
        self.reference, self._referred = self._fitting(hist), True
        self.first = State(self.reference)
        self._last = ""
        self.apply({"tool": "mix", "weights": (0, 1, 0)})
        self._last = ""

    def apply(self, action: Mapping[str, Any]) -> None:
        """Apply one edit.

        Raises:
            ValueError: no such tool, or a bad argument. The message is one sentence, and nothing has changed.
        """
        tool = action.get("tool") if isinstance(action, Mapping) else None
        if tool in ("undo", "redo"):
            self._last = ""
            self._step(*((self.done, self.undone) if tool == "undo" else (self.undone, self.done)))
            return
        state, hist = self._outcome(action)  # before anything is changed, since it may refuse
        if not (tool == self._last and tool in ("mix", "hue", "saturation")):
            self.done = [*self.done[1 - STEPS :], self.state]
        self.undone, self.state, self._last = [], state, tool
        self._target = ((state, self.photo, self.reference), hist)

    def preview(self, action: Mapping[str, Any]) -> Tensor:
        """Return the target histogram that a stroke would give, ``[bins, bins]``; nothing changes.

        Raises:
            ValueError: no stroke, or a bad argument.
        """
        if not isinstance(action, Mapping) or action.get("tool") not in STROKES:
            raise ValueError(f"Only {', '.join(STROKES)} can be previewed.")
        return self._outcome(action)[1]

    def _outcome(self, action: Mapping[str, Any]) -> tuple[State, Tensor]:
        options = dict(action) if isinstance(action, Mapping) else {}
        tool = options.pop("tool", None)
        if not isinstance(tool, str) or tool not in TOOLS:
            raise ValueError(f"There is no tool {reprlib.repr(tool)}; there are undo, redo, {', '.join(TOOLS)}.")
        for name, value in options.items():
            if isinstance(value, Sized) and name in ("path", "colours", "weights", "hist") and len(value) > MOST:
                raise ValueError(f"{tool}: {name} has {len(value):,} entries, at most {MOST:,} are taken.")
        try:
            state = TOOLS[tool](self, **options)
            return state, self._compute(state)
        except TypeError as error:  # an argument is missing, or the tool does not have it
            raise ValueError(f"{tool}: {str(error).removeprefix('<lambda>() ')}.") from error

    def _step(self, source: list[State], target: list[State]) -> None:
        if source:
            target.append(self.state)
            self.state = source.pop()

    def _compute(self, state: State) -> Tensor:
        mixed = edit.mix((self.photo, self.reference, state.painted), state.mix)
        turned = edit.rotate_hue(mixed, state.hue) if state.hue != 0 else mixed
        return edit.scale_saturation(turned, state.saturation) if state.saturation != 1 else turned

    def _fitting(self, hist: Tensor) -> Tensor:
        try:
            hist = torch.as_tensor(hist)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError("A histogram must be a square array of numbers.") from error
        return resize_histogram(check_histogram(hist), self.bins)

    def _mix(self, weights: Any) -> State:
        try:
            weights = tuple(float(weight) for weight in weights)
        except (TypeError, ValueError) as error:
            raise ValueError(f"weights must be three numbers, one each of {', '.join(SOURCES)}.") from error
        return replace(self.state, mix=weights)


TOOLS: dict[str, Callable[..., State]] = {
    "paint": lambda self, path, radius=edit.RADIUS, strength=0.1: State(
        edit.paint(self.hist, path, radius=radius, strength=strength)
    ),
    "erase": lambda self, path, radius=edit.RADIUS, strength=1.0: State(
        edit.erase(self.hist, path, radius=radius, strength=strength)
    ),
    "move": lambda self, start, end, radius=edit.RADIUS: State(edit.move(self.hist, start, end, radius=radius)),
    "palette": lambda self, colours, radius=edit.RADIUS: State(edit.from_palette(colours, self.bins, radius=radius)),
    "clip": lambda self, L: State(edit.clip_to_gamut(self.hist, L)),
    "load": lambda self, hist, average=False: State(self._fitting(hist), average=average),
    "mix": Painting._mix,
    "hue": lambda self, degrees: replace(self.state, hue=edit.check_number("degrees", degrees)),
    "saturation": lambda self, factor: replace(self.state, saturation=edit.check_number("factor", factor, 0)),
    "reset": lambda self: self.first,
}
