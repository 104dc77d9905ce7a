"""Colour alignment by adaptive instance normalisation (paper, section 3.2)."""

import torch
from torch import Tensor

from ..models.base import BaseModel
from ..models.denoising import Align
from .blocks import enlarge

MIN_STD = 1e-4  # keeps flat tiles finite; natural latents have a deviation of about 1


def channel_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per sample and channel (Eq. 3-4), each [K, C, 1, 1].

    The deviation is the population's, with `MIN_STD` added in quadrature: its gradient is then
    finite on flat inputs too.
    """
    mean = x.mean(dim=(2, 3), keepdim=True)
    variance = (x - mean).square().mean(dim=(2, 3), keepdim=True)
    return mean, (variance + MIN_STD**2).sqrt()


def match_statistics(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Give x [K, C, h, w] the channel mean and deviation of its reference block (Eq. 5)."""
    own_mean, own_std = channel_statistics(x)
    return mean + std * (x - own_mean) / own_std


def make_alignment(base: BaseModel, blocks: Tensor, tile: int, space: str) -> Align | None:
    """Colour alignment of tiles of `tile` px in "latent" or "pixel" space; "" is none.

    blocks: [K, 3, b, b] in [0, 1].
    """
    if space == "pixel":
        return pixel_alignment(base, blocks)
    return latent_alignment(base, blocks, tile) if space else None


def latent_alignment(base: BaseModel, blocks: Tensor, tile: int) -> Align:
    """Colour alignment in latent space, towards the statistics of the encoded blocks.

    blocks: [K, 3, b, b] in [0, 1]. They are enlarged to the tile's size in pixels before they
    are encoded, because a block's own latent would be a handful of pixels.
    """
    mean, std = channel_statistics(base.encode(enlarge(blocks, tile)))
    return lambda x0: match_statistics(x0, mean.to(x0), std.to(x0))


def pixel_alignment(base: BaseModel, blocks: Tensor) -> Align:
    """Colour alignment on the decoded tile, towards the statistics of the blocks' pixels.

    The correction counts as a constant in gradients: what guidance sees behind it is decoder
    and UNet, not a decoder, an encoder and a decoder once more.
    """
    mean, std = channel_statistics(blocks)

    def align(x0: Tensor) -> Tensor:
        with torch.no_grad():
            pixels = base.decode(x0)
            aligned = match_statistics(pixels, mean.to(pixels), std.to(pixels))
            # encode(decode(x)) differs from x by the autoencoder's own error, which is no colour
            correction = base.encode(aligned.clamp(0, 1)) - base.encode(pixels.clamp(0, 1))
        return x0 + correction.to(x0)

    return align
