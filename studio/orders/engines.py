"""The engine of a worker: one base, loaded once, for all the orders of a day."""

import gc
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ...configs.settings import Settings

if TYPE_CHECKING:
    from ...generate.engine import Engine


class Engines:
    """Keeps the engine that was opened last; another base or precision takes its place."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self.loading = 0.0
        """Seconds that loading bases took, in all."""

    def of(self, settings: Settings, folder: Path | None = None) -> "Engine":
        """An engine that draws a mosaic of these settings, or goes on with the one in a folder."""
        began = time.perf_counter()
        from ...generate.engine import open_engine
        from ...generate.store import read_record
        from ...models.device import pick_device, resolve_precision

        machine = settings.mosaic.machine
        begun = (read_record(folder) or {}).get("precision") if folder else None
        asked = begun if machine.mixed_precision == "auto" and begun else machine.mixed_precision
        precision = resolve_precision(asked, pick_device())
        found = self._engine
        if found is None or (found.base.settings, found.precision) != (settings.base, precision):
            self.close()
            self._engine = open_engine(settings.base, machine, precision=precision)
            self.loading += time.perf_counter() - began
        assert self._engine is not None
        return self._engine

    def close(self) -> None:
        """Give the memory of the engine back."""
        self._engine = None
        gc.collect()
        _empty_cache()


def _empty_cache() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def device_name() -> str:
    """What draws here, in words."""
    import torch

    from ...models.device import pick_device

    kind = pick_device()
    if kind == "cuda":
        return torch.cuda.get_device_name()
    return f"{kind} ({platform.processor() or platform.machine()})"
