"""A concept's adapter: words, LoRA and changed weights, of which each may be missing.

ED-LoRA has two layer-wise words and LoRA on every attention linear (Gu et al. 2023, Mix-of-Show,
section 3.1, with the settings of its code: alpha = rank, AdamW, three learning rates). What other
methods learn is fewer of these parts, or others: `train/methods/`. An adapter is attached to a base
model; several may be at once.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..configs.errors import InputError
from ..configs.train import TrainSettings
from .adapter import Adapter
from .adapter_file import damaged, read_metadata, read_tensors, word_key, write_adapter
from .base import BaseModel
from .class_words import initial_words
from .deltas import SUFFIX, exchange, read_deltas
from .lora_layers import (
    lora_facts,
    lora_layers,
    lora_parameters,
    parameters_in,
    peft_settings,
    start_lora,
)
from .words import concept_key, concept_token_names


def word_layers(base: BaseModel, method: str) -> int:
    """How many vectors L a word has: one for each block of cross-attention, or one."""
    return base.layers if method == "edlora" else 1


def attach_new(base: BaseModel, name: str, class_word: str, settings: TrainSettings) -> Adapter:
    """Attach a fresh, trainable adapter and switch it on alone, at scale 1.

    The first word is Gaussian, the second a copy of the class word; LoRA starts as zero. All of
    it is fp32 and depends on `settings.seed` only. Raises InputError for an unknown class word
    or a name that is taken.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    table = initial_words(base, class_word, word_layers(base, settings.method), generator)
    adapter = Adapter(
        name=concept_key(name),
        class_word=class_word,
        trigger=" ".join(concept_token_names(name, len(table))),
        method=settings.method,
        embeddings=nn.Parameter(table.to(base.device)),
        metadata={"training": settings.record()},
        trainable=True,
        **lora_facts(settings),
    )
    return begin(base, adapter, settings, generator)


def begin(
    base: BaseModel, adapter: Adapter, settings: TrainSettings, generator: torch.Generator
) -> Adapter:
    """Attach a fresh adapter that has LoRA, with the LoRA's first values, on alone at scale 1."""
    attach(base, adapter)
    start_lora(base, adapter, settings, generator)
    set_active(base, [adapter.name])
    return adapter


def parameter_groups(
    base: BaseModel, adapter: Adapter, settings: TrainSettings
) -> list[dict[str, Any]]:
    """Optimiser groups "embedding", "text_encoder" and "unet", each with its learning rate."""
    learning = {key: p for key, p in _learning(base, adapter) if adapter.learns(key)}
    members = {"embedding": [adapter.embeddings] if adapter.words else []} | {
        part: [value for key, value in learning.items() if key.startswith(part)]
        for part in ("text_encoder", "unet")
    }
    return [
        {
            "name": part,
            "params": parameters,
            "lr": getattr(settings, f"learning_rate_{part}"),
            "weight_decay": settings.weight_decay,
        }
        for part, parameters in members.items()
        if parameters
    ]


def save_adapter(
    base: BaseModel, adapter: Adapter, path: Path, metadata: dict[str, Any] | None = None
) -> None:
    """Write the adapter to one safetensors file (see `adapter_file.py`), atomically.

    `metadata` (JSON values) joins the header's `edlora` object, beside what smalti needs.
    """
    facts = {
        "name": adapter.name,
        "tokens": adapter.words,
        "trigger": adapter.trigger,
        "class_word": adapter.class_word,
        **_lora_record(adapter),
        "method": adapter.method,
        "layers": base.layers,
        "layer_order": "down, mid, up",
        "base": {
            "name": base.settings.name,
            "source": base.settings.source,
            "fingerprint": _trained_on(base),
            **base.family_facts,
        },
    }
    adapter.metadata = {**adapter.metadata, **(metadata or {}), **facts}
    configs = {part.name: peft_settings(adapter, part) for part in base.lora_parts()}
    write_adapter(
        Path(path), saved_state(base, adapter), adapter.metadata, configs if adapter.rank else {}
    )
    adapter.path = Path(path)


def _lora_record(adapter: Adapter) -> dict[str, Any]:
    """What a file says of its LoRA; that of a principal start holds the start too."""
    twice = 2 if adapter.principal else 1
    about = {"rank": adapter.rank * twice, "alpha": adapter.alpha * twice}
    return {**about, "targets": adapter.targets, **({"dora": True} if adapter.dora else {})}


