"""A histogram that is being edited: what is on the palette, the edits made so far, undo and redo. No widget needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from histcolor import edit
from histcolor.histogram import check_histogram, resize_histogram

SOURCES = ("photo", "reference", "painted")  #: what is mixed, in this order
STEPS = 200  #: edits that can be undone


@dataclass(frozen=True)
class State:
    """All that an edit changes, and undo brings back."""

    painted: Tensor  #: ``[bins, bins]``
    mix: tuple[float, ...] = (0.0, 0.0, 1.0)  #: weights ≥ 0 of photo, reference, painted
    hue: float = 0.0  #: degrees by which the mixture is turned
    saturation: float = 1.0  #: factor ≥ 0, applied last
    average: bool = False  #: what is painted is the average histogram, which stands for none


class Painting:
    """A histogram under edits, each a mapping such as ``{"tool": "paint", "path": [[40, 20]], "radius": 12}``.

    The tools, and what each takes besides (colours in units of ab; radius and strength as in :mod:`histcolor.edit`):

    - ``paint``, ``erase``: ``path`` (a list of colours), ``radius``, ``strength``;
    - ``move``: ``start``, ``end``, ``radius``;
    - ``palette``: ``colours`` (hex codes), ``radius``: what is painted becomes these colours;
    - ``clip``: ``L``: what sRGB cannot show at this lightness comes to the gamut's edge;
    - ``load``: ``hist``, of any number of bins; with ``average`` it is the average one, which stands for none;
    - ``mix``: ``weights`` of photo, reference, painted; ``hue``: ``degrees``; ``saturation``: ``factor``;
    - ``undo``, ``redo``, ``reset`` (to what was first asked; it can be undone).

    A stroke acts on what is seen: mixture, hue and saturation become part of what is painted. Several ``mix`` edits
    in a row are one step to undo, as a slider sends many; so are ``hue`` and ``saturation``.

    Args:
        photo: the photo's own histogram, ``[bins, bins]``.
        reference: another photo's; the photo's own without it.
        average: ``photo`` is the average histogram: the photo is gray, and has none of its own.

    Raises:
        ValueError: not a histogram.
    """

    def __init__(self, photo: Tensor, reference: Tensor | None = None, *, average: bool = False) -> None:
        self.photo = check_histogram(photo)
        self.reference = self._fitting(photo if reference is None else reference)
        self.first = self.state = State(self.reference, average=average and reference is None)
        self.done: list[State] = []
        self.undone: list[State] = []
        self._last = ""  # the last edit's tool
        self._asks: tuple[tuple, Tensor] | None = None  # what the histogram below was made from, and it

    @property
    def bins(self) -> int:
        """Bins along each axis."""
        return len(self.photo)

    @property
    def hist(self) -> Tensor:
        """The histogram asked for, ``[bins, bins]``, summing to 1; the same tensor until it changes."""
        source = (self.state, self.photo, self.reference)
        if self._asks is None or any(a is not b for a, b in zip(self._asks[0], source, strict=True)):
            self._asks = (source, self._asked(self.state))
        return self._asks[1]

    @property
    def automatic(self) -> bool:
        """Whether no histogram is given: the average one stands there as it was loaded, and the network chooses."""
        state = self.state
        return state.average and (state.mix, state.hue, state.saturation) == ((0.0, 0.0, 1.0), 0.0, 1.0)

    def use_photo(self, hist: Tensor, *, average: bool = False) -> None:
        """Another photo: its histogram is asked for if nothing has been edited, else the edited one stays.

        What was painted before stays on the list for undo; a mixture has the new photo's part from now on.
        """
        asked, edited = self.hist, bool(self.done)
        self.photo = self._fitting(hist)
        if edited:
            self.state = State(asked)
        else:
            self.first = self.state = State(self.photo, average=average)

    def use_reference(self, hist: Tensor) -> None:
        """Another reference: its histogram is asked for; this can be undone, as a mixture can."""
        self.reference = self._fitting(hist)
        self._last = ""
        self.apply({"tool": "mix", "weights": (0, 1, 0)})
        self._last = ""

    def apply(self, action: Mapping[str, Any]) -> None:
        """Apply one edit.

        Raises:
            ValueError: no such tool, or a bad argument; one sentence, and nothing has changed.
        """
        options = dict(action)
        tool = options.pop("tool", None)
        options.pop("serial", None)  # a widget counts its edits, so that two equal ones are two
        if tool in ("undo", "redo"):
            self._last = ""
            self._step(*((self.done, self.undone) if tool == "undo" else (self.undone, self.done)))
            return
        if tool not in TOOLS:
            raise ValueError(f"There is no tool {tool!r}; there are undo, redo, {', '.join(TOOLS)}.")
        try:
            state = TOOLS[tool](self, **options)
            hist = self._asked(state)  # before anything is changed: it refuses what cannot be asked
        except TypeError as error:  # an argument that is missing, or that the tool does not have
            raise ValueError(f"{tool}: {str(error).removeprefix('<lambda>() ')}.") from error
        if not (tool == self._last and tool in ("mix", "hue", "saturation")):
            self.done = [*self.done[1 - STEPS :], self.state]
        self.undone, self.state, self._last = [], state, tool
        self._asks = ((state, self.photo, self.reference), hist)

    def _step(self, source: list[State], target: list[State]) -> None:
        if source:
            target.append(self.state)
            self.state = source.pop()

    def _asked(self, state: State) -> Tensor:
        mixed = edit.mix((self.photo, self.reference, state.painted), state.mix)
        turned = edit.rotate_hue(mixed, state.hue) if state.hue != 0 else mixed
        return edit.scale_saturation(turned, state.saturation) if state.saturation != 1 else turned

    def _fitting(self, hist: Tensor) -> Tensor:
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
    "hue": lambda self, degrees: replace(self.state, hue=degrees),
    "saturation": lambda self, factor: replace(self.state, saturation=factor),
    "reset": lambda self: self.first,
}
