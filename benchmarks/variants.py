"""The variants of the main job's mosaic: what each changes, and the folder where it is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scenes import engine_for

from smalti.configs.mosaic import MosaicSettings, changed
from smalti.configs.settings import Settings
from smalti.evaluate.mosaics import digest
from smalti.generate.mosaic import generate_mosaic
from smalti.generate.plan import plan_mosaic
from smalti.generate.subjects import fill_defaults
from smalti.models.adapter_file import read_metadata
from smalti.models.concepts import find_adapter
from smalti.models.locate import WEIGHTS, locate, weights_file
from smalti.models.words import CONCEPT


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
    mosaic = replace(settings.mosaic, picture=fill_defaults(settings.mosaic.picture))
    mosaic = changed(mosaic, **variant.changes)
    if not variant.adapter:
        mosaic = _without_adapter(mosaic, class_word)
    return replace(settings, mosaic=mosaic)


def _without_adapter(mosaic: MosaicSettings, class_word: str) -> MosaicSettings:
    prompts = tuple(p.replace(CONCEPT, class_word) for p in mosaic.picture.tile_prompt)
    return changed(mosaic, tile_lora=(), tile_prompt=prompts)


def draw(settings: Settings, name: str, root: Path, concepts_dir: Path) -> Path:
    """The folder of a mosaic, drawn unless it is there already; an unfinished one goes on.

    Another base, adapter, setting or precision leads to another folder: finished mosaics are found
    again, and none is ever taken for another.
    """
    engine = engine_for(settings.base, settings.mosaic.machine)
    identity = plan_mosaic(settings, concepts_dir=concepts_dir).identity
    folder = root / f"{name}-{digest({**identity, 'precision': engine.precision})}"
    generate_mosaic(settings, folder, concepts_dir=concepts_dir, engine=engine)
    return folder


def class_word_of(concept: str, concepts_dir: Path) -> str:
    """The class word that a concept was trained with; InputError when it is untrained."""
    return read_metadata(find_adapter(concept, concepts_dir))["class_word"]


def file_sizes(settings: Settings, concept: str, concepts_dir: Path) -> dict[str, int]:
    """Bytes of a concept's adapter and of its base model's weight files."""
    folder = locate(settings.base)
    files = [weights_file(folder, part, settings.base.variant) for part in WEIGHTS]
    adapter = find_adapter(concept, concepts_dir)
    return {"adapter": adapter.stat().st_size, "base": sum(f.stat().st_size for f in files)}
