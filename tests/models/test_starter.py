"""The shipped model: stock diffusers loads it, and it is what the card says."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, T2IAdapter
from transformers import CLIPModel

import smalti.models.base as base

FOLDER = Path(base.__file__).parent / "starter"
LARGEST = 45_000_000  # bytes of the whole folder


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    loaded = StableDiffusionPipeline.from_pretrained(FOLDER)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def draw(pipeline: StableDiffusionPipeline, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = pipeline("a cat", num_inference_steps=3, generator=generator, output_type="pt")
    return drawn.images


@pytest.mark.slow
def test_the_same_seed_draws_the_same_picture(pipeline: StableDiffusionPipeline) -> None:
    first = draw(pipeline, 1)
    assert first.shape == (1, 3, 128, 128)
    assert first.isfinite().all() and first.std() > 0.02
    assert torch.equal(draw(pipeline, 1), first)
    assert not torch.equal(draw(pipeline, 2), first)


def test_blocks_as_in_stable_diffusion(pipeline: StableDiffusionPipeline) -> None:
    unet, vae = pipeline.unet, pipeline.vae
    assert sum(name.endswith("attn2") for name, _ in unet.named_modules()) == 16
    assert unet.config.cross_attention_dim == pipeline.text_encoder.config.hidden_size
    assert (unet.config.in_channels, vae.config.latent_channels) == (4, 4)
    assert 2 ** (len(vae.config.block_out_channels) - 1) == 8
    assert unet.config.sample_size * 8 == 128


def test_v_prediction_down_to_no_signal(pipeline: StableDiffusionPipeline) -> None:
    scheduler = pipeline.scheduler
    assert isinstance(scheduler, DDIMScheduler)
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config.beta_schedule == "scaled_linear"
    assert scheduler.config.timestep_spacing == "trailing"
    assert scheduler.alphas_cumprod[-1] == 0
    scheduler.set_timesteps(20)
    assert scheduler.timesteps[0] == scheduler.config.num_train_timesteps - 1


def test_size_and_precision() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST
    for path in FOLDER.rglob("*.safetensors"):
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        kinds = {facts["dtype"] for name, facts in header.items() if name != "__metadata__"}
        assert kinds <= {"F16", "I64"}, path


def test_configs_name_no_folder_of_the_machine_that_trained_it() -> None:
    for path in FOLDER.rglob("config.json"):
        assert "_name_or_path" not in json.loads(path.read_text(encoding="utf-8")), path


def test_the_clip_pair_shares_the_text_encoder(pipeline: StableDiffusionPipeline) -> None:
    clip = CLIPModel.from_pretrained(FOLDER / "clip")
    tokens = pipeline.tokenizer(["a cat", "a red car"], padding="max_length", return_tensors="pt")
    with torch.no_grad():
        ours = pipeline.text_encoder(tokens.input_ids).last_hidden_state
        theirs = clip.text_model(tokens.input_ids).last_hidden_state
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_words_of_the_prompts_are_single_tokens(pipeline: StableDiffusionPipeline) -> None:
    prompts = "cat dog teddy bear car bird chair anime girl face flower fish coffee cup robot"
    for word in prompts.split():
        assert len(pipeline.tokenizer(word).input_ids) == 3, word


@pytest.mark.parametrize("name", ["ATTRIBUTION.md", "README.md"])
def test_what_lies_beside_the_weights(name: str) -> None:
    assert len((FOLDER / name).read_text(encoding="utf-8")) > 1000


def test_the_colour_adapter_fits_the_unet_and_five_megabytes() -> None:
    folder = FOLDER.with_name("starter_color")
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 5_000_000
    adapter = T2IAdapter.from_pretrained(folder)
    features = adapter(torch.zeros(1, 3, 128, 128))
    widths = (64, 128, 160, 96)
    assert [f.shape for f in features] == [(1, w, 16 >> i, 16 >> i) for i, w in enumerate(widths)]
