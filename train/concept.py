"""Read a concept folder and check everything in it before any model is loaded.

A concept folder holds images, and beside an image an optional caption (`NAME.txt`, with `<concept>`
where the concept stands) and an optional subject mask (`NAME.mask.png`, white is the subject);
`concept.toml` names the class word.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..configs.errors import InputError
from ..configs.tables import read_tables
from ..models.words import CONCEPT

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = {
    *(".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".avif"),
    # Beyond Pillow, but what phones write: named in a warning instead of passed over in silence.
    *(".heic", ".heif"),
}
MASK_SUFFIX = ".mask.png"
MIN_SIDE = 64
MIN_IMAGES = 3
FEW_IMAGES = 8
# What smalti itself writes into the folder, and texts that are no captions.
OUTPUT_IMAGES = frozenset({"validation.png"})
OTHER_TEXTS = ("readme", "license", "licence", "copying", "notice", "attribution")


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
    """The folder's name in lower case."""
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
    folder = Path(folder).expanduser().resolve()
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {what}. Give the folder that holds the concept's images.")
    name = concept_name(folder)
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    paths = [p for p in files if is_image(p)]
    _check_sidecars(files, paths)
    usable, warnings = _usable_images(paths)
    _check_count(folder, len(paths), len(usable), warnings)
    images = tuple(_read_item(path, warnings) for path in usable)
    word = class_word or read_class_word(folder)
    if not word:
        warnings.append("No class word, so it is a thing. Say what it is, as in --class-word cup.")
    return Concept(name, folder, word or "thing", images, tuple(warnings))


def concept_name(folder: Path) -> str:
    """Return the folder's name in lower case; raises InputError for other than a-z, 0-9, -, _."""
    name = folder.name.lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        raise InputError(
            f'The folder name "{folder.name}" cannot be a concept\'s name. '
            'Rename it to letters, digits, "-" and "_".'
        )
    return name


def read_class_word(folder: Path) -> str:
    """Return `class_word` of concept.toml, at its top or under [train], or "" without one."""
    path = folder / "concept.toml"
    tables = read_tables(path, default_section="train") if path.is_file() else {}
    return tables.get("train", {}).get("class_word", "").strip()


def open_image(item: ImageItem) -> "tuple[Image.Image, Image.Image | None]":
    """Return the image, upright, and its mask if it has one; both decoded, in their own modes."""
    return _upright(item.path), _upright(item.mask) if item.mask else None


def _upright(path: Path) -> "Image.Image":
    from PIL import Image, ImageOps

    with Image.open(path) as picture:
        picture.load()
        return ImageOps.exif_transpose(picture)


def is_image(path: Path) -> bool:
    """Say whether a file is one of the concept's images, by its name."""
    lowered = path.name.lower()
    return (
        path.suffix.lower() in IMAGE_SUFFIXES
        and not lowered.endswith(MASK_SUFFIX)
        and lowered not in OUTPUT_IMAGES
    )


def _check_sidecars(files: Iterable[Path], images: Iterable[Path]) -> None:
    """Refuse captions and masks without image: the sign of a renamed or forgotten file."""
    stems = {image.stem for image in images}
    for path in files:
        masked = path.stem.lower().endswith(".mask") and path.suffix.lower() in IMAGE_SUFFIXES
        if masked and not path.name.endswith(MASK_SUFFIX):
            name = path.stem[: -len(".mask")] + MASK_SUFFIX
            raise InputError(f"The mask {path} is not named like one; save it as {name}.")
        if masked:
            kind, stem = "mask", path.name[: -len(MASK_SUFFIX)]
        elif path.suffix.lower() == ".txt" and not path.stem.lower().startswith(OTHER_TEXTS):
            kind, stem = "caption", path.stem
        else:
            continue
        if stem not in stems:
            raise InputError(
                f"The {kind} {path} has no image beside it. "
                f"Add the image ({stem}.jpg, .png, ...) or remove the {kind}."
            )


def _usable_images(paths: Iterable[Path]) -> tuple[list[Path], list[str]]:
    usable, warnings = [], []
    for path in paths:
        fault = _image_fault(path)
        if fault:
            warnings.append(f"{path.name} {fault}; it is left out.")
        else:
            usable.append(path)
    return usable, warnings


def _image_fault(path: Path) -> str:
    """Say why an image cannot be used, or return ""; decodes it, as truncated files open well."""
    from PIL import Image, UnidentifiedImageError

    from ..models.pixels import is_animated

    try:
        with Image.open(path) as image:
            if is_animated(image):
                return "is animated"
            if min(image.size) < MIN_SIDE:
                size = f"{image.width}x{image.height}"
                return f"is only {size} px (at least {MIN_SIDE} px a side are needed)"
            image.load()
    except UnidentifiedImageError:
        return "is not an image that Pillow can read (convert it to JPEG or PNG)"
    except Image.DecompressionBombError:
        return "is too large to be decoded safely"
    except PermissionError:
        return "may not be read (check its permissions)"
    except (OSError, SyntaxError, ValueError, EOFError):
        return "is damaged or truncated"
    return ""


def _check_count(folder: Path, found: int, usable: int, warnings: list[str]) -> None:
    if found == 0:
        raise InputError(
            f"{folder} has no images. "
            "Put about 15 pictures (jpg, png, webp, ...) of the concept into it."
        )
    if usable < MIN_IMAGES:
        reasons = " ".join(warnings[:3])
        raise InputError(
            f"{folder} has {usable} usable image{'s' * (usable != 1)}; "
            f"at least {MIN_IMAGES} are needed, about 15 are best. {reasons}".strip()
        )
    if usable < FEW_IMAGES:
        warnings.append(
            f"Only {usable} images: likeness and variety suffer below {FEW_IMAGES}, "
            "about 15 are best."
        )


def _read_item(path: Path, warnings: list[str]) -> ImageItem:
    mask = path.with_name(path.stem + MASK_SUFFIX)
    if mask.is_file():
        _check_mask(path, mask)
    captions = sorted(path.parent.glob(f"{escape(path.stem)}.[tT][xX][tT]"))
    caption = _read_caption(captions[0], warnings) if captions else None
    return ImageItem(path, caption, mask if mask.is_file() else None)


def _check_mask(path: Path, mask: Path) -> None:
    from PIL import Image, ImageOps

    try:
        with Image.open(mask) as picture:
            mask_size, brightest = picture.size, picture.convert("L").getextrema()[1]
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f"The mask {mask} cannot be read. Save it again as PNG, or remove it."
        ) from error
    with Image.open(path) as image:
        size = ImageOps.exif_transpose(image).size
    if mask_size != size:
        raise InputError(
            f"The mask {mask} is {mask_size[0]}x{mask_size[1]} px "
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
