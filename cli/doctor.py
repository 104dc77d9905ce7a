"""`mosaic doctor`: one check per thing that smalti needs or could use."""

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from ..configs.base import BaseSettings
from ..configs.presets import load_base_preset, preset_names
from ..models.cost import expected_device
from ..models.footprint import CARDS, CardFacts, card_facts, known_footprints

GIB = 2**30
CARD_COLUMNS = ("base", "picture", *(f"{card} GB" for card in CARDS))
# The demo's peak on a CPU, and room for its output beside the installation.
NEEDED_MEMORY = 4 * GIB
NEEDED_DISK = 2 * GIB
STUDIO = "pip install 'smalti[studio]'"
EXTRAS = {
    "bitsandbytes": ("optimizer = adamw8bit", "with an NVIDIA GPU: pip install bitsandbytes"),
    "xformers": ("attention = xformers", "with an NVIDIA GPU: pip install xformers"),
    "pyvips": ("mosaic print and view", STUDIO),
    "pikepdf": ("PDF", STUDIO),
    "av": ("mosaic clip", STUDIO),
    "pydantic": ("mosaic orders", STUDIO),
    "watchfiles": ("mosaic orders watch", STUDIO),
    "ray": ("mosaic orders --engine ray", "pip install 'smalti[cluster]'"),
    "starlette": ("mosaic page", STUDIO),
    "onnxruntime": ("mosaic concept masks", "pip install 'smalti[data]'"),
    "opencv-python-headless": (
        "mosaic concept check: several faces", "pip install 'smalti[faces]'"
    ),
    "c2pa-python": ("--sign", "pip install 'smalti[sign]'"),
}


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    state: str
    """"ok", "missing" (smalti cannot work) or "optional" (it works without)."""
    name: str
    found: str
    advice: str = ""


def examine() -> list[Check]:
    """Look at everything and return one check each; nothing is downloaded or changed."""
    checks = [_python(), _smalti(), *_packages(), _processor(), _memory(), _disk()]
    return [*checks, *_base_models(), *_extras()]


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("ok", "Python", found)


def _smalti() -> Check:
    return Check("ok", "smalti", f"{_installed('smalti')} in {Path(__file__).parents[1]}")


def _packages() -> Iterator[Check]:
    """Compare what is installed with the bounds of our own package metadata."""
    for requirement in map(Requirement, metadata.requires("smalti") or []):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        name, found = requirement.name, _installed(requirement.name)
        if found is None:
            yield Check("missing", name, "not installed", f'pip install "{requirement}"')
        elif not requirement.specifier.contains(found, prereleases=True):
            yield Check("missing", name, f"{found}, too old", f'pip install -U "{requirement}"')
        else:
            yield Check("ok", name, found)


def _processor() -> Check:
    """What will compute; torch is loaded only where a GPU may be there."""
    try:
        device = expected_device()
    except ImportError as error:
        return Check("missing", "processor", f"torch does not load: {error}", "pip install torch")
    if device == "mps":
        return Check("ok", "processor", "Apple GPU (mps)")
    if device == "cuda":
        import torch

        card = torch.cuda.get_device_properties(0)
        return Check("ok", "processor", f"{card.name}, {card.total_memory / GIB:.0f} GiB")
    return Check(
        "ok",
        "processor",
        f"{os.cpu_count()} CPU cores",
        "fast enough for the starter; a GPU helps for sd15, sd21",
    )


def _memory() -> Check:
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    if memory.available >= NEEDED_MEMORY:
        return Check("ok", "memory", found)
    return Check("optional", "memory", found, "the demo takes up to 4 GiB; close other programs")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / GIB:.1f} GiB free in {Path.cwd()}"
    if not os.access(Path.cwd(), os.W_OK):
        return Check("optional", "disk", f"cannot write {Path.cwd()}", "work in another folder")
    if free >= NEEDED_DISK:
        return Check("ok", "disk", found)
    return Check("optional", "disk", found, "free some space; mosaics take up to 1 GiB")


def _base_models() -> Iterator[Check]:
    from ..models.locate import is_present

    for name in preset_names("base"):
        settings = BaseSettings(**load_base_preset(name)["base"])
        label = f"base model {name}"
        if is_present(settings):
            yield Check("ok", label, settings.source)
        elif settings.source.startswith("models/"):
            yield Check("missing", label, "weights not in this installation", "make starter")
        else:
            found = f"not cached, {settings.size_gb:g} GB"
            if settings.license_note:
                found += f"; licence: {settings.license_note}"
            # No `hf download`: it would take every copy in the repository, smalti takes one.
            yield Check("optional", label, found, f"--base {name} fetches it at first use")


def card_rows() -> Iterator[tuple[str, ...]]:
    """One row per base: what cards hold in 16 bits, by counted figures."""
    for name, found in known_footprints().items():
        side = load_base_preset(name)["base"]["resolution"]
        yield (name, f"{side} px", *(_of_card(card_facts(found, side, card)) for card in CARDS))


def _of_card(facts: CardFacts) -> str:
    if not facts.checkpointed:
        return f"no training; {facts.tiles or 'no'} tiles"
    batch = facts.batch or f"{facts.checkpointed} checkpointed"
    return f"batch {batch}; {facts.tiles} tiles"


def _extras() -> Iterator[Check]:
    for name, (use, advice) in EXTRAS.items():
        found = _installed(name)
        if found:
            yield Check("ok", name, found)
        else:
            yield Check("optional", name, f"not installed (for {use})", advice)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
