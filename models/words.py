"""The words of a concept: what stands for it in captions and prompts, and how it is called."""

import hashlib
import re
import unicodedata

CONCEPT = "<concept>"
"""Stands for a concept in captions and prompts, until its own words take the place."""
KEY_LENGTH = 64
"""Longest key of a concept; longer names are cut and told apart by a hash."""
HASH_DIGITS = 6


def concept_key(name: str) -> str:
    """A concept's name as it appears in token and tensor names: lower-case letters, digits, -, _.

    Lower case, because tokenizers fold case and "<Cat-1>" and "<cat-1>" would be one word. Accents
    go; a name of which nothing else is left, or too much, is told by a few digits of its hash.
    """
    lowered = unicodedata.normalize("NFC", name).lower()
    letters = unicodedata.normalize("NFKD", lowered)
    plain = "".join(char for char in letters if not unicodedata.combining(char)).lower()
    key = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-")
    if key and len(key) <= KEY_LENGTH:
        return key
    digits = hashlib.sha256(lowered.encode(errors="surrogatepass")).hexdigest()[:HASH_DIGITS]
    return f"{key[: KEY_LENGTH - 2 * HASH_DIGITS]}-{digits}".lstrip("-")


def concept_token_names(name: str, words: int = 2) -> list[str]:
    """The words that stand for a concept in prompts: "<pim-1>", "<pim-2>"."""
    return [f"<{concept_key(name)}-{index + 1}>" for index in range(words)]
