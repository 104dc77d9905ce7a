"""Composed samples as rows of arrays: what stands where, before what."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np


@dataclass
class Compositions:
    """N samples.

    `front` and `back` are picture indices, `back` is -1 where there is no back layer. Places
    `[N, 4]` are (x scale, y scale, x shift, y shift) in units of half a side; a negative x scale
    mirrors. `recolor` `[N, 3]` is the colour in [0, 1] that the front picture is repainted in, -1
    where it keeps its own. `wrap` repeats the back layer over the whole picture. `colors`
    `[N, 2, 3]` in [0, 1] are the ends of the ramp behind everything, which runs at `angle` radians;
    `tint` `[N, 3]` multiplies the finished picture.
    """

    front: np.ndarray
    front_place: np.ndarray
    recolor: np.ndarray
    back: np.ndarray
    back_place: np.ndarray
    wrap: np.ndarray
    colors: np.ndarray
    angle: np.ndarray
    tint: np.ndarray

    def __len__(self) -> int:
        return len(self.front)

    def select(self, index: np.ndarray) -> "Compositions":
        """Some of the samples."""
        return Compositions(*(getattr(self, f.name)[index] for f in fields(self)))

    def save(self, path: Path) -> None:
        """Write all arrays to one .npz file."""
        np.savez(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    @staticmethod
    def load(path: Path) -> "Compositions":
        """Read what `save` wrote."""
        stored = np.load(path, allow_pickle=False)
        return Compositions(*(stored[f.name] for f in fields(Compositions)))

    @staticmethod
    def joined(parts: list["Compositions"]) -> "Compositions":
        """Several sets of samples as one."""
        names = [f.name for f in fields(Compositions)]
        return Compositions(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))
