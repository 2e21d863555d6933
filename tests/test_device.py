"""Decisions about devices, which the machine need not have."""

import pytest
import torch

from histcolor.device import COMPILING_PAYS, FORCE, cpu_has_bfloat16, execution, find_device, send

AVX2 = {"architecture": "x86_64", "avx2": True, "avx512_f": False, "avx512_bf16": False, "amx_bf16": False}


@pytest.fixture(autouse=True)
def _unforced(monkeypatch):
    monkeypatch.delenv(FORCE, raising=False)


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        ({}, False),
        ({"avx512_f": True, "avx512_bw": True}, False),  # AVX-512 alone has no bfloat16 instructions
        ({"avx512_f": True, "avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
    ],
)
def test_processors(more, answer):
    assert cpu_has_bfloat16(AVX2 | more) is answer
    assert execution("cpu", capabilities=AVX2 | more).bfloat16 is answer


def test_this_processor_by_default():
    assert cpu_has_bfloat16() is any(
        torch.cpu.get_capabilities().get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16")
    )
    assert cpu_has_bfloat16({}) is False, "a torch without that function counts as no"


def test_auto_is_a_gpu_where_there_is_one(monkeypatch):
    for there, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert find_device("auto") == torch.device(device)
    assert find_device("cuda:1") == torch.device("cuda:1"), "a name is kept, whatever is there"


def test_the_environment_decides_for_auto(monkeypatch):
    assert execution("cpu", precision="bfloat16", capabilities=AVX2).bfloat16
    assert not execution("cuda", precision="float32").bfloat16
    monkeypatch.setenv(FORCE, "float32")
    assert not execution("cuda").bfloat16
    assert execution("cuda", precision="bfloat16").bfloat16, "a run's own option comes first"
    monkeypatch.setenv(FORCE, "half")
    with pytest.raises(ValueError, match="precision must be one of auto, bfloat16, float32, got 'half'"):
        execution("cpu")


def test_a_gpu():
    how = execution("cuda:1")
    assert (how.bfloat16, how.resident, how.fused, how.tf32, how.compile) == (True, True, True, True, False)
    assert execution("cuda", seconds=COMPILING_PAYS).compile, "a run known to be long pays for compiling"
    assert not execution("cuda", seconds=60).compile
    assert execution("cuda", compile=True).compile
    assert str(execution("cuda", compile=True)) == "cuda, bfloat16, compile, tf32"


def test_a_gpus_options_are_put_back():
    def options():
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark

    before = options()
    with execution("cuda").applied():
        assert options() == ("high", True)
    assert options() == before
    with execution("cpu").applied():
        assert options() == before


def test_a_gpu_that_only_emulates_bfloat16(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for computes in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, computes=computes: computes)
        assert execution("cuda").bfloat16 is computes


def test_the_cpu():
    how = execution("cpu", precision="float32", seconds=1e6)
    assert (how.compile, how.resident, how.tf32) == (False, False, False)
    with how.autocast():
        assert (torch.rand(2, 2) @ torch.rand(2, 2)).dtype == torch.float32
    with execution("cpu", precision="bfloat16").autocast():
        assert (torch.rand(2, 2) @ torch.rand(2, 2)).dtype == torch.bfloat16


def test_only_what_is_in_memory_is_pinned(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda x: pinned.append(x) or x)
    monkeypatch.setattr(torch.Tensor, "to", lambda x, device, non_blocking: x)  # there is no GPU here
    send(torch.zeros(2), torch.device("cpu"))
    assert not pinned
    send(torch.zeros(2), torch.device("cuda"))
    assert len(pinned) == 1
    send(torch.zeros(2, device="meta"), torch.device("cuda"))  # as crops of a resident pack, which are there already
    assert len(pinned) == 1
