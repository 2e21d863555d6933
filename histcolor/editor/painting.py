"""A target histogram and pins that are being edited: sources, the edits so far, undo, redo. It needs no widget."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from histcolor import edit
from histcolor.histogram import check_histogram, resize_histogram
from histcolor.points import Point, read_points

SOURCES = ("photo", "reference", "painted")  #: the histograms that are mixed, in this order
LISTS = ("path", "colours", "weights", "hist", "points")  #: arguments whose length is limited
STEPS = 200  #: edits that can be undone
MOST = 1024  #: points of a path, colours of a palette, bins of a loaded histogram along an axis
PINS = 100  #: pins on a photo
STROKES = ("paint", "erase", "move", "pin")  #: the tools that can be previewed


@dataclass(frozen=True)
class State:
    """Everything that an edit changes and that undo restores."""

    painted: Tensor  #: ``[bins, bins]``
    reference: Tensor | None = None  #: of the reference image in use, ``[bins, bins]``; None: there is none
    about: Any = None  #: what the caller keeps of that image, and wants back when it is undone
    mix: tuple[float, ...] = (0.0, 0.0, 1.0)  #: weights ≥ 0 of photo, reference, painted
    hue: float = 0.0  #: degrees by which the mixture is turned
    saturation: float = 1.0  #: factor ≥ 0, applied last
    average: bool = False  #: ``painted`` is the average histogram: no histogram is given
    points: tuple[Point, ...] = ()  #: pins: x, y in pixels of the photo, and a colour

    @property
    def plain(self) -> bool:
        """Whether the target histogram is ``painted`` itself, neither mixed nor turned."""
        return (self.mix, self.hue, self.saturation) == ((0.0, 0.0, 1.0), 0.0, 1.0)


class Painting:
    """A target histogram, pins, and their edits, which are mappings such as ``{"tool": "paint", "path": [[40, 20]]}``.

    These are the tools and their arguments (colours in units of ab; radius and strength as in :mod:`histcolor.edit`):

    - ``paint``, ``erase``: ``path`` (a list of colours), ``radius``, ``strength``;
    - ``move``: ``start``, ``end``, ``radius``;
    - ``palette``: ``colours`` (hex codes), ``radius``: the painted histogram becomes these colours;
    - ``clip``: ``L``: colours that sRGB cannot show at this lightness move to the gamut's edge;
    - ``load``: ``hist``, with any number of bins; with ``average``, it is the average histogram: none is given; with
      ``points``, these are the pins from now on;
    - ``pin``: ``at`` (x, y in pixels) and ``colour`` as in :func:`histcolor.points.read_points`: a place of the photo
      that holds a colour; with ``number``, counted from 1, that pin gets another place, another colour, or both;
    - ``unpin``: ``number``: this pin is removed;
    - ``mix``: ``weights`` of photo, reference, painted; ``hue``: ``degrees``; ``saturation``: ``factor``;
    - ``undo``, ``redo``, ``reset`` (to the first target histogram, that of the reference image in use, or else the
      photo's own, without pins; this can be undone).

    A stroke changes the histogram as it is shown: mixture, hue and saturation become part of the painted histogram.
    Several ``mix`` edits one after the other are undone in one step, as a slider sends many; so are ``hue`` and
    ``saturation``.

    Args:
        photo: the photo's own histogram, ``[bins, bins]``.
        reference: the reference image's histogram; by default, the photo's own.
        about: see :attr:`State.about`.
        average: ``photo`` is the average histogram, since the photo is gray.
        shape: the photo's height and width in pixels, for pins.

    Raises:
        ValueError: not a histogram.
    """

    def __init__(
        self,
        photo: Tensor,
        reference: Tensor | None = None,
        *,
        about: Any = None,
        average: bool = False,
        shape: tuple[int, int] = (256, 256),
    ) -> None:
        self.photo, self.shape, self._average = check_histogram(photo), shape, average
        self.state = State(self.photo, None if reference is None else self._fitting(reference), about)
        self.state = self.first
        self.done: list[State] = []
        self.undone: list[State] = []
        self._last = ""  # the last edit's tool
        self._target: tuple[tuple, Tensor] | None = None  # the target histogram, after what it was computed from
        self._previewed: tuple | None = None  # the state before the last preview, its action in words, its outcome

    @property
    def bins(self) -> int:
        """Bins along each axis."""
        return len(self.photo)

    @property
    def reference(self) -> Tensor:
        """The histogram of the reference image in use, or else the photo's own, ``[bins, bins]``."""
        return self._reference(self.state)

    @property
    def hist(self) -> Tensor:
        """The target histogram, ``[bins, bins]``, summing to 1; the same tensor until it changes."""
        self._target = (self._sources(self.state), self._compute(self.state))
        return self._target[1]

    @property
    def automatic(self) -> bool:
        """Whether no histogram is given, so that the network chooses the colours: the average one was not edited."""
        return self.state.average and self.state.plain

    def use_photo(self, hist: Tensor, *, average: bool = False, shape: tuple[int, int] = (256, 256)) -> None:
        """Change the photo. Its histogram becomes the target, but not if there are edits: then the target stays.

        Earlier edits can still be undone, but pins are gone, as they were places of the photo before. Mixtures are made
        with the new photo's histogram from now on.
        """
        state, target, automatic = self.state, self.hist, self.automatic
        edited = not (state.reference is None and state.painted is self.photo and state.plain)
        self.photo, self.shape, self._average, self._last = self._fitting(hist), shape, average, ""
        self.done, self.undone = ([replace(state, points=()) for state in x] for x in (self.done, self.undone))
        kept = State(target, state.reference, state.about, average=automatic)
        self.state = kept if edited else self.first

    def use_reference(self, hist: Tensor | None, about: Any = None) -> None:
        """Change the reference image; its histogram becomes the target. None: there is none, and the photo's own does.

        It is an edit: undo brings back the target, the reference image before, and :attr:`State.about` of it.
        """
        self._last = ""
        if hist is None:
            self._edited(State(self.photo, average=self._average, points=self.state.points))
            return
        chosen = {"reference": self._fitting(hist), "about": about, "mix": (0.0, 1.0, 0.0)}
        self._edited(replace(self.state, **chosen, hue=0.0, saturation=1.0))

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
        self._edited(state, again=tool == self._last and tool in ("mix", "hue", "saturation"))
        self._last, self._target = tool, (self._sources(state), hist)

    def preview(self, action: Mapping[str, Any]) -> tuple[Tensor, tuple[Point, ...]]:
        """Return the target histogram ``[bins, bins]`` and the pins that a stroke would give; nothing changes.

        Raises:
            ValueError: no stroke, or a bad argument.
        """
        if not isinstance(action, Mapping) or action.get("tool") not in STROKES:
            raise ValueError(f"Only {', '.join(STROKES)} can be previewed.")
        state, hist = outcome = self._outcome(action)
        self._previewed = (self.state, repr(action), outcome)
        return hist, state.points

    def _outcome(self, action: Mapping[str, Any]) -> tuple[State, Tensor]:
        options = dict(action) if isinstance(action, Mapping) else {}
        tool = options.pop("tool", None)
        if not isinstance(tool, str) or tool not in TOOLS:
            raise ValueError(f"There is no tool {reprlib.repr(tool)}; there are undo, redo, {', '.join(TOOLS)}.")
        if self._previewed and self._previewed[0] is self.state and self._previewed[1] == repr(action):
            return self._previewed[2]  # the same tensor: its picture need not be made again
        for name, value in options.items():
            if isinstance(value, Sized) and name in LISTS and len(value) > MOST:
                raise ValueError(f"{tool}: {name} has {len(value):,} entries, at most {MOST:,} are taken.")
        try:
            state = TOOLS[tool](self, **options)
            return state, self._compute(state)
        except TypeError as error:  # an argument is missing, or the tool does not have it
            raise ValueError(f"{tool}: {str(error).removeprefix('<lambda>() ')}.") from error

    def _edited(self, state: State, *, again: bool = False) -> None:
        """Go on to another state; ``again``: the last edit and this one are undone in one step."""
        self.done = self.done if again else [*self.done[1 - STEPS :], self.state]
        self.undone, self.state = [], state

    @property
    def first(self) -> State:
        """The state of a new editor with the photo and the reference image in use."""
        reference, about = self.state.reference, self.state.about
        return State(self.reference, reference, about, average=self._average and reference is None)

    def _reference(self, state: State) -> Tensor:
        return self.photo if state.reference is None else state.reference

    def _step(self, source: list[State], target: list[State]) -> None:
        if source:
            target.append(self.state)
            self.state = source.pop()

    def _sources(self, state: State) -> tuple:
        """List what a target histogram is computed from: pins are not among it."""
        return state.painted, state.mix, state.hue, state.saturation, self.photo, self._reference(state)

    def _compute(self, state: State) -> Tensor:
        if self._target and all(a is b for a, b in zip(self._target[0], self._sources(state), strict=True)):
            return self._target[1]
        mixed = edit.mix((self.photo, self._reference(state), state.painted), state.mix)
        turned = edit.rotate_hue(mixed, state.hue) if state.hue != 0 else mixed
        return edit.scale_saturation(turned, state.saturation) if state.saturation != 1 else turned

    def _fitting(self, hist: Tensor) -> Tensor:
        return resize_histogram(hist, self.bins)

    def _mix(self, weights: Any) -> State:
        try:
            weights = tuple(float(weight) for weight in weights)
        except (TypeError, ValueError) as error:
            raise ValueError(f"weights must be three numbers, one each of {', '.join(SOURCES)}.") from error
        return replace(self.state, mix=weights)

    def _stroke(self, hist: Tensor) -> State:
        """Make the histogram as it is shown, after a stroke, the painted one."""
        return State(hist, self.state.reference, self.state.about, points=self.state.points)

    def _load(self, hist: Any, average: bool = False, points: Any = None) -> State:
        pins = self.state.points if points is None else self._pins(points)
        return replace(self._stroke(self._fitting(hist)), average=average, points=pins)

    def _pins(self, points: Any) -> tuple[Point, ...]:
        """Check pins, and make them plain values."""
        if len(points) > PINS:
            raise ValueError(f"There may be {PINS} pins on a photo: remove one before the next.")
        read_points(points, *self.shape)
        return tuple((float(x), float(y), c if isinstance(c, str) else tuple(c or (0, 0))) for x, y, c in points)

    def _pin(self, at: Any = None, colour: Any = None, number: Any = None) -> State:
        points = list(self.state.points)
        if number is None and (at is None or colour is None):
            raise ValueError(
                "A new pin needs at, a place (x, y) in pixels, and a colour: '#c33' or the like, or 'gray'."
            )
        index = len(points) if number is None else self._index(number)
        at = points[index][:2] if at is None else at
        if not (isinstance(at, Sized) and len(at) == 2):
            raise ValueError(f"at must be a place (x, y) in pixels, got {reprlib.repr(at)}.")
        points[index : index + 1] = [(*at, points[index][2] if colour is None else colour)]
        return replace(self.state, points=self._pins(points))

    def _unpin(self, number: Any) -> State:
        points, index = self.state.points, self._index(number)
        return replace(self.state, points=points[:index] + points[index + 1 :])

    def _index(self, number: Any) -> int:
        count = len(self.state.points)
        if type(number) is not int or not 1 <= number <= count:
            raise ValueError(f"There is no pin {reprlib.repr(number)}: pins are counted from 1, and there are {count}.")
        return number - 1


TOOLS: dict[str, Callable[..., State]] = {
    "paint": lambda self, path, radius=edit.RADIUS, strength=0.1: self._stroke(
        edit.paint(self.hist, path, radius=radius, strength=strength)
    ),
    "erase": lambda self, path, radius=edit.RADIUS, strength=1.0: self._stroke(
        edit.erase(self.hist, path, radius=radius, strength=strength)
    ),
    "move": lambda self, start, end, radius=edit.RADIUS: self._stroke(edit.move(self.hist, start, end, radius=radius)),
    "palette": lambda self, colours, radius=edit.RADIUS: self._stroke(
        edit.from_palette(colours, self.bins, radius=radius)
    ),
    "clip": lambda self, L: self._stroke(edit.clip_to_gamut(self.hist, L)),
    "load": Painting._load,
    "pin": Painting._pin,
    "unpin": Painting._unpin,
    "mix": Painting._mix,
    "hue": lambda self, degrees: replace(self.state, hue=edit.check_number("degrees", degrees)),
    "saturation": lambda self, factor: replace(self.state, saturation=edit.check_number("factor", factor, 0)),
    "reset": lambda self: self.first,
}
