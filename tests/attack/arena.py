"""Where bad input meets a command: what lies in a folder before and after, what is said, and whether it was right."""

import contextlib
import hashlib
import io
import os
import re
import shutil
import signal
import stat
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import torch

from histcolor.checks import visible
from histcolor.cli.main import main

SECONDS = 60  #: that a case may take; one that waits for a pipe would wait forever


@dataclass
class World:
    """Good files, which cases copy and damage."""

    photo: Path  #: 40×32 pixels
    photos: Path  #: a folder of three
    model: Path  #: the tiny preset, for 16 bins, which colours automatically, too
    pack: Path  #: photos of 32×32 pixels
    run: Path  #: a training of two steps
    train: list[str]  #: its options, without the folder


@dataclass
class Case:
    """What is done, and what must come of it."""

    do: list | Callable  #: words for the command line; or a function, which returns or raises
    good: bool | None = False  #: whether it must be done; None: either is right
    names: list = field(default_factory=list)  #: what a refusal says at least one of
    check: Callable[[], object] = lambda: None  #: raises an AssertionError if what was done is wrong
    makes: list[str] = field(default_factory=list)  #: patterns of files that may appear, though something was refused
    errors: tuple = (ValueError, OSError)  #: what a function may raise


KINDS: dict[str, tuple[int, list[Callable[[World, Path, Random], Case]]]] = {}  #: cases of a quick run; who makes them


def attack(kind: str, count: int = 0):
    """Make a function one of those that make the cases of a kind."""

    def known(make):
        most, makers = KINDS.get(kind, (0, []))
        KINDS[kind] = (max(most, count), [*makers, make])
        return make

    return known


class Hangs(BaseException):
    """A case took too long."""


def _ring(number, frame):
    raise Hangs


def survey(folder: Path) -> dict[str, str]:
    """Describe all that lies in a folder: by path, the kind and what it holds."""
    found = {}
    for place, folders, names in os.walk(os.fsencode(folder)):
        for name in [*folders, *names]:
            path = os.path.join(place, name)
            status = os.lstat(path)
            kind = stat.S_IFMT(status.st_mode)
            holds = str(kind)
            if stat.S_ISLNK(status.st_mode):
                holds += os.fsdecode(os.readlink(path))
            elif stat.S_ISREG(status.st_mode):
                holds += f" {status.st_size} {status.st_mtime_ns}"
                if status.st_size < 2**26:
                    with open(path, "rb") as file:
                        holds += hashlib.sha256(file.read()).hexdigest()
            found[os.fsdecode(os.path.relpath(path, os.fsencode(folder)))] = holds
    return found


def run(words: list) -> tuple[int, str]:
    """Run a command; returns the exit code and what it said on stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([os.fspath(word) for word in words])
        except SystemExit as left:
            code = left.code
    return code, err.getvalue()


def attempt(kind: str, number: int, world: World, room: Path) -> str:
    """Make a case and try it; returns what went wrong, "" if nothing did."""
    _, makers = KINDS[kind]
    maker = makers[number % len(makers)]
    where = f"{kind} {number} ({maker.__name__})"
    home = Path.cwd()  # what runs after this in the same process must not be left in a folder that goes away
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir()
    torch.manual_seed(number)
    case = maker(world, room, Random(f"{kind} {number}"))
    os.chdir(room)
    before, tempfile.tempdir = survey(room), None
    old = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        faults = _judge(case, before, room)
    except Hangs:
        faults = ["hangs"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        os.chdir(home)
    words = case.do if isinstance(case.do, list) else []
    return "".join(f"\n{where}: {fault}\n    {visible(' '.join(map(str, words)))[:300]}" for fault in faults)


def _judge(case: Case, before: dict[str, str], room: Path) -> list[str]:
    faults = []
    if callable(case.do):
        try:
            case.do()
            refused, said = False, ""
        except case.errors as error:
            refused, said = True, str(error)
            faults += [f"says {said!r}"] if not said.strip() or "\n" in visible(said) else []
        except Exception as error:
            return [f"raises {type(error).__name__}: {error}\n{''.join(traceback.format_exc(limit=-3))}"]
    else:
        code, said = run(case.do)
        refused = code != 0
        lines = said.splitlines()
        if code not in (0, 1, 2):
            faults.append(f"exit code {code}: {said}")
        if refused and not lines:
            faults.append(f"exit code {code} in silence")
        if odd := [line for line in lines if not line.startswith("histcolor: ")]:
            faults.append(f"says {odd[0]!r}")
        if "HISTCOLOR_DEBUG" in said or "Traceback" in said:
            faults.append(f"did not foresee: {said}")
    if refused and case.good:
        faults.append(f"refuses what is good: {said}")
    elif not refused and case.good is False:
        faults.append("takes what is bad")
    if refused and case.names and not any(visible(name) in visible(said) for name in case.names):
        faults.append(f"does not name {visible(case.names[0])}: {said}")
    after = survey(room)
    if changed := [name for name in before if after.get(name) != before[name]]:
        faults.append(f"changes {changed[0]}")
    new = [name for name in after if name not in before]
    if left := [name for name in new if ".histcolor-" in name or "/." in f"/{name}" or name.endswith("lock")]:
        faults.append(f"leaves {left[0]}")
    if refused and (there := [name for name in new if not any(re.fullmatch(p, name) for p in case.makes)]):
        faults.append(f"refuses, but makes {there[0]}")
    if not refused:
        try:
            case.check()
        except AssertionError as error:
            faults.append(f"wrong result: {str(error).splitlines()[0]}")
    return faults
