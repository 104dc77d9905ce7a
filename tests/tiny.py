"""A tiny, randomly initialised model in Stable Diffusion's layout, for tests.

It has SD's block pattern, of one layer where SD has two (LAYERS cross-attention layers, not 16),
a real byte-pair CLIP tokenizer with a few dozen whole words, and 64 px images. It draws noise, but
every piece behaves as on SD.
"""

import json
from itertools import pairwise
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    DDIMScheduler,
    StableDiffusionPipeline,
    T2IAdapter,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TINY_RESOLUTION = 64
TINY_WIDTH = 32  # of the text encoder
UNET_WIDTHS = (8, 16, 16, 16)
LAYERS = 10  # cross-attention layers: 3 down, 1 in the middle, 6 up
WORD_LIST = (
    "a an the of on in with and photo picture painting drawing girl boy man woman person cat dog "
    "bird car chair flower fish robot mug cup coffee teddy bear house tree castle hill sea red "
    "green blue yellow black white background thing hair dress close up"
)
WORDS = WORD_LIST.split()


def byte_alphabet() -> list[str]:
    """The 256 characters that stand for bytes in GPT-2's and CLIP's vocabularies."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def split(word: str, merges: dict[tuple[str, str], int]) -> list[str]:
    """Byte-pair encoding of one word: join the best-ranked pair until none is left."""
    pieces = [*word[:-1], word[-1] + "</w>"]
    while known := [pair for pair in pairwise(pieces) if pair in merges]:
        at = list(pairwise(pieces)).index(min(known, key=merges.__getitem__))
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
    return pieces


def word_merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges with which every word becomes one token, found word by word."""
    merges: dict[tuple[str, str], int] = {}
    for word in words:
        while len(pieces := split(word, merges)) > 1:
            merges[(pieces[0], pieces[1])] = len(merges)
    return list(merges)


def make_tokenizer(folder: Path) -> CLIPTokenizer:
    """A CLIP tokenizer that knows WORDS whole, and every byte."""
    merges = word_merges(WORDS)
    tokens = [*byte_alphabet(), *(char + "</w>" for char in byte_alphabet())]
    tokens += [left + right for left, right in merges] + ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    tokenizer = CLIPTokenizer.from_pretrained(folder, model_max_length=77)
    tokenizer.save_pretrained(folder)
    return tokenizer


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TINY_WIDTH,
        intermediate_size=2 * TINY_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def make_color_adapter(folder: Path) -> Path:
    """Write a random T2I-Adapter for the tiny model's UNet to `folder` and return the folder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        adapter = T2IAdapter(3, list(UNET_WIDTHS), 1, 8, "full_adapter")
    for weight in adapter.parameters():
        weight.data *= 2  # strong enough for the picture to depend on it
    adapter.save_pretrained(folder)
    return folder


def make_unet(layers_per_block: int = 1) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=TINY_RESOLUTION // 8,
        block_out_channels=UNET_WIDTHS,
        layers_per_block=layers_per_block,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        cross_attention_dim=TINY_WIDTH,
        attention_head_dim=2,
        norm_num_groups=4,
        use_linear_projection=True,
    )


def make_vae(kind: str) -> AutoencoderKL | AutoencoderTiny:
    if kind == "tiny":
        return AutoencoderTiny(
            encoder_block_out_channels=(8,) * 4,
            decoder_block_out_channels=(8,) * 4,
            num_encoder_blocks=(1,) * 4,
            num_decoder_blocks=(1,) * 4,
        )
    return AutoencoderKL(
        block_out_channels=(4, 4, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        mid_block_add_attention=False,
        latent_channels=4,
        sample_size=TINY_RESOLUTION,
        scaling_factor=0.5,
    )


def make_scheduler(prediction_type: str) -> DDIMScheduler:
    """SD's betas; v-prediction comes with the zero-terminal handling that the starter uses."""
    zero = prediction_type == "v_prediction"
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
        rescale_betas_zero_snr=zero,
        timestep_spacing="trailing" if zero else "leading",
    )


def make_tiny_sd(
    folder: Path,
    *,
    seed: int = 0,
    prediction_type: str = "epsilon",
    vae: str = "kl",
    layers_per_block: int = 1,
) -> Path:
    """Write the model to `folder` (which must not exist yet) and return the folder.

    `prediction_type` is "epsilon" or "v_prediction", `vae` is "kl" or "tiny"; two layers a block
    give SD's own 16 cross-attention layers. It loads with `StableDiffusionPipeline.from_pretrained`
    and with smalti's `load_base`.
    """
    folder = Path(folder)
    tokenizer = make_tokenizer(folder / "tokenizer")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        text_encoder, unet = make_text_encoder(tokenizer), make_unet(layers_per_block)
        autoencoder = make_vae(vae)
    pipeline = StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=make_scheduler(prediction_type),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def stock_pipeline(base, scheduler: str, kind=StableDiffusionPipeline, **parts):
    """Diffusers' own pipeline of a loaded base; `parts` are what only `kind` has."""
    pipeline = kind(
        vae=base.vae,
        text_encoder=base.text_encoder,
        tokenizer=base.tokenizer,
        unet=base.unet,
        scheduler=base.scheduler(scheduler),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        **parts,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
