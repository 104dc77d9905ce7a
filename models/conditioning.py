"""Concept words, and prompts encoded with one text per block of cross-attention (ED-LoRA 3.1)."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import TEXT_LENGTH

if TYPE_CHECKING:
    from .base import BaseModel
    from .edlora import Adapter


class ConceptEmbedding(nn.Module):
    """A frozen token embedding of V rows, followed by small trainable tables of concept words.

    `tables[key]` is [words, layers, W]; ids >= V address their rows in the order in which the
    tables were added. Nothing is resized and no frozen row is ever written. W is D, or where
    several text encoders share a table, D of its columns from `first` on are this one's.
    """

    def __init__(self, base: nn.Embedding, first: int = 0) -> None:
        super().__init__()
        self.base, self.first = base, first
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
        if rows.shape[1] > self.embedding_dim:
            rows = rows[:, self.first : self.first + self.embedding_dim]
        learned = F.embedding((ids - self.num_embeddings).clamp(min=0), rows)
        concept = (ids >= self.num_embeddings)[..., None]
        return torch.where(concept, learned.to(frozen.dtype), frozen)


@dataclass(frozen=True)
class Reader:
    """A text encoder, in whose embedding concept words stand, and its tokenizer."""

    encoder: nn.Module
    tokenizer: Any

    @property
    def concepts(self) -> ConceptEmbedding:
        """Its token embedding."""
        return self.encoder.get_input_embeddings()


def encode_prompts(
    base: "BaseModel", prompts: Sequence[str], adapters: Sequence["Adapter"] = ()
) -> Tensor:
    """Prompts -> text [B, L, 77, D], one encoding per block of cross-attention.

    Words of `adapters` (such as "<pim-1> <pim-2>", in any case) become their layers'
    vectors; "<concept>" must have been replaced before. What all layers share is encoded once.
    The text is CLIP's last hidden state after the final norm, in the text encoder's data type.
    """
    (reader,) = base.readers
    ids = prompt_ids(base, prompts, adapters)
    return encoded(ids, base.device, lambda rows: (reader.encoder(rows).last_hidden_state,))[0]


def encoded(
    ids: Tensor, device: torch.device, encode: Callable[[Tensor], tuple[Tensor, ...]]
) -> tuple[Tensor, ...]:
    """What `encode` makes of ids [N, 77], each [N, ...], for ids [B, L, 77]: each [B, L, ...].

    Equal rows are encoded once.
    """
    distinct, origin = torch.unique(ids.flatten(0, 1), dim=0, return_inverse=True)
    origin = origin.to(device)
    # index_select, unlike indexing, sums gradients in a fixed order on the CPU.
    made = (part.index_select(0, origin) for part in encode(distinct.to(device)))
    return tuple(part.unflatten(0, ids.shape[:2]) for part in made)


def prompt_ids(
    base: "BaseModel",
    prompts: Sequence[str],
    adapters: Sequence["Adapter"] = (),
    reader: Reader | None = None,
) -> Tensor:
    """Token ids [B, L, 77] of prompts, begin and end tokens and padding included.

    They are those of `reader`, the base's first one if not given.
    """
    reader = reader or base.readers[0]
    words = _concept_ids(reader, base.layers, adapters)
    ids = [_ids_of(reader.tokenizer, base.layers, prompt, words) for prompt in prompts]
    return torch.stack(ids)


def _concept_ids(reader: Reader, layers: int, adapters: Sequence["Adapter"]) -> dict[str, Tensor]:
    """Ids [L] of every concept word; one that all layers share repeats its id."""
    return {
        word: ids.expand(layers)
        for adapter in adapters
        if adapter.words
        for word, ids in zip(adapter.words, reader.concepts.ids(adapter.peft_name), strict=True)
    }


def _ids_of(tokenizer: Any, layers: int, prompt: str, words: dict[str, Tensor]) -> Tensor:
    """Ids [L, 77] of one prompt, tokenised around its concept words.

    A prompt that is too long loses its end, but keeps the end token, as in CLIP.
    """
    columns = []
    for piece in _split(prompt, words):
        if (layered := words.get(piece.lower())) is not None:
            columns.append(layered)
        else:
            plain = tokenizer(piece, add_special_tokens=False).input_ids
            columns += [torch.tensor(token).expand(layers) for token in plain]
    ids = torch.full((layers, TEXT_LENGTH), tokenizer.pad_token_id)
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
