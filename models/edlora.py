"""ED-LoRA, a concept's adapter: two layer-wise words, and LoRA on every attention linear.

Source: Gu et al. 2023, Mix-of-Show, section 3.1, with the settings of its code (alpha = rank,
AdamW, three learning rates). An adapter is attached to a base model; several may be at once.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..configs.errors import InputError
from ..configs.train import TrainSettings
from .adapter_file import damaged, read_metadata, read_tensors, word_key, write_adapter
from .base import BaseModel, LoraPart
from .class_words import initial_words
from .words import concept_key, concept_token_names


@dataclass
class Adapter:
    """A concept's adapter, attached to a base model.

    `name` is the concept's key (lower case), `trigger` its words as they stand in prompts,
    `embeddings` [words, L, W] (L = 1 for method "lora"), W being the widths of the base's text
    encoders one after the other. LoRA scale 1 is alpha / rank.
    """

    name: str
    class_word: str
    trigger: str
    rank: int
    alpha: float
    method: str
    embeddings: nn.Parameter
    targets: str = "attention"
    metadata: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    trainable: bool = False

    @property
    def words(self) -> list[str]:
        """The concept's words, such as ["<pim-1>", "<pim-2>"]."""
        return self.trigger.split()

    @property
    def peft_name(self) -> str:
        """Its name inside peft and among the word tables: no weight or attribute is called so."""
        return f"edlora_{self.name}"

    @property
    def layerwise(self) -> bool:
        """Whether every block of cross-attention has vectors of its own for the words."""
        return self.embeddings.shape[1] > 1


def word_layers(base: BaseModel, method: str) -> int:
    """How many vectors L a word has: what the training methods differ in, and asked nowhere else.

    One for each block of cross-attention (ED-LoRA), or one for all of them ("lora").
    """
    return base.layers if method == "edlora" else 1


