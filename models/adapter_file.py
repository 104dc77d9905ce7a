"""The adapter file: one safetensors that smalti reads whole and stock diffusers reads as a LoRA.

Tensors: `unet.*`, `text_encoder.text_model.*` and for SDXL's family `text_encoder_2.text_model.*`
(`.lora_A.weight` [rank, in], `.lora_B.weight` [out, rank]) and `edlora.<WORD>.layers` [L, W], W the
widths of the text encoders one after the other, every one fp32, and what was added to whole
weights, `KEY.delta`, fp16; an adapter may lack each of these. Header: `lora_adapter_metadata`
for diffusers and `edlora`, a JSON object, for smalti. Stock loaders skip the words' tensors
because they filter by prefix. torch is imported only where tensors are read or written.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..configs.errors import InputError
from ..configs.files import replacing
from ..configs.presets import preset_names

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 2
"""Newest version of the `edlora` object: files with changed weights, without words, with DoRA, or
with several concepts."""
FIRST = 1
"""Version of words and LoRA, as every smalti reads them."""

MAX_HEADER = 100_000_000
"""Bytes of the longest header that the safetensors format allows."""


@dataclass(frozen=True)
class ConceptWords:
    """A concept that an adapter's file holds."""

    name: str
    """Its key, by which prompts call it: <NAME>."""
    trigger: str
    """What stands for it in prompts, such as "<pim-1> <pim-2>"."""
    class_word: str


def concepts_of(metadata: dict[str, Any]) -> tuple[ConceptWords, ...]:
    """The concepts of an adapter's `edlora` object: one, or those that were fused."""
    told = metadata.get("concepts") or [metadata]
    return tuple(
        ConceptWords(*(own.get(key, "") for key in ("name", "trigger", "class_word")))
        for own in told
    )


def base_choice(metadata: dict[str, Any]) -> str | None:
    """What names the base of an adapter to `resolve`: a preset of ours, else where it lay."""
    made = metadata.get("base", {})
    return made.get("name") if made.get("name") in preset_names("base") else made.get("source")


def word_key(word: str) -> str:
    """Name of a concept word's tensor."""
    return f"edlora.{word}.layers"


def read_metadata(path: Path) -> dict[str, Any]:
    """The `edlora` object of an adapter file, read from its header without torch.

    Raises InputError when the file is missing, damaged, truncated, not smalti's or too new.
    """
    path = Path(path)
    header = read_header(path)
    try:
        metadata = json.loads(header["__metadata__"]["edlora"])
        version = int(metadata["format"])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise InputError(
            f"{path} was not made by smalti (its header has no edlora entry). Train the concept "
            "with mosaic-train."
        ) from None
    if version > FORMAT:
        raise InputError(
            f"{path} was written by a newer smalti (format {version}, this one reads {FORMAT}). "
            "Upgrade smalti, or train the concept again."
        )
    return metadata


def read_header(path: Path) -> dict[str, Any]:
    """Header of a safetensors file, read without torch; its length must agree with the file's.

    Raises InputError when the file is missing, damaged or cut off.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= MAX_HEADER else {}
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key[:2] != "__"]
        complete = path.stat().st_size == 8 + length + max(ends)
    except FileNotFoundError:
        raise InputError(f"There is no adapter at {path}. Train it with mosaic-train.") from None
    except OSError as error:
        raise InputError(f"The adapter {path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        complete = False
    if not complete:
        raise damaged(path)
    return header


def damaged(path: Path, detail: str = "it is cut off or not a safetensors file") -> InputError:
    """The error for a file whose contents cannot be used."""
    return InputError(
        f"The adapter {path} is damaged ({detail}). Copy it again, or delete it and train the "
        "concept again with mosaic-train."
    )


def read_tensors(path: Path) -> dict[str, "Tensor"]:
    """All tensors of an adapter file; raises InputError when it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise damaged(path) from error


def write_adapter(
    path: Path,
    tensors: dict[str, "Tensor"],
    metadata: dict[str, Any],
    lora_configs: dict[str, dict[str, Any]],
) -> None:
    """Write an adapter file, whole or not at all.

    `lora_configs` holds peft's settings for every part. Without them, diffusers
    takes alpha to be the rank. Raises as `replacing` does when the file cannot be written.
    """
    from safetensors.torch import save

    packed = {
        f"{part}.{key}": value
        for part, config in lora_configs.items()
        for key, value in config.items()
    }
    header = {
        "format": "pt",
        "lora_adapter_metadata": json.dumps(packed, sort_keys=True),
        "edlora": json.dumps({**metadata, "format": _version(tensors, metadata)}, sort_keys=True),
    }
    with replacing(path) as temporary:
        temporary.write_bytes(with_sorted_header(save(tensors, metadata=header)))


def _version(tensors: dict[str, "Tensor"], metadata: dict[str, Any]) -> int:
    """The version from which on smalti reads such a file."""
    has_words = any(key.startswith("edlora.") for key in tensors)
    has_lora = any(key.endswith(".lora_A.weight") for key in tensors)
    newer = any(key.endswith((".delta", ".lora_magnitude_vector")) for key in tensors)
    newer = newer or "concepts" in metadata
    return FIRST if has_words and has_lora and not newer else FORMAT


def with_sorted_header(data: bytes) -> bytes:
    """The same safetensors file with a sorted header; the library shuffles its metadata."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)  # tensors stay aligned
    return len(header).to_bytes(8, "little") + header + data[8 + length :]
