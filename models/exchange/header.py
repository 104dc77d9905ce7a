"""What the header of a LoRA file says of it, read without torch: whose it is, which words call it.

`modelspec.*` are Stability's keys (ModelSpec 1.0.1), `ss_*` those of kohya's sd-scripts.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...configs.errors import InputError
from ..adapter_file import damaged, read_header, read_metadata

Metadata = Mapping[str, str]


def texts_of(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; raises InputError when it is damaged or missing."""
    metadata = read_header(path).get("__metadata__") or {}
    if not isinstance(metadata, dict):
        raise damaged(path, "its metadata are no table")
    return {str(key): str(value) for key, value in metadata.items()}


def is_own(path: Path) -> bool:
    """Whether smalti trained an adapter, so that it brings words of its own."""
    return "edlora" in texts_of(path)


def name_in(path: Path) -> str:
    """A concept's name as its adapter's file has it; that of others' is the file's own."""
    return str(read_metadata(path).get("name", "")) if is_own(path) else path.stem


def default_trigger(metadata: Metadata) -> str:
    """The words that call a LoRA, as far as its file says; empty where it does not.

    modelspec.trigger_phrase, else the tag that most of the training pictures had.
    """
    if phrase := metadata.get("modelspec.trigger_phrase", "").strip():
        return phrase
    counts: dict[str, int] = {}
    for tags in _table(metadata.get("ss_tag_frequency")).values():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if isinstance(count, int | float):
                counts[tag.strip()] = counts.get(tag.strip(), 0) + int(count)
    return max(counts, key=lambda tag: counts[tag], default="")


def made_for(metadata: Metadata) -> str:
    """The base that a file says it was made for; empty where it does not say."""
    keys = ("modelspec.architecture", "ss_base_model_version", "ss_sd_model_name")
    found = [metadata[key] for key in keys if metadata.get(key) not in (None, "", "None")]
    return ", ".join(dict.fromkeys(found))


def peft_settings(metadata: Metadata) -> dict[str, Any]:
    """Settings by part, such as "unet.lora_alpha", as diffusers writes them; none elsewhere."""
    return _table(metadata.get("lora_adapter_metadata"))


def _table(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def require_own(path: Path) -> dict[str, Any]:
    """The `edlora` object of smalti's own file; raises InputError for that of another trainer."""
    if not is_own(path):
        raise InputError(f"{path} was made by another trainer; only smalti's own are exported.")
    return read_metadata(path)
