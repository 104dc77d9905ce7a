"""One optimiser step of stage one, from the sampler's position to the updated adapter."""

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from ..configs.errors import InputError, SmaltiError
from ..configs.settings import TrainSettings
from ..models.attention import AttentionRecorder
from ..models.base import BaseModel
from ..models.conditioning import TEXT_LENGTH, encode_prompts, prompt_ids
from ..models.edlora import Adapter, parameter_groups
from .captions import caption_templates, fill
from .dataset import LatentSet
from .lighting import RELIT
from .losses import (
    add_noise,
    attention_loss,
    detail_weights,
    loss_weights,
    masked_mean,
    min_snr_weight,
    prediction_target,
)
from .sampling import draw_sample, relit_at, template_at

# Bases differ in the size of their embeddings: a word that begins above the limit may grow by
# Mix-of-Show's limit of 0.55 over its initial norm of 0.36 instead.
NORM_GROWTH = 1.5


@dataclass
class Run:
    """Everything a training step reads and changes."""

    settings: TrainSettings
    base: BaseModel
    adapter: Adapter
    data: LatentSet
    accelerator: Any
    optimizer: Any
    alphas: Tensor
    """Cumulative alphas [T], fp32 on the CPU."""
    recorder: AttentionRecorder | None
    """Attention maps of the step; None when the regulariser is off."""
    norm_limits: Tensor
    """Largest mean norm [words] of each concept word."""
    step: int = 0
    frozen_words: list[bool] = field(default_factory=list)
    identity: dict[str, Any] = field(default_factory=dict)
    """What must stay the same when the run goes on (see `checkpoint.run_identity`)."""
    positions: dict[str, Tensor] = field(default_factory=dict)
    """Places of the concept words in prompts met so far."""

    @property
    def samples_per_step(self) -> int:
        """Samples of one optimiser step over micro-batches and processes."""
        return (
            self.settings.batch_size
            * self.settings.gradient_accumulation
            * self.accelerator.num_processes
        )


@dataclass(frozen=True)
class Batch:
    """One micro-batch on the base's device; [B, ...], fp32."""

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    subject: Tensor
    padding: Tensor
    has_mask: Tensor
    prompts: list[str]


def make_optimizer(
    base: BaseModel, adapter: Adapter, settings: TrainSettings
) -> torch.optim.Optimizer:
    """Return AdamW (or its 8-bit form) over the three groups, each with its `initial_lr`.

    Raises InputError when 8-bit AdamW is asked for and bitsandbytes is missing.
    """
    groups = parameter_groups(base, adapter, settings)
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


def initial_norm_limits(embeddings: Tensor, limit: float) -> Tensor:
    """Return each word's norm limit [words] for embeddings [words, L, D]; infinite if 0."""
    start = word_norms(embeddings)
    if limit == 0:
        return torch.full_like(start, math.inf)
    return torch.where(start < limit, torch.full_like(start, limit), start * NORM_GROWTH)


def word_norms(embeddings: Tensor) -> Tensor:
    """Return each word's mean norm over layers, [words], for embeddings [words, L, D]."""
    return embeddings.detach().float().norm(dim=-1).mean(dim=-1).cpu()


def train_step(run: Run) -> dict[str, float]:
    """Do one optimiser step, advance `run.step` and return what to log.

    Raises SmaltiError when the loss is not finite.
    """
    began = time.perf_counter()
    parts: dict[str, float] = defaultdict(float)
    accumulation = run.settings.gradient_accumulation
    for micro in range(accumulation):
        batch = make_batch(run, micro)
        with run.accelerator.autocast():
            losses = batch_losses(run, batch)
        run.accelerator.backward(sum(losses.values()) / accumulation)
        for key, value in losses.items():
            parts[key] += value.item() / accumulation
    total = sum(parts.values())
    if not math.isfinite(total):
        raise SmaltiError(
            f"The loss became {total} at step {run.step + 1}. Lower the learning rates, or use "
            "train.mixed_precision = bf16 or no; then start anew with --restart."
        )
    rates = update(run)
    run.step += 1
    return {"loss": total, **parts, **rates, "seconds": time.perf_counter() - began}


def make_batch(run: Run, micro: int) -> Batch:
    """Put together micro-batch `micro` of the current step for this process."""
    settings, data = run.settings, run.data
    share = run.accelerator.num_processes * settings.batch_size
    start = (
        run.step * run.samples_per_step
        + micro * share
        + run.accelerator.process_index * settings.batch_size
    )
    relit = relit_at(settings.seed, run.step, settings.relit_share)
    weights = min_snr_weight(run.alphas, settings.min_snr_gamma, run.base.prediction_type)
    samples = [
        draw_sample(
            settings.seed,
            position,
            lights=data.lights if relit else 0,
            images=data.images,
            crops=data.crops,
            shape=data.latents.shape[3:],
            noise_offset=settings.noise_offset,
            timestep_weights=weights,
        )
        for position in range(start, start + settings.batch_size)
    ]
    images, crops, lights = (
        torch.tensor([getattr(s, name) for s in samples]) for name in ("image", "crop", "light")
    )
    template = template_at(settings.seed, run.step, caption_templates(settings.class_word))
    captions = [data.captions[s.image] or template for s in samples]
    ending = f", {RELIT}" if relit else ""
    device = run.base.device
    return Batch(
        latents=data.latents[images, crops, lights].to(device),
        noise=torch.stack([s.noise for s in samples]).to(device),
        timesteps=torch.tensor([s.timestep for s in samples]),
        subject=data.subject[images, crops].to(device),
        padding=data.padding[images, crops].to(device),
        has_mask=data.has_mask[images].to(device),
        prompts=[
            fill(caption + ending, run.adapter.trigger, settings.class_word)
            for caption in captions
        ],
    )


