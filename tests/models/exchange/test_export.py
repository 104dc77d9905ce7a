"""Exported files: names against literals, values against peft's, and what independent readers do.

The independent reader is stock diffusers; benchmarks/readers.py has sd-scripts' own loader.
"""

import hashlib
import json

import pytest
import torch
from diffusers import StableDiffusionPipeline
from exchanging import kohya_text, kohya_unet, predicted
from refusals import refused
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from smalti.configs.base import BaseSettings
from smalti.models.conditioning import encode_prompts
from smalti.models.denoising import noise_level
from smalti.models.edlora import load_adapter
from smalti.models.exchange.export import export
from smalti.models.exchange.metadata import BaseFacts, base_facts
from smalti.models.exchange.own import read_own

SETTINGS = BaseSettings(name="none", source="none/none")


def metadata_of(path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def stems(path) -> set[str]:
    return {key.split(".")[0] for key in load_file(path)}


def test_kohya_names_are_the_published_ones(exported):
    path, _ = exported("edlora", "kohya")
    names = {*kohya_unet(whole=False), *kohya_text(2, whole=False)}
    assert stems(path) == names
    kinds = ("lora_down.weight", "lora_up.weight", "alpha")
    assert set(load_file(path)) == {f"{name}.{kind}" for name in names for kind in kinds}


def test_kohya_holds_the_blocks_whole_and_says_what_it_lacks(exported):
    path, lost = exported("lora", "kohya")
    assert set(kohya_unet(whole=True)) <= stems(path)
    assert "lora_unet_down_blocks_0_resnets_0_time_emb_proj" in stems(path)
    assert "lora_unet_up_blocks_0_upsamplers_0_conv" in stems(path)
    assert not [stem for stem in stems(path) if "conv_in" in stem or "conv_out" in stem]
    assert "conv_in" in lost[0] and "conv_out" in lost[0] and "diffusers" in lost[0]


def test_kohya_values_are_the_changes_that_peft_makes(exported, files, base):
    path, _ = exported("edlora", "kohya")
    tensors = load_file(path)
    adapter = load_adapter(base, files["edlora"])
    layer = base.unet.mid_block.attentions[0].transformer_blocks[0].attn2.to_k
    stem = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    down, up, alpha = (
        tensors[f"{stem}.{k}"] for k in ("lora_down.weight", "lora_up.weight", "alpha")
    )
    wanted = layer.get_delta_weight(adapter.peft_name)
    assert torch.equal(up @ down * (alpha / down.shape[0]), wanted)


@pytest.mark.parametrize(
    ("facts", "architecture", "version"),
    [
        (BaseFacts("sd15", "a/b", 512, 768, False), "stable-diffusion-v1", "sd_v1"),
        (BaseFacts("sd21", "a/b", 768, 1024, True), "stable-diffusion-v2-768-v", "sd_v2_v"),
        (BaseFacts("x", "a/b", 512, 1024, False), "stable-diffusion-v2-512", "sd_v2"),
    ],
)
def test_metadata_say_what_other_programs_ask(exported, facts, architecture, version):
    path, _ = exported("edlora", "kohya", facts)
    said = metadata_of(path)
    assert said["modelspec.architecture"] == f"{architecture}/lora"
    assert said["ss_base_model_version"] == version
    assert said["ss_v2"] == str(version.startswith("sd_v2"))
    assert said["modelspec.prediction_type"] == ("v" if facts.predicts_v else "epsilon")
    assert said["modelspec.resolution"] == f"{facts.resolution}x{facts.resolution}"
    assert (said["ss_network_module"], said["ss_network_dim"]) == ("networks.lora", "4")
    assert float(said["ss_network_alpha"]) == 8
    assert json.loads(said["ss_tag_frequency"]) == {"15_sylvie": {"sylvie": 15}}
    assert said["modelspec.sai_model_spec"] == "1.0.1" and said["ss_steps"] == "12"
    data = path.read_bytes()
    body = data[8 + int.from_bytes(data[:8], "little") :]
    assert said["modelspec.hash_sha256"] == f"0x{hashlib.sha256(body).hexdigest()}"


def test_the_same_adapter_gives_the_same_bytes(exported):
    assert exported("lora", "kohya")[0].read_bytes() == exported("lora", "kohya")[0].read_bytes()


@pytest.fixture(scope="module")
def stock(tiny_sd):
    """Diffusers' own pipeline of the tiny base."""
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_sd, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    yield pipeline
    pipeline.unload_lora_weights()


@pytest.mark.slow
def test_stock_diffusers_predicts_what_smalti_does(exported, files, base, stock):
    path, _ = exported("edlora", "kohya")
    adapter = load_adapter(base, files["edlora"])
    ours = predicted(base, "a girl on a hill", [adapter])
    stock.unload_lora_weights()
    stock.load_lora_weights(path.parent, weight_name=path.name)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        text = stock.encode_prompt("a girl on a hill", "cpu", 1, False)[0]
        theirs = stock.unet(latents, torch.tensor(300), text).sample
    torch.testing.assert_close(theirs, ours, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_stock_diffusers_draws_smaltis_picture_of_plain_words(exported, files, base, tiny_sd):
    """Every layer and both words: LoRA and embedding, in the pipeline's own loop."""
    lora, _ = exported("lora", "diffusers")
    words, _ = exported("lora", "embedding")
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_sd, safety_checker=None)
    pipeline.scheduler = base.scheduler("ddim")
    pipeline.set_progress_bar_config(disable=True)
    pipeline.load_textual_inversion(words.parent, weight_name=words.name, token="sylvie")
    pipeline.load_lora_weights(lora.parent, weight_name=lora.name)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    theirs = pipeline("a sylvie on a hill", latents=latents, num_inference_steps=2,
                      guidance_scale=3.0, output_type="latent").images  # fmt: skip
    adapter = load_adapter(base, files["lora"])
    scheduler = base.scheduler("ddim")
    scheduler.set_timesteps(2)
    with torch.no_grad():
        text = encode_prompts(base, [f"a {adapter.trigger} on a hill", ""], [adapter])
        for index, timestep in enumerate(scheduler.timesteps):
            assert noise_level(scheduler, index).timestep == timestep
            one, none = base.unet(latents.repeat(2, 1, 1, 1), timestep, text).sample.split(1)
            latents = scheduler.step(none + 3 * (one - none), timestep, latents).prev_sample
    torch.testing.assert_close(theirs, latents, rtol=1e-4, atol=1e-4)


def test_an_embedding_is_one_tensor_the_mean_over_layers(exported, files):
    path, lost = exported("edlora", "embedding")
    own = load_file(files["edlora"])
    wanted = torch.stack([own[f"edlora.<sylvie-{n}>.layers"].mean(dim=0) for n in (1, 2)])
    tensors = load_file(path)
    assert list(tensors) == ["emb_params"]
    torch.testing.assert_close(tensors["emb_params"], wanted)
    assert "16" in lost[0]
    exact, lost = exported("lora", "embedding")
    plain = load_file(files["lora"])
    rows = torch.cat([plain[f"edlora.<sylvie-{n}>.layers"] for n in (1, 2)])
    assert torch.equal(load_file(exact)["emb_params"], rows) and len(lost) == 1


def test_xti_words_condition_each_layer_as_smaltis_do(exported, files, base, stock):
    """Layer by layer, a stock text encoder with the file's vectors in its table."""
    path, _ = exported("edlora", "xti")
    tensors = load_file(path)
    order = (
        "IN01 IN02 IN04 IN05 IN07 IN08 MID OUT03 OUT04 OUT05 OUT06 OUT07 OUT08 OUT09 OUT10 OUT11"
    )
    assert set(tensors) == set(order.split())
    adapter = load_adapter(base, files["edlora"])
    from smalti.models.edlora import set_active

    set_active(base, [adapter.name], 0)  # the words alone
    stock.unload_lora_weights()
    table = stock.text_encoder.get_input_embeddings().weight
    ids = stock.tokenizer(
        "a cat dog on a hill", padding="max_length", return_tensors="pt"
    ).input_ids
    with torch.no_grad():
        ours = encode_prompts(base, [f"a {adapter.trigger} on a hill"], [adapter])[0]
        before = table[ids[0, 2:4]].clone()
        for layer, name in enumerate(order.split()):
            table[ids[0, 2:4]] = tensors[name]
            theirs = stock.text_encoder(ids).last_hidden_state[0]
            torch.testing.assert_close(theirs, ours[layer], rtol=1e-5, atol=1e-5)
        table[ids[0, 2:4]] = before


def test_what_is_not_smaltis_own_is_not_exported(exported, tmp_path):
    path, _ = exported("edlora", "kohya")
    with refused(str(path)):
        read_own(path)


def test_xti_refuses_another_number_of_layers(files, tmp_path):
    from dataclasses import replace

    own = read_own(files["edlora"])
    short = replace(own, words=own.words[:, :7])
    with refused("7", "16"):
        export(short, "xti", BaseFacts("x", "x", 64, 32, False), tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def changed(path, source, change):
    """A copy of one of smalti's files whose tensors and words are changed."""
    tensors, header = load_file(source), metadata_of(source)
    about = json.loads(header["edlora"])
    change(tensors, about)
    save_file(tensors, path, metadata=header | {"edlora": json.dumps(about)})
    return read_own(path)


def test_what_a_method_did_not_learn_is_not_exported(files, tmp_path):
    """Words alone, LoRA alone, and weights that no format holds."""
    facts = BaseFacts("x", "x", 64, 32, False)

    def words_alone(tensors, about):
        for key in [key for key in tensors if not key.startswith("edlora.")]:
            del tensors[key]

    def lora_alone(tensors, about):
        about["tokens"] = []
        for key in [key for key in tensors if key.startswith("edlora.")]:
            del tensors[key]

    out = tmp_path / "out.safetensors"
    words = changed(tmp_path / "words.safetensors", files["lora"], words_alone)
    assert export(words, "embedding", facts, out) == ()
    lora = changed(tmp_path / "lora.safetensors", files["edlora"], lora_alone)
    assert export(lora, "kohya", facts, out) == () and base_facts(lora, SETTINGS).width == 32
    for own, to in ((words, "kohya"), (words, "diffusers"), (lora, "embedding"), (lora, "xti")):
        with refused(own.name, to):
            export(own, to, facts, out)
    for ending, name in (("delta", "delta"), ("lora_magnitude_vector", "DoRA")):
        key = f"unet.conv_in.{ending}"
        with refused(name, key):
            changed(out, files["lora"], lambda t, about, key=key: t.update({key: torch.ones(2)}))
