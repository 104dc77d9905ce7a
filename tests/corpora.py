"""Corpora of captions alone, for tests that look at no picture."""

import numpy as np
import torch

from smalti.starter.corpus import Corpus


def corpus_of(captions: list[str], alternatives: list[str] | None = None) -> Corpus:
    """Pictures of nothing with these captions; alternatives of one picture are joined by "|"."""
    texts = {"caption": captions, "alt": alternatives or [""] * len(captions)}
    empty = torch.zeros(0)
    return Corpus(empty, empty, texts, np.zeros(len(captions), bool), np.array([0]))
