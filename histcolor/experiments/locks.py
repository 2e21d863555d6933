"""A lock file that outlives no process: how several of them share one experiment."""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def taken(lock: Path) -> Iterator[str]:
    """Take a lock file for the length of the block, if it is free.

    The file names its owner's process and host, for people. While the owner lives the system holds the file for it
    (``flock``), so the lock of a process that died is free again at once, even if its number went to another process.
    Another host's processes can not be asked: a lock of theirs stays until it is removed.

    Yields:
        "" if the lock was free and is held now; else who has it, in words.

    Raises:
        OSError: the folder can not be written to, or its file system has no locks.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    here = f" on {platform.node()}"
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            owner = os.read(handle, 1000).decode(errors="replace").strip()
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield owner or "another process"
                return
            if not _is_still(handle, lock):
                continue  # its owner ended, and removed the file, between our two calls
            owner = os.read(handle, 1000).decode(errors="replace").strip() or owner
            if owner and not owner.endswith(here):
                yield f"{owner} (if that process has ended, remove {lock})"
                return
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()}{here}\n".encode(), 0)
            try:
                yield ""
            finally:
                lock.unlink(missing_ok=True)
            return
        finally:
            os.close(handle)


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
