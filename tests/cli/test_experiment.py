"""``histcolor experiment``: what it may replace."""

import subprocess

import pytest
import torch

from histcolor.cli.experiment import run_processes
from histcolor.cli.main import main


@pytest.mark.parametrize("name", ["table.csv", "differences.csv"])
def test_a_table_of_another_program_stays(name, photos, tmp_path, capsys):
    (tmp_path / name).write_text("guest,table\nAda,1\n")
    assert main(["experiment", "ablation", "--photos", str(photos), "--output", str(tmp_path)]) == 1
    assert f"{tmp_path / name}: is there already, and this command did not make it" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing was begun"


@pytest.fixture
def children(monkeypatch):
    """The commands and the shares of the machine of processes that are not started; the second one fails."""
    found = []

    class Child:
        def __init__(self, command, env):
            found.append((command[3:], env.get("CUDA_VISIBLE_DEVICES"), env.get("OMP_NUM_THREADS")))
            self.code = int(len(found) == 2)

        def wait(self):
            return self.code

        def terminate(self):
            pass

    monkeypatch.setattr(subprocess, "Popen", Child)
    return found


@pytest.mark.parametrize(
    ("device", "visible", "shares"),
    [
        ("cuda", "", ["0", "1", "0"]),
        ("cuda", "2,GPU-5", ["2", "GPU-5", "2"]),
        ("cuda:1", "2,3", ["3", "3", "3"]),
        ("cuda:1", "", ["1", "1", "1"]),
    ],
)
def test_processes_share_the_gpus_that_are_allowed(device, visible, shares, children, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert not run_processes(["experiment", "ablation", "--processes", "3"], 3, device), "the second one failed"
    assert [share for _, share, _ in children] == shares
    words = ["experiment", "ablation", "--processes", "3", "--processes", "1", "--device", "cuda"]
    assert [command for command, _, _ in children] == [words] * 3


def test_options_are_overruled_before_what_follows_them(children):
    run_processes(["experiment", "--data", "P", "--", "ablation"], 1, "cpu")
    assert children[0][0] == ["experiment", "--data", "P", "--processes", "1", "--device", "cpu", "--", "ablation"]


def test_an_unknown_method_starts_no_process(children, photos, tmp_path, capsys):
    words = ["experiment", "ablation", "--photos", str(photos), "--output", str(tmp_path / "out")]
    assert main([*words, "--processes", "2", "--methods", "Ours"]) == 1
    assert "[ablation] has no method 'Ours'" in capsys.readouterr().err
    assert not children
    assert not (tmp_path / "out").exists()


def test_processes_share_the_cores(children, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert run_processes(["experiment"], 1, "cpu")
    assert not run_processes(["experiment"], 2, "cpu")
    assert [threads for _, _, threads in children] == ["4", "2", "2"]
