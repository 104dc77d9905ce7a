"""Counts what memory the published bases take on a GPU, without their weights and without one.

    python benchmarks/footprints.py                      writes configs/footprints.toml
    python benchmarks/footprints.py --bases sd15,sd21    counts two, and keeps the others

What is counted: peaks of what lives at once in a training step and in a guided drawing step of
models of full width on torch's meta device (`structure.py`), at three sizes each, between which
memory grows linearly. What is not: a library's workspaces and gaps between allocations, for which
`models/footprint.py` leaves room on a card.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import tomli_w
import typer
from architectures import ARCHITECTURES
from peft.tuners.lora import LoraLayer
from structure import Watch, drawing_step, no_words, structural_base, training_step, weights

from smalti.cli.boundary import guarded
from smalti.cli.console import console
from smalti.configs.files import replacing
from smalti.configs.loading import resolve
from smalti.evaluate.selection import choose_names
from smalti.models.bases.sd import StableDiffusion
from smalti.models.edlora import attach_new, detach, parameter_groups
from smalti.models.footprint import COUNTED, known_footprints

HEAD = """\
# What memory known bases take on a GPU in 16 bits, counted by benchmarks/footprints.py on models
# without weights: values of the weights and of an adapter; and of each kind of step the bytes of
# fixed + batch * (sample + pixel * side^2), as [fixed, sample, pixel].

"""

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
@guarded("")
def main(
    *,
    bases: Annotated[str, typer.Option(help="Names of bases, comma-separated.")] = "all",
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the figures go.")] = COUNTED,
) -> None:
    """Count, and write what was counted."""
    found = {name: _plain(one) for name, one in known_footprints().items()} if out.exists() else {}
    for name in choose_names(bases, ARCHITECTURES, "base"):
        console().print(f"{name} ...", style="dim")
        found[name] = counted(structural_base(name))
        _write(out, {name: found[name] for name in ARCHITECTURES if name in found})


def _write(path: Path, found: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(HEAD + tomli_w.dumps(found), encoding="utf-8")


def counted(base: StableDiffusion) -> dict[str, Any]:
    """The figures of a base, as the file holds them."""
    side = base.resolution
    return {
        "values": sum(weights(base).values()),
        **adapter_values(base),
        "training": growth(side, lambda s, n: training_step(base, s, n)),
        "checkpointed": growth(side, lambda s, n: training_step(base, s, n, checkpointing=True)),
        "drawing": growth(side, lambda s, n: drawing_step(base, s, n, guide="projection")),
        "exact": growth(side, lambda s, n: drawing_step(base, s, n, guide="exact")),
    }


def growth(side: int, step: Callable[[int, int], Watch]) -> list[int]:
    """Fixed, sample and pixel bytes of a step (side, batch), from three sizes."""
    one, two, small = (step(s, n).peak for s, n in ((side, 1), (side, 2), (side // 2, 1)))
    pixel = (one - small) / (side**2 - (side // 2) ** 2)
    sample = (two - one) - pixel * side**2
    return [round(one - (two - one)), round(sample), round(pixel)]


def adapter_values(base: StableDiffusion) -> dict[str, int]:
    """Trained values of an adapter by the base's training preset, and those it is merged into."""
    settings = resolve(base=base.settings.name).train
    with patch("smalti.models.edlora.initial_words", no_words):
        adapter = attach_new(base, "rex", "dog", settings)
    groups = parameter_groups(base, adapter, settings)
    trained = sum(value.numel() for group in groups for value in group["params"])
    changed = (layer for layer in base.unet.modules() if isinstance(layer, LoraLayer))
    merged = sum(layer.get_base_layer().weight.numel() for layer in changed)
    detach(base, adapter)
    return {"adapter": trained, "merged": merged}


def _plain(one: Any) -> dict[str, Any]:
    return {name: list(v) if isinstance(v, tuple) else v for name, v in vars(one).items()}


if __name__ == "__main__":
    app()
