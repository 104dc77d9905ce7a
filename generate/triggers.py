"""Which words call a LoRA that others trained: as the user says, else as its file says."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..configs.errors import InputError
from ..configs.mosaic import PictureSettings
from ..configs.settings import Settings
from ..models.exchange.header import default_trigger, is_own, texts_of
from .subjects import fill_defaults


def with_triggers(given: Settings, filled: Settings, adapters: Mapping[str, Path]) -> Settings:
    """The filled settings with the words of LoRA that others trained, one for each --tile-lora.

    given: as they were before they were filled. adapters: the file of each concept. smalti's own
    adapters bring their words, and have "" here. Raises InputError for words that no LoRA needs,
    and for prompts that need words which nobody said.
    """
    others = {name for name, path in adapters.items() if not is_own(path)}
    picture = filled.mosaic.picture
    _check_needed(picture, others)
    if not others:
        return filled
    defaults = {name: default_trigger(texts_of(adapters[name])) for name in others}
    tiles = _of_tiles(picture, others, defaults)
    words = dict(zip(picture.tile_lora, tiles, strict=True))
    one = picture.ref_lora[0] if len(picture.ref_lora) == 1 else ""  # of several, prompts say names
    reference = picture.ref_trigger or (defaults | words).get(one, "")
    spoken = [*words.items(), (one, reference)]
    silent = frozenset(name for name, said in spoken if name in others and not said)
    completed = fill_defaults(given.mosaic.picture, pool=given.mosaic.own_pictures, silent=silent)
    return with_picture(filled, replace(completed, tile_trigger=tiles, ref_trigger=reference))


def with_picture(settings: Settings, picture: PictureSettings) -> Settings:
    """The settings with another picture."""
    return replace(settings, mosaic=replace(settings.mosaic, picture=picture))


def _check_needed(picture: PictureSettings, others: set[str]) -> None:
    named = {"tile": (picture.tile_trigger, picture.tile_lora),
             "ref": (picture.ref_trigger, picture.ref_lora)}  # fmt: skip
    for option, (words, concepts) in named.items():
        if words and not others.intersection(concepts):
            raise InputError(
                f"--{option}-trigger is for a LoRA file of another trainer; concepts that smalti "
                "trained bring their own words. Leave it out."
            )


def _of_tiles(
    picture: PictureSettings, others: set[str], defaults: Mapping[str, str]
) -> tuple[str, ...]:
    """The words of each --tile-lora, "" for smalti's own.

    They are given for each one of others in their order, for the first ones, or, as resolved
    settings have them, for each of all.
    """
    words, names = picture.tile_trigger, picture.tile_lora
    needing = [name for name in names if name in others]
    if len(words) == len(names):
        said = dict(zip(names, words, strict=True))
    elif len(words) <= len(needing):
        said = dict(zip(needing, words, strict=False))
    else:
        raise InputError(
            f"{len(words)} --tile-trigger for {len(needing)} LoRA files of other trainers; give "
            "one for each, in their order."
        )
    found = {name: said.get(name) or defaults[name] for name in needing}
    return tuple(found.get(name, "") for name in names)