def batch_losses(run: Run, batch: Batch) -> dict[str, Tensor]:
    """Return a micro-batch's losses, scalars: denoising and, where it is on, attention."""
    settings, base = run.settings, run.base
    alphas = run.alphas[batch.timesteps].to(base.device)
    noisy = add_noise(batch.latents, batch.noise, alphas).to(base.dtype)
    text = encode_prompts(base, batch.prompts, [run.adapter])
    prediction = predict(run, noisy, batch.timesteps.to(base.device), text)
    target = prediction_target(batch.latents, batch.noise, alphas, base.prediction_type)
    weight = loss_weights(batch.subject, batch.padding, settings.background_weight)
    weight = weight * detail_weights(batch.latents, batch.subject, settings.detail_emphasis)
    per_sample = masked_mean((prediction.float() - target).square(), weight)
    losses = {"denoising": per_sample.mean()}
    if run.recorder:
        places = torch.stack([word_positions(run, prompt) for prompt in batch.prompts])
        maps = word_maps(run.recorder.maps, places.to(base.device), batch.latents.shape[-2:])
        regulariser = attention_loss(
            maps, batch.subject, batch.has_mask, full_identity=settings.attention_full_identity
        )
        losses["attention"] = settings.attention_weight * regulariser
    return losses


def predict(run: Run, noisy: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
    """Return the UNet's output [B, C, h, w]; attention maps are recorded if they are needed."""
    texts = text.unbind(dim=1)
    # Closed before the backward pass, where gradient checkpointing would record all maps again.
    with run.recorder or nullcontext():
        return run.base.unet(noisy, timesteps, encoder_hidden_states=texts).sample


def word_positions(run: Run, prompt: str) -> Tensor:
    """Return the place [words] of each concept word among the prompt's tokens.

    Raises InputError when a caption is so long that it is cut before the concept.
    """
    if prompt not in run.positions:
        ids = prompt_ids(run.base, [prompt], [run.adapter])[0, 0]
        words = run.base.concepts.ids(run.adapter.peft_name)[:, 0]
        found = [(ids == word).nonzero() for word in words]
        if any(len(places) == 0 for places in found):
            raise InputError(
                f'The caption "{prompt[:60]}..." is cut off before <concept>, as it is too long. '
                "Move <concept> to its front."
            )
        run.positions[prompt] = torch.stack([places[0, 0] for places in found])
    return run.positions[prompt]


def word_maps(
    maps: Sequence[tuple[int, Tensor]], places: Tensor, latent_size: Sequence[int]
) -> dict[int, Tensor]:
    """Average maps over heads and over the layers of a resolution: {height: [B, words, h, w]}.

    `maps` holds (layer, [B, heads, h*w, 77]); `places` is [B, words].
    """
    grouped: dict[int, list[Tensor]] = defaultdict(list)
    # A product with ones and zeros: the gradient of an indexed map costs more than the map.
    chosen = F.one_hot(places, TEXT_LENGTH).float()
    for _, attention in maps:
        height = round(math.sqrt(attention.shape[2] * latent_size[0] / latent_size[1]))
        words = chosen @ attention.mean(dim=1).mT
        grouped[height].append(rearrange(words, "b words (h w) -> b words h w", h=height))
    return {height: torch.stack(group).mean(dim=0) for height, group in grouped.items()}


def update(run: Run) -> dict[str, float]:
    """Apply the gradients with linear decay, clipping and norm limit; return rates and norms."""
    parameters = [
        p for group in run.optimizer.param_groups for p in group["params"] if p.grad is not None
    ]
    _average_over_processes(run.accelerator, parameters)
    norm = run.accelerator.clip_grad_norm_(parameters, run.settings.gradient_clip or math.inf)
    for group in run.optimizer.param_groups:
        group["lr"] = group["initial_lr"] * max(0.0, 1 - run.step / run.settings.steps)
    embeddings = run.adapter.embeddings
    frozen = torch.tensor(run.frozen_words, device=embeddings.device)
    held = embeddings.detach()[frozen].clone()
    run.optimizer.step()
    run.optimizer.zero_grad()
    with torch.no_grad():
        # Restored, not only left without gradient: momentum and weight decay would still move them.
        embeddings[frozen] = held
    norms = word_norms(embeddings)
    run.frozen_words = [
        old or bool(n >= limit)
        for old, n, limit in zip(run.frozen_words, norms, run.norm_limits, strict=True)
    ]
    decay = run.optimizer.param_groups[0]["lr"] / (run.optimizer.param_groups[0]["initial_lr"] or 1)
    return {"gradient_norm": float(norm), "embedding_norm": float(norms.mean()), "lr_factor": decay}


def _average_over_processes(accelerator: Any, parameters: Sequence[Tensor]) -> None:
    """Average gradients over processes; for a million values DDP wrappers are not worth it."""
    if accelerator.num_processes == 1:
        return
    flat = torch.cat([p.grad.flatten() for p in parameters])
    mean = accelerator.reduce(flat, reduction="mean")
    for parameter, part in zip(
        parameters, mean.split([p.numel() for p in parameters]), strict=True
    ):
        parameter.grad.copy_(part.view_as(parameter))
