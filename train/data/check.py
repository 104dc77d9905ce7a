"""Look a concept folder through: every photo with its mask and caption, and the set of them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from ...configs.base import BaseSettings
from ...configs.errors import InputError
from ...configs.progress import Report, silent
from ...models.concept_files import ConceptFiles, concept_files
from ...models.locate import is_present, locate
from ...models.photos import read_photo
from ...models.pixels import Unusable, flatten
from ...models.words import CONCEPT
from .duplicates import earlier_twins, prints_of
from .faces import Finder, count_faces, open_finder
from .findings import BAD, WARN, Finding, of_count, of_faces, of_framing, of_mask, of_photo
from .looks import Looks, measure

TEXT_LENGTH = 77
"""Tokens that CLIP reads, begin and end included."""
WORDS = 2
"""Tokens that a concept's words take."""

Tokens = Callable[[str], int]
"""How many tokens a text has, begin and end included."""


@dataclass(frozen=True)
class Checked:
    """A photo and what was found."""

    path: Path
    findings: tuple[Finding, ...]
    looks: Looks | None = None
    """None for a file that cannot be read."""
    small: Image.Image | None = None
    """The photo for the sheet."""
    prints: tuple[object, object] | None = None

    @property
    def level(self) -> str:
        """BAD, WARN, or "" where nothing was found."""
        levels = {finding.level for finding in self.findings}
        return BAD if BAD in levels else WARN if WARN in levels else ""


@dataclass(frozen=True)
class SetCheck:
    """A concept folder that was looked through."""

    photos: list[Checked]
    findings: list[Finding] = field(default_factory=list)
    """What was found of the set as a whole."""
    counts_faces: bool = False
    """Whether faces were looked for."""

    @property
    def is_bad(self) -> bool:
        """Whether anything is a fault."""
        whole = any(finding.level == BAD for finding in self.findings)
        return whole or any(photo.level == BAD for photo in self.photos)


def check_folder(
    folder: Path, base: BaseSettings, *, side: int = 200, report: Report = silent
) -> SetCheck:
    """Check the photos, masks and captions of a folder; side: of photos on the sheet, in pixels.

    Nothing is written. Captions are counted with the base's tokenizer where it is here, faces where
    OpenCV is. Raises InputError for a folder without photos.
    """
    files = concept_files(folder) if folder.is_dir() else None
    if files is None or not files.photos:
        raise InputError(f"{folder} has no photos to check. Give the folder of a concept.")
    tokens, faces = _tokens_of(base) if files.captions else None, open_finder()
    photos = []
    for index, path in enumerate(files.photos, 1):
        photos.append(_check_photo(path, files, base.resolution, tokens, faces, side))
        report(index, len(files.photos), path.name)
    photos = _with_framing(_with_twins(photos))
    usable = sum(photo.looks is not None for photo in photos)
    of_all = [*of_count(usable), *_strays(files), *_uncounted(files, tokens)]
    return SetCheck(photos, of_all, counts_faces=faces is not None)


def _check_photo(
    path: Path,
    files: ConceptFiles,
    resolution: int,
    tokens: Tokens | None,
    faces: Finder | None,
    side: int,
) -> Checked:
    try:
        photo, alpha = flatten(read_photo(path, smallest=1))
    except Unusable as fault:
        return Checked(path, (Finding(BAD, str(fault)),))
    mask, found = _mask_of(path, photo.size, files)
    mask = mask or alpha
    looks = measure(photo, mask)
    found += of_mask(looks.place) if mask else []
    clean = looks if not found else replace(looks, place=None)
    found += of_photo(clean, resolution)
    found += of_faces(count_faces(faces(photo), mask)) if faces else []
    found += _of_captions(files.captions_of(path), tokens)
    small = photo.copy()
    small.thumbnail((side, side))
    return Checked(path, tuple(found), clean, small, prints_of(photo))


def _mask_of(
    path: Path, size: tuple[int, int], files: ConceptFiles
) -> tuple[Image.Image | None, list[Finding]]:
    masks = files.masks_of(path)
    if not masks:
        return None, []
    try:
        mask = read_photo(masks[0], smallest=1)
    except Unusable as fault:
        return None, [Finding(BAD, f"mask {fault}")]
    found = [Finding(BAD, f"several masks: {masks[1].name} too")] if len(masks) > 1 else []
    if mask.size != size:
        return None, [*found, Finding(BAD, f"mask is of {mask.width} x {mask.height} px")]
    return mask, found


def _of_captions(captions: tuple[Path, ...], tokens: Tokens | None) -> list[Finding]:
    if not captions:
        return []
    try:
        lines = captions[0].read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return [Finding(BAD, "caption is no text in UTF-8")]
    text = next((line.strip() for line in lines if line.strip()), "")
    if not text:
        return [Finding(WARN, "caption empty")]
    found = [] if CONCEPT in text else [Finding(WARN, f"caption without {CONCEPT}")]
    count = tokens(text) if tokens else 0
    if count > TEXT_LENGTH:
        found.append(Finding(BAD, f"caption cut off: {count} tokens of {TEXT_LENGTH}"))
    return found


def _tokens_of(base: BaseSettings) -> Tokens | None:
    """A counter of tokens by the base's tokenizer; None where the base is not here."""
    if not is_present(base):
        return None
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(locate(base) / "tokenizer")

    def count(text: str) -> int:
        pieces = text.split(CONCEPT)
        plain = sum(len(tokenizer(p, add_special_tokens=False).input_ids) for p in pieces)
        return plain + WORDS * (len(pieces) - 1) + 2

    return count


def _with_twins(photos: list[Checked]) -> list[Checked]:
    known = [photo for photo in photos if photo.prints]
    twins = earlier_twins([photo.prints for photo in known])  # type: ignore[misc]
    found = {
        photo.path: Finding(BAD, f"nearly the same as {known[twin].path.name}")
        for photo, twin in zip(known, twins, strict=True)
        if twin is not None
    }
    return [_adding(photo, [found[photo.path]] if photo.path in found else []) for photo in photos]


def _with_framing(photos: list[Checked]) -> list[Checked]:
    found = of_framing([photo.looks.place if photo.looks else None for photo in photos])
    return [_adding(photo, more) for photo, more in zip(photos, found, strict=True)]


def _adding(photo: Checked, findings: list[Finding]) -> Checked:
    return replace(photo, findings=(*photo.findings, *findings))


def _strays(files: ConceptFiles) -> list[Finding]:
    return [Finding(BAD, f"{path.name}: a {kind} without its photo")
            for kind, _, path in files.strays()]  # fmt: skip


def _uncounted(files: ConceptFiles, tokens: Tokens | None) -> list[Finding]:
    if not files.captions or tokens:
        return []
    return [Finding(WARN, "captions not counted: the base's tokenizer is not on this machine")]
