"""What a signal that ends a process does: the same as Ctrl-C, so that nothing half-written stays behind."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TERMINATED = 128 + signal.SIGTERM  #: exit code, 143


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Make SIGTERM end the block like Ctrl-C: temporary files are cleared, locks are freed, the exit code is 143."""

    def end(*_) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one does not stop the clearing up
        print("histcolor: stopped.", file=sys.stderr)
        raise SystemExit(TERMINATED)

    here = threading.current_thread() is threading.main_thread()  # the only one that may set it
    before = signal.signal(signal.SIGTERM, end) if here else None
    try:
        yield
    finally:
        if here:
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
