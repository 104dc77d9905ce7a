"""One vector per word in place of layer-wise ones, for files that hold no more.

The mean over the layers is where it begins; then train's own steps move it, with LoRA frozen. What
that costs is measured: likeness with the words as they are, with the mean, and retuned. Retuning
does not always help, so the better of both is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..configs.progress import Report, silent
from ..configs.settings import Settings
from ..models.base import BaseModel
from ..models.denoising import draw_pictures
from ..models.edlora import Adapter, load_adapter, set_active
from .captions import fitted_captions
from .concept import Concept
from .dataset import build_latents
from .identity import with_class_word
from .methods import method_of
from .optimizer import initial_norm_limits
from .prepare import check_latents, make_accelerator, open_base, with_resolved_precision
from .run import Run
from .step import train_step
from .templates import fill
from .validation import SCHEDULER

PROMPTS = ("a <concept>", "a photo of a <concept>", "a <concept> on a red background")
SEEDS = 4  # of each prompt
RATE = 5.0  # times the learning rate that the words were trained with: far fewer steps

Likeness = Callable[[Tensor], Tensor]
"""Likeness [K] of images [K, 3, H, W] in [0, 1] to the concept's photos."""


@dataclass(frozen=True)
class Retuned:
    """Words of one vector each, and what they are worth."""

    words: Tensor
    """[words, D], fp32: retuned, or their mean where that has the greater likeness."""
    layerwise: float | None
    """Mean likeness of pictures with the words as they were trained; None without a judge."""
    mean: float | None
    """That with their mean over the layers."""
    retuned: float | None
    """That with the retuned words."""


def retune(
    adapter: Path,
    concept: Concept,
    settings: Settings,
    steps: int,
    *,
    likeness: Likeness | None = None,
    report: Report = silent,
) -> Retuned:
    """Retune the words of a layer-wise adapter for so many steps; 0 leaves their mean.

    Without a judge of likeness the retuned words are kept.

    report: told of images, steps and pictures. Raises InputError for a file or base that cannot be
    used, SmaltiError where the loss is not finite.
    """
    settings = with_resolved_precision(with_class_word(settings, concept), None)
    settings = replace(settings, train=replace(settings.train, steps=max(1, steps)))
    accelerator = make_accelerator(settings.train)
    base = open_base(settings, accelerator)
    layered = load_adapter(base, adapter)
    worth = [_worth(base, layered, settings, likeness)]
    single = _with_words(base, layered, layered.embeddings.detach().mean(dim=1, keepdim=True))
    worth.append(_worth(base, single, settings, likeness))
    words = mean = single.embeddings.detach()[:, 0].float().cpu().clone()
    if steps:
        _train(prepare_words(base, single, concept, settings, accelerator, report), report)
        worth.append(_worth(base, single, settings, likeness))
        words = single.embeddings.detach()[:, 0].float().cpu()
    layerwise, before, after = worth[0], worth[1], worth[-1]
    worse = before is not None and after is not None and after < before
    return Retuned(mean if worse else words, layerwise, before, after)


def prepare_words(
    base: BaseModel,
    adapter: Adapter,
    concept: Concept,
    settings: Settings,
    accelerator: object,
    report: Report,
) -> Run:
    """A run in which nothing but the words learns; their attention is left as it comes."""
    train = settings.train
    data = build_latents(concept, base, train, report=report)
    check_latents(data)
    captions = fitted_captions([item.caption for item in concept.images], base, adapter, train)
    rate = RATE * train.learning_rate_embedding
    group = {"params": [adapter.embeddings], "lr": rate, "initial_lr": rate}
    adapter.embeddings.requires_grad_(True)
    return Run(
        settings=train,
        method=method_of(train),
        base=base,
        adapter=adapter,
        data=replace(data, captions=captions.captions),
        accelerator=accelerator,
        optimizer=accelerator.prepare_optimizer(  # type: ignore[attr-defined]
            torch.optim.AdamW([group], weight_decay=train.weight_decay)
        ),
        recorder=None,
        norm_limits=initial_norm_limits(adapter.embeddings, train.embedding_norm_limit),
        frozen_words=[False] * len(adapter.words),
    )


def _train(run: Run, report: Report) -> None:
    total = run.settings.steps
    with run.base.casts_left_to_autocast():
        while run.step < total:
            train_step(run)
            report(run.step, total, "retuning the words")


def _with_words(base: BaseModel, adapter: Adapter, words: Tensor) -> Adapter:
    """The adapter with other words [words, L, D] in place of its own."""
    changed = replace(adapter, embeddings=nn.Parameter(words.clone()))
    for reader in base.readers:
        reader.concepts.tables[adapter.peft_name] = changed.embeddings
    base.adapters[adapter.name] = changed
    return changed


def _worth(
    base: BaseModel, adapter: Adapter, settings: Settings, likeness: Likeness | None
) -> float | None:
    """Mean likeness of pictures that are drawn with an adapter, always of the same noise."""
    if likeness is None:
        return None
    set_active(base, [adapter.name])
    prompts = [fill(text, adapter.trigger, adapter.class_word) for text in PROMPTS] * SEEDS
    pictures = draw_pictures(
        base,
        prompts,
        [adapter],
        range(len(prompts)),
        settings.train.validation_steps,
        settings.mosaic.sampler.cfg_scale,
        scheduler=SCHEDULER,
    )
    return float(likeness(pictures).mean())
