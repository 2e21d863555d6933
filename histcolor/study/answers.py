"""The file of a user study's answers: a SQLite database with one table, which a crash can not damage.

Several programs may add answers to one file at the same time. Answers are only added, never changed or removed: a
second answer to a question is another line, and the analysis takes the last one. Keep the file on a disk of the
computer that runs the study, since locks on network drives are not reliable. Its suffix is ``.sqlite``.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from histcolor.images import write_table
from histcolor.study.protocol import LONGEST, QUESTIONS, check_methods

COLUMNS = ["time", "participant", "group", "question", "method", "shown", "simulated"]
TIMEOUT = 10.0  #: seconds to wait for another program that holds the file
CREATE = """CREATE TABLE answers (id INTEGER PRIMARY KEY, time TEXT NOT NULL, participant TEXT NOT NULL,
    "group" TEXT NOT NULL, question TEXT NOT NULL, method TEXT NOT NULL, shown TEXT NOT NULL,
    simulated INTEGER NOT NULL)"""
REASONS = {
    sqlite3.SQLITE_BUSY: "another program holds the file locked",
    sqlite3.SQLITE_CANTOPEN: "the file can not be opened or made: check its path and permissions",
    sqlite3.SQLITE_READONLY: "the file or its folder is write-protected",
}  #: plainer than SQLite's own messages


@contextmanager
def _transaction(path: Path, write: bool) -> Iterator[tuple[sqlite3.Connection, bool]]:
    """Open a file of answers for one transaction; yields the database, and whether it already has its table.

    The journal is SQLite's default, not WAL: so there is only one file when nobody writes, and it can be copied. EXTRA
    makes sure that a finished transaction is on the disk even if the power fails. Reading also opens with "rw", to undo
    what a killed program has half written.
    """
    if path.suffix != ".sqlite":
        raise ValueError(f"{path}: is no file of answers; its name must end in .sqlite.")
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if write else 'rw'}"
    try:
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(uri, uri=True, timeout=TIMEOUT, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = EXTRA")
            with database:  # commits at the end, or rolls back
                database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                tables = database.execute("SELECT name FROM sqlite_master").fetchall()
                columns = [name for _, name, *_ in database.execute("PRAGMA table_info(answers)")]
                if tables and columns != ["id", *COLUMNS]:
                    raise ValueError(f"{path}: is no file of answers but another SQLite database.")
                yield database, bool(tables)
    except (sqlite3.Error, OSError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without its details
        if code == sqlite3.SQLITE_NOTADB:
            raise ValueError(f"{path}: is no file of answers, nor any other SQLite database.") from error
        reason = REASONS.get(code) or getattr(error, "strerror", None) or error
        failure = (
            f"the answer could not be written ({reason}); answer again" if write else f"can not be read ({reason})"
        )
        raise OSError(f"{path}: {failure}.") from error


def storable(text: str) -> str:
    """Write a text as the file holds it: the name of a photo's file, or of a folder, may be no Unicode."""
    return text.encode(errors="backslashreplace").decode()


def append_answer(
    path: str | os.PathLike,
    *,
    participant: str,
    group: str,
    question: str,
    method: str,
    shown: Sequence[str],
    simulated: bool = False,
    time: datetime | None = None,
) -> None:
    """Add one answer to the file, and wait until it is on the disk.

    The file and its folder are made when they are missing.

    Args:
        path: the file of answers, ``*.sqlite``.
        participant: who answered; a code is better than a name.
        group: the name of the group that was judged.
        question: a key of :data:`histcolor.study.protocol.QUESTIONS`.
        method: the method whose picture was chosen.
        shown: all methods, in the order in which they were shown.
        simulated: True when no person gave the answer.
        time: when the answer was given (default: now); it is stored in UTC, to the second.

    Raises:
        ValueError: one of the arguments is wrong, or the file is no file of answers.
        OSError: the answer could not be written, and the file has not changed: answer again.
    """
    if odd := [one for one in (participant, group, question, method) if not isinstance(one, str)]:
        raise ValueError(f"The answer can not be kept: participant, group and all must be texts, got {odd[0]!r}.")
    moment = (time or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
    record = [moment, participant, group, question, method, "|".join(check_methods(shown))]
    faults = {
        "the participant has no name": not participant.strip(),
        f"the participant's name has more than {LONGEST} characters": len(participant) > LONGEST,
        "the group has no name": not group.strip(),
        f"there is no question {question!r}, only {', '.join(QUESTIONS)}": question not in QUESTIONS,
        f"the method {method!r} is not among those shown, {', '.join(shown)}": method not in shown,
    }
    if fault := next((fault for fault, found in faults.items() if found), None):
        raise ValueError(f"The answer can not be kept: {fault}.")
    texts = map(storable, record)
    with _transaction(Path(path), write=True) as (database, has_table):
        if not has_table:
            database.execute(CREATE)
        database.execute("INSERT INTO answers VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", [*texts, bool(simulated)])


def read_answers(path: str | os.PathLike) -> pd.DataFrame:
    """Read all answers from the file, in the order in which they were given.

    Returns:
        One row for each answer, with :data:`COLUMNS`: strings, except the boolean ``simulated``. ``shown`` holds the
        methods in the order in which they were shown, with ``|`` between them.

    Raises:
        OSError: the file is missing or can not be read.
        ValueError: the file is no file of answers.
    """
    path = Path(path)
    if path.suffix == ".sqlite" and not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file of answers.")
    with _transaction(path, write=False) as (database, has_table):  # no table: killed before the first answer
        rows = database.execute("SELECT * FROM answers ORDER BY id").fetchall() if has_table else []
    return pd.DataFrame([row[1:] for row in rows], columns=COLUMNS).astype({"simulated": bool})


def export_csv(path: str | os.PathLike, csv_path: str | os.PathLike) -> None:
    """Write all answers as a CSV for other programs; an older CSV is replaced in one step.

    A spreadsheet computes a cell that begins with ``=``, ``+``, ``-`` or ``@``: such a name gets a ``'`` before it.
    In Python, ``pandas.read_csv(csv_path, keep_default_na=False)`` reads it, and a name such as "NA" stays a string.

    Args:
        path: the file of answers, ``*.sqlite``.
        csv_path: the file to write, ``*.csv``; it has :data:`COLUMNS`.

    Raises:
        OSError: the answers can not be read, or the CSV can not be written.
        ValueError: the first file is no file of answers, or the CSV's name does not end in ``.csv``.
    """
    if Path(csv_path).suffix != ".csv":
        raise ValueError(f"{csv_path}: the name of the exported file must end in .csv.")
    answers = read_answers(path)
    try:
        write_table(answers, csv_path)
    except OSError as error:
        raise OSError(f"{csv_path}: the CSV could not be written ({error.strerror or error}).") from error
