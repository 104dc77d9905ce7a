"""What a machine without a GPU cannot prove of a base, measured on one in a quarter of an hour.

    python benchmarks/gpu.py --dry-run                  says what it would do, loads nothing
    python benchmarks/gpu.py --base sd15                downloads, trains, draws, writes a report
    python benchmarks/gpu.py --base starter --quick     the same in small, also on a CPU

Pieces, each in a process of its own so that its peak of memory is its own: the download; a UNet
call and a decoding in 16 bits beside fp32; a training on a copy of a sample concept, and a few
steps of one with gradient checkpointing; a guided mosaic of the concept; one tile of the paper's
exact guide. A finished piece is not done again: an interrupted run goes on with the same command,
and the training and the mosaic inside a piece go on too. `OUT/report` holds what to keep, below
16 MiB: gpu.json, gpu.md and sheet.png; peaks stand beside what `models/footprint.py` predicts.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from smalti.cli.boundary import guarded
from smalti.cli.console import console, print_facts, say_licence
from smalti.cli.options import Base, ConceptsDir
from smalti.configs.files import file_hash, read_json, replacing, write_json
from smalti.configs.loading import resolve
from smalti.configs.mosaic import changed
from smalti.configs.settings import Settings
from smalti.evaluate.processes import peak_memory, run_in_subprocess
from smalti.models.concepts import ADAPTER_FILE, find_concept
from smalti.models.cost import expected_device
from smalti.models.footprint import GIB, footprint_of

PHOTO = Path(__file__).parents[1] / "docs" / "astronaut.jpg"
CHECKPOINTED_STEPS = 5
QUICK = {"mosaic.steps": 2, "train.crops_per_image": 1, "train.relit_share": 0.0,
         "train.validation_steps": 1, "train.validation_prompts": ("a <concept>",)}  # fmt: skip
WORK = ("edlora.safetensors", ".training", "validation.png")  # of earlier trainings

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@dataclass(frozen=True)
class Plan:
    """What is measured, as plain data for other processes."""

    settings: Settings
    concept: Path
    out: Path

    @property
    def copy(self) -> Path:
        """The concept's copy, in which its adapter comes to lie."""
        return self.out / "concepts" / self.concept.name

    def facts(self) -> dict[str, Any]:
        """In words."""
        train, mosaic = self.settings.train, self.settings.mosaic
        return {
            "base": self.settings.base.name,
            "device": expected_device(),
            "pieces": ", ".join(PIECES),
            "training": f"{train.steps} steps of {train.batch_size}, concept {self.concept.name}",
            "mosaic": f"{mosaic.picture.grid} tiles, {mosaic.sampler.steps} steps",
            **{f"predicted {name}, GiB": in_gib(count) for name, count in predicted(self).items()},
        }


def in_gib(count: float) -> str:
    return f"{count / GIB:.2f}"


def predicted(plan: Plan) -> dict[str, float]:
    """Bytes that each piece is expected to take on a GPU, where its base was counted."""
    found, side = footprint_of(plan.settings.base), plan.settings.base.resolution
    if found is None:
        return {}
    batch = plan.settings.train.batch_size
    return {
        "train": found.training_bytes(side, batch),
        "checkpointed": found.training_bytes(side, batch, checkpointing=True),
        "draw": found.drawing_bytes(side, plan.settings.mosaic.machine.batch_size or 1),
        "exact": found.drawing_bytes(side, 1, gradients=True),
    }


def fetch(plan: Plan) -> dict[str, Any]:
    """Download the base, and say what computes."""
    import torch

    from smalti.models.locate import locate

    began = time.perf_counter()
    folder = locate(plan.settings.base)
    card = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "gigabytes": round(sum(p.stat().st_size for p in folder.rglob("*.*")) / 1e9, 2),
        "card": card.name if card else "CPU",
        "card_gib": round(card.total_memory / GIB, 1) if card else 0,
        "torch": torch.__version__,
    }


def precision(plan: Plan) -> dict[str, Any]:
    """How far a UNet call and a decoding in 16 bits are from fp32, relative to its deviation."""
    import torch

    from smalti.models.bases import load_base
    from smalti.models.device import pick_device

    device, seen = pick_device(), {}
    for dtype in (torch.float32, torch.bfloat16, *([torch.float16] if device == "cuda" else [])):
        base = load_base(plan.settings.base, device=device, dtype=dtype, gradients=False)
        side = base.resolution // base.latent_factor
        z = torch.randn(1, base.latent_channels, side, side, generator=torch.Generator())
        with torch.no_grad():
            called = base.network(z.to(device), 500, base.encode_text(["a dog"])).cpu()
            seen[dtype] = called, base.decode(z.to(device)).cpu(), str(base.vae.dtype)
    facts = {}
    for dtype, (called, decoded, vae) in list(seen.items())[1:]:
        for name, found, exact in zip(("unet", "vae"), (called, decoded), seen[torch.float32][:2],
                                      strict=True):  # fmt: skip
            error = float((found - exact).square().mean().sqrt() / exact.std())
            facts[f"{name}_{str(dtype).removeprefix('torch.')}"] = round(error, 4)
        facts[f"vae_dtype_of_{str(dtype).removeprefix('torch.')}"] = vae
    return facts


def train(plan: Plan) -> dict[str, Any]:
    """Train the concept's copy; an interrupted training goes on."""
    return _trained(plan.settings, plan.concept, plan.copy)


def checkpointed(plan: Plan) -> dict[str, Any]:
    """A few steps with gradient checkpointing, for their memory."""
    few = replace(plan.settings.train, steps=CHECKPOINTED_STEPS, gradient_checkpointing=True,
                  validate_every=None)  # fmt: skip
    folder = plan.out / "checkpointed" / plan.concept.name
    return _trained(replace(plan.settings, train=few), plan.concept, folder)


