"""What a device has used: NVIDIA's own counter, or the processor's where Linux lets us read it."""

import os
from collections.abc import Callable
from pathlib import Path

RAPL = Path("/sys/class/powercap")
MICRO, MILLI = 1e-6, 1e-3


class Meter:
    """Joules that a worker's device has used, as far as it tells."""

    def __init__(self, share: int = 1, rapl: Path = RAPL) -> None:
        """Find a counter; a processor that `share` workers use is divided among them."""
        self._counters = _gpu() or _processor(share, rapl)
        self._seen = [read() for read, _, _ in self._counters]

    def since(self) -> float | None:
        """Joules since this was last asked, None where nothing tells."""
        used = 0.0
        for number, (read, unit, wraps_at) in enumerate(self._counters):
            now, before = read(), self._seen[number]
            if now is None or before is None:
                return None
            used += (now - before + (wraps_at if now < before else 0)) * unit
            self._seen[number] = now
        return used if self._counters else None


Counter = tuple[Callable[[], int | None], float, int]
"""What reads it, its unit in joules, and where it begins anew."""


def _gpu() -> list[Counter]:
    """The counter of the first GPU that this process sees."""
    try:
        import pynvml

        pynvml.nvmlInit()
        shown = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        by_name = pynvml.nvmlDeviceGetHandleByUUID
        by_number = pynvml.nvmlDeviceGetHandleByIndex
        handle = by_number(int(shown)) if shown.isdigit() else by_name(shown)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except Exception:  # no driver, no such GPU, or one without a counter: each has its own error
        return []
    return [(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle), MILLI, 0)]


def _processor(share: int, rapl: Path) -> list[Counter]:
    """The counters of the processor's packages, which usually only root may read."""
    found = []
    for folder in sorted(rapl.glob("intel-rapl:?")):
        counter, limit = folder / "energy_uj", _number(folder / "max_energy_range_uj")
        if _number(counter) is None:
            return []
        found.append((lambda path=counter: _number(path), MICRO / share, limit or 0))
    return found


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
