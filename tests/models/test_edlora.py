"""The adapter: what is trained, what stays, several at once."""

import pytest
import torch
import torch.nn.functional as F
from refusals import refused

from smalti.configs.train import TrainSettings
from smalti.models.attention import cross_attention_names
from smalti.models.bases import load_base
from smalti.models.conditioning import encode_prompts
from smalti.models.edlora import (
    adapter_state,
    attach_new,
    detach,
    load_adapter,
    load_adapter_state,
    parameter_groups,
    save_adapter,
    set_active,
)

# --- what is trained --------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "rank"), [("edlora", 4), ("lora", 3)])
def test_number_of_trained_values(base, method, rank):
    """Words x layers x D, and rank x (in + out) for each of 4 linears of every attention."""
    settings = TrainSettings(method=method, rank=rank)
    adapter = attach_new(base, "sylvie", "girl", settings)
    groups = {group["name"]: group for group in parameter_groups(base, adapter, settings)}
    count = {
        name: sum(value.numel() for value in group["params"]) for name, group in groups.items()
    }
    width = base.concepts.embedding_dim
    assert count["embedding"] == 2 * (base.layers if method == "edlora" else 1) * width
    assert count["text_encoder"] == 2 * 4 * rank * (width + width)  # two layers
    expected = 0
    for name in cross_attention_names(base.unet):
        cross = base.unet.get_submodule(name)
        inner = cross.to_q.in_features
        expected += 4 * rank * 2 * inner  # attn1
        expected += rank * (2 * 2 * inner + 2 * (width + inner))  # attn2: keys, values read text
    assert count["unet"] == expected
    trainable = [
        parameter
        for module in (base.unet, base.text_encoder, base.vae)
        for parameter in module.parameters()
        if parameter.requires_grad
    ]
    assert sum(value.numel() for value in trainable) == sum(count.values())
    assert [groups[n]["lr"] for n in ("embedding", "text_encoder", "unet")] == [1e-3, 1e-5, 1e-4]
    assert all(group["weight_decay"] == 0.01 for group in groups.values())


def test_all_targets_are_every_linear_and_convolution_of_the_unet(base):
    """Each is named, but for the two that embed the timestep."""
    layers = {
        name.removesuffix(".base_layer")  # peft's wrappers stay when an adapter goes
        for name, layer in base.unet.named_modules()
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d) and ".lora_" not in name
    }
    adapter = attach_new(base, "sylvie", "girl", TrainSettings(targets="all"))
    names = {key.removeprefix("unet.") for key in adapter_state(base, adapter) if "lora_A" in key}
    found = {name.removesuffix(".lora_A.weight") for name in names}
    learns = {name for name in found if not name.startswith("text_encoder")}
    assert layers - learns == {"time_embedding.linear_1", "time_embedding.linear_2"}
    assert learns <= layers


def test_training_moves_the_adapter_and_leaves_the_base_bit_for_bit(base, frozen_tensors):
    before = frozen_tensors(base)
    settings = TrainSettings()
    adapter = attach_new(base, "sylvie", "girl", settings)
    start = adapter_state(base, adapter)
    optimizer = torch.optim.AdamW(parameter_groups(base, adapter, settings))
    for step in range(3):
        latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(step))
        text = encode_prompts(base, [f"a {adapter.trigger}", "a dog"], [adapter])
        output = base.unet(latents, torch.tensor([10, 700]), text).sample
        F.mse_loss(output, latents).backward()
        optimizer.step()
        optimizer.zero_grad()
    after = frozen_tensors(base)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    moved = adapter_state(base, adapter)
    # Over a single pixel, self-attention's softmax is constant: no gradient for query and key.
    single = "unet.mid_block.attentions.0.transformer_blocks.0.attn1"
    unmoved = {key for key in start if torch.equal(start[key], moved[key])}
    assert unmoved == {f"{single}.{part}.lora_B.weight" for part in ("to_q", "to_k")}


def test_a_new_adapter_changes_nothing_but_its_words(base, predict):
    expected = predict(base, "a cat")
    adapter = attach_new(base, "sylvie", "girl", TrainSettings())
    torch.testing.assert_close(predict(base, "a cat", [adapter]), expected)
    # The second word starts as the class word itself.
    girl = predict(base, "a girl")
    torch.testing.assert_close(predict(base, f"a {adapter.words[1]}", [adapter]), girl)
    assert (predict(base, f"a {adapter.words[0]}", [adapter]) - girl).abs().max() > 1e-4


@pytest.mark.slow
def test_a_start_depends_on_its_seed_only(base):
    states = []
    for global_seed, seed in ((1, 0), (2, 0), (2, 1)):
        torch.manual_seed(global_seed)
        adapter = attach_new(base, "sylvie", "girl", TrainSettings(seed=seed))
        states.append(adapter_state(base, adapter))
        detach(base, adapter)
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    key = "edlora.<sylvie-1>.layers"
    assert not torch.equal(states[0][key], states[2][key])


