"""Find trained concepts by name and get their adapters ready."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ..configs.errors import InputError
from ..models.base import BaseModel
from ..models.edlora import Adapter, load_adapter

ADAPTER_FILE = "edlora.safetensors"


def find_adapter(name: str, concepts_dir: Path) -> Path:
    """Path of a concept's adapter; `name` is a folder in `concepts_dir`, or a path of either.

    Raises InputError when the concept is unknown (the nearest names are listed) or untrained.
    """
    given = Path(name).expanduser()
    if given.suffix == ".safetensors":
        if given.is_file():
            return given
        raise InputError(f"The adapter {given} does not exist.")
    folder = next((f for f in (concepts_dir / name, given) if f.is_dir()), None)
    if folder is None:
        raise InputError(_unknown(name, concepts_dir))
    if not (folder / ADAPTER_FILE).is_file():
        raise InputError(f"The concept {name!r} is not trained yet; type: mosaic-train {folder}")
    return folder / ADAPTER_FILE


def _unknown(name: str, concepts_dir: Path) -> str:
    from difflib import get_close_matches

    folders = concepts_dir.iterdir() if concepts_dir.is_dir() else ()
    known = sorted(path.name for path in folders if path.is_dir())
    if not known:
        return f"Unknown concept {name!r}: there are no concepts in {concepts_dir}."
    near = get_close_matches(name.lower(), known, n=3, cutoff=0.4) or known[:8]
    return f"Unknown concept {name!r} in {concepts_dir}. Did you mean {' or '.join(near)}?"


def load_adapters(base: BaseModel, names: Iterable[str], concepts_dir: Path) -> dict[str, Adapter]:
    """Attach the adapters of all named concepts, each once; none of them learns here."""
    adapters = {
        name: load_adapter(base, find_adapter(name, concepts_dir))
        for name in dict.fromkeys(filter(None, names))
    }
    for module in (base.unet, base.text_encoder):
        module.requires_grad_(False)
    return adapters


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
