"""What a run leaves behind of its steps: a JSONL log and TensorBoard scalars."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from ..configs.files import remove
from .earlier import log_path


class RunLog:
    """Scalars of every step in `log.jsonl` and in TensorBoard's format under `tensorboard/`."""

    def __init__(self, folder: Path, step: int) -> None:
        """Open the logs in `folder` to go on after `step`; lines of later steps are dropped."""
        from torch.utils.tensorboard import SummaryWriter

        self._path = log_path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._path.write_text("".join(self._lines_until(step)))
        self._file = self._path.open("a", encoding="utf-8")
        if step == 0:
            remove(folder / "tensorboard")
        self._board = SummaryWriter(folder / "tensorboard", purge_step=step + 1 if step else None)

    def _lines_until(self, step: int) -> list[str]:
        if not step or not self._path.exists():
            return []
        kept = []
        for line in self._path.read_text().splitlines(keepends=True):
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError):  # cut off by a kill
                continue
        return kept

    def __enter__(self) -> Self:
        """Take the values of steps."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close both logs."""
        self._file.close()
        self._board.close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Log the values of a step."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        for key, value in values.items():
            self._board.add_scalar(key, value, step)

    def flush(self) -> None:
        """Put everything on disk."""
        self._file.flush()
        self._board.flush()
