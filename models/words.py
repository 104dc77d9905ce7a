"""The words of a concept: what stands for it in captions and prompts, and how it is called."""

import hashlib
import re
import unicodedata

CONCEPT = "<concept>"
"""Stands for a concept in captions and prompts, until its own words take the place."""
COLOR = "<color>"
"""Stands for the colour of a tile's block."""
KEY_LENGTH = 64
"""Longest key of a concept; longer names are cut and told apart by a hash."""
HASH_DIGITS = 6
NAMED = re.compile(r"<([^<>]+)>")
WORD = re.compile(r".+-\d+")  # of a concept: what its name stands for


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


def names_in(prompt: str) -> tuple[str, ...]:
    """Keys of the concepts that a prompt names as <NAME>, each once, in their order.

    A concept's own words, <NAME-1> and <NAME-2>, are none: whoever writes them means the tokens.
    """
    found = dict.fromkeys(map(concept_key, NAMED.findall(prompt)))
    general = {CONCEPT[1:-1], COLOR[1:-1]}
    return tuple(name for name in found if name not in general and not WORD.fullmatch(name))


def put_words(prompt: str, words: dict[str, str]) -> str:
    """A prompt in which each <NAME> has made room for what its key stands for in `words`."""
    return NAMED.sub(lambda found: words.get(concept_key(found[1]), found[0]), prompt)
