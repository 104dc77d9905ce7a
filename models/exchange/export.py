"""Export a concept to a file that others read: which formats there are, and how one is written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ...configs.errors import InputError
from ...configs.files import replacing
from ..adapter_file import with_sorted_header
from .metadata import EMBEDDING, LORA, BaseFacts, hash_facts, kohya_facts, modelspec
from .own import OwnAdapter
from .to_diffusers import diffusers_tensors
from .to_embedding import embedding_tensors
from .to_kohya import kohya_tensors
from .to_xti import xti_tensors

Maker = Callable[[OwnAdapter], tuple[dict[str, Tensor], tuple[str, ...]]]


@dataclass(frozen=True)
class Format:
    """One format of files that others read."""

    make: Maker
    """Its tensors, and a line for each thing that it has no place for."""
    kind: str
    """LORA or EMBEDDING."""
    ending: str
    """Of the file's name behind the concept's."""
    hint: str
    """How it is used; {name} and {class_word} are filled in."""


WITH_EMBEDDING = 'With the embedding {name}.safetensors say "{name}", without it "{class_word}".'
FORMATS = {
    "kohya": Format(kohya_tensors, LORA, "-kohya", WITH_EMBEDDING),
    "diffusers": Format(diffusers_tensors, LORA, "-diffusers", WITH_EMBEDDING),
    "xti": Format(xti_tensors, EMBEDDING, "-xti", 'One vector per layer; say "{name}".'),
    # User interfaces call an embedding by the name of its file.
    "embedding": Format(embedding_tensors, EMBEDDING, "", 'Say "{name}", with its LoRA.'),
}


def export(own: OwnAdapter, name: str, base: BaseFacts, path: Path) -> tuple[str, ...]:
    """Write a concept in a format; returns a line for each thing that the format cannot hold.

    Raises InputError where nothing of it can be held, and as `replacing` does.
    """
    form = FORMATS[name]
    if not (own.layers if form.kind == LORA else len(own.words)):
        raise InputError(
            f"{own.name} has no {'LoRA' if form.kind == LORA else 'words of its own'}, so there is "
            f"nothing to write --to {name}."
        )
    tensors, lost = form.make(own)
    class_word = own.metadata.get("class_word") or "thing"
    hint = form.hint.format(name=own.name, class_word=class_word)
    metadata = modelspec(own, base, form.kind, hint)
    if name == "kohya":
        metadata |= kohya_facts(own, base)
    elif form.kind == LORA:
        metadata["lora_adapter_metadata"] = own.peft
    write(path, tensors, metadata)
    return lost


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, whole or not at all: the same tensors give the same bytes."""
    from safetensors.torch import save

    plain = {key: value.contiguous() for key, value in tensors.items()}
    header = {"format": "pt", **metadata}
    header |= hash_facts(save(plain), header)
    with replacing(path) as temporary:
        temporary.write_bytes(with_sorted_header(save(plain, metadata=header)))


def refuse_existing(path: Path, *, replace: bool) -> None:
    """Raise InputError where a file lies that nobody said to replace, and where a folder does."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give --out the name of a file.")
    if path.exists() and not replace:
        raise InputError(
            f"{path} is there already. Give --replace to write it anew, or --out another name."
        )
