"""Kohya's names of SDXL's layers, judged by diffusers' reader of such files."""

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from diffusers.utils import convert_state_dict_to_peft, convert_unet_state_dict_to_peft

from smalti.models.kohya_sdxl import kohya_name


@pytest.fixture(scope="module")
def layers(xl_base) -> list[str]:
    """Every layer of the tiny model that some adapter changes, as an adapter's file calls it."""
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    found = []
    for part in xl_base.lora_parts():
        targets = part.targets["all"]
        for name, module in part.module.named_modules():
            plain = name.removesuffix(".base_layer")
            wanted = any(plain == t or plain.endswith(f".{t}") for t in targets)
            if wanted and isinstance(module, kinds) and ".lora_" not in name:
                found.append(f"{part.prefix}.{plain}")
    return list(dict.fromkeys(found))


def test_diffusers_reads_every_layer_under_its_own_name(xl_base, layers):
    """Each layer's matrices hold its own number, so that a swap would show."""
    kohya = {}
    for number, layer in enumerate(layers):
        for end in ("lora_down", "lora_up"):
            kohya[f"{kohya_name(layer)}.{end}.weight"] = torch.full((1, 1), float(number))
        kohya[f"{kohya_name(layer)}.alpha"] = torch.tensor(1.0)
    state, alphas = StableDiffusionXLPipeline.lora_state_dict(
        dict(kohya), unet_config=xl_base.unet.config
    )
    unet = {key: value for key, value in state.items() if key.startswith("unet.")}
    text = {key: value for key, value in state.items() if key not in unet}
    named = convert_unet_state_dict_to_peft(unet) | convert_state_dict_to_peft(text)
    read = {key.rsplit(".lora", 1)[0]: float(value) for key, value in named.items()}
    assert read == {layer: float(number) for number, layer in enumerate(layers)}
    assert len(alphas) == len(layers) > 150


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        ("unet.down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_out.0",
         "lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_out_0"),
        ("unet.up_blocks.1.attentions.2.proj_out", "lora_unet_output_blocks_5_1_proj_out"),
        ("text_encoder_2.text_model.encoder.layers.31.self_attn.q_proj",
         "lora_te2_text_model_encoder_layers_31_self_attn_q_proj"),
    ],
)  # fmt: skip
def test_published_names(layer, name):
    """As ComfyUI's blocks are counted: IN4 the first, OUT5 the last."""
    assert kohya_name(layer) == name


def test_what_the_family_lacks_has_no_name():
    with pytest.raises(KeyError):
        kohya_name("unet.down_blocks.3.resnets.0.conv1")
