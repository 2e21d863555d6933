"""How to compute on a device: precision, compiling, where the photos are. :func:`execution` decides it all."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

PRECISIONS = ("auto", "bfloat16", "float32")
FORCE = "HISTCOLOR_PRECISION"  #: the environment variable that sets the precision on every device
COMPILING_PAYS = 900.0  #: seconds that a run on a GPU must take at least, to make up for the minutes of torch.compile


@dataclass(frozen=True)
class Execution:
    """How to compute on a device; the results are the same on all devices, up to rounding."""

    device: torch.device
    bfloat16: bool  #: convolutions and products in bfloat16 (autocast); else float32
    compile: bool  #: use ``torch.compile``
    resident: bool  #: keep the pack in the device's memory, if it fits
    fused: bool  #: do the optimiser's step in one kernel
    tf32: bool  #: let float32 products use TF32

    def autocast(self) -> torch.autocast:
        """Return the context in which the network is run."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Set torch's global options for a GPU, for the length of a block; on other devices, do nothing."""
        if not self.tf32:
            yield
            return
        before = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True  # crops have one size: the first steps find the fastest kernels
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before[0])
            torch.backends.cudnn.benchmark = before[1]

    def __str__(self) -> str:
        parts = [str(self.device), "bfloat16" if self.bfloat16 else "float32"]
        return ", ".join(parts + [word for word in ("compile", "tf32") if getattr(self, word)])


def cpu_has_bfloat16(capabilities: Mapping[str, object] | None = None) -> bool:
    """Tell whether this processor has bfloat16 instructions. Without them it is 2.5 to 11 times slower than float32.

    Args:
        capabilities: the result of ``torch.cpu.get_capabilities()``, by default for this processor. Older versions of
            torch do not have that function; then the answer is no.
    """
    if capabilities is None:
        get = getattr(torch.cpu, "get_capabilities", None)
        capabilities = get() if get else {}
    arm = "bf16" if platform.machine() in ("arm64", "aarch64") else "amx_bf16"
    return any(bool(capabilities.get(name)) for name in ("amx_bf16", "avx512_bf16", arm))


def cuda_has_bfloat16() -> bool:
    """Tell whether the GPU computes with bfloat16, as those since 2020 do; where there is none, the answer is yes."""
    return not torch.cuda.is_available() or torch.cuda.is_bf16_supported(including_emulation=False)


def execution(
    device: str | torch.device,
    *,
    precision: str = "auto",
    compile: bool | None = None,
    seconds: float | None = None,
    capabilities: Mapping[str, object] | None = None,
) -> Execution:
    """Decide how to compute on a device; the machine need not have that device.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …
        precision: ``"bfloat16"``, ``"float32"``, or ``"auto"``: bfloat16 where the device computes with it.
            The environment variable HISTCOLOR_PRECISION, if set, replaces ``"auto"``.
        compile: use ``torch.compile``; by default on a GPU, if the run is long enough to make up for it.
        seconds: how long the run will take, if that is known.
        capabilities: of the processor, see :func:`cpu_has_bfloat16`.

    Raises:
        ValueError: an unknown precision.
    """
    device = torch.device(device)
    if precision == "auto":
        precision = os.environ.get(FORCE) or "auto"
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}.")
    cuda = device.type == "cuda"
    bfloat16 = precision == "bfloat16"
    if precision == "auto":
        bfloat16 = cuda_has_bfloat16() if cuda else device.type == "cpu" and cpu_has_bfloat16(capabilities)
    if compile is None:
        compile = cuda and seconds is not None and seconds >= COMPILING_PAYS
    fused = device.type in ("cpu", "cuda")
    return Execution(device, bfloat16, compile, resident=cuda, fused=fused, tf32=cuda)


def find_device(name: str = "auto") -> torch.device:
    """Choose where to compute: ``"auto"`` is a GPU if torch can use one here, else the CPU; other names stay."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def send(x: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device, without waiting until the device has finished its work."""
    if device.type == "cuda" and x.device.type == "cpu":  # a GPU copies from page-locked memory without waiting
        x = x.pin_memory()
    return x.to(device, non_blocking=True)
