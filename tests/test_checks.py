"""Ranges of numbers, fields that know theirs, and files that hold something else than a table."""

import math
from dataclasses import dataclass, fields

import pytest

from histcolor.checks import Range, check_fields, one_of, read_config, visible, within
from histcolor.experiments.records import read_options, read_record
from histcolor.losses import Loss
from histcolor.model import ModelConfig
from histcolor.optimize import TrainConfig
from histcolor.resume import check_same_run

CONFIGS = (ModelConfig, Loss, TrainConfig)


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "words"),
    [
        (Range(32, 1024, whole=True), [32, 1024], [31, 1025, 64.0, True, "64", None], "whole number from 32 to 1,024"),
        (Range(0, 1), [0, 0.5, 1], [-1e-9, 1.01, math.nan, math.inf, -math.inf], "number from 0 to 1"),
        (Range(0, 1, below=True), [0, 0.999], [1.0, -0.1], "number of at least 0 and below 1"),
        (Range(0, 9, above=True), [1e-9, 9], [0.0, 9.5], "number above 0 and at most 9"),
        (Range(0), [0, 1e300], [math.inf, math.nan, -1], "number of at least 0"),
        (Range(0, above=True), [1e-300], [0, math.inf], "number above 0"),
    ],
)
def test_ranges(allowed, inside, outside, words):
    assert all(value in allowed for value in inside)
    assert not [value for value in outside if value in allowed]
    assert str(allowed) == f"a {words}"


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "2", "", "x", "1" * 5000, "0x1"])
def test_numbers_in_text_are_refused_with_their_range(text):
    with pytest.raises(ValueError, match=r"^must be a number from 0 to 1, got '"):
        Range(0, 1).read(text)
    with pytest.raises(ValueError, match=r"^must be a whole number from 0 to 1, got '"):
        Range(0, 1, whole=True).read(text)
    assert Range(0, 1).read("0.5") == 0.5


@pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.__name__)
def test_every_field_of_the_configurations_is_checked(kind):
    """Whoever adds a field without a range, or choices, or a type that has neither, is told here."""
    for field in fields(kind):
        for wrong in (math.nan, -math.inf, "nonesuch", None, [1]):
            with pytest.raises(ValueError, match=rf"^{field.name} must be "):
                kind(**{field.name: wrong if field.name != "betas" else (0.9, math.nan)})


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (TrainConfig, "ema", 1.0),
        (TrainConfig, "clip", -1.0),
        (TrainConfig, "clip", 0.0),
        (TrainConfig, "weight_decay", -1.0),
        (TrainConfig, "warmup", -1),
        (TrainConfig, "lr", 0.0),
        (TrainConfig, "size", 2048),
        (TrainConfig, "betas", (0.9, 1.0)),
        (TrainConfig, "seed", -1),
        (Loss, "delta", 0.0),
        (Loss, "lambda_2", -1.0),
        (Loss, "histogram_bins", 1),
        (ModelConfig, "squeeze", -1),
        (ModelConfig, "width", 10**9),
        (ModelConfig, "width", 16.0),
        (ModelConfig, "channels", 10**9),
        (ModelConfig, "bins", 512),
        (ModelConfig, "balance", 10**6),
        (ModelConfig, "keep", 10**6),
        (ModelConfig, "temperature", 0.0),
        (ModelConfig, "palette", 1),
        (ModelConfig, "backbone", "hf_hub:somebody/something"),
    ],
)
def test_values_out_of_range(kind, name, value):
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got "):
        kind(**{name: value})


def test_tokens_are_bounded():
    with pytest.raises(ValueError, match="keep must be from 1 to 4,096 where there are 65,536 tokens"):
        ModelConfig(bins=256, stride=1, keep=0)
    assert ModelConfig(bins=256, stride=1, keep=4096).keep == 4096


def test_long_values_are_cut_in_the_sentence():
    @dataclass
    class Some:
        word: str = one_of("a", ("a", "b"), "")
        n: int = within(1, 0, 2, "")

    check_fields(Some("b", 2))
    with pytest.raises(ValueError, match="word must be one of a, b, got ") as refused:
        check_fields(Some("x" * 10**6))
    assert len(str(refused.value)) < 100


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"[1, 2]", r"must hold a table of names and values, got \[1, 2\]"),
        ("a.json", b"3", "must hold a table of names and values, got 3"),
        ("a.json", b"", "is no valid JSON"),
        ("a.json", b"{", "is no valid JSON"),
        ("a.json", b"[" * 100_000, "is no valid JSON"),
        ("a.json", b"\xff\xfe", "is no valid JSON"),
        ("a.toml", b"x =", "is no valid TOML"),
        ("a.toml", b"\xff", "is no valid TOML"),
    ],
)
def test_files_that_hold_no_table(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as refused:
        read_config(tmp_path / name)
    assert str(refused.value).startswith(f"{tmp_path / name}: ")


def test_files_that_hold_a_table(tmp_path):
    (tmp_path / "a.json").write_text('{"x": "é"}', encoding="utf-8")
    (tmp_path / "a.toml").write_text('x = "é"', encoding="utf-8")
    assert read_config(tmp_path / "a.json") == read_config(tmp_path / "a.toml") == {"x": "é"}
    with pytest.raises(FileNotFoundError, match=r"b\.toml: is missing; make one\.$"):
        read_config(tmp_path / "b.toml", "make one")


def test_a_runs_files_that_hold_a_list(tmp_path):
    for name, read in (
        ("config.json", lambda path: check_same_run({}, path)),
        ("config.json", lambda path: read_options(path.parent)),
        ("run.json", lambda path: read_record(path.parent)),
    ):
        (tmp_path / name).write_text("[1]")
        with pytest.raises(ValueError, match=rf"{name}: must hold a table of names and values, got \[1\]"):
            read(tmp_path / name)


def test_what_a_terminal_would_obey_is_escaped():
    name = "a\x1b[31m\n\r\x9b\u202eb\udcff\u200d é ×.jpg"
    shown = visible(name)
    assert shown == "a\\x1b[31m\\n\\r\\x9b\\u202eb\\udcff\\u200d é ×.jpg"
    assert shown.isprintable()
