"""The starter's CLIP tokenizer: byte-pair encoding trained on the recipe's own captions."""

import json
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"
LENGTH = 77
# CLIP's own rule for words: letters, single digits, or runs of other signs.
PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def train_tokenizer(texts: list[str], size: int, folder: Path) -> None:
    """Write vocab.json, merges.txt and tokenizer_config.json in CLIP's format.

    Every byte is a token, alone and at a word's end, so that no text is unknown. The last two
    tokens are CLIP's start and end marks.
    """
    alphabet = sorted(ByteLevel.alphabet())
    base = [*alphabet, *(letter + WORD_END for letter in alphabet)]
    merges = _learned_merges(texts, size - len(base) - 2, alphabet)
    tokens = list(dict.fromkeys([*base, *("".join(pair) for pair in merges)]))
    vocabulary = {token: i for i, token in enumerate([*tokens, START, END])}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "bos_token": START,
              "eos_token": END, "unk_token": END, "pad_token": END, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


def _learned_merges(texts: list[str], count: int, alphabet: list[str]) -> list[tuple[str, str]]:
    """The `count` most useful pairs to join, the first learned first."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True),
        ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    # The trainer counts the alphabet in its size, and letters at a word's end as they appear.
    trainer = trainers.BpeTrainer(vocab_size=count + 2 * len(alphabet), initial_alphabet=alphabet,
                                  end_of_word_suffix=WORD_END, show_progress=False, min_frequency=2)
    tokenizer.train_from_iterator(texts, trainer)
    learned = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(pair) for pair in learned][:count]


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer as transformers' CLIPTokenizer."""
    return CLIPTokenizer.from_pretrained(folder)


def encode(tokenizer: CLIPTokenizer, texts: list[str]) -> np.ndarray:
    """Token ids `[K, 77]`, int16, padded with the end mark."""
    ids = tokenizer(texts, padding="max_length", truncation=True, max_length=LENGTH)["input_ids"]
    return np.asarray(ids, dtype=np.int16)
