"""Concept folders: what smalti writes into one, which there are, and how a name finds one."""

from difflib import get_close_matches
from pathlib import Path
from shlex import quote

from ..configs.errors import InputError
from ..configs.files import user_path
from .concept_files import composed, concept_files
from .words import concept_key

ADAPTER_FILE = "edlora.safetensors"
WORK_FOLDER = ".training"
"""Checkpoints, logs and cached latents of a concept's training."""


def concept_folders(concepts_dir: Path) -> list[Path]:
    """Return the folders that hold concepts, sorted by name; none when there is no such folder."""
    if not concepts_dir.is_dir():
        return []
    folders = [p for p in concepts_dir.iterdir() if p.is_dir() and not p.name.startswith(".")]
    return sorted(filter(_may_be_concept, folders))


def _may_be_concept(folder: Path) -> bool:
    """Whether a folder has photos or is trained, or waits for its photos: then it is empty."""
    if (folder / ADAPTER_FILE).exists() or (folder / WORK_FOLDER).exists():
        return True
    try:
        files = [path for path in folder.iterdir() if not path.name.startswith(".")]
        return not files or bool(concept_files(folder).photos)
    except OSError:
        return False


def find_concept(name: str, concepts_dir: Path) -> Path:
    """Return a concept's folder, given its name or a path; case and Unicode form do not matter.

    The words of a concept name it too ("cup-1" for "Cup (1)"), where they mean one folder only.
    Raises InputError when there is no such concept; the message lists the nearest names.
    """
    given = user_path(name)
    for path in (concepts_dir / name, given):
        if path.is_dir():
            return path
    for alike in (_folded, concept_key):
        found = [p for p in concept_folders(concepts_dir) if alike(p.name) == alike(name)]
        if len(found) == 1:
            return found[0]
    for path in _siblings(given):
        if path.is_dir() and _folded(path.name) == _folded(given.name):
            return path
    if given.is_file():
        raise InputError(f"{name} is a file. Give the folder that holds the concept's images.")
    raise InputError(
        f'There is no concept "{name}" in {concepts_dir}/. {_known(name, concepts_dir)}'
    )


def _folded(name: str) -> str:
    return composed(name).casefold()


def _siblings(path: Path) -> list[Path]:
    """What lies beside a path that a user gave, also one that is not there."""
    return sorted(path.parent.iterdir()) if path.parent.is_dir() else []


def find_adapter(name: str, concepts_dir: Path) -> Path:
    """Return a concept's adapter, given the concept's name, its folder or the file itself.

    Raises:
        InputError: the concept is unknown (the nearest names are listed) or not trained.
    """
    given = user_path(name)
    if given.suffix == ".safetensors":
        if given.is_file():
            return given
        raise InputError(f"The adapter {given} does not exist; give another, or a concept.")
    folder = find_concept(name, concepts_dir)
    if not (folder / ADAPTER_FILE).is_file():
        command = f"mosaic-train {quote(str(folder))}"
        raise InputError(f'The concept "{name}" is not trained yet; type: {command}')
    return folder / ADAPTER_FILE


def _known(name: str, concepts_dir: Path) -> str:
    names = [folder.name for folder in concept_folders(concepts_dir)]
    if not names:
        return (
            f"It holds no concepts. Put at least 3 images of yours into {concepts_dir}/{name}/ and "
            f"type: mosaic-train {quote(f'{concepts_dir}/{name}')}"
        )
    near = get_close_matches(name.lower(), names, n=3, cutoff=0.4)
    return f"Nearest: {', '.join(near)}." if near else f"Known: {', '.join(names[:12])}."
