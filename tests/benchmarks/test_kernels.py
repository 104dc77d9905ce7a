"""The table of kernels: what its variants are, and its arithmetic on a clock of our own."""

from itertools import count

import kernels
import torch

from smalti.configs.settings import Settings
from smalti.models import attention


def test_the_median_round_counts_and_the_first_only_warms_up(monkeypatch):
    # The clock stands still but for what a run takes: 100 s to warm up, then 4, 2 and 9 s.
    now, durations = [0.0], iter([100.0, 4.0, 2.0, 9.0])

    def run() -> None:
        now[0] += next(durations)

    monkeypatch.setattr(kernels.time, "perf_counter", lambda: now[0])
    assert kernels.measure([kernels.Variant(False, "no", "fused", run)], 3) == [4.0 / kernels.STEPS]


def test_variants_take_turns(monkeypatch):
    order: list[int] = []
    variants = [
        kernels.Variant(False, "no", "fused", lambda n=n: order.append(n)) for n in range(3)
    ]
    ticks = count()
    monkeypatch.setattr(kernels.time, "perf_counter", lambda: float(next(ticks)))
    kernels.measure(variants, 2)
    assert order == [0, 1, 2] * 3


def test_every_variant_runs_at_its_precision_with_its_kernel(tiny_settings, monkeypatch):
    used = []
    from smalti.models.base import load_base

    def spy(*args, **options):
        base = load_base(*args, **options)
        name = next(name for name in base.unet.attn_processors if "attn1" in name)
        used.append((base.dtype, type(base.unet.attn_processors[name]).__name__))
        return base

    monkeypatch.setattr("smalti.models.base.load_base", spy)
    before = attention.SMALL_MAP
    variants = kernels.build(Settings(base=tiny_settings), 1, "cpu")
    assert before == attention.SMALL_MAP
    assert used == [
        (dtype, kernel)
        for dtype in (torch.float32, torch.bfloat16)
        for kernel in ("AttnProcessor2_0", "AttnProcessor")
    ]
    assert [v.guided for v in variants] == [True] * 4 + [False] * 4
    for variant in (variants[0], variants[-1]):
        variant.run()
