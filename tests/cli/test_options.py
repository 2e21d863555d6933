"""Options out of their range, empty, or of another kind: refused in one line with exit code 2, before anything runs."""

import argparse

import pytest

from histcolor.cli import options
from histcolor.cli.main import build_parser, main

COLORIZE = ["colorize", "a.jpg", "--output", "b.png"]
TRAIN = ["train", "--data", "pack", "--run", "run"]
EVALUATE = ["evaluate", "photos", "--output", "a.csv"]
EXPERIMENT = ["experiment", "ablation", "--photos", "photos", "--output", "out"]
PACK = ["data", "pack", "photos", "--output", "pack"]


def refused(words, capsys):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith("histcolor: ")
    return line


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ([*TRAIN, "--ema", "nan"], "a number of at least 0 and below 1, got 'nan'"),
        ([*TRAIN, "--ema", "1"], "a number of at least 0 and below 1, got '1'"),
        ([*TRAIN, "--lambda-2", "nan"], "a number from 0 to 1,000,000, got 'nan'"),
        ([*TRAIN, "--lambda-cross", "-1"], "a number from 0 to 1,000,000, got '-1'"),
        ([*TRAIN, "--minutes", "nan"], "a number of at least 0, got 'nan'"),
        ([*TRAIN, "--minutes", "inf"], "a number of at least 0, got 'inf'"),
        ([*TRAIN, "--clip", "-1"], "a number above 0 and at most 1,000,000,000, got '-1'"),
        ([*TRAIN, "--weight-decay", "-1"], "a number from 0 to 10, got '-1'"),
        ([*TRAIN, "--delta", "0"], "a number from 0.0001 to 10, got '0'"),
        ([*TRAIN, "--squeeze", "-1"], "a whole number from 0 to 512, got '-1'"),
        ([*TRAIN, "--sheet-every", "0"], "a whole number from 1 to 1,000,000,000, got '0'"),
        ([*TRAIN, "--steps", "1e3"], "a whole number from 1 to 1,000,000,000, got '1e3'"),
        ([*TRAIN, "--width", "129"], "a whole number from 1 to 128, got '129'"),
        ([*COLORIZE, "--size", "1025"], "a whole number from 32 to 1,024, got '1025'"),
        ([*COLORIZE, "--size", "3"], "a whole number from 32 to 1,024, got '3'"),
        ([*COLORIZE, "--transport", "2"], "a number from 0 to 1, got '2'"),
        ([*EVALUATE, "--size", "0"], "a whole number from 32 to 1,024, got '0'"),
        ([*EVALUATE, "--transport", "0,nan"], "a number from 0 to 1, got 'nan'"),
        ([*EVALUATE, "--limit", "0"], "a whole number from 1 to 1,000,000,000, got '0'"),
        ([*EXPERIMENT, "--protocol-size", "5000"], "a whole number from 32 to 1,024, got '5000'"),
        ([*EXPERIMENT, "--processes", "0"], "a whole number from 1 to 64, got '0'"),
        ([*EXPERIMENT, "--lr", "nan"], "a number above 0 and at most 100, got 'nan'"),
        ([*EXPERIMENT, "--seeds", "0,-1"], "a whole number from 0 to 4,294,967,295, got '-1'"),
        ([*EXPERIMENT, "--seeds", "1,1"], "different, got '1,1'"),
        ([*PACK, "--size", "31"], "a whole number from 32 to 1,024, got '31'"),
        ([*PACK, "--min-bytes", "-1"], "a whole number from 0 to 1,000,000,000, got '-1'"),
        (["data", "get", "pets", "--size", "3"], "a whole number from 32 to 1,024, got '3'"),
    ],
)
def test_a_number_out_of_its_range(capsys, words, allowed):
    option = next(word for word in reversed(words) if word.startswith("--"))
    command = " ".join(words[: 2 if words[0] == "data" else 1])
    message = f"histcolor: argument {option}: must be {allowed}; see 'histcolor {command} --help'."
    assert refused(words, capsys) == message


def value_options():
    """Every option of every command that takes a text, a file or several: all that an unset variable could empty."""

    def commands(parser, words):
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, below in action.choices.items():
                    yield from commands(below, [*words, name])
            elif action.nargs != 0 and action.option_strings:
                yield pytest.param(words, action.option_strings[-1], id=" ".join([*words, action.option_strings[-1]]))

    return list(commands(build_parser(), []))


@pytest.mark.parametrize(("words", "option"), value_options())
def test_an_empty_value_is_refused(capsys, words, option):
    rest = {"colorize": ["a.jpg"], "evaluate": ["photos"], "experiment": ["ablation"], "data": ["pets"]}
    assert f"argument {option}: " in refused([*words, *rest.get(words[0], []), option, ""], capsys)


@pytest.mark.parametrize("words", [["colorize", ""], ["evaluate", ""], ["data", "pack", " "], ["experiment", ""]])
def test_an_empty_name_is_refused(capsys, words):
    assert "must not be empty" in refused([*words, "--output", "out"], capsys)


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "must be cpu, cuda or one of several GPUs, as cuda:1, got 'gpu'"),
        ("", "must be cpu, cuda"),
        ("cuda:-1", "must be cpu, cuda"),
        ("cuda", "cuda is not here (0 GPUs that torch can use); use cpu"),
        ("cuda:7", "cuda:7 is not here (0 GPUs that torch can use); use cpu"),
    ],
)
def test_devices_that_are_not_there(capsys, monkeypatch, device, message):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for words in (COLORIZE, TRAIN, EXPERIMENT):
        assert f"argument --device: {message}" in refused([*words, "--device", device], capsys)


def test_devices_that_are_there(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [options.device(name) for name in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda", "cuda:1"]
    with pytest.raises(argparse.ArgumentTypeError, match=r"cuda:2 is not here \(2 GPUs"):
        options.device("cuda:2")


def test_defaults_and_lists():
    parsed = build_parser().parse_args([*EVALUATE, "--transport", "0, 0.5", "--methods", "gray,rank"])
    assert (parsed.transport, parsed.methods) == ([0, 0.5], ["gray", "rank"])
    assert build_parser().parse_args(EVALUATE).size == 256
    assert build_parser().parse_args([*EXPERIMENT, "--seeds", "0,2"]).seeds == [0, 2]
