"""What tests of exchanged files share: adapters on disk, kohya's names as literals, predictions."""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file

from smalti.configs.train import TrainSettings
from smalti.models.conditioning import encode_prompts
from smalti.models.edlora import attach_new, detach, parameter_groups, save_adapter

ATTENTION = ("to_q", "to_k", "to_v", "to_out_0")
BLOCKS = [
    *(f"down_blocks_{i}_attentions_{j}" for i in range(3) for j in range(2)),
    "mid_block_attentions_0",
    *(f"up_blocks_{i}_attentions_{j}" for i in range(1, 4) for j in range(3)),
]


def kohya_unet(whole: bool) -> Iterator[str]:
    """The UNet's names of Stable Diffusion 1.x in kohya's files; whole: beyond attention."""
    for block in BLOCKS:
        inner = f"lora_unet_{block}_transformer_blocks_0_"
        yield from (f"{inner}attn{n}_{layer}" for n in (1, 2) for layer in ATTENTION)
        if whole:
            yield from (f"lora_unet_{block}_proj_in", f"lora_unet_{block}_proj_out")
            yield from (f"{inner}ff_net_0_proj", f"{inner}ff_net_2")


def kohya_text(layers: int, whole: bool) -> Iterator[str]:
    """The text encoder's names in kohya's files."""
    for layer in range(layers):
        stem = f"lora_te_text_model_encoder_layers_{layer}_"
        yield from (f"{stem}self_attn_{name}_proj" for name in ("q", "k", "v", "out"))
        if whole:
            yield from (f"{stem}mlp_fc1", f"{stem}mlp_fc2")


def write_trained(base, path: Path, **settings) -> None:
    """An adapter's file whose every value is away from its start, as after training."""
    settings = TrainSettings(**settings)
    adapter = attach_new(base, "sylvie", "girl", settings)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for group in parameter_groups(base, adapter, settings):
            for parameter in group["params"]:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    save_adapter(base, adapter, path, {"steps": 12, "images": 15})
    detach(base, adapter)


@torch.no_grad()
def predicted(base, prompt: str, adapters=()) -> torch.Tensor:
    """UNet output for a fixed latent: depends on words, text encoder LoRA and UNet LoRA."""
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    return base.unet(latents, torch.tensor(300), encode_prompts(base, [prompt], adapters)).sample


def write_lora(path: Path, tensors: dict[str, torch.Tensor], **metadata: str) -> Path:
    """A LoRA file of somebody else's."""
    plain = {key: value.contiguous() for key, value in tensors.items()}
    save_file(plain, path, metadata=metadata or None)
    return path
