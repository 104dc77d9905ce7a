"""Read a concept folder and check everything in it before any model is loaded.

A concept folder holds images, and beside an image an optional caption (`NAME.txt`, with `<concept>`
where the concept stands) and an optional subject mask (`NAME.mask.png`, white is the subject; those
of other trainers are known by their names); `concept.toml` names the class word.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..configs.errors import InputError
from ..configs.files import is_text, user_path
from ..configs.tables import read_tables
from ..models.concept_files import MASK_SUFFIX, ConceptFiles, composed, concept_files
from ..models.words import CONCEPT, concept_key

if TYPE_CHECKING:
    from PIL import Image

MIN_IMAGES = 3
FEW_IMAGES = 8
SHOWN = 3  # names that a warning lists


@dataclass(frozen=True)
class ImageItem:
    """One usable image of a concept with what stands beside it."""

    path: Path
    """The image file."""
    caption: str | None = None
    """Its caption, containing `<concept>`; None when a template is to be used."""
    mask: Path | None = None
    """Its subject mask, of the image's own size as displayed; None without one."""


@dataclass(frozen=True)
class Concept:
    """A checked concept folder."""

    name: str
    """The key that its words are made of, derived from the folder's name (see `concept_key`)."""
    folder: Path
    """Absolute path of the folder."""
    class_word: str
    """What the concept is ("girl"); "thing" when nobody said."""
    images: tuple[ImageItem, ...]
    """Usable images, sorted by file name."""
    warnings: tuple[str, ...] = ()
    """One line per thing the user should know: images left out, few images, odd captions."""


def load_concept(folder: Path | str, class_word: str = "") -> Concept:
    """Read and check the concept folder; a non-empty `class_word` overrides `concept.toml`.

    Raises InputError when the folder is missing or has fewer than 3 usable images, or when a
    caption or a mask does not fit. Single bad images are left out and named in `Concept.warnings`.
    """
    folder = user_path(str(folder)).resolve()
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {what}. Give the folder that holds the concept's images.")
    if not is_text(str(folder)):
        raise InputError(f"{ascii(str(folder))} is no text in UTF-8. Rename that folder.")
    files = concept_files(folder)
    warnings: list[str] = []
    _refuse_strays(files)
    sizes = _sizes(files, warnings)
    _check_count(folder, len(files.photos), len(sizes), warnings)
    _warn_of_names(files, warnings)
    images = tuple(_read_item(path, size, files, warnings) for path, size in sizes.items())
    word = class_word or read_class_word(folder)
    if not word:
        warnings.append("No class word, so it is a thing. Say what it is, as in --class-word cup.")
    return Concept(concept_key(folder.name), folder, word or "thing", images, tuple(warnings))


def read_class_word(folder: Path) -> str:
    """Return `class_word` of concept.toml, at its top or under [train], or "" without one."""
    path = folder / "concept.toml"
    tables = read_tables(path, default_section="train") if path.is_file() else {}
    return tables.get("train", {}).get("class_word", "").strip()


def open_image(item: ImageItem) -> "tuple[Image.Image, Image.Image | None]":
    """Return the image, upright, and its mask if it has one, in its size; in their own modes."""
    from ..models.photos import naming, read_photo

    with naming(item.path, "image"):
        image = read_photo(item.path)
    if item.mask is None:
        return image, None
    with naming(item.mask, "mask"):
        mask = read_photo(item.mask, smallest=1)
    # Huge ones are read smaller, perhaps by a pixel more or less.
    return image, mask if mask.size == image.size else mask.resize(image.size)


def _refuse_strays(files: ConceptFiles) -> None:
    """Refuse captions and masks without image: the sign of a renamed or forgotten file."""
    for kind, stem, path in files.strays():
        raise InputError(
            f"The {kind} {path} has no image beside it. "
            f"Add the image ({stem}.jpg, .png, ...) or remove the {kind}."
        )


def _sizes(files: ConceptFiles, warnings: list[str]) -> dict[Path, tuple[int, int]]:
    """Usable images with their sizes, upright; decodes them, as truncated files open well."""
    from ..models.photos import read_photo
    from ..models.pixels import Unusable

    sizes = {}
    for path in files.photos:
        try:
            sizes[path] = read_photo(path).size
        except Unusable as fault:
            warnings.append(f"{path.name} {fault}; it is left out.")
    return sizes


