"""The file of answers: no acknowledged answer is lost, even when programs write together and are killed."""

import multiprocessing
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histcolor.study import answers
from histcolor.study.answers import COLUMNS, append_answer, export_csv, read_answers

METHODS = ["ours", "transport", "mean, colour"]
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100).filter(str.strip)
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
PROCESSES = multiprocessing.get_context("forkserver")  # imports once, and starts many
PROCESSES.set_forkserver_preload(["histcolor.study.answers", "hypothesis", "pytest"])


def give(path, participant="P1", group="group 0", question="natural", method="ours", **options):
    options = {"shown": METHODS, "time": NOON} | options
    append_answer(path, participant=participant, group=group, question=question, method=method, **options)


def write(path, participant, count, start=None, acknowledged=None):
    """Answer in another process, once all have started; each number is sent back when its answer is acknowledged."""
    if start:
        start.wait()
    for number in range(count):
        give(path, participant, str(number))
        if acknowledged:
            acknowledged.send(number)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "answers #1 ü?.sqlite"


def test_round_trip(path):
    give(path)
    give(path, question="consistent", method="mean, colour", simulated=True)
    table = read_answers(path)
    assert list(table.columns) == COLUMNS
    assert table.iloc[0].to_dict() == {
        "time": "2024-05-01T12:00:00+00:00",
        "participant": "P1",
        "group": "group 0",
        "question": "natural",
        "method": "ours",
        "shown": "ours|transport|mean, colour",
        "simulated": False,
    }
    assert table["simulated"].tolist() == [False, True]
    assert os.listdir(path.parent) == [path.name], "a study at rest is one file"


def test_the_time_is_now_in_utc(path):
    before = datetime.now(UTC).replace(microsecond=0)
    give(path, time=None)
    moment = datetime.fromisoformat(read_answers(path)["time"][0])
    assert moment.utcoffset().total_seconds() == 0
    assert before <= moment <= datetime.now(UTC)


@settings(max_examples=20)
@given(names=st.lists(NAMES, min_size=1))
def test_any_name_comes_back(names, tmp_path_factory):
    path = tmp_path_factory.mktemp("names") / "answers.sqlite"
    for name in names:
        give(path, name, group=f"\"{name}',\r\n")
    table = read_answers(path)
    assert table["participant"].tolist() == names
    assert table["group"].tolist() == [f"\"{name}',\r\n" for name in names]


def test_a_name_that_is_no_text_is_still_kept(path):
    give(path, "P\ud800")
    assert read_answers(path)["participant"].tolist() == ["P\\ud800"]


def test_a_later_answer_is_a_new_line(path):
    for method in ("ours", "transport", "ours"):
        give(path, method=method)
    assert read_answers(path)["method"].tolist() == ["ours", "transport", "ours"]


@pytest.mark.slow
def test_several_processes_at_once_lose_nothing(path):
    people, start = [f"P{i}" for i in range(4)], PROCESSES.Barrier(4, timeout=60)
    started = [PROCESSES.Process(target=write, args=(path, name, 20, start)) for name in people]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * 4
    table = read_answers(path)
    assert len(table) == 80
    for name in people:
        assert table.loc[table["participant"] == name, "group"].tolist() == [str(number) for number in range(20)]


def test_a_killed_process_loses_no_acknowledged_answer(path):
    chance = random.Random(0)
    for kill in range(6):
        receive, send = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=write, args=(path, f"P{kill}", 10**6, None, send))
        process.start()
        send.close()
        acknowledged = [receive.recv() for _ in range(3 * kill)]  # at first before the file is there
        time.sleep(chance.uniform(0, 0.03))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        while receive.poll():
            try:
                acknowledged.append(receive.recv())
            except EOFError:
                break
        table = read_answers(path) if path.exists() else pd.DataFrame(columns=COLUMNS)
        found = [int(group) for group in table.loc[table["participant"] == f"P{kill}", "group"]]
        assert found[: len(acknowledged)] == acknowledged
        assert len(found) <= len(acknowledged) + 1, "one may be written and not yet acknowledged"
    give(path, "next")
    assert read_answers(path)["participant"].iloc[-1] == "next"


