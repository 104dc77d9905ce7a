"""First stage: corpus, tokenizer and the compositions with their token ids."""

import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from ..configs.errors import InputError
from ..configs.files import replacing
from .composer import compose
from .compositions import Compositions
from .corpus import Corpus, load_corpus
from .recipe_settings import RecipeSettings
from .subjects import subjects_toml
from .tokenizer import encode, load_tokenizer, train_tokenizer

CHUNK = 20_000


@dataclass
class Prepared:
    """What VAE, CLIP and UNet learn from. `tokens` is int16 `[N, 77]`."""

    corpus: Corpus
    compositions: Compositions
    tokens: np.ndarray
    tokenizer_folder: Path

    def seen_by_vae(self) -> np.ndarray:
        """Indices of the compositions that show no held-out picture."""
        held_out, samples = self.corpus.held_out, self.compositions
        return np.flatnonzero(~np.isin(samples.front, held_out) & ~np.isin(samples.back, held_out))


def prepare(settings: RecipeSettings, work: Path, device: torch.device) -> Prepared:
    """Load or make everything; files under `work/` are reused by the next call.

    Raises InputError when `work/` holds compositions of other settings.
    """
    work.mkdir(parents=True, exist_ok=True)
    corpus = load_corpus(settings.corpus, work, device)
    words, made = work / "tokenizer", work / "compositions"
    if not words.is_dir():
        with replacing(words) as temporary:
            train_tokenizer(_texts(corpus, settings), settings.corpus.vocabulary, temporary)
    identity = json.loads(json.dumps({**asdict(settings.corpus), "subjects.toml": subjects_toml()}))
    if not made.is_dir():
        _compose_all(corpus, settings, words, made, identity)
    if json.loads((made / "settings.json").read_text(encoding="utf-8")) != identity:
        raise InputError(
            f"{work} was begun with other [corpus] settings or another subjects.toml. Take another "
            f"--work, or delete {made}."
        )
    samples, tokens = Compositions.load(made / "compositions.npz"), np.load(made / "tokens.npy")
    return Prepared(corpus, samples, tokens, words)


def _compose_all(
    corpus: Corpus, settings: RecipeSettings, words: Path, folder: Path, identity: dict
) -> None:
    """Write all compositions and their tokens, with what they depend on, whole or not at all."""
    samples, tokens = _compositions(corpus, settings, words)
    with replacing(folder) as temporary:
        temporary.mkdir()
        samples.save(temporary / "compositions.npz")
        np.save(temporary / "tokens.npy", tokens)
        (temporary / "settings.json").write_text(json.dumps(identity), encoding="utf-8")


def _texts(corpus: Corpus, settings: RecipeSettings) -> list[str]:
    """Everything the tokenizer should know: captions as they will appear, names and tags."""
    composed = compose(corpus, settings.corpus, min(len(corpus), CHUNK), seed=1)[1]
    tags = [tag for row in corpus.texts["tags"] for tag in row.split("|") if tag]
    tables = [subjects_toml()[name]["subjects"] for name in settings.corpus.subjects]
    listed = [word for table in tables for subject in table for word in subject]
    names = [name for i in range(len(corpus)) for name in corpus.names(i)]
    return [*composed, *names, *tags, *listed * 20]


def _compositions(
    corpus: Corpus, settings: RecipeSettings, folder: Path
) -> tuple[Compositions, np.ndarray]:
    """All samples, in chunks that do not depend on the number of processes."""
    count, seed = settings.corpus.compositions, settings.corpus.seed
    sizes = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
    light = replace(corpus, images=corpus.images[:0], small=corpus.small[:0])
    tasks = [(light, settings, size, 1000 * seed + 2 + i, folder) for i, size in enumerate(sizes)]
    if len(tasks) == 1:
        return _chunk(tasks[0])
    workers = min(len(tasks), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        parts, tokens = zip(*pool.map(_chunk, tasks), strict=True)
    return Compositions.joined(list(parts)), np.concatenate(tokens)


def _chunk(task: tuple[Corpus, RecipeSettings, int, int, Path]) -> tuple[Compositions, np.ndarray]:
    """One process's share: samples and their token ids."""
    corpus, settings, size, seed, folder = task
    samples, captions = compose(corpus, settings.corpus, size, seed)
    return samples, encode(load_tokenizer(folder), captions)
