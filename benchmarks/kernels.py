"""Time of a tile-step, guided and not, at each precision and attention: side by side in one run.

    python benchmarks/kernels.py                    the starter on this machine
    python benchmarks/kernels.py --tiles 4 --rounds 1 a quick look
    python benchmarks/kernels.py --base sd21 --tiles 2

A tile-step is one denoising step of one tile with classifier-free guidance. Rounds of all variants
alternate, so that a busy machine slows all of them alike; the median of a variant's rounds counts.
Only ratios within one table mean anything, unless the processor did nothing else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Annotated

import torch
import typer

from smalti.cli.boundary import guarded
from smalti.cli.console import console, print_table
from smalti.cli.options import Base
from smalti.configs.loading import resolve
from smalti.configs.settings import Settings
from smalti.evaluate.timing import median_seconds
from smalti.models.base import BaseModel

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
    seconds = [s / STEPS for s in median_seconds([v.run for v in variants], rounds)]
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
    runs = [
        (precision, kernel, denoising(load(settings, device, precision, kernel), tiles))
        for precision, kernel in product(("no", "bf16"), kernels)
    ]
    return [
        Variant(guided, precision, kernel, partial(run, guided))
        for guided, (precision, kernel, run) in product((True, False), runs)
    ]


def load(settings: Settings, device: str, precision: str, kernel: str) -> BaseModel:
    """A base model of its own; where gradients are said to flow, a CPU takes plain attention."""
    from smalti.models.bases import load_base
    from smalti.models.device import DTYPES

    dtype, plain = DTYPES[precision], kernel == "plain"
    base = load_base(settings.base, device=device, dtype=dtype, gradients=plain)
    base.prepare_drawing(compile=False)
    return base


def denoising(base: BaseModel, tiles: int) -> Callable[[bool], None]:
    """A function that runs STEPS steps of a batch, guided or not."""
    from smalti.generate.guidance.exact import ExactGuide
    from smalti.models.band import LowPass
    from smalti.models.denoiser import with_cfg
    from smalti.models.denoising import denoise, make_scheduler

    with torch.no_grad():
        text, negative = base.encode_text(["a cat"] * tiles), base.encode_text([""])
    side, g = base.resolution // base.latent_factor, torch.Generator().manual_seed(0)
    latents = torch.randn(tiles, base.latent_channels, side, side, generator=g)
    blocks = torch.rand(tiles, 3, 32, 32, generator=g).to(base.device)
    guide = ExactGuide(base, blocks, weight=5000, decay=0.95, low_pass=LowPass(32, 2.0))
    denoiser = with_cfg(base.denoiser, negative, 7.5)

    def run(guided: bool) -> None:
        scheduler = make_scheduler(base, "ddim", STEPS)
        denoise(denoiser, scheduler, latents, text, guide=guide if guided else None)
        if base.device.type == "cuda":
            torch.cuda.synchronize()

    return run


if __name__ == "__main__":
    app()
