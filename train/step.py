"""One optimiser step of stage one, from the place in the stream of samples to the new adapter."""

import math
import time
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import replace

from torch import Tensor

from ..configs.errors import SmaltiError
from ..models.denoiser import Conditioning
from ..models.prediction import NoiseLevel
from .batch import Batch, make_batch
from .losses import detail_weights, loss_weights, masked_mean
from .optimizer import update
from .run import Run


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
            losses = batch_losses(run, batch, micro)
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


def batch_losses(run: Run, batch: Batch, micro: int = 0) -> dict[str, Tensor]:
    """Return a micro-batch's losses, scalars: denoising, and those that the method adds."""
    losses = {"denoising": denoising_loss(run, batch)}
    return losses | run.method.losses(run, batch, micro)


def denoising_loss(run: Run, batch: Batch) -> Tensor:
    """Return the masked mean square error of the prediction, a scalar; records attention maps."""
    settings, base = run.settings, run.base
    level = base.denoiser.level(batch.timesteps)
    shown = base.framed(base.encode_text(batch.prompts, [run.adapter]), batch.frames)
    output = predict(run, level.noised(batch.latents, batch.noise), level, shown)
    target = base.denoiser.target(batch.latents, batch.noise, level)
    weight = loss_weights(batch.subject, batch.padding, settings.background_weight)
    weight = weight * detail_weights(batch.latents, batch.subject, settings.detail_emphasis)
    return masked_mean((output - target).square(), weight).mean()


def predict(run: Run, noisy: Tensor, level: NoiseLevel, shown: Conditioning) -> Tensor:
    """Return the network's output [B, C, h, w]; attention maps are recorded if they are needed."""
    # The gradient of one layer's part of a tensor is a tensor of all: each layer gets its own.
    texts = replace(shown, text=shown.text.unbind(dim=1))
    # Closed before the backward pass, where gradient checkpointing would record all maps again.
    with run.recorder or nullcontext():
        return run.base.denoiser.output(noisy, level, texts)
