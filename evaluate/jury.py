"""Who judges what was trained: one network for likeness, one that reads for styles.

starter-CLIP on the starter. Elsewhere likeness is DINOv2's, or else OpenAI's CLIP's, and styles are
OpenAI's CLIP's, where they are in the hub's cache; nothing is downloaded.
"""

from dataclasses import dataclass

from .dino import Dino
from .judge import STARTER_CLIP, Judge
from .likeness import ImageJudge
from .networks import CLIP, DINO

STARTER = "starter-CLIP"


@dataclass(frozen=True)
class Jury:
    """Two judges, which may be one, and what a table calls them."""

    alike: ImageJudge
    words: Judge
    name: str = STARTER


def find_jury(base: str) -> Jury:
    """Who judges trainings on a base, by the base's name."""
    alike, clip = likeness_judge(base), base != "starter" and CLIP.folder()
    words = alike if isinstance(alike, Judge) else Judge(clip or STARTER_CLIP)
    reader = "CLIP" if clip else STARTER
    return Jury(alike, words, f"{DINO.title}, styles {reader}" if alike is not words else reader)


def likeness_judge(base: str) -> ImageJudge:
    """Who judges likeness on a base."""
    if base == "starter":
        return Judge()
    if folder := DINO.folder():
        return Dino(folder)
    return Judge(CLIP.folder() or STARTER_CLIP)