def attach_new(base: BaseModel, name: str, class_word: str, settings: TrainSettings) -> Adapter:
    """Attach a fresh, trainable adapter and switch it on alone, at scale 1.

    The first word is Gaussian, the second a copy of the class word; LoRA starts as zero. All of
    it is fp32 and depends on `settings.seed` only. Raises InputError for an unknown class word
    or a name that is taken.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    table = initial_words(base, class_word, word_layers(base, settings.method), generator)
    adapter = _attach(
        base,
        Adapter(
            name=concept_key(name),
            class_word=class_word,
            trigger=" ".join(concept_token_names(name, len(table))),
            rank=settings.rank,
            alpha=float(settings.lora_alpha or settings.rank),
            method=settings.method,
            embeddings=nn.Parameter(table.to(base.device)),
            targets=settings.targets,
            metadata={"training": asdict(settings)},
            trainable=True,
        ),
    )
    _initialise_lora(base, adapter, generator)
    return adapter


def parameter_groups(
    base: BaseModel, adapter: Adapter, settings: TrainSettings
) -> list[dict[str, Any]]:
    """Optimiser groups "embedding", "text_encoder" and "unet", each with its learning rate."""
    lora = dict(_lora_parameters(base, adapter))
    members = {
        "embedding": [adapter.embeddings],
        "text_encoder": [value for key, value in lora.items() if key.startswith("text_encoder")],
        "unet": [value for key, value in lora.items() if key.startswith("unet.")],
    }
    return [
        {
            "name": part,
            "params": parameters,
            "lr": getattr(settings, f"learning_rate_{part}"),
            "weight_decay": settings.weight_decay,
        }
        for part, parameters in members.items()
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
        "rank": adapter.rank,
        "alpha": adapter.alpha,
        "method": adapter.method,
        "targets": adapter.targets,
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
    configs = {part.name: _peft_settings(adapter, part) for part in base.lora_parts()}
    write_adapter(Path(path), adapter_state(base, adapter), adapter.metadata, configs)
    adapter.path = Path(path)


def load_adapter(base: BaseModel, path: Path, name: str | None = None) -> Adapter:
    """Attach a saved adapter, frozen, and switch it on alone, at scale 1.

    `name` renames its words, so that two concepts of one name can be used together. Raises
    InputError when the file is damaged, foreign, or made for another base model.
    """
    path = Path(path)
    metadata = read_metadata(path)
    try:
        saved_words, method = list(metadata["tokens"]), metadata["method"]
        _check_base(base, path, metadata["base"])
        key = concept_key(name or metadata["name"])
        shape = (len(saved_words), word_layers(base, method), base.word_width)
        adapter = Adapter(
            name=key,
            class_word=metadata["class_word"],
            trigger=" ".join(concept_token_names(key, len(saved_words))),
            rank=int(metadata["rank"]),
            alpha=float(metadata["alpha"]),
            method=method,
            embeddings=nn.Parameter(torch.zeros(shape, device=base.device)),
            targets=metadata.get("targets", "attention"),
            metadata=metadata,
            path=path,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"its header lacks {error}") from error
    renamed = dict(zip(map(word_key, saved_words), map(word_key, adapter.words), strict=True))
    state = {renamed.get(key, key): value for key, value in read_tensors(path).items()}
    _attach(base, adapter)
    try:
        load_adapter_state(base, adapter, state)
    except InputError as error:
        detach(base, adapter)
        raise damaged(path, str(error)) from error
    return adapter


def adapter_state(base: BaseModel, adapter: Adapter) -> dict[str, Tensor]:
    """A copy of all trained tensors on the CPU, fp32, under their names in the file."""
    words = dict(zip(map(word_key, adapter.words), adapter.embeddings, strict=True))
    tensors = {**dict(_lora_parameters(base, adapter)), **words}
    return {key: value.detach().float().cpu().clone() for key, value in tensors.items()}


@torch.no_grad()
def load_adapter_state(base: BaseModel, adapter: Adapter, state: dict[str, Tensor]) -> None:
    """Copy what `adapter_state` returned into the attached parameters, in place.

    Raises InputError when a tensor is missing, left over, or of another shape.
    """
    words = dict(zip(map(word_key, adapter.words), adapter.embeddings, strict=True))
    targets = {**dict(_lora_parameters(base, adapter)), **words}
    if odd := sorted(targets.keys() ^ state.keys()):
        raise InputError(f"{odd[0]} and {len(odd) - 1} more tensors are missing or unknown")
    for key, target in targets.items():
        if target.shape != state[key].shape:
            raise InputError(f"{key} has shape {list(state[key].shape)}")
    for key, target in targets.items():
        target.copy_(state[key])


def set_active(base: BaseModel, names: Sequence[str], scale: float = 1.0) -> None:
    """Switch on the LoRA of exactly these adapters, at `scale` times alpha / rank; () is none.

    Concept words are not scaled: at scale 0 they alone act. What is trainable stays trainable.
    Raises InputError when an adapter is not attached.
    """
    unknown = [name for name in names if concept_key(name) not in base.adapters]
    if unknown:
        raise InputError(f"Concept {unknown[0]!r} is not loaded on base {base.settings.name!r}.")
    active = [base.adapters[concept_key(name)].peft_name for name in names]
    for _, layer in _lora_layers(base):
        layer.enable_adapters(bool(active) and scale != 0)
        if active:
            layer.set_adapter(active, inference_mode=True)
        for name in active:
            layer.set_scale(name, scale)
    # peft changes requires_grad along with the active set.
    for adapter in base.adapters.values():
        for _, parameter in _lora_parameters(base, adapter):
            parameter.requires_grad_(adapter.trainable)


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


def _attach(base: BaseModel, adapter: Adapter) -> Adapter:
    """Inject the LoRA, add the words to the token embedding and switch the adapter on."""
    from peft import LoraConfig

    if adapter.name in base.adapters:
        raise InputError(
            f"A concept named {adapter.name!r} is loaded already; names differ by more than case. "
            "Rename one of the two."
        )
    for part in base.lora_parts():
        config = LoraConfig(**_peft_settings(adapter, part))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft warns of a second adapter
            part.module.add_adapter(config, adapter_name=adapter.peft_name)
    for _, parameter in _lora_parameters(base, adapter):
        parameter.data = parameter.data.float()  # peft follows the base, which may be half
    adapter.embeddings.requires_grad_(adapter.trainable)
    for reader in base.readers:
        reader.concepts.tables[adapter.peft_name] = adapter.embeddings
    base.adapters[adapter.name] = adapter
    set_active(base, [adapter.name])
    return adapter


def _peft_settings(adapter: Adapter, part: LoraPart) -> dict[str, Any]:
    """What peft and diffusers call the LoRA of one part."""
    targets = list(part.targets[adapter.targets])
    return {"r": adapter.rank, "lora_alpha": adapter.alpha, "target_modules": targets}


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


@torch.no_grad()
def _initialise_lora(base: BaseModel, adapter: Adapter, generator: torch.Generator) -> None:
    """A Kaiming-uniform with a = sqrt(5), B zero, from our own generator."""
    for key, parameter in _lora_parameters(base, adapter):
        start = torch.zeros(parameter.shape)
        if ".lora_A." in key:
            nn.init.kaiming_uniform_(start, a=math.sqrt(5), generator=generator)
        parameter.copy_(start)


def _lora_layers(base: BaseModel) -> Iterator[tuple[str, Any]]:
    """All layers that carry LoRA, under the names that the file uses."""
    from peft.tuners.lora import LoraLayer

    for part in base.lora_parts():
        for name, layer in part.module.named_modules():
            if isinstance(layer, LoraLayer):
                yield f"{part.prefix}.{name}", layer


def _lora_parameters(base: BaseModel, adapter: Adapter) -> Iterator[tuple[str, nn.Parameter]]:
    for name, layer in _lora_layers(base):
        if adapter.peft_name in layer.lora_A:
            yield f"{name}.lora_A.weight", layer.lora_A[adapter.peft_name].weight
            yield f"{name}.lora_B.weight", layer.lora_B[adapter.peft_name].weight
