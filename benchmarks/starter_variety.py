"""Whether the starter's samples are alike, or copies of what it was trained on."""

import os
from collections.abc import Iterator
from hashlib import sha256

import numpy as np
import torch
from starter_bench import LOCAL_PROMPTS, STEPS, Bench, Row
from torch import Tensor

from smalti.starter.corpus import Corpus
from smalti.starter.unet import draw

DUPLICATE = 0.98  # two samples of one prompt this alike are duplicates
# A sample this like a training picture is a near-copy. Mirrored and shrunk to 85 %, half of the
# training pictures are this like themselves.
NEAR_COPY = 0.93
FULL = 8  # samples of a prompt that are compared with the training pictures


def variety(bench: Bench) -> Iterator[Row]:
    """Likeness of one prompt's samples to one another, and of samples to the training pictures."""
    each = bench.count(16)
    features = bench.judge.image_features(bench.local_pictures).view(len(LOCAL_PROMPTS), each, -1)
    pairs = features @ features.transpose(1, 2) - 2 * torch.eye(each)
    alike = float(pairs.max())
    worst = LOCAL_PROMPTS[int(pairs.flatten(1).amax(1).argmax())]
    text = f"most alike pair of {each} samples of one prompt ({worst})"
    yield Row("variety", text, alike, "", f"< {DUPLICATE}", alike < DUPLICATE)
    yield from near_copies(bench)


def near_copies(bench: Bench) -> Iterator[Row]:
    """Share of samples on white that are near-copies of a training picture on white.

    The background is named, because a picture's embedding changes more with its background than
    with its subject. Training pictures against the other ones give the figure a scale.
    """
    each = bench.count(FULL)
    if not bench.has_corpus:
        text = f"samples nearer than {NEAR_COPY} to a training picture"
        yield Row("variety", text, None, "%", "<= 10")
        return
    prompts = [f"{prompt} on a white background" for prompt in LOCAL_PROMPTS]
    pictures = draw(bench.pipeline, prompts, each=each, steps=STEPS)
    chosen, known = corpus_features(bench)
    best, index = (bench.judge.image_features(pictures) @ known.T).max(1)
    order = best.argsort(descending=True)[:32]
    shown = torch.stack([pictures[order], on_white(bench.corpus, chosen[index[order]])], 1)
    bench.sheet("nearest", shown.flatten(0, 1), columns=16)
    share = 100 * float((best > NEAR_COPY).float().mean())
    text = f"samples nearer than {NEAR_COPY} to a training picture"
    yield Row("variety", text, share, "%", "<= 10", share <= 10)
    yield Row("variety", "mean similarity to the nearest training picture", float(best.mean()))
    probe = torch.arange(0, len(known), max(1, len(known) // 1000))
    others = known[probe] @ known.T
    others[torch.arange(len(probe)), probe] = -1
    among = 100 * float((others.amax(1) > NEAR_COPY).float().mean())
    yield Row("variety", f"training pictures nearer than {NEAR_COPY} to another one", among, "%")


def on_white(corpus: Corpus, index: np.ndarray | Tensor) -> Tensor:
    """Pictures `[K, 3, S, S]` of the corpus at full size on white."""
    pictures = corpus.images[torch.as_tensor(index).long()].float() / 255
    return pictures[:, :3] + 1 - pictures[:, 3:]


def corpus_features(bench: Bench) -> tuple[Tensor, Tensor]:
    """Picture numbers and embeddings of the corpus on white, kept in `work`.

    A part of it will do where fewer samples than FULL are compared with it.
    """
    each = bench.count(FULL)
    chosen = torch.arange(len(bench.corpus))
    if each < FULL:
        chosen = chosen[:: max(1, len(chosen) // (100 * each))]
    weights = (bench.model / "clip" / "image.safetensors").read_bytes()
    kept = bench.work / f"features_{sha256(weights).hexdigest()[:12]}_{len(chosen)}.npy"
    if kept.is_file():
        return chosen, torch.from_numpy(np.load(kept))
    parts = [bench.judge.image_features(on_white(bench.corpus, c)) for c in chosen.split(256)]
    features = torch.cat(parts)
    temporary = kept.with_suffix(".tmp.npy")
    np.save(temporary, features.numpy())
    os.replace(temporary, kept)
    return chosen, features