def test_adapter_weights_are_fp32_on_a_half_precision_base(tiny_settings):
    dtype = torch.bfloat16
    half = load_base(tiny_settings, device="cpu", dtype=dtype)
    settings = TrainSettings()
    adapter = attach_new(half, "sylvie", "girl", settings)
    values = [
        value for group in parameter_groups(half, adapter, settings) for value in group["params"]
    ]
    assert {value.dtype for value in values} == {torch.float32}
    text = encode_prompts(half, [f"a {adapter.trigger}"], [adapter])
    assert text.dtype == dtype
    output = half.unet(torch.zeros(1, 4, 8, 8, dtype=dtype), torch.tensor(9), text).sample
    output.float().square().mean().backward()
    assert adapter.embeddings.grad.isfinite().all()


def test_state_is_copied_in_place(base, trained):
    adapter = trained()
    saved, parameter = adapter_state(base, adapter), adapter.embeddings
    with torch.no_grad():
        parameter.zero_()
    load_adapter_state(base, adapter, saved)
    assert adapter.embeddings is parameter
    assert torch.equal(parameter[0], saved["edlora.<sylvie-1>.layers"])
    saved.pop("edlora.<sylvie-2>.layers")
    with refused("<sylvie-2>"):
        load_adapter_state(base, adapter, saved)


# --- several adapters -------------------------------------------------------------------------


def test_names_that_differ_by_case_only_collide_and_can_be_renamed(base, trained, tmp_path):
    path = tmp_path / "a.safetensors"
    save_adapter(base, trained("Cat"), path)
    with refused("'cat'"):
        load_adapter(base, path)
    other = load_adapter(base, path, name="tom")
    assert other.trigger == "<tom-1> <tom-2>"
    assert set(base.adapters) == {"cat", "tom"}


@pytest.mark.slow
def test_each_adapter_acts_alone_when_switched_on(base, trained, tmp_path, predict):
    """Reference: the base while no other adapter was there."""
    sylvie = trained("sylvie")
    save_adapter(base, sylvie, tmp_path / "sylvie")
    expected = {"sylvie": predict(base, "a girl")}
    detach(base, sylvie)
    trained("eileen", seed=1)
    expected["eileen"] = predict(base, "a girl")
    load_adapter(base, tmp_path / "sylvie")
    for name in ("eileen", "sylvie"):
        set_active(base, [name])
        torch.testing.assert_close(predict(base, "a girl"), expected[name])
    assert (expected["eileen"] - expected["sylvie"]).abs().max() > 1e-3


def test_scale_is_that_of_the_lora_update(base, trained, predict):
    """W x + scale * alpha/rank * B A x, checked on one linear of each model; 0 is the base."""
    plain = predict(base, "a girl")
    adapter = trained(lora_alpha=8, rank=4)
    state = adapter_state(base, adapter)
    for layer, stem in (
        (
            base.text_encoder.encoder.layers[0].self_attn.q_proj,
            "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
        ),
        (
            base.unet.mid_block.attentions[0].transformer_blocks[0].attn2.to_k,
            "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k",
        ),
    ):
        x = torch.randn(3, layer.in_features)
        down, up = state[f"{stem}.lora_A.weight"], state[f"{stem}.lora_B.weight"]
        for scale in (1.0, 0.7, 0.0):
            set_active(base, [adapter.name], scale)
            expected = layer.base_layer(x) + scale * 2.0 * (x @ down.T @ up.T)
            torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(predict(base, "a girl"), plain)
    set_active(base, ["Sylvie"])
    assert (predict(base, "a girl") - plain).abs().max() > 1e-3
    set_active(base, ())
    torch.testing.assert_close(predict(base, "a girl"), plain)


@pytest.mark.slow
def test_switching_leaves_gradients_as_they_were(base, trained, tmp_path):
    save_adapter(base, trained("frozen"), tmp_path / "f")
    detach(base, base.adapters["frozen"])
    frozen, training = load_adapter(base, tmp_path / "f"), trained("training")
    for names, scale in (
        ((), 1),
        (("frozen", "training"), 0.7),
        (("training",), 0),
        (("frozen",), 1),
    ):
        set_active(base, names, scale)
        for adapter, expected in ((frozen, False), (training, True)):
            groups = parameter_groups(base, adapter, TrainSettings())
            flags = {value.requires_grad for group in groups for value in group["params"]}
            assert flags == {expected}


def test_unknown_adapter_and_detaching(base, trained, predict):
    plain = predict(base, "a girl")
    adapter = trained()
    with refused("'eileen'", "'tiny'"):
        set_active(base, ["sylvie", "eileen"])
    detach(base, adapter)
    assert not base.adapters and not base.concepts.tables
    torch.testing.assert_close(predict(base, "a girl"), plain)


def test_a_concept_may_be_named_like_a_method_of_torch(base):
    adapter = attach_new(base, "train", "girl", TrainSettings())
    assert base.concepts.ids(adapter.peft_name).shape == (2, base.layers)
    detach(base, adapter)
