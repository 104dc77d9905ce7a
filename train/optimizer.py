"""The optimiser: AdamW over three groups, linear decay, clipping, and the words' norm limit."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..configs.errors import InputError
from ..configs.settings import TrainSettings
from ..models.base import BaseModel
from .run import Run

# Bases differ in the size of their embeddings: every word may grow by as much as Mix-of-Show's
# limit of 0.55 lets its words of norm 0.36.
NORM_GROWTH = 1.5


def make_optimizer(
    base: BaseModel, groups: Sequence[dict[str, Any]], settings: TrainSettings
) -> torch.optim.Optimizer:
    """Return AdamW (or its 8-bit form) over a method's groups, each with its `initial_lr`.

    Raises InputError when 8-bit AdamW is asked for and bitsandbytes is missing.
    """
    groups = [{**group, "initial_lr": group["lr"]} for group in groups]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(
            groups, weight_decay=settings.weight_decay, fused=base.device.type in ("cpu", "cuda")
        )
    try:
        import bitsandbytes
    except ImportError as error:
        raise InputError(
            'train.optimizer = "adamw8bit" needs bitsandbytes, which is not installed. '
            'Type pip install "smalti[gpu]", or use train.optimizer = "adamw".'
        ) from error
    return bitsandbytes.optim.AdamW8bit(groups, weight_decay=settings.weight_decay)


def initial_norm_limits(embeddings: Tensor, limit: float | None) -> Tensor:
    """Return each word's norm limit [words] for embeddings [words, L, D]; infinite for None.

    It is the greater of `limit` and NORM_GROWTH times the word's norm at the start.
    """
    start = word_norms(embeddings)
    return (start * NORM_GROWTH).clamp(min=math.inf if limit is None else limit)


def word_norms(embeddings: Tensor) -> Tensor:
    """Return each word's mean norm over layers, [words], for embeddings [words, L, D]."""
    return embeddings.detach().float().norm(dim=-1).mean(dim=-1).cpu()


def update(run: Run) -> dict[str, float]:
    """Apply the gradients with linear decay, clipping and norm limit; return rates and norms."""
    groups = run.optimizer.param_groups
    parameters = [p for group in groups for p in group["params"] if p.grad is not None]
    average_over_processes(run.accelerator, parameters)
    norm = run.accelerator.clip_grad_norm_(parameters, run.settings.gradient_clip or math.inf)
    for group in groups:
        group["lr"] = group["initial_lr"] * max(0.0, 1 - run.step / run.settings.steps)
    step_with_frozen_words(run)
    norms = word_norms(run.adapter.embeddings)
    run.frozen_words = [
        old or bool(n >= limit)
        for old, n, limit in zip(run.frozen_words, norms, run.norm_limits, strict=True)
    ]
    decay = groups[0]["lr"] / (groups[0]["initial_lr"] or 1)
    rates = {"gradient_norm": float(norm), "lr_factor": decay}
    return {**rates, "embedding_norm": float(norms.mean())} if len(norms) else rates


def step_with_frozen_words(run: Run) -> None:
    """Let the optimiser move everything but the words that have reached their limit."""
    embeddings = run.adapter.embeddings
    frozen = torch.tensor(run.frozen_words, dtype=torch.bool, device=embeddings.device)
    held = embeddings.detach()[frozen].clone()
    run.optimizer.step()
    run.optimizer.zero_grad()
    with torch.no_grad():
        # Restored, not only left without gradient: momentum and weight decay would still move them.
        embeddings[frozen] = held


def average_over_processes(accelerator: Any, parameters: Sequence[Tensor]) -> None:
    """Average gradients over processes; for a million values DDP wrappers are not worth it."""
    if accelerator.num_processes == 1:
        return
    flat = torch.cat([p.grad.flatten() for p in parameters])
    mean = accelerator.reduce(flat, reduction="mean")
    parts = mean.split([p.numel() for p in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad.copy_(part.view_as(parameter))