def _trained(settings: Settings, concept: Path, folder: Path) -> dict[str, Any]:
    from smalti.train.trainer import train_concept

    if not folder.is_dir():
        shutil.copytree(concept, folder, ignore=shutil.ignore_patterns(*WORK))
    began = time.perf_counter()
    train_concept(folder, settings)
    seconds = time.perf_counter() - began
    return {
        "seconds": round(seconds, 1),
        "seconds_per_step": round(seconds / settings.train.steps, 3),
        "peak_gib": round(peak_memory(expected_device()) / GIB, 2),
        "adapter": file_hash(folder / ADAPTER_FILE)[:16],
    }


def draw(plan: Plan) -> dict[str, Any]:
    """A guided mosaic of the concept."""
    return _drawn(plan, plan.settings, "mosaic")


def exact(plan: Plan) -> dict[str, Any]:
    """One tile of the paper's guide, which differentiates UNet and decoder."""
    mosaic = changed(plan.settings.mosaic, guide="exact", grid="1x1", batch_size=1)
    return _drawn(plan, replace(plan.settings, mosaic=mosaic), "exact")


def _drawn(plan: Plan, settings: Settings, name: str) -> dict[str, Any]:
    from smalti.evaluate.drawing import timed_mosaic
    from smalti.generate.engine import open_engine
    from smalti.generate.store import read_record

    engine, folder = open_engine(settings.base, settings.mosaic.machine), plan.out / name
    seconds = timed_mosaic(engine, settings, folder, concepts_dir=plan.copy.parent)
    record = read_record(folder) or {}
    rows, cols = map(int, settings.mosaic.picture.grid.split("x"))
    return {
        "seconds": round(seconds, 1),
        "seconds_per_tile": round(seconds / rows / cols, 2),
        "batch": record.get("batch"),
        "peak_gib": round(peak_memory(expected_device()) / GIB, 2),
        "pull": record.get("guidance_strength"),
        **record.get("metrics", {}),
    }


PIECES: dict[str, Callable[[Plan], dict[str, Any]]] = {
    piece.__name__: piece for piece in (fetch, precision, train, checkpointed, draw, exact)
}


def measured(plan: Plan) -> dict[str, dict[str, Any]]:
    """What every piece found; those that are done with these settings are read."""
    asked, found = repr(asdict(plan.settings)), {}
    for name, piece in PIECES.items():
        path = plan.out / f"{name}.json"
        kept = read_json(path) or {}
        if kept.get("settings") != asked:
            console().print(f"{name} ...", style="dim")
            kept = {"settings": asked, "found": run_in_subprocess(piece, plan)}
            write_json(path, kept)
        found[name] = kept["found"]
    return found


def report(plan: Plan, found: dict[str, dict[str, Any]]) -> Path:
    """Write gpu.json, gpu.md and sheet.png to a folder, and return it."""
    folder, expected = plan.out / "report", predicted(plan)
    write_json(folder / "gpu.json", {"plan": plan.facts(), "found": found, "predicted": expected})
    lines = [f"# {plan.settings.base.name} on {found['fetch']['card']}", "",
             "| piece | found | predicted peak, GiB |", "|---|---|---|"]  # fmt: skip
    for name, facts in found.items():
        said = ", ".join(f"{key} {value}" for key, value in facts.items())
        lines.append(f"| {name} | {said} | {in_gib(expected[name]) if name in expected else ''} |")
    with replacing(folder / "gpu.md") as temporary:
        temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")
    _sheet(plan, folder / "sheet.png")
    return folder


def _sheet(plan: Plan, path: Path) -> None:
    """The mosaic, its reference, the exact tile and four tiles."""
    from PIL import Image

    from smalti.models.sheets import contact_sheet

    folder = plan.out / "mosaic"
    whole = [folder / "mosaic.png", folder / "reference.png", plan.out / "exact/mosaic.png"]
    tiles = sorted((folder / "tiles").glob("*.png"))[:3]
    rows = [[Image.open(name).convert("RGB") for name in names] for names in (whole, tiles)]
    contact_sheet(rows, path, columns=("mosaic", "reference", "exact"), side=512)


@app.command()
@guarded("Take --quick.")
def main(
    *,
    base: Base = "sd15",
    concept: Annotated[str, typer.Option(help="A sample concept.")] = "pim",
    quick: Annotated[bool, typer.Option(help="In small, for a rehearsal.")] = False,
    concepts_dir: ConceptsDir = "concepts",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", show_default="runs/benchmarks/gpu/BASE")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
) -> None:
    """Measure a base on this machine, and write a report."""
    plan = plan_of(base or "sd15", find_concept(concept, Path(concepts_dir)), out, quick=quick)
    say_licence(plan.settings.base)
    if dry_run:
        print_facts("Would measure", plan.facts())
        return
    console().print(f"The report: {report(plan, measured(plan))}", soft_wrap=True)


def plan_of(base: str, concept: Path, out: Path | None, *, quick: bool) -> Plan:
    """The plan for a base; the sizes are meant for a quarter of an hour of a card of 12 GB."""
    steps, grid, batch = (4, "2x2", 1) if quick else (300, "6x6", 2)
    options = {
        "train.steps": steps, "train.batch_size": batch, "mosaic.grid": grid,
        "mosaic.tile_lora": (concept.name,), "mosaic.ref": str(PHOTO),
        "mosaic.batch_size": 1 if quick else 4,
        **(QUICK if quick else {}),
    }  # fmt: skip
    settings = resolve(base=base, concept_toml=concept / "concept.toml", options=options)
    name = settings.base.name + "-quick" * quick
    return Plan(settings, concept, out or Path("runs/benchmarks/gpu") / name)


if __name__ == "__main__":
    app()
