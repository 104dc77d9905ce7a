"""Find concept folders by name, and list them."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ..configs.errors import InputError

ADAPTER = "edlora.safetensors"


def concept_folders(concepts_dir: Path) -> list[Path]:
    """Return the folders that hold concepts, sorted by name; none when there is no such folder."""
    if not concepts_dir.is_dir():
        return []
    folders = [p for p in concepts_dir.iterdir() if p.is_dir() and not p.name.startswith(".")]
    return sorted(folders)


def find_concept(name: str, concepts_dir: Path) -> Path:
    """Return a concept's folder, given its name or a path.

    Raises:
        InputError: there is no such concept; the message lists the nearest names.
    """
    for folder in (concepts_dir / name, concepts_dir / name.lower(), Path(name).expanduser()):
        if folder.is_dir():
            return folder
    raise InputError(
        f'There is no concept "{name}" in {concepts_dir}/. {_known(name, concepts_dir)}'
    )


def describe_concept(folder: Path) -> dict[str, Any]:
    """Return what `mosaic concepts` shows: name, images, trained, base, method, rank, steps, size.

    An adapter that cannot be read is said to be damaged; the listing goes on.
    """
    adapter = folder / ADAPTER
    facts = {"name": folder.name, "images": _count_images(folder), "trained": "no"}
    if not adapter.is_file():
        started = (folder / ".training").is_dir()
        return facts | {"trained": "started" if started else "no"}
    facts |= {"size": f"{adapter.stat().st_size / 1e6:.1f} MB", "trained": "yes"}
    return facts | _read_adapter(adapter)


def _read_adapter(adapter: Path) -> dict[str, Any]:
    from ..models.adapter_file import read_metadata

    try:
        metadata = read_metadata(adapter)
    except InputError:
        return {"trained": "damaged"}
    facts = {key: metadata.get(key, "") for key in ("method", "rank", "class_word")}
    facts["base"] = metadata.get("base", {}).get("name", "")
    facts["steps"] = metadata.get("steps") or metadata.get("training", {}).get("steps", "")
    return facts


def _count_images(folder: Path) -> int:
    from ..train.concept import IMAGE_SUFFIXES, MASK_SUFFIX, OUTPUT_IMAGES

    names = [path.name.lower() for path in folder.iterdir()]
    return sum(
        Path(name).suffix in IMAGE_SUFFIXES
        and not name.endswith(MASK_SUFFIX)
        and name not in OUTPUT_IMAGES
        for name in names
    )


def _known(name: str, concepts_dir: Path) -> str:
    names = [folder.name for folder in concept_folders(concepts_dir)]
    if not names:
        return (
            f"It holds no concepts. Put at least 3 images of yours into {concepts_dir}/{name}/ and "
            f"type: mosaic-train {concepts_dir}/{name}"
        )
    near = get_close_matches(name.lower(), names, n=3, cutoff=0.4)
    return f"Nearest: {', '.join(near)}." if near else f"Known: {', '.join(names[:12])}."
