"""A base that tests may attach adapters to."""

import pytest
import torch


@pytest.fixture
def base(tiny_base):
    """The shared tiny base; whatever a test attached to it is removed afterwards."""
    from smalti.models.edlora import detach

    yield tiny_base
    for adapter in list(tiny_base.adapters.values()):
        detach(tiny_base, adapter)
    tiny_base.unet.disable_gradient_checkpointing()
    tiny_base.set_attention(gradients=True)


@pytest.fixture
def trained(base):
    """Attach an adapter and move every parameter away from its start, as training would."""
    from smalti.configs.train import TrainSettings
    from smalti.models.edlora import attach_new, parameter_groups

    def attach(name: str = "sylvie", seed: int = 0, **settings):
        settings = TrainSettings(**settings)
        adapter = attach_new(base, name, "girl", settings)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for group in parameter_groups(base, adapter, settings):
                for parameter in group["params"]:
                    parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
        return adapter

    return attach


@pytest.fixture
def frozen_tensors():
    """Every base tensor under a name that does not depend on attached adapters."""

    def tensors(base) -> dict[str, torch.Tensor]:
        return {
            f"{part}.{key.replace('.base_layer', '')}": value.clone()
            for part in ("unet", "text_encoder", "vae")
            for key, value in getattr(base, part).state_dict().items()
            if "lora_" not in key and ".tables." not in key
        }

    return tensors


@pytest.fixture
def predict():
    """UNet output for a fixed latent: depends on words, text encoder LoRA and UNet LoRA."""
    from smalti.models.conditioning import encode_prompts

    @torch.no_grad()
    def output(base, prompt: str, adapters=()) -> torch.Tensor:
        latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
        text = encode_prompts(base, [prompt], adapters)
        return base.unet(latents, torch.tensor(300), text).sample

    return output
