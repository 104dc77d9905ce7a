"""Time of a tile-step, guided and not, at each precision and attention: side by side in one run.

    python benchmarks/kernels.py                    the starter on this machine
    python benchmarks/kernels.py --tiles 4 --rounds 1 a quick look
    python benchmarks/kernels.py --base sd21 --tiles 2

A tile-step is one denoising step of one tile with classifier-free guidance. Rounds of all variants
alternate, so that a busy machine slows all of them alike; the median of a variant's rounds counts.
Only ratios within one table mean anything, unless the processor did nothing else.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import median
from typing import Annotated

import torch
import typer

from smalti.cli.boundary import guarded
from smalti.cli.console import console, print_table
from smalti.cli.options import Base
from smalti.configs.loading import resolve
from smalti.configs.settings import Settings

HEADER = ("guidance", "precision", "attention", "ms per tile-step", "of the first")
STEPS = 2

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Variant:
    """One row: exact guidance or none, "no" or "bf16", and the attention's kernel."""

    guided: bool
    precision: str
    attention: str
    run: Callable[[], None]


@app.command()
@guarded("Take --tiles 1.")
def main(
    *,
    base: Base = None,
    tiles: Annotated[int, typer.Option(min=1, help="Tiles in the batch.")] = 16,
    rounds: Annotated[int, typer.Option(min=1, help="Timed runs of every variant.")] = 3,
) -> None:
    """Time guided and plain denoising steps on the default processor."""
    from smalti.models.device import pick_device

    device = pick_device()
    variants = build(resolve(base=base), tiles, device)
    seconds = measure(variants, rounds)
    rows = [
        ("exact" if v.guided else "none", v.precision, v.attention, f"{1000 * s / tiles:.0f}",
         f"{s / seconds[0]:.2f}")
        for v, s in zip(variants, seconds, strict=True)
    ]  # fmt: skip
    name = torch.cuda.get_device_name() if device == "cuda" else device
    title = f"{tiles} tiles at once on {name}, {torch.get_num_threads()} threads"
    print_table(title, HEADER, rows)
    console().print("[dim]First row: fp32 and torch's fused attention.[/]")


def build(settings: Settings, tiles: int, device: str) -> list[Variant]:
    """All variants, each on a model of its own so that they can take turns."""
    kernels = ("fused", "plain") if device == "cpu" else ("fused",)
    loaded = [
        (precision, kernel, _sampler(settings, tiles, device, precision, kernel))
        for precision, kernel in product(("no", "bf16"), kernels)
    ]
    return [
        Variant(guided, precision, kernel, partial(sampler, guided))
        for guided, (precision, kernel, sampler) in product((True, False), loaded)
    ]


def _sampler(
    settings: Settings, tiles: int, device: str, precision: str, kernel: str
) -> Callable[[bool], None]:
    """A function that runs STEPS steps of a batch, guided or not."""
    from smalti.generate.guidance import ExactGuide, LowPass
    from smalti.generate.sampler import encode_pair, make_scheduler, sample
    from smalti.models import attention
    from smalti.models.base import load_base
    from smalti.models.device import DTYPES

    kept = attention.SMALL_MAP
    attention.SMALL_MAP = kept if kernel == "plain" else 0
    base = load_base(settings.base, device=device, dtype=DTYPES[precision])
    attention.SMALL_MAP = kept
    base.vae.to(memory_format=torch.channels_last)
    with torch.no_grad():
        text, negative = encode_pair(base, ["a cat"] * tiles, [], "", 7.5)
    side, g = base.resolution // base.latent_factor, torch.Generator().manual_seed(0)
    latents = torch.randn(tiles, base.latent_channels, side, side, generator=g)
    blocks = torch.rand(tiles, 3, 32, 32, generator=g).to(base.device)
    guide = ExactGuide(base, blocks, weight=5000, decay=0.95, low_pass=LowPass(32, 2.0))

    def run(guided: bool) -> None:
        scheduler = make_scheduler(base, "ddim", STEPS)
        sample(base, text, negative, latents, scheduler, cfg_scale=7.5,
               guide=guide if guided else None)  # fmt: skip
        if base.device.type == "cuda":
            torch.cuda.synchronize()

    return run


def measure(variants: list[Variant], rounds: int) -> list[float]:
    """Median seconds per step of the whole batch; one run of each variant warms up."""
    times: list[list[float]] = [[] for _ in variants]
    for turn in range(rounds + 1):
        for variant, found in zip(variants, times, strict=True):
            began = time.perf_counter()
            variant.run()
            if turn:
                found.append((time.perf_counter() - began) / STEPS)
    return [median(found) for found in times]


if __name__ == "__main__":
    app()
