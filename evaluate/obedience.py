"""Obedience: whether a picture of a concept is what its prompt asked for beside the concept.

Two things that can be seen without people: the background's colour, told by the picture's border,
and the style, told by a judge's nearest of the styles that were asked for.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..generate.palette import color_names

BACKGROUNDS = ("red", "green", "blue", "yellow")
STYLES = ("3d render", "clipart", "outline icon", "blob emoji")
"""Styles that the starter's captions name (starter/subjects.toml); other bases know them too."""
BORDER = 1 / 16  # of a side: the frame whose mean colour counts as the background's


class TextJudge(Protocol):
    """What is needed of `judge.Judge`."""

    def similarity(self, images: Tensor, texts: Sequence[str]) -> Tensor:
        """Cosine similarities [K, N] of images [K, 3, H, W] in [0, 1] and texts."""
        ...


def background_prompt(color: str, subject: str) -> str:
    """A prompt that asks for a background."""
    return f"a {subject} on a {color} background"


def style_prompt(style: str, subject: str) -> str:
    """A prompt that asks for a style."""
    return f"{'an' if style[0] in 'aeiou' else 'a'} {style} of a {subject}"


def has_background(pictures: Tensor, colors: Sequence[str]) -> Tensor:
    """Whether [K] the border of each picture [K, 3, H, W] in [0, 1] has the colour named for it.

    A shade counts as its colour ("dark green" is green); distance is Oklab's.
    """
    names = color_names(border_means(pictures)[..., None, None])
    return torch.tensor([name.endswith(c) for name, c in zip(names, colors, strict=True)]).float()


def border_means(pictures: Tensor) -> Tensor:
    """Mean sRGB [K, 3] of the frame of pictures [K, 3, H, W]."""
    width = max(1, round(BORDER * pictures.shape[-1]))
    frame = torch.ones(pictures.shape[-2:], dtype=torch.bool)
    frame[width:-width, width:-width] = False
    return pictures[:, :, frame].mean(dim=-1)


def has_style(
    judge: TextJudge, pictures: Tensor, styles: Sequence[str], class_word: str
) -> Tensor:
    """Whether [K] the judge sees in each picture the style named for it, of STYLES.

    A style's similarity counts above its mean over the pictures: judges like some texts of all.
    """
    found = judge.similarity(pictures, [style_prompt(style, class_word) for style in STYLES])
    nearest = (found - found.mean(dim=0)).argmax(dim=1)
    wanted = torch.tensor([STYLES.index(style) for style in styles])
    return (nearest == wanted).float()
