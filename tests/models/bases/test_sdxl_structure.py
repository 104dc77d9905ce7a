"""SDXL's family at its full width, on torch's meta device: shapes and names, no numbers."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from tiny import make_tokenizer
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from smalti.configs.loading import resolve
from smalti.configs.train import TrainSettings
from smalti.models import edlora
from smalti.models.attention import cross_attention_blocks, cross_attention_names
from smalti.models.bases.sdxl import StableDiffusionXL
from smalti.models.conditioning import ConceptEmbedding

FACTS = json.loads((Path(__file__).parent / "sdxl_published.json").read_text())
DOWN = ["down_blocks.1.attentions.0", "down_blocks.1.attentions.1",
        "down_blocks.2.attentions.0", "down_blocks.2.attentions.1"]  # fmt: skip
UP = [f"up_blocks.{level}.attentions.{place}" for level in (0, 1) for place in (0, 1, 2)]
PUBLISHED = {  # layers of cross-attention, millions of UNet parameters
    "sdxl": (70, 2567), "ssd-1b": (34, 1331), "segmind-vega": (15, 745),
}  # fmt: skip


def reader(kind, part: str, first: int, **shorter: int):
    encoder = kind(CLIPTextConfig(**FACTS[part] | shorter))
    encoder.set_input_embeddings(ConceptEmbedding(encoder.get_input_embeddings(), first))
    return encoder.requires_grad_(False)


@pytest.fixture(scope="module")
def model_of(tmp_path_factory):
    """A preset's model, as its published configs say."""
    tokenizer = make_tokenizer(tmp_path_factory.mktemp("tokenizer") / "t")

    def make(name: str, **shorter: int) -> StableDiffusionXL:
        with torch.device("meta"):
            unet = UNet2DConditionModel(**FACTS["unet"], **FACTS["depths"][name])
            first = reader(CLIPTextModel, "text_encoder", 0, **shorter)
            second = reader(CLIPTextModelWithProjection, "text_encoder_2", 768, **shorter)
            vae = AutoencoderKL(**FACTS["vae"])
        made = StableDiffusionXL(
            settings=resolve(base=name).base, folder=Path("nowhere"), vae=vae,
            scheduler_config={}, device=torch.device("meta"), dtype=torch.float32,
            unet=unet.requires_grad_(False), text_encoder=first, tokenizer=tokenizer,
            text_encoder_2=second, tokenizer_2=tokenizer,
        )  # fmt: skip
        made.set_attention(gradients=True)
        return made

    return make


@pytest.mark.parametrize("name", PUBLISHED)
def test_blocks_and_sizes_are_the_published_ones(model_of, name):
    """Eleven blocks, without the middle one where it was removed."""
    base, (layers, millions) = model_of(name), PUBLISHED[name]
    middle = ["mid_block.attentions.0"] if name == "sdxl" else []
    assert cross_attention_blocks(base.unet) == [*DOWN, *middle, *UP]
    assert len(cross_attention_names(base.unet)) == layers
    count = sum(value.numel() for value in base.unet.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=0.005)
    assert base.word_width == 768 + 1280 and base.latent_factor == 8
    parts = (base.unet, base.text_encoder, base.text_encoder_2, base.vae)
    size = sum(value.numel() for part in parts for value in part.parameters()) * 2 / 1e9
    assert size == pytest.approx(base.settings.size_gb, abs=0.1), "in half precision"


@pytest.mark.slow
def test_a_training_step_reaches_every_block_at_full_width(model_of, monkeypatch):
    """One vector per block; words and latents of 512 px in, a gradient out.

    Of the text encoders, two layers stand for all.
    """
    base = model_of("segmind-vega", num_hidden_layers=2)

    def words(*_):
        return torch.zeros(2, base.layers, base.word_width)

    monkeypatch.setattr(edlora, "initial_words", words)
    adapter = edlora.attach_new(base, "pim", "cat", TrainSettings())
    shown = base.encode_text([f"a {adapter.trigger}", "a cat"], [adapter])
    assert shown.text.shape == (2, base.layers, 77, 2048) and shown.pooled.shape == (2, 1280)
    z = torch.zeros(2, 4, 64, 64, device="meta")
    output = base.network(z, torch.zeros(2, device="meta"), shown)
    assert output.shape == z.shape
    output.square().mean().backward()
    learning = [name for name, layer in base.unet.named_modules()
                if name.endswith("attn2.to_k") and layer.lora_B.edlora_pim.weight.grad is not None]
    assert len(learning) == len(cross_attention_names(base.unet)) == 15  # fmt: skip
    assert adapter.embeddings.grad.shape == (2, base.layers, 2048)
