"""Colouring in the background for an editor: the newest histogram counts, and what nobody waits for is dropped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from histcolor.color import rgb_to_lab
from histcolor.colorize import EncodedPhoto, colorize, encode, resize
from histcolor.histogram import ab_histogram, hellinger, resize_histogram
from histcolor.metrics import CONTROL_BINS, round8
from histcolor.model import Colorizer


@dataclass(frozen=True)
class Result:
    """A coloured photo; how near it came to what was asked is computed when it is first looked at."""

    asked: Tensor  #: ``[bins, bins]``
    rgb: Tensor  #: RGB ``[3, h, w]`` in [0, 1], at the size that is shown
    seconds: float  #: from :meth:`Live.ask` to the picture

    @cached_property
    def achieved(self) -> Tensor:
        """Histogram of the picture after rounding to 8 bits, ``[bins, bins]``."""
        ab = rgb_to_lab(round8(self.rgb))[1:]
        return ab_histogram(ab, self.asked.shape[-1])

    @cached_property
    def distance(self) -> float:
        """Hellinger distance of the two in 16 bins an axis: 0 the same, 1 nothing in common."""
        achieved, asked = (resize_histogram(hist.cpu(), CONTROL_BINS) for hist in (self.achieved, self.asked))
        return float(hellinger(achieved, asked))


class Live:
    """Colours one photo again and again. The photo's part of the network is computed once, here.

    Args:
        model: from :func:`histcolor.load`.
        image: RGB ``[3, H, W]`` in [0, 1], of any size.
        size: the network works on about size × size pixels.
        show: the longer side of the pictures that are made, in pixels; :meth:`full` has all of them.

    Raises:
        ValueError: a wrong photo or size (see :func:`histcolor.colorize.encode`).
    """

    def __init__(self, model: Colorizer, image: Tensor, *, size: int = 256, show: int = 512) -> None:
        self.model, self.photo = model, encode(model, image, size=size)
        self.lightness = float(self.photo.L.mean())  #: mean L in [0, 100]
        height, width = image.shape[-2:]
        scale = min(1.0, show / max(height, width))
        shown = (max(1, round(height * scale)), max(1, round(width * scale)))
        self.small = EncodedPhoto(resize(self.photo.L, shown), self.photo.features)
        self.result: Result | None = None  #: the newest that is ready
        self._wanted: tuple | None = None  # the arguments of the newest request
        self._failed: Exception | None = None
        self._changed = threading.Condition()
        self._busy = self._closed = False
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="histcolor")

    def ask(
        self,
        hist: Tensor,
        match: float = 0.0,
        *,
        automatic: bool = False,
        then: Callable[[Result], None] | None = None,
        fail: Callable[[Exception], None] | None = None,
    ) -> None:
        """Ask for the photo under a histogram ``[bins, bins]``; returns at once.

        With ``automatic`` the histogram is the average one, which stands for none: the network chooses the colours.

        From the worker's thread ``then`` is called with the result, unless something newer is asked before that, or
        ``fail`` with what went wrong.
        """
        with self._changed:
            self._wanted = (hist, match, automatic, time.perf_counter(), then, fail)
            if not self._busy:
                self._busy = True
                self._worker.submit(self._work)

    def wait(self, timeout: float | None = 60.0) -> Result:
        """Wait until the newest result is ready, and return it.

        Raises:
            TimeoutError: it took longer than ``timeout`` seconds.
            ValueError: the newest histogram could not be used, or nothing has been asked.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: not self._busy, timeout):
                raise TimeoutError(f"The picture was not ready after {timeout} seconds.")
            if self._failed:
                raise self._failed
            if self.result is None:
                raise ValueError("Nothing has been asked for yet.")
            return self.result

    def full(self, hist: Tensor, match: float = 0.0, *, automatic: bool = False) -> Tensor:
        """The photo at its full size under a histogram: RGB ``[3, H, W]`` in [0, 1]; see :meth:`ask`."""
        return self._colour(self.photo, hist, match, automatic)

    def _colour(self, photo: EncodedPhoto, hist: Tensor, match: float, automatic: bool) -> Tensor:
        if automatic:
            return colorize(self.model, photo)
        return colorize(self.model, photo, hist, match=match)

    def close(self) -> None:
        """Let the worker's thread end; what is being computed is thrown away."""
        with self._changed:
            self._wanted, self._closed = None, True
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _work(self) -> None:
        while True:
            with self._changed:
                wanted, self._wanted = self._wanted, None
                if wanted is None:
                    self._busy = False
                    self._changed.notify_all()
                    return
            hist, match, automatic, began, then, fail = wanted
            try:
                rgb = self._colour(self.small, hist, match, automatic)
                if self._overtaken():  # nobody waits for the rest
                    continue
                result = Result(hist, rgb, time.perf_counter() - began)
                with self._changed:
                    self.result, self._failed = result, None
                if then and not self._overtaken():
                    then(result)
            except Exception as error:  # handed to whoever waits or watches; the thread must live
                with self._changed:
                    self._failed = error
                if fail:
                    fail(error)

    def _overtaken(self) -> bool:
        with self._changed:
            return self._closed or self._wanted is not None
