"""What keeps files whole: folders that one process works in at a time, and temporary files that a later one clears."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows: nothing is cleared there, since nothing tells whose file it is
    fcntl = None

TEMPORARY = ".histcolor-"  #: how the name of a temporary file begins; such names are hidden, and never taken for photos
_cleared: set[Path] = set()  # folders that this process has looked at


class HeldError(OSError):
    """Another process works there; ``owner`` says which, in words."""

    def __init__(self, place: Path, owner: str):
        super().__init__(f"{place}: {owner} works on it now: wait until that ends, or name another folder.")
        self.owner = owner


def refuse_pipe(path: str | os.PathLike) -> None:
    """Refuse a path that leads to a pipe: opening it may wait for ever.

    Raises:
        OSError: it is a pipe, or there is nothing; names the path.
    """
    if stat.S_ISFIFO(os.stat(path).st_mode):
        raise OSError(f"{os.fspath(path)}: is a pipe, not a file.")


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are missing.

    Raises:
        OSError: it can not be made; names the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        why = "a file stands where a folder is needed; choose another name"
        raise NotADirectoryError(errno.ENOTDIR, why, str(folder)) from error


@contextmanager
def hold(place: Path, lock: Path | None = None) -> Iterator[None]:
    """Hold a folder for the length of the block, so that no other process works in it.

    The system keeps the lock and frees it when the process ends, however it ends: nothing has to be removed by hand.

    Args:
        place: the folder; it is made if it is missing, unless ``lock`` lies elsewhere.
        lock: the lock's file, by default ``place/lock``. It is removed at the end; a killed process leaves it, free.

    Raises:
        HeldError: (an ``OSError``) another process, or thread, holds it.
        OSError: the lock's folder can not be made or written to, or another file has the lock's name.
    """
    lock = lock or place / "lock"
    owner = lock.with_name(f"{lock.name}.owner")  # beside the lock, which filelock need not leave as it is written
    make_folder(lock.parent)
    size = 0
    with suppress(FileNotFoundError):  # who held it may let go, and remove it, at any moment
        size = lock.is_file() and lock.stat().st_size
    if size and not owner.is_file():
        raise FileExistsError(f"{lock}: is there already, and is not histcolor's; choose another folder.")
    try:
        held = FileLock(lock).acquire(blocking=False)
    except Timeout:
        who = ""
        with suppress(OSError, ValueError):  # it came or went just now
            who = owner.read_text(encoding="utf-8")
        raise HeldError(place, who or "another process") from None
    with held, naming(place):
        try:
            owner.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
            yield
        finally:
            owner.unlink(missing_ok=True)
            with suppress(OSError):  # Windows removes no file that is locked
                lock.unlink(missing_ok=True)


def lock_beside(output: Path) -> Path:
    """Name the lock's file for a file or folder that need not exist yet: hidden, and beside it."""
    return output.with_name(f".{output.name}{TEMPORARY}lock")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make the system's errors in the block name a path, if they name none, as those of a full disk do."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


# --- temporary files ---


@contextmanager
def temporary_file(folder: Path, suffix: str = "") -> Iterator[Path]:
    """Make a new hidden file in a folder, for the length of the block; it may be renamed before the end.

    It is locked as long as this process lives. So the next process that writes into the folder can tell what a killed
    one has left, and clears it away.
    """
    if folder not in _cleared:  # once, as a folder may hold many files
        _cleared.add(folder)
        clear_temporaries(folder, deep=False)
    while True:
        handle, name = tempfile.mkstemp(dir=folder, prefix=f"{TEMPORARY}{uuid4().hex[:8]}", suffix=suffix)
        if _claim(handle) is not False:
            break
        os.close(handle)  # cleared away between these two lines
    path = Path(name)
    if not fcntl:  # Windows renames no open file
        os.close(handle)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        if fcntl:
            os.close(handle)


def clear_temporaries(folder: Path, *, deep: bool = True) -> None:
    """Remove the temporary files that killed processes left in a folder, and with ``deep`` in all folders in it.

    Those of processes that live stay, wherever these run.
    """
    ours = re.compile(rf"{re.escape(TEMPORARY)}[0-9a-f]{{8}}[0-9a-z_]{{8}}([^0-9a-z_].*)?", re.DOTALL)
    for path in filter(
        lambda path: ours.fullmatch(path.name), (folder.rglob if deep else folder.glob)(f"{TEMPORARY}*")
    ):
        with suppress(OSError):  # it is gone by now, or may not be touched
            handle = os.open(path, os.O_RDWR)
            try:
                if _claim(handle):
                    path.unlink(missing_ok=True)
            finally:
                os.close(handle)


def _claim(handle: int) -> bool | None:
    """Lock an open file; False if another process has locked or removed it, None where files can not be locked."""
    try:
        if fcntl is None:
            return None
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network drives
        return None
    return os.fstat(handle).st_nlink > 0


# --- folders that appear when they are complete ---


@contextmanager
def work_folder(output: Path) -> Iterator[Path]:
    """Make a folder of its own beside ``output``, hidden, and name it ``output`` if the block ends well.

    What else happens, it is removed; if the process is killed, then by the next one that makes such a folder here.

    Raises:
        HeldError: (an ``OSError``) another process makes ``output`` now.
        OSError: the folder can not be made, or ``output`` has come into being meanwhile.
    """
    make_folder(output.parent)
    for left in output.parent.glob(f".*{TEMPORARY}*"):
        if found := re.fullmatch(rf"\.(.+){re.escape(TEMPORARY)}(lock|[0-9a-f]{{8}})", left.name):
            with suppress(HeldError), hold(left, lock_beside(left.with_name(found[1]))):
                shutil.rmtree(left, ignore_errors=True)
    work = output.with_name(f".{output.name}{TEMPORARY}{uuid4().hex[:8]}")
    with hold(output, lock_beside(output)), naming(output):
        try:
            work.mkdir()
            yield work
            if output.exists():
                raise FileExistsError(f"{output}: has come into being meanwhile; choose another name.")
            work.rename(output)
        finally:  # what a failure leaves may be as large as what was wanted
            shutil.rmtree(work, ignore_errors=True)
