"""After the VAE: its decoder alone, made robust against what a denoiser leaves in the latents.

The encoder stays as it is, so a UNet that was trained on its latents still fits.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from ...configs.recipe import RecipeSettings
from ...models.lpips import Lpips
from .compose import plain
from .grids import save_grid
from .loop import fit, step_seed
from .prepare import Prepared
from .vae import crops, reconstruct


class Decoding(nn.Module):
    """The second half of a VAE: latents `[K, 4, h, w]` to pictures in [-1, 1], not clamped."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.inward, self.decoder = vae.post_quant_conv, vae.decoder

    def forward(self, latents: Tensor) -> Tensor:
        """Pictures `[K, 3, 8h, 8w]`."""
        return self.decoder(self.inward(latents))


def noised(latents: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Latents `[K, 4, h, w]` with white noise, each of its own deviation in [0, `largest`].

    The deviation is `largest` times the square of a uniform number: half of them stay below a
    quarter of it, so that clean latents are decoded no worse.
    """
    shape, device = latents.shape, latents.device
    level = torch.rand(len(latents), 1, 1, 1, device=device, generator=generator).square()
    return latents + largest * level * torch.randn(shape, device=device, generator=generator)


def train_decoder(
    settings: RecipeSettings, prepared: Prepared, vae: AutoencoderKL, work: Path
) -> AutoencoderKL:
    """Train the decoder with L1 + LPIPS on noised latents of crops; returns the VAE with it."""
    ours, corpus = settings.decoder, prepared.corpus
    device = corpus.images.device
    model = Decoding(vae).requires_grad_(True)
    lpips = Lpips(Path(ours.lpips), "decoder.lpips").to(device)
    allowed = prepared.seen_by_vae()

    def loss(step: int) -> dict[str, Tensor]:
        pictures = crops(prepared, allowed, ours, step) * 2 - 1
        generator = torch.Generator(device).manual_seed(step_seed(ours.seed, step))
        with torch.no_grad():
            latents = vae.encode(pictures).latent_dist.mode().float()
        drawn = model(noised(latents, ours.noise, generator))
        distance = lpips(drawn * 0.5 + 0.5, pictures * 0.5 + 0.5).mean()
        return {"l1": F.l1_loss(drawn.float(), pictures), "lpips": ours.lpips_weight * distance}

    def with_decoder(average: nn.Module) -> AutoencoderKL:
        vae.post_quant_conv, vae.decoder = average.inward, average.decoder
        return vae

    def sample(average: nn.Module, path: Path) -> None:
        pictures = plain(corpus, corpus.held_out[:16], seed=0)
        drawn = reconstruct(with_decoder(average), pictures)
        save_grid(torch.cat([pictures, drawn]), path, columns=16)

    return with_decoder(fit("decoder", model, loss, ours, work, sample))
