"""LPIPS against AlexNet as torchvision lists it."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from refusals import refused
from safetensors.torch import load_file, save_file
from torch import nn

from smalti.models.lpips import Lpips


def pictures(seed: int, count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def lpips(lpips_weights: Path) -> Lpips:
    return Lpips(lpips_weights)


def test_zero_for_equal_pictures_and_symmetric_for_others(lpips: Lpips):
    first, second = pictures(1, 2), pictures(2, 2)
    assert torch.equal(lpips(first, first), torch.zeros(2))
    torch.testing.assert_close(lpips(first, second), lpips(second, first))
    assert (lpips(first, second) > 0).all()


def alexnet(weights: dict[str, torch.Tensor]) -> nn.Sequential:
    layers = nn.Sequential(
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, 1, 2),
        nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU(), nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(),
    )  # fmt: skip
    named = {k.removeprefix("features."): v for k, v in weights.items() if "features" in k}
    layers.load_state_dict(named)
    return layers


@torch.no_grad()
def test_the_published_formula(lpips: Lpips, lpips_weights: Path):
    """Features after each ReLU, of unit length per place, with LPIPS's own input scaling."""
    weights = {key: value.float() for key, value in load_file(lpips_weights).items()}
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
    first, second = pictures(1), pictures(2)
    a, b = ((p * 2 - 1 - shift) / scale for p in (first, second))
    expected, head = 0.0, 0
    for layer in alexnet(weights):
        a, b = layer(a), layer(b)
        if isinstance(layer, nn.ReLU):
            difference = (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square()
            expected += (difference * weights[f"lin{head}.weight"]).sum(1).mean()
            head += 1
    torch.testing.assert_close(lpips(first, second)[0], expected, rtol=5e-3, atol=0)


def test_files_that_are_no_lpips_weights_are_refused(lpips_weights: Path, tmp_path: Path):
    (tmp_path / "text").write_text("no weights")
    weights = load_file(lpips_weights)
    weights.pop("lin3.weight")
    save_file(weights, tmp_path / "headless")
    for name, detail in (("none", ""), ("text", ""), ("headless", "lin3.weight")):
        with refused(str(tmp_path / name), "mosaic.lpips", detail):
            Lpips(tmp_path / name, "mosaic.lpips")
