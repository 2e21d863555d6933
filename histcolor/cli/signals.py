"""How a command ends when it is told to stop, by Ctrl-C (exit code 130) or SIGTERM (143)."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(KeyboardInterrupt):
    """SIGTERM came; it passes through the program as Ctrl-C does, so that every block cleans up behind itself."""

    code = 128 + signal.SIGTERM


def stop_quietly() -> None:
    """Let Ctrl-C end the program in silence until the command begins: importing torch takes seconds."""
    if _ours_to_set() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def stoppable() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt and SIGTERM :class:`Stopped` for the length of a block."""
    if not _ours_to_set():
        yield
        return
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # a process of torchrun may wait inside of torch for another one that has ended: there SIGTERM must end it at once
    ours = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and "LOCAL_RANK" not in os.environ
    if ours:
        signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _ours_to_set() -> bool:
    return threading.current_thread() is threading.main_thread()  # no other thread may


def _leave(number: int, frame: object) -> None:
    os._exit(128 + number)


def _raise(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not break into the cleaning up
    raise Stopped
