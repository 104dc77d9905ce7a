"""What must hold between the fields of a ticket, and for the files and names that it gives."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...configs.errors import InputError
from ...configs.mosaic import PictureSettings
from ...configs.presets import preset_names
from ...configs.tables import nearest
from ...models.concept_files import concept_files
from ...train.concept import MIN_IMAGES, load_concept
from .places import Fault, Place

if TYPE_CHECKING:
    from .ticket import Order

PICTURES = ("picture", "picture_prompt", "picture_concept")
TILES = ("concept", "tile_concepts", "tile_prompts", "tile_lora", "picture_concept")
Found = dict[str, Any]


def faults_and_paths(order: "Order", unread: set[str], place: Place) -> tuple[list[str], Found]:
    """Every fault of an order whose fields have the right types, and fields as they are found.

    unread: fields whose values could not be read, so that they are not missing. What is found are
    absolute paths, and concepts by their proper names.
    """
    faults = [*_missing(order, unread), *_contradictions(order), *_unknown(order), *_sizes(order)]
    found: Found = {}
    finders: list[Callable[[Order, Place, Found], Iterator[str]]] = [
        _find_concept, _find_named, _find_picture, _find_lora,
    ]  # fmt: skip
    for finder in finders:
        faults += finder(order, place, found)
    return faults, found


def _missing(order: "Order", unread: set[str]) -> Iterator[str]:
    told = unread | {name for name in (*PICTURES, *TILES) if getattr(order, name)}
    if not told.intersection(PICTURES):
        yield f"nothing is seen from afar; give one of {', '.join(PICTURES)}"
    if not told.intersection(TILES):
        yield f"nothing is shown in the tiles; give one of {', '.join(TILES[:-1])}"


def _contradictions(order: "Order") -> Iterator[str]:
    if order.picture:
        for name in PICTURES[1:]:
            if getattr(order, name):
                yield f"picture and {name} contradict each other; leave one of them out"
    if order.product and order.size:
        yield "product and size contradict each other; leave one of them out"
    for name in ("class_word", "consent"):
        if getattr(order, name) and not order.concept:
            yield f"{name} is about photos, but no concept is given"
    if order.picture_concept == "concept" and not order.concept:
        yield "picture_concept means the order's own concept, but no concept is given"


def _unknown(order: "Order") -> Iterator[str]:
    for field, kind in (("product", "product"), ("preset", "mosaic")):
        name, names = getattr(order, field), preset_names(kind)
        if name and name not in names:
            known = f"{nearest(name, names).rstrip('.')}; known: {', '.join(names)}"
            yield f'there is no {field} "{name}"{known}'


def _sizes(order: "Order") -> Iterator[str]:
    from ...generate.grid import parse_grid
    from ..press.sizes import sized

    def read_grid(text: str) -> object:
        return parse_grid(PictureSettings(grid=text))

    for name, read in (("size", sized), ("grid", read_grid)):
        if text := getattr(order, name):
            try:
                read(text)
            except InputError as error:
                yield _without_option(f"{name}: {error}", name)


def _without_option(text: str, name: str) -> str:
    """A command's message as a ticket's: its option is a field here."""
    return text.replace(f"--{name} ", "").rstrip(".")


def _find_concept(order: "Order", place: Place, found: Found) -> Iterator[str]:
    """The order's own concept: a folder of photos, or the name of a trained one."""
    text = order.concept
    if not text:
        return
    try:
        folder = place.find(text)
    except Fault as fault:
        if "/" in text or "\\" in text:
            yield f"concept: {fault}"
            return
        yield from _find_trained("concept", text, place, found)
        return
    found["concept"] = str(folder)
    if not folder.is_dir():
        yield f"concept: {text} is a file; give a folder of photos or a trained concept's name"
        return
    if not order.consent:
        yield "consent must be yes: the people in the photos have to agree to their use"
    yield from _photo_faults(folder, place)


def _find_trained(field: str, text: str, place: Place, found: Found) -> Iterator[str]:
    try:
        found[field] = place.trained(text)
    except Fault as fault:
        yield f"{field}: {fault}"


def _photo_faults(folder: Path, place: Place) -> Iterator[str]:
    """Each photo that cannot serve, or what else keeps the folder from being trained."""
    photos = concept_files(folder).photos
    bad = [fault for photo in photos for fault in _photo_fault(photo, place)]
    yield from bad
    if len(photos) < MIN_IMAGES:
        found = f"{len(photos)} photos in {folder.name}"
        yield f"concept: {found}; {MIN_IMAGES} are needed, about 15 are best"
    elif not bad:
        try:
            load_concept(folder)
        except InputError as error:
            yield f"concept: {error}"


def _photo_fault(path: Path, place: Place, what: str = "photo") -> Iterator[str]:
    from ...models.photos import check_photo

    try:
        place.check_inside(path)
        check_photo(path, what)
    except (Fault, InputError) as fault:
        yield str(fault)


def _find_named(order: "Order", place: Place, found: Found) -> Iterator[str]:
    """The trained concepts that tiles and picture show besides."""
    names = []
    for name in order.tile_concepts:
        try:
            names.append(place.trained(name))
        except Fault as fault:
            yield f"tile_concepts: {fault}"
    found["tile_concepts"] = tuple(names)
    if order.picture_concept not in ("", "concept"):
        yield from _find_trained("picture_concept", order.picture_concept, place, found)


def _find_picture(order: "Order", place: Place, found: Found) -> Iterator[str]:
    if not order.picture:
        return
    try:
        path = place.find(order.picture)
    except Fault as fault:
        yield f"picture: {fault}"
        return
    found["picture"] = str(path)
    yield from _photo_fault(path, place, "picture")


def _find_lora(order: "Order", place: Place, found: Found) -> Iterator[str]:
    """The LoRA file; its header is read, its weights are not."""
    if not order.tile_lora:
        return
    from safetensors import SafetensorError, safe_open

    try:
        path = place.find(order.tile_lora)
        if path.suffix.lower() != ".safetensors":
            raise Fault(f"{order.tile_lora} is no .safetensors file")
        with safe_open(path, framework="numpy"):
            found["tile_lora"] = str(path)
    except (SafetensorError, OSError) as error:
        yield f"tile_lora: {order.tile_lora} cannot be read ({error})"
    except Fault as fault:
        yield f"tile_lora: {fault}"
