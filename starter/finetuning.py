"""A finished UNet fine-tuned on the words of one table, and all else kept as it is.

A small network that goes on training moves everywhere. Two things hold it here: only keys and
values of cross-attention are trained, the layers that read the text (Custom Diffusion, Kumari et
al. 2023, section 3.2), and every caption without one of the words has the finished UNet's own
answer as its target (Learning without Forgetting, Li and Hoiem 2016).
"""

import copy
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from .unet import Batch


def train_text_layers_only(unet: nn.Module) -> None:
    """Freeze all of a UNet but the keys and values of its cross-attention."""
    unet.requires_grad_(False)
    for name, layer in unet.named_modules():
        if name.endswith(("attn2.to_k", "attn2.to_v")):
            layer.requires_grad_(True)


def contains_any_word(captions: Iterable[str], words: Iterable[str]) -> Tensor:
    """Whether each caption has one of the words, `[N]`; "flowers" is another word than "flower"."""
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b")
    return torch.tensor([bool(pattern.search(caption)) for caption in captions])


class Teacher:
    """A UNet as it was before fine-tuning, whose answers to all other captions are to stay."""

    def __init__(self, unet: nn.Module, captions: list[str], words: list[str]) -> None:
        self.unet = copy.deepcopy(unet).eval().requires_grad_(False)
        self.learns = contains_any_word(captions, words).to(next(unet.parameters()).device)

    @torch.no_grad()
    def target(self, batch: "Batch") -> Tensor:
        """The sample's own v `[B, 4, h, w]` where its caption has a word, else this UNet's answer.

        A dropped caption has none, so that what guidance pushes away from stays, too.
        """
        kept = ~(self.learns[batch.chosen] & batch.has_caption)
        if not kept.any():
            return batch.target
        noisy, times, context = batch.noisy[kept], batch.times[kept], batch.context[kept]
        answer = self.unet(noisy, times, context, return_dict=False)[0]
        return batch.target.masked_scatter(kept[:, None, None, None], answer.to(batch.target))
