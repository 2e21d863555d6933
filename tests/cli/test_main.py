"""Whatever a command raises, and however it is stopped: one line, the right exit code, no traceback."""

import errno
import io
import os
import signal
import subprocess
import sys

import pytest
from safetensors import SafetensorError

from histcolor.cli.main import main
from histcolor.cli.signals import Stopped, stop_quietly, stoppable

COMMANDS = [[], ["colorize"], ["data"], ["data", "pack"], ["data", "get"], ["train"], ["evaluate"], ["experiment"],
            ["claims"], ["reproduce"]]  # fmt: skip


@pytest.fixture
def raising(monkeypatch):
    """Makes ``histcolor claims`` do something else, such as raising an exception; runs it."""

    def run(do):
        def command(args):
            if isinstance(do, BaseException):
                raise do
            do()

        monkeypatch.setattr("histcolor.cli.claims.claims", command)
        return main(["claims"])

    return run


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("x: is wrong."), "x: is wrong."),
        (OSError("x: is no photo."), "x: is no photo."),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device."),
        (OSError(errno.ENOSPC, "No space left on device", "a/b.csv"), "a/b.csv: No space left on device."),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "x: Permission denied."),
        (FloatingPointError("The loss became NaN."), "The loss became NaN."),
        (SafetensorError("I/O error"), "SafetensorError: I/O error (HISTCOLOR_DEBUG=1 shows where)."),
        (RuntimeError("CUDA error: bad.\nCompile with\nmore"), "RuntimeError: CUDA error: bad (HISTCOLOR_DEBUG=1 "),
        (KeyError("model"), "KeyError: 'model' (HISTCOLOR_DEBUG=1 shows where)."),
        (AssertionError(), "AssertionError: AssertionError (HISTCOLOR_DEBUG=1 shows where)."),
        (RecursionError("too deep"), "RecursionError: too deep (HISTCOLOR_DEBUG=1 shows where)."),
        (MemoryError(), "There is not enough memory for this."),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), "There is not enough memory"),
        (ModuleNotFoundError("No module named 'x'", name="papermill.cli"), "papermill is not installed; install it"),
        (OSError("a\x1b[2J\nb.jpg: is no photo."), r"a\x1b[2J\nb.jpg: is no photo."),
        (ValueError(), "ValueError"),
    ],
)
def test_any_exception_is_one_line(raising, capsys, monkeypatch, error, line):
    monkeypatch.delenv("HISTCOLOR_DEBUG", raising=False)
    assert raising(error) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith(f"histcolor: {line}")
    assert shown.err.count("\n") == 1
    assert shown.err.rstrip("\n").isprintable()


@pytest.mark.parametrize(("value", "shows"), [("1", True), ("0", False), ("", False)])
def test_debugging_shows_the_traceback(raising, capsys, monkeypatch, value, shows):
    monkeypatch.setenv("HISTCOLOR_DEBUG", value)
    assert raising(KeyError("model")) == 1
    shown = capsys.readouterr().err
    assert ("Traceback" in shown and "raise do" in shown) == shows
    assert shown.splitlines()[-1].startswith("histcolor: KeyError: 'model'")


def test_stopped_by_the_user(raising, capsys):
    assert raising(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "histcolor: stopped.\n"


def test_sigterm_cleans_up_and_ends_with_143(raising, capsys):
    before, cleaned = signal.getsignal(signal.SIGTERM), []

    def work():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # a second one does not break in
            cleaned.append(True)

    assert raising(work) == 143
    assert cleaned == [True]
    assert capsys.readouterr().err == "histcolor: stopped.\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_others_have_set_stays(monkeypatch):
    """A process of torchrun ends at once by SIGTERM; a handler that somebody installed is left alone."""
    mine = lambda number, frame: None  # noqa: E731
    old = signal.signal(signal.SIGTERM, mine), signal.signal(signal.SIGINT, mine)
    try:
        stop_quietly()
        with stoppable():
            assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM) is mine
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        monkeypatch.setenv("LOCAL_RANK", "0")
        with stoppable():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, old[0])
        signal.signal(signal.SIGINT, old[1])
    assert issubclass(Stopped, KeyboardInterrupt)


def test_ctrl_c_stays_that_of_a_program_that_imports_histcolor(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "__init__.py").write_text(
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import histcolor"
    )
    (tmp_path / "theirs" / "work.py").write_text(
        "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    words = [sys.executable, "-m", "theirs.work"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "True"


def test_nobody_reads_the_output(raising, capsys, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        assert raising(lambda: print("a line")) == 141
        stdout.flush()  # what Python does at its end
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_stdout_is_full(raising, capsys, monkeypatch):
    with open("/dev/full", "w") as stdout:
        monkeypatch.setattr("sys.stdout", stdout)
        assert raising(lambda: print("a line")) == 1
    assert capsys.readouterr().err == "histcolor: No space left on device.\n"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_on_a_terminal_that_knows_ascii_alone(monkeypatch, command):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stdout)
    with pytest.raises(SystemExit) as left:
        main([*command, "--help"])
    assert left.value.code == 0
    assert stdout.buffer.getvalue().decode("ascii").startswith("usage: histcolor")


def test_messages_on_a_terminal_that_knows_ascii_alone(raising, monkeypatch):
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), encoding="ascii") for _ in range(2))
    monkeypatch.setattr("sys.stdout", stdout)
    monkeypatch.setattr("sys.stderr", stderr)

    def work():
        print("64×64")
        raise ValueError("λ.jpg: is wrong.")

    assert raising(work) == 1
    assert stdout.buffer.getvalue() == b"64\\xd764\n"
    stderr.flush()
    assert stderr.buffer.getvalue() == b"histcolor: \\u03bb.jpg: is wrong.\n"


def test_names_are_shown_escaped(capsys, tmp_path):
    name = "none\x1b[31m\n.jpg"
    assert main(["colorize", str(tmp_path / name), "--palette", "#c33", "--output", str(tmp_path / "x.png")]) == 1
    assert r"none\x1b[31m\n.jpg: there is no such file or folder." in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["claims", "--nonesuch\x1b[31m"])
    assert r"unrecognized arguments: --nonesuch\x1b[31m; see 'histcolor --help'." in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_during_the_imports():
    words = [sys.executable, "-X", "importtime", "-m", "histcolor", "--help"]
    # a job in the background ignores Ctrl-C, and so would its children: first that is undone
    listen = f"import os, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv({words[0]!r}, {words!r})"
    with subprocess.Popen(
        [sys.executable, "-c", listen], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        said = ""
        for line in child.stderr:
            said += line
            if line.rstrip().endswith(" torch.version"):  # amid torch's import, and the signal module's is over
                child.send_signal(signal.SIGINT)
                break
        out, rest = child.communicate(timeout=60)
    assert child.returncode == 130
    assert out == ""
    assert "Traceback" not in said + rest


@pytest.mark.slow
def test_in_a_shell():
    shell = f'"{sys.executable}" -m histcolor'
    environment = os.environ | {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    words = f"set -o pipefail; {shell} data get --help | head -1; echo $?; {shell} train --help >/dev/full; echo $?"
    words += f"; {shell} claims --nonesuch 2>&-; echo $?"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, timeout=120, env=environment)
    usage, *codes = done.stdout.splitlines()
    assert usage.startswith("usage: histcolor data get")
    assert codes[0] in ("141", "0")  # all of it may lie in the pipe before head ends
    assert codes[1:] == ["1", "2"]
    assert done.stderr == "histcolor: No space left on device.\n"
