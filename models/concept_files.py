"""What lies in a concept folder, told by names alone: photos, and each photo's mask and caption.

Names are compared in Unicode's composed form: a Mac's copy of "Müller.txt" is spelled otherwise
than the "Müller.jpg" beside it.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm")
    + (".avif", ".heic", ".heif")
)
CAPTION_SUFFIXES = (".txt", ".caption")
MASK_SUFFIX = ".mask.png"
# What else masks are called: OneTrainer's "-masklabel" and what people choose for themselves. The
# first two are masks in any case, the others where a photo of the name's rest lies beside them.
SURE_MASKS = (".mask", "-masklabel")
MASK_ENDINGS = (*SURE_MASKS, "_masklabel", "_mask", "-mask")
MASK_FOLDERS = ("mask", "masks")
# What smalti itself writes into the folder, and texts that are no captions.
CHECK_SHEET = "check-sheet.png"
OUTPUT_IMAGES = frozenset({"validation.png", CHECK_SHEET})
OTHER_TEXTS = ("readme", "license", "licence", "copying", "notice", "attribution")

ByStem = Mapping[str, tuple[Path, ...]]


@dataclass(frozen=True)
class ConceptFiles:
    """The files of a concept folder, each sorted by name."""

    photos: tuple[Path, ...]
    """Files whose names say that they are pictures of the concept."""
    masks: ByStem
    """Masks by the photo's composed stem."""
    captions: ByStem
    """Captions by the photo's composed stem."""

    def masks_of(self, photo: Path) -> tuple[Path, ...]:
        """The masks that belong to a photo by name; one at most is right."""
        return self.masks.get(composed(photo.stem), ())

    def captions_of(self, photo: Path) -> tuple[Path, ...]:
        """The captions that belong to a photo by name."""
        return self.captions.get(composed(photo.stem), ())

    def strays(self) -> Iterator[tuple[str, str, Path]]:
        """Kind ("mask", "caption"), stem and file of what belongs to no photo."""
        stems = {composed(photo.stem) for photo in self.photos}
        for kind, files in (("mask", self.masks), ("caption", self.captions)):
            for stem in sorted(files.keys() - stems):
                yield kind, stem, files[stem][0]


def concept_files(folder: Path) -> ConceptFiles:
    """Sort the files of a folder by what their names say."""
    files = visible_files(folder)
    images = [path for path in files if _is_picture(path)]
    stems = {composed(path.stem) for path in images}
    masked = {path: stem for path in images if (stem := _masked_stem(path, stems)) is not None}
    photos = tuple(path for path in images if path not in masked)
    masks = [*masked.items(), *_in_mask_folders(folder, {composed(p.stem) for p in photos})]
    captions = [(path, composed(path.stem)) for path in files if _is_caption(path)]
    return ConceptFiles(photos, _by_stem(masks), _by_stem(captions))


def visible_files(folder: Path) -> list[Path]:
    """Files of a folder by name; other systems leave "._photo.jpg" beside photo.jpg."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.is_file())


def composed(text: str) -> str:
    """A name in Unicode's composed form (NFC), in which two spellings of it are equal."""
    return unicodedata.normalize("NFC", text)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and path.name.lower() not in OUTPUT_IMAGES


def _is_caption(path: Path) -> bool:
    known = path.suffix.lower() in CAPTION_SUFFIXES
    return known and not path.stem.lower().startswith(OTHER_TEXTS)


def _masked_stem(path: Path, stems: set[str]) -> str | None:
    """The stem of the photo that a mask belongs to, None where the file is a photo."""
    stem = composed(path.stem)
    for ending in MASK_ENDINGS:
        rest = stem[: -len(ending)]
        if rest and stem.lower().endswith(ending) and (rest in stems or ending in SURE_MASKS):
            return rest
    return None


def _in_mask_folders(folder: Path, stems: set[str]) -> Iterator[tuple[Path, str]]:
    """Masks that lie in a folder of their own, named as their photos or as masks are."""
    for inner in sorted(folder.iterdir()):
        if inner.name.lower() in MASK_FOLDERS and inner.is_dir():
            for path in filter(_is_picture, visible_files(inner)):
                stem = composed(path.stem)
                yield path, stem if stem in stems else _masked_stem(path, stems) or stem


def _by_stem(pairs: Iterable[tuple[Path, str]]) -> ByStem:
    found: dict[str, tuple[Path, ...]] = {}
    for path, stem in pairs:
        found[stem] = (*found.get(stem, ()), path)
    return found
