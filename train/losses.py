"""The loss of stage one: masked means, weights of background and detail, attention regulariser."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

DETAIL_RANGE = (0.4, 4.0)


def loss_weights(subject: Tensor, padding: Tensor, background_weight: float) -> Tensor:
    """Return the weight [B, 1, h, w] of each latent pixel.

    It is 1 on the subject, `background_weight` beside it, 0 on padding. `subject` and `padding` are
    [B, 1, h, w] in [0, 1], resized by area, so borders are soft.
    """
    return padding * (background_weight + (1 - background_weight) * subject)


def detail_weights(latents: Tensor, subject: Tensor, emphasis: float) -> Tensor:
    """Return the weight [B, 1, h, w] of each latent pixel by how much happens around it.

    That is the standard deviation over its 3 x 3 neighbours and all channels of `latents`
    [B, C, h, w], as a multiple of its mean over `subject` [B, 1, h, w] and no further from it than
    `DETAIL_RANGE`, to the power `emphasis`. So eyes weigh more than the cheeks around them, which
    are many more pixels. 0 gives ones.
    """
    mean = _neighbours(latents)
    variance = (_neighbours(latents.square()) - mean.square()).clamp(min=0)
    detail = variance.mean(dim=1, keepdim=True).sqrt()
    usual = masked_mean(detail, subject).view(-1, 1, 1, 1)
    relative = detail / usual.clamp(min=torch.finfo(detail.dtype).tiny)
    return relative.clamp(*DETAIL_RANGE).pow(emphasis)


def _neighbours(values: Tensor) -> Tensor:
    """Mean over 3 x 3 pixels; rims are repeated outwards."""
    return F.avg_pool2d(F.pad(values, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


def masked_mean(error: Tensor, weight: Tensor) -> Tensor:
    """Return each sample's weighted mean [B] of `error` [B, C, h, w] under `weight` [B, 1, h, w].

    A true mean: ED-LoRA's released code divides by the mask's sum but not by the channels and so is
    C times as large; what stands beside it weighs 1 / C of what is published
    (`train.attention_weight`). A sample whose weights are all zero gives zero.
    """
    total = (error * weight).sum(dim=(1, 2, 3))
    count = weight.sum(dim=(1, 2, 3)) * error.shape[1]
    return total / count.clamp(min=torch.finfo(error.dtype).tiny)


def attention_loss(
    maps: Mapping[int, Tensor], subject: Tensor, has_mask: Tensor, *, full_identity: bool
) -> Tensor:
    """Attention regulariser (Mix-of-Show, released code): words must not look outside the subject.

    `maps[r]` is [B, words, r, r'], the attention on each concept word averaged over heads and over
    the layers of that resolution. `subject` is [B, 1, h, w] in [0, 1]; `has_mask` [B] says which
    samples have a mask, others give no loss.

    Per resolution: mean(A1 where M = 0) + mean(A2 where M = 0), the second replaced by MSE(A2, M)
    if `full_identity`; soft masks weight by 1 - M. Each map is divided by its own maximum (the
    original: by the batch's, which couples samples). Masks that leave no outside give zero, never
    NaN. Returns the batch mean, a scalar.
    """
    total = subject.new_zeros(subject.shape[0], dtype=torch.float32)
    for attention in maps.values():
        attention = _normalise(attention.float())
        mask = F.adaptive_avg_pool2d(subject.float(), attention.shape[-2:])
        outside = torch.stack(
            [_mean_where(word, 1 - mask[:, 0]) for word in attention.unbind(1)], dim=1
        )
        if full_identity and outside.shape[1] > 1:
            identity = (attention[:, -1] - mask[:, 0]).square().mean(dim=(1, 2))
            total = total + outside[:, :-1].sum(dim=1) + identity
        else:
            total = total + outside.sum(dim=1)
    return (total * has_mask).mean()


def _normalise(attention: Tensor) -> Tensor:
    peak = attention.amax(dim=(-2, -1), keepdim=True)
    return attention / peak.clamp(min=torch.finfo(attention.dtype).tiny)


def _mean_where(values: Tensor, weight: Tensor) -> Tensor:
    count = weight.sum(dim=(1, 2))
    total = (values * weight).sum(dim=(1, 2))
    # A share of a pixel is rounding of the area resize, not an outside.
    return torch.where(count > 1e-3, total / count.clamp(min=1e-3), torch.zeros_like(total))
