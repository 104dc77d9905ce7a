"""What `mosaic concepts` tells about a concept folder."""

from pathlib import Path
from typing import Any

from ..configs.errors import InputError
from ..models.concept_files import concept_files
from ..models.concepts import ADAPTER_FILE, WORK_FOLDER


def describe_concept(folder: Path) -> dict[str, Any]:
    """Return what `mosaic concepts` shows: name, images, trained, base, method, rank, steps, size.

    An adapter that cannot be read is said to be damaged; the listing goes on.
    """
    adapter = folder / ADAPTER_FILE
    facts = {"name": folder.name, "images": len(concept_files(folder).photos), "trained": "no"}
    if not adapter.is_file():
        started = (folder / WORK_FOLDER).is_dir()
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
