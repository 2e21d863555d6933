"""What a device decides about training: precision, memory layout, pinning, compiling. One function, asked by all."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

PRECISIONS = ("auto", "bfloat16", "float32")
FORCE = "HISTCOLOR_PRECISION"  #: the environment variable that answers for every device
COMPILING_PAYS = 900.0  #: seconds of training on a GPU from which torch.compile, which takes a minute or two, pays


@dataclass(frozen=True)
class Execution:
    """How to compute on a device; what is computed stays the same, up to rounding."""

    device: torch.device
    bfloat16: bool  #: convolutions and products in bfloat16 (autocast); else float32
    compile: bool  #: through ``torch.compile``
    pin: bool  #: batches travel from page-locked memory, without being waited for
    resident: bool  #: the pack is kept in the device's memory, where it fits
    fused: bool  #: the optimiser's step in one kernel
    tf32: bool  #: what stays in float32 may use TF32's matrix units

    def autocast(self) -> torch.autocast:
        """The context in which the network is run."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def apply(self) -> None:
        """Set the process's switches for a GPU; does nothing elsewhere."""
        if self.tf32:
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.benchmark = True  # crops of one size: the first steps find the quickest kernels

    def __str__(self) -> str:
        parts = [str(self.device), "bfloat16" if self.bfloat16 else "float32"]
        return ", ".join(parts + [word for word in ("compile", "tf32") if getattr(self, word)])


def cpu_has_bfloat16(capabilities: Mapping[str, object] | None = None) -> bool:
    """Whether this processor multiplies bfloat16 itself. Without that it is 2.5 to 11 times slower than float32.

    Args:
        capabilities: what ``torch.cpu.get_capabilities()`` says; asked for if not given. A torch that can not say
            counts as no.
    """
    if capabilities is None:
        ask = getattr(torch.cpu, "get_capabilities", None)
        capabilities = ask() if ask else {}
    arm = "bf16" if platform.machine() in ("arm64", "aarch64") else "amx_bf16"
    return any(bool(capabilities.get(name)) for name in ("amx_bf16", "avx512_bf16", arm))


def execution(
    device: str | torch.device,
    *,
    precision: str = "auto",
    compile: bool | None = None,
    seconds: float | None = None,
    capabilities: Mapping[str, object] | None = None,
) -> Execution:
    """Decide how to compute on a device; it need not be there.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"`` …
        precision: ``"bfloat16"``, ``"float32"``, or ``"auto"``: bfloat16 where the device computes with it.
            The environment variable HISTCOLOR_PRECISION, if set, takes the place of ``"auto"``.
        compile: use ``torch.compile``; by default on a GPU, if the run is known to be long enough to pay for it.
        seconds: how long the run will take, where that is known.
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
        bfloat16 = cuda or (device.type == "cpu" and cpu_has_bfloat16(capabilities))
    if compile is None:
        compile = cuda and seconds is not None and seconds >= COMPILING_PAYS
    fused = device.type in ("cpu", "cuda")
    return Execution(device, bfloat16, compile, pin=cuda, resident=cuda, fused=fused, tf32=cuda)


def send(x: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device without waiting for what is computed there."""
    if device.type == "cuda" and x.device.type == "cpu":  # only what lies in the machine's memory can be page-locked
        x = x.pin_memory()
    return x.to(device, non_blocking=True)
