"""Colouring in the background for an editor: only the newest histogram counts; older ones are dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from histcolor.color import rgb_to_lab
from histcolor.colorize import EncodedPhoto, encode, join, move_to_target, pin, predict, resize
from histcolor.device import execution
from histcolor.histogram import ab_histogram, hellinger, resize_histogram
from histcolor.metrics import FIDELITY_BINS, round8
from histcolor.model import Colorizer
from histcolor.points import Pins, Point


@dataclass(frozen=True)
class Result:
    """A coloured photo and its target histogram; the fidelity is computed when it is first read."""

    target: Tensor  #: target histogram, ``[bins, bins]``
    rgb: Tensor  #: RGB ``[3, h, w]`` in [0, 1], at the size that is shown

    @cached_property
    def achieved(self) -> Tensor:
        """Histogram of the picture after rounding to 8 bits, ``[bins, bins]``."""
        ab = rgb_to_lab(round8(self.rgb))[1:]
        return ab_histogram(ab, self.target.shape[-1])

    @cached_property
    def distance(self) -> float:
        """Hellinger distance of target and achieved histogram, in 16×16 bins: 0 if equal, 1 if they share no colour."""
        achieved, target = (resize_histogram(hist.cpu(), FIDELITY_BINS) for hist in (self.achieved, self.target))
        return float(hellinger(achieved, target))


class Live:
    """One photo that is coloured many times; what depends on the photo alone is computed once, at the start.

    Where the processor multiplies bfloat16, and HISTCOLOR_PRECISION does not say otherwise, so does the network for the
    pictures that are shown: they come sooner, and differ by 0.02 units of ab. :meth:`full` computes in float32.

    Args:
        model: from :func:`histcolor.load`.
        image: RGB ``[3, H, W]`` in [0, 1], of any size.
        size: the working size, see :func:`histcolor.colorize.encode`.
        show: the longer side of the pictures that are made, in pixels; only :meth:`full` gives the full size.

    Raises:
        ValueError: a wrong photo or size (see :func:`histcolor.colorize.encode`).
    """

    def __init__(self, model: Colorizer, image: Tensor, *, size: int = 256, show: int = 512) -> None:
        self.model, self.photo = model, encode(model, image, size=size)
        self.lightness = float(self.photo.L.mean())  #: mean L in [0, 100]
        height, width = image.shape[-2:]
        scale = min(1.0, show / max(height, width))
        shown = (max(1, round(height * scale)), max(1, round(width * scale)))
        self.small = replace(self.photo, L=resize(self.photo.L, shown))
        self.result: Result | None = None  #: the newest result that is ready
        self._said: tuple | None = None  # histogram; automatic, points; and for them the pins and the network's colours
        self._quick = execution(self.photo.features.L.device).autocast()
        self._made: tuple | None = None  # what the newest result was made from
        self._request: tuple | None = None  # the newest one that the worker has not yet taken
        self._failed: Exception | None = None
        self._changed = threading.Condition()
        self._busy = self._closed = False
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="histcolor")

    def check_open(self) -> None:
        """Refuse work, by a ``ValueError``, after :meth:`close`."""
        if self._closed:
            raise ValueError("The editor was closed, and makes no more pictures: make a new one.")

    def ask(
        self,
        hist: Tensor,
        transport: float = 0.0,
        *,
        automatic: bool = False,
        points: Sequence[Point] = (),
        following: bool = False,
        then: Callable[[Result], None] | None = None,
        fail: Callable[[Exception], None] | None = None,
    ) -> None:
        """Ask for the photo with a target histogram ``[bins, bins]``, and return at once.

        Args:
            hist: the target histogram.
            transport: the transport strength, in [0, 1].
            automatic: ``hist`` is the average histogram, and the network chooses the colours.
            points: pins, in pixels of the photo at its full size, see :func:`histcolor.colorize`.
            following: the requests follow a hand that moves, and the next may come before this one is done. If the next
                is of this kind, too, this result is still shown: else nothing would be seen until the hand rests.
            then: called with the result, in the worker's thread, if no newer request has overtaken it.
            fail: called with the exception, in the worker's thread, if there is no result, or ``then`` raised it.

        Raises:
            ValueError: it was closed.
        """
        with self._changed:
            self.check_open()
            self._request = ((hist, transport, automatic, tuple(points)), following, then, fail)
            if not self._busy:
                self._busy = True
                self._worker.submit(self._work)

    def wait(self, timeout: float | None = 60.0) -> Result:
        """Wait until the newest result is ready, and return it.

        Raises:
            TimeoutError: it took longer than ``timeout`` seconds.
            ValueError: the newest histogram can not be used, or :meth:`ask` was never called.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: not self._busy, timeout):
                raise TimeoutError(f"The picture was not ready after {timeout} seconds.")
            if self._failed:
                raise self._failed
            if self.result is None:
                raise ValueError("There is no picture yet: ask for one first.")
            return self.result

    def full(
        self, hist: Tensor, transport: float = 0.0, *, automatic: bool = False, points: Sequence[Point] = ()
    ) -> Tensor:
        """Colour the photo at its full size: RGB ``[3, H, W]`` in [0, 1]; the arguments are those of :meth:`ask`."""
        return self._finish(self.photo, hist, transport, automatic, *self._predict(hist, automatic, tuple(points)))

    def _predict(
        self, hist: Tensor, automatic: bool, points: tuple[Point, ...], *, quick: bool = False
    ) -> tuple[Pins | None, Tensor]:
        """Prepare the pins, and ask the network for the colours."""
        pins = pin(self.model, self.photo.features, self.photo.L.shape[-2:], points, given=not automatic)
        with self._quick if quick else nullcontext():
            return pins, predict(self.model, self.photo, None if automatic else hist, pins=pins)

    def _finish(
        self, photo: EncodedPhoto, hist: Tensor, transport: float, automatic: bool, pins: Pins | None, ab: Tensor
    ) -> Tensor:
        """Make the picture from the network's colours."""
        if transport and not automatic:
            ab = move_to_target(self.model, photo, ab, hist, transport)
        ab = pins.correct(ab) if pins else ab
        return join(photo.L, ab.cpu(), photo.features.L[0].cpu())[0]

    def close(self) -> None:
        """End the worker's thread; a result that is being computed is dropped."""
        with self._changed:
            self._request, self._closed = None, True
        self._worker.shutdown(wait=False)

    def _work(self) -> None:
        while True:
            with self._changed:
                request, self._request = self._request, None
                if request is None:
                    self._busy = False
                    self._changed.notify_all()
                    return
            wanted, following, then, fail = request
            try:
                result = self._make(wanted, following)
                if result is None:
                    continue
                with self._changed:
                    self.result, self._failed = result, None
                if then and not self._overtaken(following):
                    then(result)
            except Exception as error:  # for `wait` and `fail`; the thread must live on
                self._fail(error)
                try:
                    if fail:
                        fail(error)
                except Exception as second:
                    self._fail(second)

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._failed = error

    def _make(self, wanted: tuple, following: bool) -> Result | None:
        """Make a picture, of which what the last ones have is not computed again; None: it was overtaken."""
        hist, *options = wanted
        if self._made and self._made[0] is hist and self._made[1] == options:
            return self.result  # a preview was the same
        transport, automatic, points = options
        if self._said is None or self._said[0] is not hist or self._said[1] != (automatic, points):
            self._said = (hist, (automatic, points), self._predict(hist, automatic, points, quick=True))
        if self._overtaken(following):
            return None
        rgb = self._finish(self.small, hist, transport, automatic, *self._said[2])
        if self._overtaken(following):
            return None
        self._made = (hist, options)
        return Result(hist, rgb)

    def _overtaken(self, following: bool) -> bool:
        with self._changed:
            return self._closed or (self._request is not None and not (following and self._request[1]))
