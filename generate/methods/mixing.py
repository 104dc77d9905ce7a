"""Methods that mix the prediction under the tile's prompt with the reference's, at every step.

Both were made for one picture with two prompts, a global and a local one, denoised side by side. In
a mosaic the global branch has one known result, the reference, drawn or a photo: what it predicts
at a tile's place is taken to be the encoded block from the first step on. So a tile needs no other
tile, a photo needs no prompt, and the network is asked once per step. What is lost is a global
branch that is still undecided at first.
"""

import torch
from torch import Tensor

from ...models.band import along_both, area_matrix, spread_matrix
from ...models.base import BaseModel
from ...models.denoising import Align
from ..blocks import enlarge


def encoded_blocks(base: BaseModel, blocks: Tensor, tile: int) -> Tensor:
    """Latents [K, C, h, h] of blocks [K, 3, b, b] in [0, 1], enlarged to tiles of `tile` px."""
    return base.encode(enlarge(blocks, tile))


def blended(reference: Tensor, share: float) -> Align:
    """NoiseBlend (paper, section 4.1): x0 and the encoded blocks [K, C, h, w] in a fixed ratio."""
    return lambda x0: torch.lerp(x0, reference.to(x0), share)


def factorized(reference: Tensor, cells: int) -> Align:
    """Factorized diffusion (Geng et al. 2024; paper, appendix B.1) in latent space.

    The low band, cells x cells area means of the latents [K, C, h, h], comes from the encoded
    blocks, what is above it from the prediction. Where the noisy latents are the same, mixing
    predictions of x0 band by band is mixing those of the noise. At cells = h all is reference.
    """
    side = reference.shape[-1]
    low = spread_matrix(cells, side) @ area_matrix(side, cells)
    return lambda x0: x0 + along_both(low, reference.to(x0) - x0)
