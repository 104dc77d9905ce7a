"""The settings of smalti: frozen dataclasses whose attribute docs become help texts.

Every field can be set from a TOML file or by a dotted override such as `--set train.rank=8`.
`loading.py` reads presets into these classes; it refuses keys that are not listed here.
"""

from dataclasses import asdict, dataclass
from typing import Any

from .base import BaseSettings
from .fields import facts_of
from .mosaic import CHOSEN, MosaicSettings, group_names
from .train import TrainSettings


@dataclass(frozen=True)
class Settings:
    """Everything one run uses; saved beside its output."""

    base: BaseSettings = BaseSettings()
    train: TrainSettings = TrainSettings()
    mosaic: MosaicSettings = MosaicSettings()


def as_tables(settings: Settings) -> dict[str, dict[str, Any]]:
    """The settings as TOML and JSON hold them: {"train": {...}, "mosaic": {"sampler": {...}}}.

    None stands as the word that a user writes for it.
    """
    groups = {name: getattr(settings.mosaic, name) for name in group_names()}
    mosaic = {
        name: ({"name": group.name} if name in CHOSEN else {}) | _written(group)
        for name, group in groups.items()
    }
    return {"base": _written(settings.base), "train": _written(settings.train), "mosaic": mosaic}


def _written(group: Any) -> dict[str, Any]:
    words = {name: facts_of(entry).none for name, entry in group.__dataclass_fields__.items()}
    return {name: words[name] if v is None else v for name, v in asdict(group).items()}
