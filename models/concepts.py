"""Concept folders: what smalti writes into one, which there are, and how a name finds one."""

from difflib import get_close_matches
from pathlib import Path

from ..configs.errors import InputError

ADAPTER_FILE = "edlora.safetensors"
WORK_FOLDER = ".training"
"""Checkpoints, logs and cached latents of a concept's training."""


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


def find_adapter(name: str, concepts_dir: Path) -> Path:
    """Return a concept's adapter, given the concept's name, its folder or the file itself.

    Raises:
        InputError: the concept is unknown (the nearest names are listed) or not trained.
    """
    given = Path(name).expanduser()
    if given.suffix == ".safetensors":
        if given.is_file():
            return given
        raise InputError(f"The adapter {given} does not exist.")
    folder = find_concept(name, concepts_dir)
    if not (folder / ADAPTER_FILE).is_file():
        raise InputError(f'The concept "{name}" is not trained yet; type: mosaic-train {folder}')
    return folder / ADAPTER_FILE


def _known(name: str, concepts_dir: Path) -> str:
    names = [folder.name for folder in concept_folders(concepts_dir)]
    if not names:
        return (
            f"It holds no concepts. Put at least 3 images of yours into {concepts_dir}/{name}/ and "
            f"type: mosaic-train {concepts_dir}/{name}"
        )
    near = get_close_matches(name.lower(), names, n=3, cutoff=0.4)
    return f"Nearest: {', '.join(near)}." if near else f"Known: {', '.join(names[:12])}."