def _check_count(folder: Path, found: int, usable: int, warnings: list[str]) -> None:
    if found == 0:
        raise InputError(
            f"{folder} has no images. {_inner_concept(folder)}"
            "Put about 15 pictures (jpg, png, heic, ...) of the concept into it."
        )
    if usable < MIN_IMAGES:
        reasons = " ".join(warnings[:SHOWN])
        raise InputError(
            f"{folder} has {usable} usable image{'s' * (usable != 1)}; "
            f"at least {MIN_IMAGES} are needed, about 15 are best. {reasons}".strip()
        )
    if usable < FEW_IMAGES:
        warnings.append(
            f"Only {usable} images: likeness and variety suffer below {FEW_IMAGES}, "
            "about 15 are best."
        )


def _inner_concept(folder: Path) -> str:
    """Where the images of an empty folder may be meant to lie: other trainers nest them."""
    inner = [p for p in sorted(folder.iterdir()) if p.is_dir() and concept_files(p).photos]
    return f'"{inner[0].name}" in it has some: give that folder. ' if inner else ""


def _warn_of_names(files: ConceptFiles, warnings: list[str]) -> None:
    """Say what was made of names that could be meant otherwise."""
    found = [mask.name for p in files.photos for mask in files.masks_of(p)]
    odd = [name for name in found if not name.lower().endswith(MASK_SUFFIX)]
    if odd:
        names = ", ".join(odd[:SHOWN]) + (", ..." if len(odd) > SHOWN else "")
        warnings.append(f"{len(odd)} taken as masks, not as photos, by name: {names}.")
    sharing = defaultdict(list)
    for path in files.photos:
        sharing[composed(path.stem)].append(path.name)
    for stem, names in sharing.items():
        if len(names) > 1 and (shared := files.captions.get(stem, ()) + files.masks.get(stem, ())):
            warnings.append(
                f"{' and '.join(names)} share {shared[0].name}: rename one if they differ."
            )


def _read_item(
    path: Path, size: tuple[int, int], files: ConceptFiles, warnings: list[str]
) -> ImageItem:
    masks, captions = files.masks_of(path), files.captions_of(path)
    if len(masks) > 1:
        raise InputError(
            f"{path} has several masks: {masks[0].name} and {masks[1].name}. Keep one of them."
        )
    if masks:
        _check_mask(path, size, masks[0])
    if len(captions) > 1:
        warnings.append(
            f"{path.name} has several captions; {captions[0].name} is read, not {captions[1].name}."
        )
    caption = _read_caption(captions[0], warnings) if captions else None
    return ImageItem(path, caption, masks[0] if masks else None)


def _check_mask(path: Path, size: tuple[int, int], mask: Path) -> None:
    from ..models.photos import read_photo
    from ..models.pixels import Unusable

    try:
        picture = read_photo(mask, smallest=1)
        brightest = picture.convert("L").getextrema()[1]
    except Unusable as fault:
        raise InputError(f"The mask {mask} {fault}. Save it again as PNG, or remove it.") from fault
    if picture.size != size:
        raise InputError(
            f"The mask {mask} is {picture.width}x{picture.height} px "
            f"but {path.name} is {size[0]}x{size[1]} px. "
            "Save the mask in the image's size, or remove it."
        )
    if brightest == 0:
        raise InputError(
            f"The mask {mask} is all black. White must mark the subject; fix the mask or remove it."
        )


def _read_caption(path: Path, warnings: list[str]) -> str | None:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(
            f"The caption {path} is not UTF-8 text. Save it again as UTF-8, or remove it."
        ) from error
    caption = next((line for line in lines if line), "")
    if not caption:
        warnings.append(f"{path.name} is empty; a template caption is used.")
        return None
    if CONCEPT not in caption:
        warnings.append(f"{path.name} has no {CONCEPT}; it is put in front.")
        return f"{CONCEPT}, {caption}"
    return caption