def load_adapter(base: BaseModel, path: Path, name: str | None = None) -> Adapter:
    """Attach a saved adapter, frozen, and switch it on alone, at scale 1.

    `name` renames its words, so that two concepts of one name can be used together. Raises
    InputError when the file is damaged, foreign, or made for another base model.
    """
    path = Path(path)
    adapter, state = _read_adapter(base, path, name)
    try:
        adapter.deltas = read_deltas(base, state)
    except InputError as error:
        raise damaged(path, str(error)) from error
    attach(base, adapter)
    try:
        load_adapter_state(base, adapter, state)
    except InputError as error:
        detach(base, adapter)
        raise damaged(path, str(error)) from error
    return adapter


def _read_adapter(
    base: BaseModel, path: Path, name: str | None
) -> tuple[Adapter, dict[str, Tensor]]:
    """An adapter as a file describes it, not yet attached, and the file's tensors."""
    metadata = read_metadata(path)
    try:
        saved_words = list(metadata["tokens"])
        _check_base(base, path, metadata["base"])
        key = concept_key(name or metadata["name"])
        words = dict(zip(saved_words, concept_token_names(key, len(saved_words)), strict=True))
        tensors = read_tensors(path)
        layers = len(tensors[word_key(saved_words[0])]) if saved_words else 1
        shape = (len(words), layers, base.word_width)
        adapter = Adapter(
            name=key,
            class_word=metadata["class_word"],
            trigger=_renamed(metadata["trigger"], words),
            rank=int(metadata["rank"]),
            alpha=float(metadata["alpha"]),
            method=metadata["method"],
            embeddings=nn.Parameter(torch.zeros(shape, device=base.device)),
            targets=metadata.get("targets", "attention"),
            metadata=metadata,
            path=path,
            dora=metadata.get("dora", False),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"its header lacks {error}") from error
    renamed = {word_key(old): word_key(new) for old, new in words.items()}
    state = {renamed.get(key, key): value for key, value in tensors.items()}
    if layers not in (1, base.layers):
        raise damaged(path, f"{word_key(saved_words[0])} has shape {[layers, shape[-1]]}")
    return adapter, state


def _renamed(trigger: str, words: dict[str, str]) -> str:
    """A trigger with its learned words under other names."""
    return re.sub(r"<[^<>\s]+>", lambda found: words.get(found[0], found[0]), trigger)


def adapter_state(base: BaseModel, adapter: Adapter) -> dict[str, Tensor]:
    """A copy of all that learns on the CPU, fp32, exact: under its names in the file.

    Weights of the base that learn stand under their own names, as they are.
    """
    words = dict(zip(map(word_key, adapter.words), adapter.embeddings, strict=True))
    learned = dict(adapter.principal.saved() if adapter.principal else _learning(base, adapter))
    tensors = {**learned, **words}
    return {key: value.detach().float().cpu().clone() for key, value in tensors.items()}


def saved_state(base: BaseModel, adapter: Adapter) -> dict[str, Tensor]:
    """What the file holds: `adapter_state`, and of changed weights the difference, in fp16."""
    state, deltas = adapter_state(base, adapter), adapter.deltas
    if deltas is None or adapter.principal:
        return state
    kept = {key: value for key, value in state.items() if key not in deltas.places}
    return kept | {key + SUFFIX: deltas.delta(key).half().cpu() for key in deltas.places}


@torch.no_grad()
def load_adapter_state(base: BaseModel, adapter: Adapter, state: dict[str, Tensor]) -> None:
    """Copy what `adapter_state` returned into the attached parameters, in place.

    Raises InputError when a tensor is missing, left over, or of another shape.
    """
    words = dict(zip(map(word_key, adapter.words), adapter.embeddings, strict=True))
    if adapter.principal:
        adapter.principal.restore(state)
        set_active(base, [adapter.name])
        state = {key: value for key, value in state.items() if key in words}
    learning = {} if adapter.principal else dict(_learning(base, adapter))
    targets = {**learning, **words}
    if odd := sorted(targets.keys() ^ state.keys()):
        raise InputError(f"{odd[0]} and {len(odd) - 1} more tensors are missing or unknown")
    for key, target in targets.items():
        if target.shape != state[key].shape:
            raise InputError(f"{key} has shape {list(state[key].shape)}")
    for key, target in targets.items():
        target.copy_(state[key])


