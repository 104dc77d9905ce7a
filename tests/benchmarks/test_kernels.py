"""The table of kernels: every variant computes as it says."""

import kernels
import pytest
import torch

from smalti.configs.settings import Settings


@pytest.mark.slow
def test_every_variant_runs_at_its_precision_with_its_kernel(tiny_settings, monkeypatch):
    used, load = [], kernels.load

    def spy(*arguments):
        base = load(*arguments)
        name = next(name for name in base.unet.attn_processors if "attn1" in name)
        used.append((base.dtype, type(base.unet.attn_processors[name]).__name__))
        return base

    monkeypatch.setattr(kernels, "load", spy)
    variants = kernels.build(Settings(base=tiny_settings), 1, "cpu")
    assert used == [
        (dtype, kernel)
        for dtype in (torch.float32, torch.bfloat16)
        for kernel in ("AttnProcessor2_0", "PlainAttention")
    ]
    assert [v.guided for v in variants] == [True] * 4 + [False] * 4
    for variant in (variants[0], variants[-1]):
        variant.run()
