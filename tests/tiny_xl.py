"""A tiny, randomly initialised model in SDXL's layout, for tests; see `tiny.py`.

It has SDXL's block pattern, so 11 blocks of cross-attention with one or two layers each; or, as
`distilled`, the removed ones of SSD-1B: blocks of different depths, and none in the middle.
"""

import json
from pathlib import Path

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from tiny import TINY_RESOLUTION, TINY_WIDTH, make_text_encoder, make_tokenizer, make_vae
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

SECOND_WIDTH, POOLED = 24, 20
TIME_WIDTH = 8
DEPTHS = {
    "transformer_layers_per_block": [1, 1, 2],
}
SHORTENED = {
    "transformer_layers_per_block": [1, [2, 2], [2, 1]],
    "reverse_transformer_layers_per_block": [[1, 2, 2], [2, 1, 1], 1],
    "mid_block_type": "UNetMidBlock2D",
}


def make_second_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
    """With the end token that SDXL's own config names, which is not the tokenizer's."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=SECOND_WIDTH,
        intermediate_size=2 * SECOND_WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        projection_dim=POOLED,
        hidden_act="gelu",
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )
    return CLIPTextModelWithProjection(config)


def make_unet(*, distilled: bool) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=TINY_RESOLUTION // 8,
        block_out_channels=(8, 16, 16),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=TINY_WIDTH + SECOND_WIDTH,
        attention_head_dim=(1, 2, 2),
        norm_num_groups=4,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_WIDTH,
        projection_class_embeddings_input_dim=POOLED + 6 * TIME_WIDTH,
        **(SHORTENED if distilled else DEPTHS),
    )


def make_tiny_sdxl(folder: Path, *, seed: int = 0, distilled: bool = False) -> Path:
    """Write the model to `folder` (which must not exist yet) and return the folder.

    It loads with `StableDiffusionXLPipeline.from_pretrained` and with smalti's `load_base`.
    """
    folder = Path(folder)
    tokenizer, second = make_tokenizer(folder / "tokenizer"), make_tokenizer(folder / "tokenizer_2")
    second.pad_token = "!"  # as SDXL's second one has it
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = StableDiffusionXLPipeline(
            vae=make_vae("kl"),
            text_encoder=make_text_encoder(tokenizer),
            text_encoder_2=make_second_text_encoder(second),
            tokenizer=tokenizer,
            tokenizer_2=second,
            unet=make_unet(distilled=distilled),
            scheduler=EulerDiscreteScheduler(
                beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                steps_offset=1, timestep_spacing="leading",
            ),
            add_watermarker=False,
        )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder


def second_end_token(folder: Path) -> int:
    """What the second text encoder's config says is the end token."""
    return json.loads((folder / "text_encoder_2/config.json").read_text())["eos_token_id"]