def set_active(base: BaseModel, names: Sequence[str], scale: float = 1.0) -> None:
    """Switch on exactly these adapters, at `scale` times what they learned; () is none.

    Concept words are not scaled: at scale 0 they alone act. What is trainable stays trainable.
    Raises InputError when an adapter is not attached.
    """
    unknown = [name for name in names if concept_key(name) not in base.adapters]
    if unknown:
        raise InputError(f"Concept {unknown[0]!r} is not loaded on base {base.settings.name!r}.")
    chosen = [base.adapters[concept_key(name)] for name in names]
    active = [adapter.peft_name for adapter in chosen if adapter.rank]
    exchange(base, [adapter.deltas for adapter in chosen if adapter.deltas], scale)
    layers = list(lora_layers(base))
    for _, layer in layers:
        layer.enable_adapters(bool(active) and scale != 0)
        if active:
            layer.set_adapter(active, inference_mode=True)
        for name in active:
            layer.set_scale(name, scale)
    # peft changes requires_grad along with the active set.
    for adapter in base.adapters.values():
        for key, parameter in parameters_in(layers, adapter):
            parameter.requires_grad_(adapter.trainable and adapter.learns(key))


def detach(base: BaseModel, adapter: Adapter) -> None:
    """Remove an adapter from the base; the others stay attached, switched off."""
    set_active(base, [name for name in base.adapters if name != adapter.name])
    for part in base.lora_parts():
        if adapter.peft_name not in getattr(part.module, "peft_config", ()):
            continue  # others' files may have layers of one part only
        # diffusers' models and transformers' ones call it differently
        delete = getattr(part.module, "delete_adapters", None) or part.module.delete_adapter
        delete(adapter.peft_name)
    for reader in base.readers:
        if adapter.peft_name in reader.concepts.tables:
            del reader.concepts.tables[adapter.peft_name]
    del base.adapters[adapter.name]
    set_active(base, ())


def attach(base: BaseModel, adapter: Adapter) -> Adapter:
    """Inject its LoRA, add its words to the token embedding and switch it on alone, at scale 1.

    Raises InputError for a name that is taken.
    """
    from peft import LoraConfig

    if adapter.name in base.adapters:
        raise InputError(
            f"A concept named {adapter.name!r} is loaded already; names differ by more than case. "
            "Rename one of the two."
        )
    for part in base.lora_parts() if adapter.rank else ():
        config = LoraConfig(**peft_settings(adapter, part))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft warns of a second adapter
            part.module.add_adapter(config, adapter_name=adapter.peft_name)
    for _, parameter in lora_parameters(base, adapter):
        parameter.data = parameter.data.float()  # peft follows the base, which may be half
    adapter.embeddings.requires_grad_(adapter.trainable)
    for reader in base.readers if adapter.words else ():
        reader.concepts.tables[adapter.peft_name] = adapter.embeddings
    base.adapters[adapter.name] = adapter
    set_active(base, [adapter.name])
    return adapter


def _trained_on(base: BaseModel) -> str:
    """The fingerprint of what an adapter's training depends on."""
    return base.fingerprint if base.settings.distilled_lora else base.own_fingerprint


def _check_base(base: BaseModel, path: Path, made_for: dict[str, Any]) -> None:
    # What learned from the base as it is also serves it with a distilled LoRA.
    if made_for["fingerprint"] in (base.own_fingerprint, _trained_on(base)):
        return
    theirs, ours = made_for["name"], base.settings.name
    if theirs != ours:
        raise InputError(
            f"{path} was trained for base {theirs!r}, not {ours!r}. Add --base {theirs}, or train "
            f"the concept again with --base {ours}."
        )
    raise InputError(
        f"{path} was trained for other weights of base {ours!r} ({made_for['fingerprint']}, here "
        f"{_trained_on(base)}). Train the concept again with mosaic-train."
    )


def _learning(base: BaseModel, adapter: Adapter) -> Iterator[tuple[str, nn.Parameter]]:
    """What learns beside the words, under its name in the file."""
    yield from lora_parameters(base, adapter)
    yield from adapter.deltas.tuned.items() if adapter.deltas else ()
