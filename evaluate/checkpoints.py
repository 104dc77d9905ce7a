"""The judge of a training's checkpoints: likeness to the photos, obedience to named backgrounds."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ..generate.palette import COLORS
from ..models.colorspaces import oklab
from ..models.words import CONCEPT
from .jury import likeness_judge
from .likeness import ImageJudge, likeness, photo_features
from .obedience import BACKGROUNDS, background_prompt, border_means

PLAIN = 2  # pictures of the concept alone


class PhotoJudge:
    """Judges pictures of a concept against its photos; `train.judging` draws them."""

    prompts: Sequence[str] = (
        *[f"a {CONCEPT}"] * PLAIN,
        *(background_prompt(color, CONCEPT) for color in BACKGROUNDS),
    )

    def __init__(self, photos: Sequence[Path], base: str) -> None:
        self._files, self._base = photos, base

    @cached_property
    def _judge(self) -> tuple[ImageJudge, Tensor]:
        """The judge and the photos' embeddings [P, D], read when the first checkpoint is there."""
        judge = likeness_judge(self._base)
        return judge, photo_features(judge, self._files)

    def __call__(self, pictures: Tensor) -> tuple[float, float]:
        """Mean similarity to the photos, and nearness of borders to the colours named."""
        judge, photos = self._judge
        alike = float(likeness(judge, pictures, photos).mean())
        return max(alike, 0.0), float(nearness(pictures[PLAIN:], BACKGROUNDS).mean())


def nearness(pictures: Tensor, colors: Sequence[str]) -> Tensor:
    """1 less the Oklab distance [K] of each picture's border from its colour, at least 0."""
    wanted = torch.tensor([COLORS[color] for color in colors]) / 255
    distance = (oklab(border_means(pictures)) - oklab(wanted)).norm(dim=-1)
    return (1 - distance).clamp(min=0)
