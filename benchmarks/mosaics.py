"""The mosaics of the main job: what a variant changes, drawing it, and measuring what came out."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from likeness import ImageJudge, likeness, read_images, read_tiles

from smalti.configs.settings import MosaicSettings, Settings
from smalti.generate.evaluate.metrics import psnr, ssim
from smalti.generate.evaluate.run import digest
from smalti.generate.mosaic import MosaicPlan, draw_tiles, generate_mosaic, plan_mosaic
from smalti.generate.studio import Studio, open_studio
from smalti.generate.subjects import CONCEPT, fill_defaults
from smalti.generate.tiles import TileStore
from smalti.models.adapter_file import read_metadata
from smalti.models.concepts import find_adapter
from smalti.models.files import WEIGHTS, locate, weights_file


@dataclass(frozen=True)
class Variant:
    """One way of making the mosaic."""

    says: str
    """What is different, for the table."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Mosaic settings that differ from the full method's."""
    adapter: bool = True
    """Tiles show the concept; else only its class word, by the bare base model."""


# Presets differ in whether they align colours; the ablation takes it from "both" in every case.
VARIANTS = {
    "full": Variant("as the preset has it"),
    "no-noise": Variant("without integral noise", {"noise": "random"}),
    "both": Variant("guidance and colour alignment", {"color": True}),
    "no-color": Variant("guidance alone", {"color": False}),
    "no-guidance": Variant("colour alignment alone", {"guidance": False, "color": True}),
    "unguided": Variant("neither: tiles left alone", {"guidance": False, "color": False}),
    # Everything else stays, so that only the adapter makes the difference.
    "class-word": Variant("without the adapter", adapter=False),
}


def variant_settings(settings: Settings, variant: Variant, class_word: str) -> Settings:
    """The settings of one variant; `class_word` replaces the concept where it has no adapter."""
    mosaic = replace(fill_defaults(settings.mosaic), **variant.changes)
    if not variant.adapter:
        mosaic = _without_adapter(mosaic, class_word)
    return replace(settings, mosaic=mosaic)


def _without_adapter(mosaic: MosaicSettings, class_word: str) -> MosaicSettings:
    prompts = tuple(prompt.replace(CONCEPT, class_word) for prompt in mosaic.tile_prompt)
    return replace(mosaic, tile_lora=(), tile_prompt=prompts)


def folder_of(plan: MosaicPlan, name: str, root: Path) -> Path:
    """Where a mosaic lies: another base, adapter or setting leads to another folder.

    So finished mosaics are found again, and none is ever taken for another.
    """
    return root / f"{name}-{digest(plan.identity)}"


def photo(path: Path) -> Path:
    """A photo that scikit-image ships, written to `path` unless it is there; its stem names it.

    The middle square, at 512 px: "astronaut", "chelsea" (a cat), "coffee".
    """
    from PIL import Image, ImageOps
    from skimage import data

    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(getattr(data, path.stem)())
        ImageOps.fit(picture, (512, 512)).save(path)
    return path


def open_mosaic(settings: Settings, folder: Path) -> Studio:
    """A studio whose tiles come next, with all that is made once per base model made already."""
    plan = plan_mosaic(settings, concepts_dir=Path("concepts"))
    store = TileStore(folder, plan.grid)
    store.claim(plan.identity)
    studio = open_studio(plan, store, Path("concepts"), lambda *_: None)
    _ = studio.base.linear_decoder
    return studio


def timed_tiles(studio: Studio) -> float:
    """Draw and store all tiles of a studio; the seconds that it took."""
    tiles, seed = studio.plan.grid.tiles, studio.plan.settings.mosaic.seed
    began = time.perf_counter()
    draw_tiles(studio, tiles, set(tiles), seed, lambda *_: None)
    return time.perf_counter() - began


def draw(settings: Settings, name: str, root: Path, concepts_dir: Path) -> Path:
    """The folder of a mosaic, drawn unless it is there already; an unfinished one goes on."""
    plan = plan_mosaic(settings, concepts_dir=concepts_dir)
    folder = folder_of(plan, name, root)
    generate_mosaic(settings, folder, concepts_dir=concepts_dir)
    return folder


def measure(folder: Path, judge: ImageJudge, photos: torch.Tensor) -> dict[str, float]:
    """PSNR@64 (dB), SSIM@64 and the tiles' mean likeness to photos' embeddings [P, D]."""
    mosaic, reference = read_images([folder / "mosaic.png", folder / "reference.png"])
    tiles = torch.stack(read_tiles(folder))
    return {
        "psnr": psnr(mosaic, reference),
        "ssim": ssim(mosaic, reference),
        "likeness": float(likeness(judge, tiles, photos).mean()),
    }


def class_word_of(concept: str, concepts_dir: Path) -> str:
    """The class word that a concept was trained with; InputError when it is untrained."""
    return read_metadata(find_adapter(concept, concepts_dir))["class_word"]


def file_sizes(settings: Settings, concept: str, concepts_dir: Path) -> dict[str, int]:
    """Bytes of a concept's adapter and of its base model's three weight files."""
    folder = locate(settings.base)
    files = [weights_file(folder, part, settings.base.variant) for part in WEIGHTS]
    adapter = find_adapter(concept, concepts_dir)
    return {"adapter": adapter.stat().st_size, "base": sum(f.stat().st_size for f in files)}