def test_what_was_half_written_is_undone(path):
    for name in ("P0", "P1", "P2"):
        give(path, name)
    script = (
        "import os, signal, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1])\n"
        "database.execute('PRAGMA cache_size = 1')\n"
        "database.execute('UPDATE answers SET participant = ?', ['x' * 50_000])\n"  # more than the cache holds
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    size = path.stat().st_size
    subprocess.run([sys.executable, "-c", script, path], check=False)
    assert Path(f"{path}-journal").exists()
    assert path.stat().st_size > size, "half of it is in the file"
    assert read_answers(path)["participant"].tolist() == ["P0", "P1", "P2"]
    assert path.stat().st_size == size


def test_killed_before_the_first_answer(path):
    path.parent.mkdir()
    path.touch()
    assert read_answers(path).empty
    give(path)
    assert len(read_answers(path)) == 1


def test_a_full_disk_is_told_and_nothing_changes(path):
    give(path, "first")
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), limits[1]))  # a file may not grow, as on a full disk
    try:
        with pytest.raises(OSError, match=r"\.sqlite: the answer could not be written \(.*\); answer again\.$"):
            give(path, "second", group="long" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_answers(path)["participant"].tolist() == ["first"]
    give(path, "third")
    assert read_answers(path)["participant"].tolist() == ["first", "third"]


def test_a_locked_file_is_told(path, monkeypatch):
    monkeypatch.setattr(answers, "TIMEOUT", 0.05)
    give(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match=r"not be written \(another program holds the file locked\); answer again\.$"):
            give(path)
        with pytest.raises(OSError, match=r"can not be read \(another program holds the file locked\)\.$"):
            read_answers(path)
    give(path)
    assert len(read_answers(path)) == 2


def test_a_read_only_folder_is_told():
    root = os.geteuid() == 0  # who may write everywhere
    with tempfile.TemporaryDirectory() as name:
        old, new = Path(name, "old.sqlite"), Path(name, "new.sqlite")
        give(old)
        Path(name).chmod(0o555)
        if root:
            os.seteuid(65534)
        try:
            for path in (old, new):
                with pytest.raises(OSError, match=r"the answer could not be written \(the file .*\); answer again\.$"):
                    give(path)
            assert len(read_answers(old)) == 1
            with pytest.raises(OSError, match=r"answers\.csv: the CSV could not be written \(Permission denied\)\.$"):
                export_csv(old, Path(name, "answers.csv"))
        finally:
            if root:
                os.seteuid(0)
            Path(name).chmod(0o755)


def test_bad_answers_are_refused_before_anything_is_written(path):
    for sentence, change in {
        "the participant has no name": {"participant": "\n"},
        "the participant's name has more than 100 characters": {"participant": "x" * 101},
        "the group has no name": {"group": ""},
        "there is no question 'pretty', only natural, consistent": {"question": "pretty"},
        "the method 'magic' is not among those shown, ours, transport, mean, colour": {"method": "magic"},
    }.items():
        with pytest.raises(ValueError, match=rf"^The answer can not be kept: {sentence}\.$"):
            give(path, **change)
    with pytest.raises(ValueError, match=r"hold '\|'"):
        give(path, shown=["ours", "a|b"])
    assert not path.exists()


def test_other_files_are_left_alone(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.sqlite: there is no such file of answers\.$"):
        read_answers(tmp_path / "missing.sqlite")
    (tmp_path / "folder.sqlite").mkdir()
    (tmp_path / "short.sqlite").write_text("name,age\n")
    (tmp_path / "long.sqlite").write_text("name,age\n" * 1000)
    (tmp_path / "answers.csv").write_text("name,age\n")
    for name, statement in {
        "table.sqlite": "CREATE TABLE photos (name TEXT)",
        "columns.sqlite": "CREATE TABLE answers (id INTEGER PRIMARY KEY, text TEXT)",
    }.items():
        with closing(sqlite3.connect(tmp_path / name)) as database:
            database.execute(statement)
    before = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    for action in (read_answers, give):
        for name, error, sentence in [
            ("folder.sqlite", OSError, r"\(the file can not be opened or made: check its path and permissions\)"),
            ("short.sqlite", ValueError, r"is no file of answers, nor any other SQLite database\.$"),
            ("long.sqlite", ValueError, r"is no file of answers, nor any other SQLite database\.$"),
            ("table.sqlite", ValueError, r"is no file of answers but another SQLite database\.$"),
            ("columns.sqlite", ValueError, r"is no file of answers but another SQLite database\.$"),
            ("answers.csv", ValueError, r"is no file of answers; its name must end in \.sqlite\.$"),
        ]:
            with pytest.raises(error, match=rf"/{name}: .*{sentence}"):
                action(tmp_path / name)
    assert {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before


def test_export_round_trip(path, tmp_path):
    give(path, 'Zoë "Z",\nthe 3rd')
    give(path, "NA", question="consistent", method="mean, colour", simulated=True)
    target = tmp_path / "answers.csv"
    target.write_text("old")
    export_csv(path, target)
    pd.testing.assert_frame_equal(pd.read_csv(target, keep_default_na=False), read_answers(path))
    with pytest.raises(ValueError, match=r"\.sqlite: the name of the exported file must end in \.csv\.$"):
        export_csv(path, path)
    with pytest.raises(FileNotFoundError):
        export_csv(tmp_path / "missing.sqlite", target)
    assert len(read_answers(path)) == len(pd.read_csv(target)) == 2


def test_no_cell_of_the_export_is_a_formula(path, tmp_path):
    names = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "a=b", "'quoted"]
    for name in names:
        give(path, name, group=f"{name}.jpg", method="=ours", shown=["=ours", "-x", "@y"])
    export_csv(path, tmp_path / "answers.csv")
    table = pd.read_csv(tmp_path / "answers.csv", keep_default_na=False)
    assert table["participant"].tolist() == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "a=b", "'quoted"]
    assert not table.drop(columns="simulated").map(lambda cell: cell[0] in "=+-@\t\r").to_numpy().any()
    assert read_answers(path)["participant"].tolist() == names, "the answers themselves stay as they are"
