"""What computing costs, before anything is loaded: operations of a base, speed of a device, time.

Rough figures, for estimates that a user sees; nothing here loads torch unless a GPU may be there.
"""

import os
import platform
import shutil
from pathlib import Path

from ..configs.base import BaseSettings

# A UNet takes about 0.23 FLOP per parameter and latent pixel, and there is about one UNet parameter
# per five bytes of a download (SD 1.5: 0.80 TFLOP at 64 x 64, 860 M in 4.3 GB).
FLOP_PER_PARAMETER = 0.23
PARAMETERS_PER_BYTE = 0.2
TRAINING = 3 * 1.25  # calls that a training sample is worth: forward and backward, with text passes
FLOP_PER_SECOND = {"cuda": 2.5e13, "mps": 2e12, "cpu": 2.5e10}  # reached; the last one per core
NVIDIA_DRIVER = Path("/proc/driver/nvidia")
CGROUP = Path("/sys/fs/cgroup")


def network_flop(base: BaseSettings, side: int) -> float:
    """Operations of one call of the denoising network for a picture of `side` px."""
    parameters = base.size_gb * 1e9 * PARAMETERS_PER_BYTE
    return FLOP_PER_PARAMETER * parameters * (side / 8) ** 2


def seconds_of(calls: float, base: BaseSettings, side: int, device: str) -> float:
    """Rough time of so many calls on a kind of device."""
    cores = (os.cpu_count() or 1) if device == "cpu" else 1
    return calls * network_flop(base, side) / (FLOP_PER_SECOND[device] * cores)


def total_memory(device: str) -> float:
    """Bytes of memory that a kind of device has, a container's limit considered."""
    if device != "cpu":
        from .device import device_memory

        return device_memory(device)
    import psutil

    return min(psutil.virtual_memory().total, container_limit())


def container_limit() -> float:
    """The memory limit of a Linux container in bytes, infinity without one."""
    try:
        return int((CGROUP / "memory.max").read_text())
    except (OSError, ValueError):  # no cgroup v2 here, or its limit reads "max"
        return float("inf")


def expected_device() -> str:
    """The kind of device that will compute: torch is asked only where a GPU may be there."""
    apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    if not (apple or NVIDIA_DRIVER.exists() or shutil.which("nvidia-smi")):
        return "cpu"
    from .device import pick_device

    return pick_device()
