"""Alternatives in a prompt: "a cat {from the left|from the right}" is two prompts."""

import re
from collections.abc import Iterable
from itertools import product
from math import prod

from ..configs.errors import InputError

MAX_KINDS = 256  # of tiles; more cannot be told apart
GROUP = re.compile(r"\{([^{}|]*\|[^{}]*)\}")


def alternatives(prompt: str) -> list[tuple[str, ...]]:
    """The words that each pair of braces in a prompt offers, in their order.

    Raises InputError for braces that are not closed or lie in others.
    """
    rest = GROUP.sub("", prompt)
    if "|" in rest and ("{" in rest or "}" in rest):
        raise InputError(
            f'The braces of the prompt "{prompt}" do not match; write {{from the left|from the '
            "right}, and none inside others."
        )
    return [tuple(part.strip() for part in found.split("|")) for found in GROUP.findall(prompt)]


def spoken(prompt: str, words: tuple[str, ...]) -> str:
    """A prompt with one of the alternatives in the place of each pair of braces."""
    left = iter(words)
    said = GROUP.sub(lambda _: next(left), prompt)
    return " ".join(said.split()) if words else said


def choices(prompt: str) -> list[tuple[str, ...]]:
    """Every choice among a prompt's alternatives; a single empty one where it has none."""
    return list(product(*alternatives(prompt)))


def check_kinds(prompts: Iterable[str], concepts: int) -> None:
    """Raise InputError for braces that do not match, or more than MAX_KINDS kinds of tiles."""
    each = (prod(map(len, alternatives(prompt))) for prompt in prompts)
    count = max(1, concepts) * sum(each)
    if count > MAX_KINDS:
        raise InputError(
            f"Concepts, prompts and their alternatives make {count} kinds of tiles; give fewer, at "
            f"most {MAX_KINDS}."
        )
