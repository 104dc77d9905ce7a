"""Latents and blocks that the guides' tests share."""

import pytest
import torch


@pytest.fixture
def tiles():
    """Clean latents of two tiles, noisy ones, and blocks that lie within what decodes to 0..1."""
    g = torch.Generator().manual_seed(0)
    x0, z = 0.1 * torch.randn(2, 2, 4, 16, 16, generator=g)
    return x0, z, 0.4 + 0.2 * torch.rand(2, 3, 32, 32, generator=g)
