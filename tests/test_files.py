"""histcolor.files: folders that one process holds, and temporary files that only a later process clears."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from histcolor import images
from histcolor.checks import read_config
from histcolor.data import open_images
from histcolor.files import HeldError, clear_temporaries, hold, temporary_file, work_folder
from histcolor.histogram import read_histogram
from histcolor.images import read_table, write_text


def test_a_folder_is_held_by_one(tmp_path):
    place = tmp_path / "deep" / "seed0"
    with hold(place):
        for _ in range(2):  # who did not get it does not free it
            with pytest.raises(HeldError, match="deep") as error, hold(place):
                pytest.fail("two hold it")
            assert error.value.owner.startswith(f"process {os.getpid()} on ")
    with pytest.raises(RuntimeError), hold(place):
        raise RuntimeError("stopped")
    with hold(place):
        pass
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("read", "name"),
    [(read_config, "a.toml"), (read_table, "a.csv"), (read_histogram, "a.npy"), (open_images, "images.npy")],
)
def test_a_pipe_is_refused_and_never_waited_for(tmp_path, read, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError, match=r"is a pipe, not a file|not a complete pack"):
        read(tmp_path if read is open_images else tmp_path / name)


WAITING = """
import sys, time
from pathlib import Path
from histcolor.files import hold, temporary_file
folder = Path(sys.argv[1])
with hold(folder), temporary_file(folder, ".png") as file:
    file.write_bytes(b"half")
    print(file.name, flush=True)
    time.sleep(100)
"""


def test_the_living_keep_their_temporaries_and_the_dead_do_not(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", WAITING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    name = child.stdout.readline().strip()
    clear_temporaries(tmp_path)
    write_text("new", tmp_path / "a.txt")
    assert (tmp_path / name).is_file(), "its process lives"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert (tmp_path / name).is_file(), "a killed process removes nothing"
    (tmp_path / ".histcolor.txt").write_text("not ours")
    (tmp_path / ".histcolor-folder").mkdir()
    clear_temporaries(tmp_path)
    with hold(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".histcolor-folder", ".histcolor.txt", "a.txt"]


def test_hidden_files_of_the_user_stay(tmp_path):
    names = {".histcolor-notes.md", ".histcolor-settings.toml", ".histcolor-", ".histcolor-0123456789abcdefgh"}
    for name in names:
        (tmp_path / name).write_text("mine")
    write_text("new", tmp_path / "a.txt")
    clear_temporaries(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == names | {"a.txt"}


def test_a_lock_may_go_at_any_moment(tmp_path, monkeypatch):
    """Another process lets go, and removes it, between two looks at it."""
    lock, is_file = tmp_path / "lock", Path.is_file
    lock.touch()

    def look_and_lose(path):
        there = is_file(path)
        if path == lock:
            lock.unlink(missing_ok=True)
        return there

    monkeypatch.setattr(Path, "is_file", look_and_lose)
    with hold(tmp_path):
        assert lock.exists()


def test_the_first_file_written_into_a_folder_clears_what_the_dead_left(tmp_path):
    for name in (".histcolor-0123abcdabcdefgh.png", "photo.png", ".hidden.png"):
        (tmp_path / name).write_bytes(b"half")
    write_text("new", tmp_path / "a.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden.png", "a.txt", "photo.png"]


def test_a_temporary_file_is_there_for_the_block(tmp_path):
    with temporary_file(tmp_path, ".png") as one, temporary_file(tmp_path, ".png") as two:
        assert one != two
        assert one.name.startswith(".")
        one.rename(tmp_path / "kept.png")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.png"]
    with pytest.raises(RuntimeError), temporary_file(tmp_path):
        raise RuntimeError("stopped")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.png"]


def test_a_folder_appears_when_it_is_complete(tmp_path):
    output = tmp_path / "deep" / "out"
    with work_folder(output) as work:
        (work / "a").write_text("whole")
        assert not output.exists()
    assert [path.name for path in output.parent.iterdir()] == ["out"]
    with pytest.raises(FileExistsError, match="out: has come into being meanwhile"), work_folder(output):
        pass
    with pytest.raises(RuntimeError), work_folder(tmp_path / "deep" / "failed"):
        raise RuntimeError("stopped")
    assert [path.name for path in output.parent.iterdir()] == ["out"]


def test_a_file_that_is_no_lock_is_not_taken_for_one(tmp_path):
    (tmp_path / "lock").write_text("the combination")
    with pytest.raises(OSError, match="lock: is there already, and is not histcolor's"), hold(tmp_path):
        pass
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("lock", "the combination")]


@pytest.mark.parametrize("block", [hold, work_folder, images.atomic])
def test_a_full_disk_is_named_by_what_was_to_be_written(block, tmp_path):
    with pytest.raises(OSError, match="No space") as error, block(tmp_path / "place"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.filename == str(tmp_path / "place")


def test_a_file_where_a_folder_is_needed(tmp_path):
    (tmp_path / "file").write_text("precious")
    for block in (hold(tmp_path / "file"), work_folder(tmp_path / "file" / "pack")):
        with pytest.raises(OSError, match="a file stands where a folder is needed; choose another name"), block:
            pass
    assert (tmp_path / "file").read_text() == "precious"
