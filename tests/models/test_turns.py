"""Adapters that take turns draw as peft's own switch lets them, and leave no trace."""

import pytest
import torch

from smalti.configs.settings import TrainSettings
from smalti.models.bases import load_base
from smalti.models.edlora import attach_new, lora_parameters, set_active
from smalti.models.prediction import NoiseLevel
from smalti.models.turns import denoiser_of, turn_of

LEVEL = NoiseLevel(torch.tensor(300), 0.8, 0.6)


@pytest.fixture
def output_of():
    """What a denoiser puts out for a latent, with adapters switched on by peft."""

    @torch.no_grad()
    def output(base, denoiser, active, scale=1.0):
        z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
        set_active(base, [])
        text = base.encode_text(["a cat"])
        set_active(base, active, scale)
        return denoiser.output(z, LEVEL, text)

    return output


def turns_of(base, adapters, scale):
    found = []
    for adapter in adapters:
        set_active(base, [adapter.name], scale)
        found.append(turn_of(base, adapter.peft_name, scale))
    set_active(base, [])
    return found


@pytest.mark.parametrize("targets", ["attention", "all"])
def test_each_turn_draws_as_its_adapter_alone(base, trained, output_of, targets):
    adapters = [trained("pim", 1, targets=targets), trained("bolt", 2)]
    wanted = [output_of(base, base.denoiser, [adapter.name], 0.7) for adapter in adapters]
    turns, bare = turns_of(base, adapters, 0.7), output_of(base, base.denoiser, [])
    for turn, output in [*zip(turns, wanted, strict=True)] * 2:
        assert torch.allclose(output_of(base, denoiser_of(base, turn), []), output, atol=1e-4)
        assert torch.equal(output_of(base, base.denoiser, []), bare)
    assert not torch.allclose(wanted[0], wanted[1], atol=1e-2)


def test_layers_that_would_lose_their_change_run_it_beside(tiny_settings, output_of):
    """In half precision, a change of a ten-thousandth of a weight would be rounded away."""
    half = load_base(tiny_settings, device="cpu", dtype=torch.bfloat16)
    adapter = attach_new(half, "cat", "cat", TrainSettings())
    generator = torch.Generator().manual_seed(0)
    for key, parameter in lora_parameters(half, adapter):
        if ".lora_B." in key:
            torch.nn.init.normal_(parameter, std=1e-4, generator=generator)
    bare = output_of(half, half.denoiser, active=())
    wanted = output_of(half, half.denoiser, active=["cat"])
    (turn,) = turns_of(half, [adapter], 1.0)
    assert turn.beside and not turn.weights
    assert torch.equal(output_of(half, denoiser_of(half, turn), active=()), wanted)
    assert torch.equal(output_of(half, half.denoiser, active=()), bare)
    assert not torch.equal(wanted, bare)


def test_gradients_of_a_turn_stay_right_after_it(base, trained):
    """Another turn between forward and backward changes nothing."""
    adapters = [trained("pim", 1), trained("bolt", 2)]
    first, second = (denoiser_of(base, turn) for turn in turns_of(base, adapters, 1.0))
    text = base.encode_text(["a cat"])
    z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))

    def gradient(between):
        own = z.clone().requires_grad_()
        out = first.output(own, LEVEL, text)
        between()
        return torch.autograd.grad(out.sum(), own)[0]

    assert torch.equal(gradient(lambda: None), gradient(lambda: second.output(z, LEVEL, text)))
