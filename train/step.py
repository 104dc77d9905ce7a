"""One optimiser step of stage one, from the place in the stream of samples to the new adapter."""

import math
import time
from collections import defaultdict
from contextlib import nullcontext

from torch import Tensor

from ..configs.errors import SmaltiError
from ..models.conditioning import encode_prompts
from .batch import Batch, make_batch
from .losses import add_noise, detail_weights, loss_weights, masked_mean, prediction_target
from .optimizer import update
from .run import Run
from .word_attention import regulariser


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


def batch_losses(run: Run, batch: Batch) -> dict[str, Tensor]:
    """Return a micro-batch's losses, scalars: denoising and, where it is on, attention."""
    losses = {"denoising": denoising_loss(run, batch)}
    if run.recorder:
        loss = regulariser(run, run.recorder, batch.prompts, batch.subject, batch.has_mask)
        losses["attention"] = run.settings.attention_weight * loss
    return losses


def denoising_loss(run: Run, batch: Batch) -> Tensor:
    """Return the masked mean square error of the prediction, a scalar; records attention maps."""
    settings, base = run.settings, run.base
    alphas = run.alphas[batch.timesteps].to(base.device)
    noisy = add_noise(batch.latents, batch.noise, alphas).to(base.dtype)
    text = encode_prompts(base, batch.prompts, [run.adapter])
    prediction = predict(run, noisy, batch.timesteps.to(base.device), text)
    target = prediction_target(batch.latents, batch.noise, alphas, base.prediction_type)
    weight = loss_weights(batch.subject, batch.padding, settings.background_weight)
    weight = weight * detail_weights(batch.latents, batch.subject, settings.detail_emphasis)
    return masked_mean((prediction.float() - target).square(), weight).mean()


def predict(run: Run, noisy: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
    """Return the UNet's output [B, C, h, w]; attention maps are recorded if they are needed."""
    texts = text.unbind(dim=1)
    # Closed before the backward pass, where gradient checkpointing would record all maps again.
    with run.recorder or nullcontext():
        return run.base.unet(noisy, timesteps, encoder_hidden_states=texts).sample
