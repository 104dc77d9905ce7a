"""Two people in one reference: who is recognised in which half, by three ways to draw them.

    python benchmarks/together.py sylvie eileen --fused couple --out runs/together

The reference is drawn with 8 seeds: by regions with an adapter each, and with a fused adapter by
regions and in one pass of the network. Starter-CLIP rates each half by its likeness to the photos
of both; a picture counts where each half is more like its own concept. A sheet of all pictures lies
in the folder: look at the seam. Adapters that were trained with train.orthogonal are fused by
`mosaic fuse` as any others and given as another --fused.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from smalti.cli.boundary import guarded
from smalti.cli.console import print_table
from smalti.cli.options import ConceptsDir
from smalti.configs.files import write_json
from smalti.configs.loading import resolve
from smalti.configs.mosaic import changed
from smalti.configs.settings import Settings
from smalti.evaluate.judge import Judge
from smalti.evaluate.likeness import likeness, photo_features
from smalti.generate.engine import Engine, open_engine
from smalti.generate.plan import plan_mosaic
from smalti.generate.reference import planned_noise, reference_picture
from smalti.models.adapter_file import concepts_of, read_metadata
from smalti.models.concepts import find_adapter, find_concept
from smalti.models.sheets import contact_sheet, in_rows
from smalti.train.concept import load_concept

HEADER = ("way", "own half", "both right", "left: own, other", "right: own, other", "s", "MB")

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
@guarded("Close other programs.")
def main(
    left: Annotated[str, typer.Argument(help="Concept of the left half.")],
    right: Annotated[str, typer.Argument(help="Concept of the right half.")],
    *,
    fused: Annotated[list[str] | None, typer.Option(help="Adapters that hold both.")] = None,
    prompt: Annotated[str, typer.Option(help="Prompt, in which {} stand for the two.")] = (
        "a {} and a {}"
    ),
    grid: Annotated[str, typer.Option(help="The mosaic's grid: a reference has its aspect.")] = (
        "8x16"
    ),
    seeds: int = 8,
    out: Annotated[Path, typer.Option(help="Folder of the sheet and the figures.")] = Path(
        "runs/together"
    ),
    concepts_dir: ConceptsDir = "concepts",
) -> None:
    """Draw, judge, and print a row for each way."""
    settings, folder = resolve(base="starter"), Path(concepts_dir)
    judge, engine = Judge(), open_engine(settings.base, settings.mosaic.machine)
    photos = [
        photo_features(judge, [item.path for item in load_concept(find_concept(n, folder)).images])
        for n in (left, right)
    ]
    rows, pictures, names = [], [], []
    for name, options, files in ways(left, right, fused or (), prompt, folder):
        began = time.perf_counter()
        drawn = references(engine, settings, folder, seeds, grid=grid, **options)
        seconds = (time.perf_counter() - began) / seeds
        size = sum(file.stat().st_size for file in files) / 1e6
        rows.append([name, *verdict(judge, drawn, photos), f"{seconds:.1f}", f"{size:.1f}"])
        pictures += in_rows(drawn, seeds)
        names.append(name)
        print(rows[-1], flush=True)
    contact_sheet(pictures, out / "together.png", names=names, side=192)
    write_json(out / "together.json", {"prompt": prompt, "rows": rows})
    print_table(f"{left} and {right}, {seeds} references each", HEADER, rows)


def ways(
    left: str, right: str, fused: list[str] | tuple[str, ...], prompt: str, folder: Path
) -> Iterator[tuple[str, dict[str, object], list[Path]]]:
    """Each way to draw them: its name, the mosaic's settings, the adapters' files."""
    named = prompt.format(f"<{left}>", f"<{right}>")
    files = [find_adapter(name, folder) for name in (left, right)]
    yield "regions, two adapters", {"ref_lora": (left, right), "ref_prompt": named}, files
    for adapter in fused:
        file = find_adapter(adapter, folder)
        told = [own.name for own in concepts_of(read_metadata(file))]
        called = prompt.format(*(f"<{name}>" for name in told))
        options = {"ref_lora": (adapter,), "ref_prompt": called}
        yield f"{adapter}, one pass", options, [file]
        places = (f"{told[0]}=0,0,0.5,1", f"{told[1]}=0.5,0,1,1")
        yield f"{adapter}, regions", {**options, "region": places}, [file]


def references(
    engine: Engine, settings: Settings, folder: Path, seeds: int, **options: object
) -> Tensor:
    """References [K, 3, H, W] in [0, 1], one for each seed."""
    drawn = []
    for seed in range(seeds):
        mosaic = changed(settings.mosaic, tile_prompt=("a dog",), seed=seed, **options)
        plan = plan_mosaic(Settings(settings.base, settings.train, mosaic), concepts_dir=folder)
        drawn.append(reference_picture(engine, plan, planned_noise(engine.base, plan)))
    return torch.stack(drawn)


def verdict(judge: Judge, drawn: Tensor, photos: list[Tensor]) -> list[str]:
    """How many halves, and pictures, are right, and the mean likeness of each half to both."""
    half = drawn.shape[-1] // 2
    alike = torch.stack([
        torch.stack([likeness(judge, part, own) for own in photos], dim=1)
        for part in (drawn[..., :half], drawn[..., half:])
    ])  # fmt: skip
    right = torch.stack([alike[0, :, 0] > alike[0, :, 1], alike[1, :, 1] > alike[1, :, 0]])
    means, count = alike.mean(dim=1), len(drawn)
    return [
        f"{int(right.sum())} of {2 * count}",
        f"{int(right.all(dim=0).sum())} of {count}",
        f"{means[0, 0]:.3f}, {means[0, 1]:.3f}",
        f"{means[1, 1]:.3f}, {means[1, 0]:.3f}",
    ]


if __name__ == "__main__":
    app()
