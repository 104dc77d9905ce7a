"""The processor that models run on: which one, in what precision, with how much memory."""

from contextlib import AbstractContextManager, nullcontext

import torch

from ..configs.errors import InputError
from . import cost

DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""The dtype of frozen weights for each resolved `mixed_precision`."""


def pick_device() -> str:
    """The best processor here: "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def resolve_device(device: str) -> torch.device:
    """A torch device from "auto" or torch's own names; raises InputError when it is not there."""
    if device == "auto":
        return torch.device(pick_device())
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"Device {device!r} cannot be used here; try auto or cpu.") from error
    return torch.device(device)


def resolve_precision(precision: str, device: torch.device | str) -> str:
    """What "auto" stands for on a device: "bf16" where it multiplies in bf16, else "no".

    Guided drawing on a processor with AVX512-BF16 takes about half the time in bf16
    (`benchmarks/speed.py`).
    """
    if precision != "auto":
        return precision
    kind = torch.device(device).type
    if kind == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    if kind == "cpu" and hasattr(torch.cpu, "get_capabilities"):  # torch 2.11 and later
        features = torch.cpu.get_capabilities()
        return "bf16" if features.get("avx512_bf16") or features.get("amx_bf16") else "no"
    return "no"


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """A context in which operands keep their precision; devices that know no autocast always do."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def free_memory(device: torch.device | str) -> int:
    """Bytes of memory that a batch may take on `device` now."""
    kind = torch.device(device)
    if kind.type == "cuda":
        cached = torch.cuda.memory_reserved(kind) - torch.cuda.memory_allocated(kind)
        return torch.cuda.mem_get_info(kind)[0] + cached
    if kind.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    import psutil

    return min(psutil.virtual_memory().available, _container_memory())


def _container_memory() -> float:
    """Bytes left under the memory limit of a Linux container, or infinity without one."""
    try:
        return cost.container_limit() - int((cost.CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return float("inf")


def device_memory(device: str) -> float:
    """Bytes of memory that a GPU has, "cuda" or "mps"."""
    if device == "cuda":
        return torch.cuda.get_device_properties(0).total_memory
    return torch.mps.recommended_max_memory()
