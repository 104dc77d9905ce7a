"""Second stage: the autoencoder, 8x smaller, 4 latent channels of zero mean and unit variance."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from ..models.lpips import Lpips
from .contact_sheets import save_contact_sheet
from .prepare import Prepared
from .recipe_settings import RecipeSettings, VaeSettings
from .rendering import on_random_colors, render
from .training_loop import fit, step_seed

LATENT_CHANNELS = 4
STATISTICS_OF = 4096  # samples whose latents get zero mean and unit variance


def new_vae(settings: VaeSettings, resolution: int) -> AutoencoderKL:
    """AutoencoderKL with one ResNet per block and no attention: fully convolutional."""
    levels = len(settings.channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=settings.channels, layers_per_block=1, norm_num_groups=8,
        latent_channels=LATENT_CHANNELS, sample_size=resolution, scaling_factor=1.0,
        mid_block_add_attention=False, force_upcast=False,
    )


class Autoencoding(nn.Module):
    """One pass of a VAE as a plain forward: pictures to (pictures, mean, log variance)."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, pictures: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures `[K, 3, H, W]` in [-1, 1]; `noise` `[K, 4, h, w]` samples the posterior."""
        mean, log_variance = self.vae.quant_conv(self.vae.encoder(pictures)).chunk(2, 1)
        log_variance = log_variance.clamp(-30, 20)
        latents = mean + (0.5 * log_variance).exp() * noise
        return self.vae.decoder(self.vae.post_quant_conv(latents)), mean, log_variance


def train_vae(settings: RecipeSettings, prepared: Prepared, work: Path) -> AutoencoderKL:
    """Train with L1 + LPIPS + KL on crops, then give the latents zero mean and unit variance."""
    ours, corpus = settings.vae, prepared.corpus
    device = corpus.images.device
    torch.manual_seed(ours.seed)
    model = Autoencoding(new_vae(ours, settings.corpus.resolution)).to(device)
    lpips = Lpips(Path(ours.lpips)).to(device)
    allowed = prepared.seen_by_vae()

    def loss(step: int) -> dict[str, Tensor]:
        pictures = _crops(prepared, allowed, ours, step) * 2 - 1
        generator = torch.Generator(device).manual_seed(step_seed(ours.seed, step))
        shape = (len(pictures), LATENT_CHANNELS, ours.crop // 8, ours.crop // 8)
        noise = torch.randn(shape, device=device, generator=generator)
        drawn, mean, log_variance = model(pictures, noise)
        mean, log_variance = mean.float(), log_variance.float()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        distance = lpips(drawn * 0.5 + 0.5, pictures * 0.5 + 0.5).mean()
        return {"l1": F.l1_loss(drawn.float(), pictures), "lpips": ours.lpips_weight * distance,
                "kl": ours.kl_weight * kl}

    def sample(average: nn.Module, path: Path) -> None:
        pictures = on_random_colors(corpus, corpus.held_out[:16], seed=0)
        pictures = torch.cat([pictures, reconstruct(average.vae, pictures)])
        save_contact_sheet(pictures, path, columns=16)

    vae = fit("vae", model, loss, ours, work, sample).vae
    chunks = [allowed[i : i + 64] for i in range(0, min(len(allowed), STATISTICS_OF), 64)]
    standardise_latents(vae, (render(corpus, prepared.compositions.select(c)) for c in chunks))
    return vae


def _crops(prepared: Prepared, allowed: np.ndarray, settings: VaeSettings, step: int) -> Tensor:
    """A batch of `[B, 3, crop, crop]` in [0, 1], every picture cut at its own place."""
    generator = np.random.default_rng([settings.seed, step])
    chosen = allowed[generator.integers(len(allowed), size=settings.batch_size)]
    pictures = render(prepared.corpus, prepared.compositions.select(chosen))
    room = pictures.shape[-1] - settings.crop
    if not room:
        return pictures
    device = pictures.device
    top, left = torch.from_numpy(generator.integers(room + 1, size=(2, len(chosen)))).to(device)
    line = torch.arange(settings.crop, device=device)
    rows, columns = (top[:, None] + line)[:, None, :, None], (left[:, None] + line)[:, None, None]
    batch = torch.arange(len(chosen), device=device)[:, None, None, None]
    return pictures[batch, torch.arange(3, device=device)[:, None, None], rows, columns]


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, pictures: Tensor) -> Tensor:
    """Pictures `[K, 3, H, W]` in [0, 1] through the VAE (mode of the posterior), clamped."""
    latents = vae.encode(pictures * 2 - 1).latent_dist.mode()
    return (vae.decode(latents).sample * 0.5 + 0.5).clamp(0, 1)


@torch.no_grad()
def standardise_latents(vae: AutoencoderKL, batches: Iterable[Tensor]) -> None:
    """Fold each latent channel's mean and deviation into the 1x1 convolutions around the latents.

    Measured on `batches` of pictures `[K, 3, H, W]` in [0, 1]. Then `scaling_factor` is 1 and
    colour alignment sees channels of one scale. Decoding what was encoded stays the same.
    """
    parts = [vae.encode(pictures * 2 - 1).latent_dist.mode() for pictures in batches]
    latents = torch.cat(parts).transpose(0, 1).flatten(1).double()
    mean, deviation = latents.mean(1).to(parts[0]), latents.std(1).to(parts[0])
    inward, outward, channels = vae.quant_conv, vae.post_quant_conv, len(mean)
    inward.weight[:channels] /= deviation[:, None, None, None]
    inward.bias[:channels] = (inward.bias[:channels] - mean) / deviation
    inward.bias[channels:] -= 2 * deviation.log()
    outward.bias += (outward.weight[:, :, 0, 0] * mean).sum(1)
    outward.weight *= deviation[None, :, None, None]
