"""An autoencoder that overflows in fp16, noticed by itself or told by its own file."""

import json
import shutil

import pytest
import torch

from smalti.configs.base import BaseSettings
from smalti.models import autoencoder
from smalti.models.autoencoder import in_range, safe_dtype
from smalti.models.bases import load_base

HALF = torch.float16


@pytest.mark.parametrize(
    ("config", "dtype", "wanted"),
    [
        ({"force_upcast": True}, HALF, torch.float32),
        ({"force_upcast": True}, torch.bfloat16, torch.bfloat16),  # as far as fp32, only coarser
        ({"force_upcast": False}, HALF, HALF),
        ({}, HALF, HALF),
    ],
)
def test_what_asks_for_it_computes_in_fp32_where_the_rest_is_fp16(config, dtype, wanted):
    assert safe_dtype(config, dtype) == wanted


@pytest.mark.parametrize("asks", [True, False])
def test_a_base_is_loaded_as_its_autoencoder_asks(tiny_sd, tmp_path, asks):
    folder = shutil.copytree(tiny_sd, tmp_path / "base")
    path = folder / "vae/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"force_upcast": asks}))
    settings = BaseSettings(name="tiny", source=str(folder), resolution=64)
    base = load_base(settings, device="cpu", dtype=HALF)
    assert base.unet.dtype == HALF
    assert base.vae.dtype == (torch.float32 if asks else HALF)


class Scale(torch.nn.Module):
    """Multiplies in its own precision, as often as it was asked."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor, self.calls = torch.nn.Parameter(torch.tensor(factor)), []

    @property
    def dtype(self) -> torch.dtype:
        return self.factor.dtype

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.calls.append(values.dtype)
        return values * self.factor


@pytest.fixture
def told(monkeypatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(autoencoder, "say", lines.append)
    return lines


def test_an_overflow_is_done_again_in_fp32_which_stays_and_is_said_once(told):
    scale = Scale(1000.0).to(HALF)
    assert in_range(scale, scale, torch.tensor([2.0])).tolist() == [2000.0]
    assert scale.dtype == HALF and told == []
    assert in_range(scale, scale, torch.tensor([2000.0])).tolist() == [2e6]
    assert in_range(scale, scale, torch.tensor([3000.0])).tolist() == [3e6]
    assert scale.calls == [HALF, HALF, torch.float32, torch.float32]
    assert scale.dtype == torch.float32 and len(told) == 1


def test_infinities_that_were_given_are_no_overflow(told):
    scale = Scale(1.0).to(HALF)
    assert in_range(scale, scale, torch.tensor([float("inf")])).isinf().all()
    assert scale.dtype == HALF and told == []


def test_pictures_of_an_overflowing_autoencoder_are_those_of_fp32(tiny_settings, told):
    """Latents are decoded as if nothing were fp16, but for the rounding of its weights."""
    base = load_base(tiny_settings, device="cpu", dtype=HALF)
    base.vae.to(HALF)
    exact = load_base(tiny_settings, device="cpu")
    for vae in (base.vae, exact.vae):
        vae.decoder.conv_in.weight.data *= 3e4
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)) * 30
    with torch.no_grad():
        found, wanted = base.decode(latents), exact.decode(latents)
    assert len(told) == 1 and base.vae.dtype == torch.float32
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0.02)
    assert base.encode(torch.rand(1, 3, 64, 64)).isfinite().all()
