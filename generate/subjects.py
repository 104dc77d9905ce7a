"""What tiles and reference show: concepts and prompts, what a user left out filled in."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from ..configs.errors import InputError
from ..configs.mosaic import PictureSettings
from ..models.words import COLOR, CONCEPT, concept_key, names_in
from .alternatives import choices, spoken

CONCEPT_TILE_PROMPTS = ("a <concept> on a <color> background", "a <concept>")
CONCEPT_REFERENCE_PROMPT = "a close-up of a <concept>"


@dataclass(frozen=True)
class Subject:
    """What one tile, or the reference, shows."""

    concept: str
    """Name of the concept, empty without one; of several together, see `together.Company.key`."""
    prompt: str
    """The prompt, in which `<concept>`, or a name, still stands for the concept's words."""


def fill_defaults(
    picture: PictureSettings, *, pool: bool = False, silent: frozenset[str] = frozenset()
) -> PictureSettings:
    """Complete what a user left out: reference from tiles, tiles from reference, prompts.

    pool: a folder of the user's gives the tiles' pictures. silent: concepts that no word calls.
    Raises InputError when there is nothing to draw or the options contradict each other.
    """
    if picture.ref and (picture.ref_lora or picture.ref_prompt):
        raise InputError(
            "--ref takes a photo, --ref-lora and --ref-prompt draw a reference; give one or the "
            "other."
        )
    if pool:
        _check_pool(picture)
    else:
        picture = _fill_tiles(picture)
    picture = _fill_reference(picture)
    prompts = tuple(_with_concept(p, picture.tile_lora, silent) for p in picture.tile_prompt)
    reference = picture.ref_prompt
    if not picture.ref:
        _check_together(picture)
        reference = _with_concept(reference, picture.ref_lora, silent)
    return replace(picture, tile_prompt=prompts, ref_prompt=reference)


def _check_pool(picture: PictureSettings) -> None:
    if picture.tile_lora or picture.tile_prompt:
        raise InputError(
            "mosaic.pool gives the pictures of the tiles; leave out --tile-lora and --tile-prompt."
        )
    if not (picture.ref or picture.ref_lora or picture.ref_prompt):
        raise InputError(
            "Nothing to show from afar: give --ref a photo, or draw one with --ref-lora or "
            "--ref-prompt."
        )


def _fill_tiles(picture: PictureSettings) -> PictureSettings:
    if picture.tile_lora:
        return replace(picture, tile_prompt=picture.tile_prompt or CONCEPT_TILE_PROMPTS)
    if picture.tile_prompt:
        return picture
    if picture.ref_lora:
        return _fill_tiles(replace(picture, tile_lora=picture.ref_lora))
    if picture.ref_prompt:
        return replace(picture, tile_prompt=(picture.ref_prompt,))
    raise InputError(
        "Nothing to draw in the tiles: give --tile-lora NAME for a trained concept, or "
        '--tile-prompt "a cup of coffee".'
    )


def _fill_reference(picture: PictureSettings) -> PictureSettings:
    if picture.ref:
        return picture
    if not picture.ref_lora and not picture.ref_prompt:
        lora = picture.tile_lora[:1]
        if not lora:
            first = picture.tile_prompt[0]
            return replace(picture, ref_prompt=_without_color(spoken(first, choices(first)[0])))
        picture = replace(picture, ref_lora=lora)
    if picture.ref_lora and not picture.ref_prompt:
        picture = replace(picture, ref_prompt=_usual_reference(picture.ref_lora))
    return picture


def _usual_reference(concepts: tuple[str, ...]) -> str:
    """The prompt of a reference of which only the concepts are known."""
    if len(concepts) == 1:
        return CONCEPT_REFERENCE_PROMPT
    return " and ".join(f"a <{concept_key(Path(name).name)}>" for name in concepts)


def _check_together(picture: PictureSettings) -> None:
    """A prompt of several concepts has to say who is who."""
    if len(picture.ref_lora) > 1 and not names_in(picture.ref_prompt):
        raise InputError(
            f"--ref-lora gives {len(picture.ref_lora)} concepts; name each in --ref-prompt, such "
            f'as "{_usual_reference(picture.ref_lora)}".'
        )


def _with_concept(prompt: str, concepts: tuple[str, ...], silent: frozenset[str]) -> str:
    """A prompt that names the concept where one can be, and does not where there is none."""
    if names_in(prompt):
        return prompt
    if CONCEPT not in prompt and not silent.issuperset(concepts):
        prompt = f"a {CONCEPT}, {prompt}"
    if CONCEPT in prompt and not concepts:
        raise InputError(
            f"The prompt {prompt!r} says {CONCEPT}, but no concept is given for it; add "
            "--tile-lora NAME or --ref-lora NAME."
        )
    if CONCEPT in prompt and (mute := [name for name in concepts if name in silent]):
        raise InputError(
            f"{mute[0]} does not say which words call it, and {prompt!r} needs them. Give "
            '--tile-trigger (or --ref-trigger) "words", or --tile-prompt (--ref-prompt) without '
            f"{CONCEPT}."
        )
    return prompt


def words_of(picture: PictureSettings, concept: str) -> str:
    """The words that call a tile's LoRA that others trained; empty for smalti's own adapters."""
    return dict(zip(picture.tile_lora, picture.tile_trigger, strict=False)).get(concept, "")


def _without_color(prompt: str) -> str:
    """A reference has no block whose colour it could name."""
    return " ".join(prompt.replace(COLOR, "").split())


def name_color(prompt: str, color: str) -> str:
    """Put a colour's name in place of `<color>`, with the right article before it."""
    article = "an" if color[0] in "aeiou" else "a"
    return re.sub(rf"\ban? {COLOR}", f"{article} {color}", prompt).replace(COLOR, color)
