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

from ...configs.recipe import RecipeSettings
from ...models.attention import attention_kernel
from ...models.color_adapter import palette
from .compose import render
from .grids import save_grid
from .loop import fit, step_seed
from .prepare import Prepared
from .unet import Denoising, assemble

PROMPT, SHOWN = "a cat", 16  # of the sample grid: palettes above, what they make of it below


def new_color_adapter(channels: tuple[int, ...], blocks: int) -> T2IAdapter:
    """One tensor of features per level of a UNet with these channels, from RGB palettes."""
    return T2IAdapter(
        in_channels=3, channels=list(channels), num_res_blocks=blocks, downscale_factor=8,
        adapter_type="full_adapter",
    )


def train_color(
    settings: RecipeSettings, prepared: Prepared, vae: AutoencoderKL, text: CLIPTextModel,
    unet: UNet2DConditionModel, work: Path,
) -> T2IAdapter:
    """Train the adapter alone, on the UNet's own task with the picture's palette beside it."""
    ours, device = settings.color, prepared.corpus.images.device
    unet = unet.to(device).eval().requires_grad_(False)
    unet.set_attn_processor(attention_kernel(unet, "sdpa"))
    torch.manual_seed(ours.seed)
    adapter = new_color_adapter(tuple(unet.config.block_out_channels), ours.blocks).to(device)
    task = Denoising(settings.unet, prepared, vae, text, work)

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
        save_grid(torch.cat([shown.cpu(), drawn]), path, columns=len(shown))

    return fit("color", adapter, loss, ours, work, sample)
