"""Keyed randomness: what is drawn depends on a seed and a key, never on the order of drawing."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def keyed_generator(seed: int, *key: object) -> Generator:
    """A CPU generator whose stream depends on (seed, key) and on nothing else.

    The key's parts are told apart by their text, so ints and strings both serve. Streams of
    different keys are independent: the state comes from a hash, not from a sum.
    """
    text = "\x1f".join([str(seed), *map(str, key)])
    digest = hashlib.sha256(text.encode()).digest()
    return Generator("cpu").manual_seed(int.from_bytes(digest[:8], "little", signed=True))


def normal(shape: Sequence[int], seed: int, *key: object) -> Tensor:
    """Standard-normal CPU tensor keyed by (seed, key)."""
    return torch.randn(tuple(shape), generator=keyed_generator(seed, *key))
