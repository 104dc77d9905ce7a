"""Last stage: a T2I-Adapter (Mou et al. 2023) for colours, fitted to the finished denoiser.

It learns to put into the frozen UNet what a palette of the picture says about it.
"""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    StableDiffusionAdapterPipeline,
    T2IAdapter,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextModel

from ..models.attention import attention_kernel
from ..models.color_adapter import palette
from .contact_sheets import save_contact_sheet
from .prepare import Prepared
from .recipe_settings import RecipeSettings
from .rendering import render
from .training_loop import fit, step_seed
from .unet import Denoising, assemble

PROMPT, SHOWN = "a cat", 16  # of the sample grid: palettes above, what they make of it below


def new_color_adapter(channels: tuple[int, ...], blocks: int) -> T2IAdapter:
    """One tensor of features per level of a UNet with these channels, from RGB palettes."""
    return T2IAdapter(
        in_channels=3, channels=list(channels), num_res_blocks=blocks, downscale_factor=8,
        adapter_type="full_adapter",
    )


def early_weights(count: int) -> Tensor:
    """How often each of `count` timesteps is drawn, mean 1: early ones decide on colours.

    T2I-Adapter draws t = (1 - u^3) T with u uniform in [0, 1] (Mou et al. 2023, section 3.3), whose
    density is (1 - t / T)^(-2/3) / 3T. Here it is integrated over each timestep.
    """
    edges = torch.linspace(1, 0, count + 1, dtype=torch.float64).pow(1 / 3)
    return (count * (edges[:-1] - edges[1:])).float()


def train_color_adapter(
    settings: RecipeSettings, prepared: Prepared, vae: AutoencoderKL, text: CLIPTextModel,
    unet: UNet2DConditionModel, work: Path,
) -> T2IAdapter:
    """Train the adapter alone, on the UNet's own task with the picture's palette beside it.

    Late timesteps tell little: there the noised latents show the colours themselves.
    """
    ours, device = settings.color, prepared.corpus.images.device
    unet = unet.to(device).eval().requires_grad_(False)
    unet.set_attn_processor(attention_kernel(unet, "sdpa"))
    torch.manual_seed(ours.seed)
    adapter = new_color_adapter(tuple(unet.config.block_out_channels), ours.blocks).to(device)
    task = Denoising(settings.unet, prepared, vae, text, work)
    task.weights = early_weights(len(task.alphas)).to(device)

    def palettes(chosen: Tensor) -> Tensor:
        return palette(render(prepared.corpus, prepared.compositions.select(chosen.cpu().numpy())))

    def loss(step: int) -> dict[str, Tensor]:
        b = task.batch(ours.batch_size, step_seed(ours.seed, step))
        features = adapter(palettes(b.chosen))
        predicted = unet(b.noisy, b.times, b.context, return_dict=False,
                         down_intrablock_additional_residuals=features)[0]
        return {"loss": task.error(predicted, b)}

    def sample(average: nn.Module, path: Path) -> None:
        shown = palettes(torch.arange(min(SHOWN, len(prepared.compositions))))
        stock = assemble(unet, vae, task.text, task.tokenizer)
        pipeline = StableDiffusionAdapterPipeline.from_pipe(stock, adapter=average)
        pipeline.set_progress_bar_config(disable=True)
        with torch.no_grad():
            drawn = pipeline([PROMPT] * len(shown), shown, num_inference_steps=30,
                             guidance_scale=5.0, output_type="np").images
        drawn = torch.from_numpy(drawn).movedim(-1, 1)
        save_contact_sheet(torch.cat([shown.cpu(), drawn]), path, columns=len(shown))

    return fit("color", adapter, loss, ours, work, sample)
