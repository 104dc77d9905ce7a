"""Colour spaces against scikit-image and published values."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from smalti.models.colorspaces import cielab, linear_light, oklab


def test_cielab_agrees_with_scikit_image():
    random = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    dark = torch.tensor([[0.0, 0.0, 0.0], [0.01, 0.01, 0.01], [0.03, 0.0, 0.05]])
    rgb = torch.cat([random, torch.eye(3), dark])
    theirs = rgb2lab(rgb[None].double().numpy())[0]
    assert np.abs(cielab(rgb).numpy() - theirs).max() < 0.02


@pytest.mark.parametrize(("rgb", "expected"), [
    ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0)),
    ((1.0, 0.0, 0.0), (0.62796, 0.22486, 0.12585)),
    ((0.0, 1.0, 0.0), (0.86644, -0.23389, 0.17950)),
    ((0.0, 0.0, 1.0), (0.45201, -0.03246, -0.31153)),
    ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
])  # fmt: skip
def test_oklab_of_the_primaries(rgb, expected):
    """As CSS Color 4 and Ottosson's own page convert them."""
    assert oklab(torch.tensor(rgb)).tolist() == pytest.approx(expected, abs=2e-4)


def test_oklab_of_greys_is_the_cube_root_of_their_light():
    greys = torch.linspace(0, 1, 11)
    found = oklab(greys[:, None].expand(-1, 3))
    assert torch.allclose(found[:, 0], linear_light(greys) ** (1 / 3), atol=1e-3)
    assert found[:, 1:].abs().max() < 1e-3


def test_linear_light_is_continuous_and_bounded():
    """Its two pieces meet at 0.04045 (IEC 61966-2-1)."""
    ends = linear_light(torch.tensor([0.0, 0.04045 - 1e-6, 0.04045 + 1e-6, 1.0]))
    assert ends[0] == 0 and ends[3] == pytest.approx(1.0)
    assert ends[1].item() == pytest.approx(ends[2].item(), abs=1e-6)
    assert linear_light(torch.tensor(0.5)).item() == pytest.approx(0.21404, abs=1e-5)
