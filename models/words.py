"""The words of a concept: what stands for it in captions and prompts, and how it is called."""

import re

from ..configs.errors import InputError

CONCEPT = "<concept>"
"""Stands for a concept in captions and prompts, until its own words take the place."""


def concept_key(name: str) -> str:
    """A concept's name as it appears in token and tensor names: lower-case letters, digits, -, _.

    Lower case, because tokenizers fold case and "<Cat-1>" and "<cat-1>" would be one word.
    Raises InputError when nothing is left of the name.
    """
    key = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")
    if not key:
        raise InputError(f"{name!r} cannot name a concept; use letters a-z, digits, - and _.")
    return key


def concept_token_names(name: str, words: int = 2) -> list[str]:
    """The words that stand for a concept in prompts: "<sylvie-1>", "<sylvie-2>"."""
    return [f"<{concept_key(name)}-{index + 1}>" for index in range(words)]
