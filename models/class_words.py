"""Where a concept's words begin: one Gaussian, one a copy of the class word (ED-LoRA 3.1)."""

import difflib
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..configs.errors import InputError

if TYPE_CHECKING:
    from .base import BaseModel
    from .conditioning import Reader

NORM_SHARE = 0.9
"""Expected norm of a new first word, in median norms of the base's words.

The original draws from N(0, 0.013^2) at width 768, norm 0.36, where words of SD 1.x have about 0.4.
"""


def initial_words(
    base: "BaseModel", class_word: str, layers: int, generator: torch.Generator
) -> Tensor:
    """Words [2, layers, W]: Gaussian, and the class word; every layer starts the same."""
    first = torch.cat([_gaussian_word(reader, generator) for reader in base.readers])
    words = torch.stack([first, class_embedding(base, class_word)])
    return words[:, None].repeat(1, layers, 1)


def _gaussian_word(reader: "Reader", generator: torch.Generator) -> Tensor:
    """The columns [D] of a new first word that one text encoder reads."""
    width = reader.concepts.embedding_dim
    norm = NORM_SHARE * reader.concepts.weight.float().norm(dim=1).median().item()
    return torch.randn(width, generator=generator) * norm / math.sqrt(width)


def class_embedding(base: "BaseModel", class_word: str) -> Tensor:
    """Embedding [W] of a class word, the mean of its tokens when it has several.

    Raises InputError when the base does not know it.
    """
    check_class_word(base, class_word)
    parts = []
    for reader in base.readers:
        ids = reader.tokenizer(class_word, add_special_tokens=False).input_ids
        parts.append(reader.concepts.weight[ids].detach().float().mean(dim=0).cpu())
    return torch.cat(parts)


def check_class_word(base: "BaseModel", class_word: str) -> None:
    """Raise InputError when the base does not know a class word."""
    tokenizer = base.readers[0].tokenizer  # of two, both have the same words
    for word in class_word.split() or [""]:
        pieces = tokenizer.tokenize(word)
        # A word that falls into single letters was not in the tokenizer's training text.
        if not pieces or (len(pieces) > 1 and 2 * len(pieces) > len(word)):
            raise InputError(_unknown_word(base, tokenizer, class_word, word))


def _unknown_word(base: "BaseModel", tokenizer: Any, class_word: str, word: str) -> str:
    tokens = (token.removesuffix("</w>") for token in tokenizer.get_vocab() if "</w>" in token)
    known = sorted({token for token in tokens if len(token) > 2 and token.isalpha()})
    near = difflib.get_close_matches(word.lower(), known, n=3) or ["person", "dog", "thing"]
    return (
        f"Class word {class_word!r} is unknown to base {base.settings.name!r}. Set class_word in "
        f"concept.toml to a common noun, such as {' or '.join(near)}."
    )
