"""Concept words, and prompts encoded with one text per cross-attention layer (ED-LoRA 3.1)."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import TEXT_LENGTH

if TYPE_CHECKING:
    from .bases.sd import StableDiffusion
    from .edlora import Adapter


class ConceptEmbedding(nn.Module):
    """A frozen token embedding of V rows, followed by small trainable tables of concept words.

    `tables[key]` is [words, layers, D]; ids >= V address their rows in the order in which the
    tables were added. Nothing is resized and no frozen row is ever written.
    """

    def __init__(self, base: nn.Embedding) -> None:
        super().__init__()
        self.base = base
        self.tables = nn.ParameterDict()

    @property
    def weight(self) -> Tensor:
        """The frozen rows [V, D]."""
        return self.base.weight

    @property
    def num_embeddings(self) -> int:
        """V, the first id of a concept word."""
        return self.base.num_embeddings

    @property
    def embedding_dim(self) -> int:
        """D, the width of a row."""
        return self.base.embedding_dim

    def ids(self, key: str) -> Tensor:
        """Token ids [words, layers] of a table."""
        start = self.num_embeddings
        for name, table in self.tables.items():
            words, layers, _ = table.shape
            if name == key:
                return torch.arange(start, start + words * layers).view(words, layers)
            start += words * layers
        raise KeyError(key)

    def forward(self, ids: Tensor) -> Tensor:
        """Token ids [...] -> embeddings [..., D] in the base's data type."""
        frozen = self.base(ids.clamp(max=self.num_embeddings - 1))
        if not self.tables:
            return frozen
        rows = torch.cat([table.flatten(0, 1) for table in self.tables.values()])
        learned = F.embedding((ids - self.num_embeddings).clamp(min=0), rows)
        concept = (ids >= self.num_embeddings)[..., None]
        return torch.where(concept, learned.to(frozen.dtype), frozen)


def encode_prompts(
    base: "StableDiffusion", prompts: Sequence[str], adapters: Sequence["Adapter"] = ()
) -> Tensor:
    """Prompts -> text [B, L, 77, D], one encoding per cross-attention layer.

    Words of `adapters` (such as "<pim-1> <pim-2>", in any case) become their layers'
    vectors; "<concept>" must have been replaced before. What all layers share is encoded once.
    The text is CLIP's last hidden state after the final norm, in the text encoder's data type.
    """
    ids = prompt_ids(base, prompts, adapters)
    distinct, origin = torch.unique(ids.flatten(0, 1), dim=0, return_inverse=True)
    hidden = base.text_encoder(distinct.to(base.device)).last_hidden_state
    # index_select, unlike indexing, sums gradients in a fixed order on the CPU.
    text = hidden.index_select(0, origin.to(base.device))
    return text.unflatten(0, ids.shape[:2])


def prompt_ids(
    base: "StableDiffusion", prompts: Sequence[str], adapters: Sequence["Adapter"] = ()
) -> Tensor:
    """Token ids [B, L, 77] of prompts, begin and end tokens and padding included."""
    words = _concept_ids(base, adapters)
    return torch.stack([_ids_of(base, prompt, words) for prompt in prompts])


def _concept_ids(base: "StableDiffusion", adapters: Sequence["Adapter"]) -> dict[str, Tensor]:
    """Ids [L] of every concept word; one that all layers share repeats its id."""
    return {
        word: ids.expand(base.layers)
        for adapter in adapters
        if adapter.words
        for word, ids in zip(adapter.words, base.concepts.ids(adapter.peft_name), strict=True)
    }


def _ids_of(base: "StableDiffusion", prompt: str, words: dict[str, Tensor]) -> Tensor:
    """Ids [L, 77] of one prompt, tokenised around its concept words.

    A prompt that is too long loses its end, but keeps the end token, as in CLIP.
    """
    tokenizer, columns = base.tokenizer, []
    for piece in _split(prompt, words):
        if (layered := words.get(piece.lower())) is not None:
            columns.append(layered)
        else:
            plain = tokenizer(piece, add_special_tokens=False).input_ids
            columns += [torch.tensor(token).expand(base.layers) for token in plain]
    ids = torch.full((base.layers, TEXT_LENGTH), tokenizer.pad_token_id)
    body = columns[: TEXT_LENGTH - 2]
    ids[:, 0] = tokenizer.bos_token_id
    ids[:, len(body) + 1] = tokenizer.eos_token_id
    if body:
        ids[:, 1 : len(body) + 1] = torch.stack(body, dim=1)
    return ids


def _split(prompt: str, words: dict[str, Tensor]) -> list[str]:
    """The prompt cut into concept words and the text between them."""
    if not words:
        return [prompt]
    pattern = "|".join(re.escape(word) for word in words)
    return [piece for piece in re.split(f"({pattern})", prompt, flags=re.IGNORECASE) if piece]
