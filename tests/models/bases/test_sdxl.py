"""SDXL's family on a tiny model: what stock diffusers makes of the same weights, and words."""

import shutil
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from refusals import refused
from tiny_xl import make_tiny_sdxl, second_end_token
from torch import nn

from smalti.configs.base import BaseSettings
from smalti.configs.train import TrainSettings
from smalti.models.attention import (
    cross_attention_blocks,
    cross_attention_names,
    fold,
    install_layerwise_attention,
)
from smalti.models.bases import load_base
from smalti.models.denoiser import Conditioning, with_cfg
from smalti.models.denoising import denoise, make_scheduler
from smalti.models.edlora import (
    adapter_state,
    attach_new,
    detach,
    load_adapter,
    load_adapter_state,
    parameter_groups,
    save_adapter,
)
from smalti.models.prediction import NoiseLevel

PROMPT, NEGATIVE = "a girl on a red hill", "a blue cat"
STEPS, SCALE = 3, 4.0


@pytest.fixture
def base(xl_base):
    yield xl_base
    for adapter in list(xl_base.adapters.values()):
        detach(xl_base, adapter)
    xl_base.set_attention(gradients=True)


@pytest.fixture(scope="module")
def stock(xl_settings) -> StableDiffusionXLPipeline:
    """Diffusers' own pipeline of the same folder, with our scheduler."""
    pipeline = StableDiffusionXLPipeline.from_pretrained(xl_settings.source, add_watermarker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def adapter(base):
    """An adapter in which training has moved every value."""
    made = attach_new(base, "pim", "cat", TrainSettings(rank=2, lora_alpha=3))
    generator = torch.Generator().manual_seed(0)
    state = adapter_state(base, made)
    noise = {k: 0.3 * torch.randn(v.shape, generator=generator) for k, v in state.items()}
    load_adapter_state(base, made, noise)
    return made


@torch.no_grad()
def drawn(base, shown: Conditioning, negative: Conditioning) -> torch.Tensor:
    """Our denoising loop's picture [1, 3, 64, 64] for the tests' noise."""
    denoiser = with_cfg(base.denoiser, negative, SCALE)
    return base.decode(denoise(denoiser, make_scheduler(base, "ddim", STEPS), noise(), shown))


def noise() -> torch.Tensor:
    return torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def stock_drawn(stock, base, **given) -> torch.Tensor:
    stock.scheduler = base.scheduler("ddim")
    images = stock(
        **given, latents=noise(), num_inference_steps=STEPS, guidance_scale=SCALE, height=64,
        width=64, output_type="pt",
    ).images  # fmt: skip
    return images


@torch.no_grad()
@pytest.mark.parametrize("prompt", [PROMPT, "a cat " * 60, "a cat!"])
@pytest.mark.parametrize("negative", [None, NEGATIVE])
def test_prompts_are_encoded_as_the_stock_pipeline_does(base, stock, prompt, negative):
    text, without, pooled, pooled_without = stock.encode_prompt(prompt, negative_prompt=negative)
    found = base.encode_text([prompt, negative or ""])
    assert found.text.shape == (2, 11, 77, 56)
    for block in range(base.layers):
        torch.testing.assert_close(found.text[:, block], torch.cat([text, without]))
    torch.testing.assert_close(found.pooled, torch.cat([pooled, pooled_without]))


@torch.no_grad()
@pytest.mark.parametrize("negative", [None, NEGATIVE])
def test_without_adapters_our_loop_draws_the_stock_pipelines_picture(base, stock, negative):
    expected = stock_drawn(stock, base, prompt=PROMPT, negative_prompt=negative)
    found = drawn(base, base.encode_text([PROMPT]), base.encode_text([negative or ""]))
    torch.testing.assert_close(found.clamp(0, 1), expected, rtol=0, atol=1e-4)
    other = drawn(base, base.encode_text(["a dog"]), base.encode_text([negative or ""]))
    assert (other.clamp(0, 1) - expected).abs().max() > 1e-3


@pytest.mark.slow
def test_stock_diffusers_loads_our_adapter_and_draws_our_picture(
    base, adapter, xl_settings, tmp_path
):
    """LoRA of all three parts by `load_lora_weights`; the words arrive as folded embeddings."""
    save_adapter(base, adapter, tmp_path / "edlora.safetensors")
    stock = StableDiffusionXLPipeline.from_pretrained(xl_settings.source, add_watermarker=False)
    stock.set_progress_bar_config(disable=True)
    stock.load_lora_weights(tmp_path, weight_name="edlora.safetensors")
    with torch.no_grad():
        text, _, pooled, _ = stock.encode_prompt(PROMPT)
        shown = base.encode_text([PROMPT], [adapter])
        torch.testing.assert_close(shown.text[:, 3], text)
        torch.testing.assert_close(shown.pooled, pooled)
        shown = base.encode_text([f"a {adapter.trigger}"], [adapter])
        negative = base.encode_text([NEGATIVE], [adapter])
    install_layerwise_attention(stock.unet)
    expected = stock_drawn(
        stock, base, prompt_embeds=fold(shown.text), pooled_prompt_embeds=shown.pooled,
        negative_prompt_embeds=fold(negative.text), negative_pooled_prompt_embeds=negative.pooled,
    )  # fmt: skip
    torch.testing.assert_close(
        drawn(base, shown, negative).clamp(0, 1), expected, rtol=0, atol=1e-4
    )


@torch.no_grad()
def test_words_are_read_by_both_encoders_as_rows_of_their_own(base, adapter):
    """Reference: for each block, encoders whose tables end with that block's words.

    SDXL's config names another end token than its tokenizer, and its encoder then takes the largest
    id for the end, which a word's would be: the pooled text must not fall for it.
    """
    assert second_end_token(base.folder) == 2 != base.tokenizer_2.eos_token_id
    found = base.encode_text([f"a {adapter.trigger} on a hill"], [adapter])
    texts, pools, columns = [], [], adapter.embeddings.split([32, 24], dim=-1)
    for (encoder, tokenizer), part in zip(
        ((base.text_encoder, base.tokenizer), (base.text_encoder_2, base.tokenizer_2)),
        columns, strict=True,
    ):  # fmt: skip
        ids = tokenizer("a photo photo on a hill", padding="max_length", max_length=77,
                        return_tensors="pt").input_ids  # fmt: skip
        end = (ids[0] == tokenizer.eos_token_id).nonzero()[0, 0]
        reference, weight = deepcopy(encoder), encoder.get_input_embeddings().weight
        ids[0, 2:4] = torch.tensor([len(weight), len(weight) + 1])
        for block in range(base.layers):
            rows = torch.cat([weight, part[:, block]])
            reference.set_input_embeddings(nn.Embedding.from_pretrained(rows))
            output = reference(ids, output_hidden_states=True)
            texts.append(output.hidden_states[-2][0])
            if part is columns[1]:
                pools.append(reference.text_projection(output.last_hidden_state[:, end]))
    expected = torch.cat([torch.stack(texts[:11]), torch.stack(texts[11:])], dim=-1)
    torch.testing.assert_close(found.text[0], expected)
    torch.testing.assert_close(found.pooled, torch.stack(pools).mean(dim=0))


@torch.no_grad()
def test_equal_vectors_of_all_blocks_are_one_word(base, adapter):
    adapter.embeddings[:] = adapter.embeddings[:, :1]
    shown = base.encode_text([f"a {adapter.trigger}"], [adapter])
    assert torch.equal(shown.text, shown.text[:, :1].expand_as(shown.text))
    layered = base.network(noise(), 500, shown)
    plain = base.network(noise(), 500, replace(shown, text=shown.text[:, 0]))
    torch.testing.assert_close(layered, plain)


@torch.no_grad()
def test_every_layer_of_a_block_reads_its_blocks_text(base):
    generator = torch.Generator().manual_seed(2)
    text, read = torch.randn(1, base.layers, 77, 56, generator=generator), []
    names, blocks = cross_attention_names(base.unet), cross_attention_blocks(base.unet)
    hooks = [
        base.unet.get_submodule(name).to_k.register_forward_pre_hook(
            lambda _, inputs: read.append(inputs[0])
        )
        for name in names
    ]
    base.network(noise(), 500, Conditioning(text, pooled=torch.zeros(1, 20)))
    for hook in hooks:
        hook.remove()
    assert len(read) == len(names) > len(blocks) == 11
    for name, seen in zip(names, read, strict=True):
        block = next(index for index, block in enumerate(blocks) if name.startswith(f"{block}."))
        assert torch.equal(seen, text[:, block])


def test_number_of_trained_values(base, adapter):
    """Words x blocks x both widths; rank x (in + out) for each of 4 linears of every attention."""
    groups = {g["name"]: g["params"] for g in parameter_groups(base, adapter, TrainSettings())}
    count = {name: sum(value.numel() for value in values) for name, values in groups.items()}
    assert count["embedding"] == 2 * 11 * (32 + 24)
    assert count["text_encoder"] == 2 * 4 * 2 * 64 + 3 * 4 * 2 * 48
    widths = [base.unet.get_submodule(n).to_q.in_features for n in cross_attention_names(base.unet)]
    assert count["unet"] == sum(2 * (4 * 2 * w + 2 * 2 * w + 2 * (56 + w)) for w in widths)


def test_an_adapter_comes_back_as_it_was(base, adapter, tmp_path):
    path = tmp_path / "edlora.safetensors"
    save_adapter(base, adapter, path)
    state = adapter_state(base, adapter)
    stems = {key.split(".")[0] for key in state}
    assert stems == {"unet", "text_encoder", "text_encoder_2", "edlora"}
    assert state["edlora.<pim-1>.layers"].shape == (11, 56)
    detach(base, adapter)
    assert not any(reader.concepts.tables for reader in base.readers)
    again = adapter_state(base, load_adapter(base, path))
    assert all(torch.equal(again[key], value) for key, value in state.items())


# --- sizes ------------------------------------------------------------------------------------


def told(base, z: torch.Tensor, shown: Conditioning) -> list[list[float]]:
    """The time ids that the UNet is given."""
    seen = []
    forward = base.unet.forward

    def spy(*args, added_cond_kwargs, **options):
        seen.append(added_cond_kwargs["time_ids"])
        return forward(*args, added_cond_kwargs=added_cond_kwargs, **options)

    base.unet.forward = spy
    try:
        base.network(z, 500, shown)
    finally:
        del base.unet.forward
    assert seen[0].dtype == torch.float32
    return seen[0].tolist()


@torch.no_grad()
def test_the_network_is_told_sizes_and_crops(base):
    shown = base.encode_text(["a cat", "a dog"])
    z = torch.zeros(2, 4, 4, 16)  # 32 px high, 128 px wide, where the base draws 64 px
    assert told(base, z, shown) == [[64, 128, 0, 0, 32, 128]] * 2
    wide = replace(base, settings=replace(base.settings, original_size=1024))
    assert told(wide, z, shown) == [[1024, 1024, 0, 0, 32, 128]] * 2
    frames = torch.tensor([[400.0, 300, 7, 0], [64, 64, 0, 1027]])
    framed = base.framed(shown, frames)
    assert told(base, torch.zeros(2, 4, 8, 8), framed) == [
        [400, 300, 7, 0, 64, 64], [64, 64, 0, 1027, 64, 64],
    ]  # fmt: skip
    assert base.framed(shown, None) is shown


@torch.no_grad()
def test_a_batch_of_different_prompts_equals_one_by_one(base, adapter):
    prompts = [f"a {adapter.trigger}", "a dog"]
    together = base.encode_text(prompts, [adapter])
    z = noise().repeat(2, 1, 1, 1)
    both = base.network(z, torch.tensor([500, 20]), together)
    for index, (prompt, t) in enumerate(zip(prompts, (500, 20), strict=True)):
        alone = base.network(z[:1], t, base.encode_text([prompt], [adapter]))
        torch.testing.assert_close(both[index : index + 1], alone, rtol=1e-4, atol=1e-5)
    level = NoiseLevel(torch.tensor(500), 0.6, 0.8)
    guided = with_cfg(base.denoiser, base.encode_text([""]), 2.0)
    one, none = (base.network(z, 500, base.encode_text([p] * 2, [adapter])) for p in ("a dog", ""))
    found = guided.output(z, level, base.encode_text(["a dog"] * 2))
    torch.testing.assert_close(found, none + 2 * (one - none), rtol=1e-4, atol=1e-5)


# --- loading ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_half_precision_blocks_that_were_removed_and_parts_that_lack(tmp_path):
    folder = make_tiny_sdxl(tmp_path / "short", distilled=True)
    settings = BaseSettings(name="short", source=str(folder), resolution=64)
    base = load_base(settings, device="cpu", dtype=torch.float16)
    assert base.layers == 10 and len(cross_attention_names(base.unet)) == 16
    assert (base.unet.dtype, base.vae.dtype) == (torch.float16, torch.float32)
    assert base.decode(base.encode(torch.ones(1, 3, 64, 64))).isfinite().all()
    for part in ("text_encoder_2/config.json", "tokenizer_2/tokenizer_config.json"):
        broken = tmp_path / part.replace("/", "-")
        shutil.copytree(folder, broken)
        (broken / part).unlink()
        with refused(part):
            load_base(BaseSettings(source=str(broken)), device="cpu")
