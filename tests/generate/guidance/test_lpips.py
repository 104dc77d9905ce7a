"""The perceptual guide against its own slope; its weights are read once per engine."""

import pytest
import torch

from smalti.generate.guidance.lpips import LpipsGuide
from smalti.models.denoising import Step
from smalti.models.lpips import Lpips

PAPER_AREA = 96 * 96


def test_lpips_is_descended(tiny_base, lpips_weights):
    """A small step against the gradient lowers the distance, by what its slope promises."""
    torch.manual_seed(2)
    z, block = torch.randn(1, 4, 8, 8), torch.rand(1, 3, 16, 16)
    lpips = Lpips(lpips_weights)
    guide = LpipsGuide(tiny_base, block, 64, weight=50.0, decay=1.0, lpips=lpips)
    moving = z.clone().requires_grad_()
    step = Step(index=0, count=50, timestep=500, alpha=1.0, sigma=0.0, carry=1.0)
    guided, _ = guide(moving, moving * 1.0, step)
    gradient = (z - guided) / (50.0 / PAPER_AREA)
    with torch.no_grad():
        before, after = guide.error(z).item(), guide.error(guided).item()
    promised = (gradient * (guided - z)).sum().item()
    assert promised < 0
    assert after - before == pytest.approx(promised, rel=0.1)
