"""Several trained concepts become one adapter: what `mosaic fuse` does."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ..configs.base import BaseSettings
from ..configs.claim import as_json
from ..configs.errors import InputError
from ..configs.files import ensure_writable, file_hash
from ..configs.fusion import FusionSettings
from ..configs.progress import Report, reporting
from ..models.activations import concept_grams
from ..models.adapter_file import concepts_of, read_metadata, read_tensors, word_key
from ..models.bases import load_base
from ..models.device import pick_device
from ..models.edlora import (
    Adapter,
    attach,
    detach,
    load_adapter,
    load_adapter_state,
    save_adapter,
)
from ..models.fusion import (
    Factors,
    LayerFit,
    factors_of,
    file_tensors,
    joint_words,
    overlap,
    summed,
)
from ..models.words import concept_key

if TYPE_CHECKING:
    from ..models.base import BaseModel

PROMPTS = ("a photo of a {}", "a {}")
"""What is drawn of each concept to see what reaches the layers (the published two)."""
PLAIN = (".lora_A.weight", ".lora_B.weight", ".layers")
"""How the tensors of adapters end that can be fused."""
ORTHOGONAL = 1e-3
"""Largest cosine between directions of adapters that count as orthogonal."""


def fuse_concepts(
    paths: Sequence[Path],
    out: Path,
    base: BaseSettings,
    settings: FusionSettings,
    *,
    progress: Report | None = None,
) -> dict[str, Any]:
    """Write one adapter that holds the concepts of several and return what is recorded of it.

    out: the adapter's file; nothing is done where it is that of the same fusion already. Raises
    InputError for adapters that cannot be fused, of another base than `base`, or where another
    adapter lies at `out`.
    """
    claim = fusion_claim(paths, settings)
    if out.is_file():
        return _there_already(out, claim)
    ensure_writable(out.parent.parent)  # before the work; without leaving a folder if that fails
    with reporting(progress, "fuse") as report:
        report(0, 1, "loading the base model")
        loaded = load_base(base, device=pick_device(), gradients=False)
        adapters = [_load(loaded, path, f"fused-{index}") for index, path in enumerate(paths)]
        loaded.freeze()
        method = _method(settings.method, loaded, adapters)
        fused, residuals = _fused(loaded, adapters, method, settings, report)
        facts = {**claim, "method": method, "residuals": residuals}
        _save(loaded, adapters, fused, out, facts)
    return facts


def fusion_claim(paths: Sequence[Path], settings: FusionSettings) -> dict[str, Any]:
    """What a fusion is made of; raises InputError for adapters that cannot be fused."""
    if len(paths) < 2:
        raise InputError("mosaic fuse needs two concepts or more.")
    metadata = [read_metadata(path) for path in paths]
    concepts = [own for facts in metadata for own in concepts_of(facts)]
    names, triggers = [own.name for own in concepts], [own.trigger for own in concepts]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(
            f"Two of these concepts are called {twice[0]}; rename the folder of one and train it "
            "again."
        )
    if twice := [trigger for trigger in triggers if triggers.count(trigger) > 1]:
        raise InputError(
            f'Prompts say "{twice[0]}" for two of these concepts, so nothing tells them apart; '
            "train one again with another --set train.identifier=WORD."
        )
    bases = {facts["base"]["fingerprint"]: facts["base"]["name"] for facts in metadata}
    if len(bases) > 1:
        told = ", ".join(sorted(bases.values()))
        raise InputError(f"These adapters are of different bases ({told}); fuse those of one base.")
    hashes = [file_hash(path) for path in paths]
    return {"settings": asdict(settings), "concepts": names, "adapters": hashes}


def _there_already(out: Path, claim: dict[str, Any]) -> dict[str, Any]:
    """What is recorded of a fusion that lies there; raises InputError where another one does."""
    facts = read_metadata(out).get("fusion") or {}
    if {name: facts.get(name) for name in claim} != as_json(claim):
        raise InputError(f"{out} is another adapter. Choose another --out, or delete that file.")
    return facts


def _load(base: "BaseModel", path: Path, name: str) -> Adapter:
    """Attach an adapter under a name that is free; its words stay its own.

    Raises InputError for one that holds more than words and LoRA.
    """
    odd = [key for key in read_tensors(path) if not key.endswith(PLAIN)]
    if odd:
        raise InputError(f"{path} holds more than words and LoRA ({odd[0]}) and cannot be fused.")
    adapter = load_adapter(base, path, name)
    adapter.trigger = adapter.metadata["trigger"]
    return adapter


def _method(asked: str, base: "BaseModel", adapters: Sequence[Adapter]) -> str:
    """How to fuse; raises InputError where a sum was asked for that would mix."""
    if asked in ("gradient", "sum"):
        return asked
    slots = [adapter.metadata.get("training", {}).get("orthogonal") for adapter in adapters]
    if asked == "auto" and (None in slots or len(set(slots)) < len(slots)):
        return "gradient"
    worst = max(map(overlap, _by_layer(base, adapters).values()))
    if worst < ORTHOGONAL:
        return "orthogonal"
    if asked == "auto":
        return "gradient"
    raise InputError(
        f"These adapters are not orthogonal (cosine {worst:.2f}): train each with another "
        "--set train.orthogonal=0, 1, ... of one rank, or take --method gradient."
    )


def _by_layer(base: "BaseModel", adapters: Sequence[Adapter]) -> dict[str, list[Factors]]:
    """The changes of all adapters, layer by layer."""
    found: dict[str, list[Factors]] = {}
    for adapter in adapters:
        for name, factors in factors_of(base, adapter).items():
            found.setdefault(name, []).append(factors)
    return found


def _fused(
    base: "BaseModel",
    adapters: Sequence[Adapter],
    method: str,
    settings: FusionSettings,
    report: Report,
) -> tuple[dict[str, Factors], dict[str, float]]:
    """The fused change of each layer, and, where layers are fitted, what is left of each."""
    if method != "gradient":
        return {name: summed(parts) for name, parts in _by_layer(base, adapters).items()}, {}
    fits = _fits(base, adapters, settings, report)
    solved, total = {}, len(fits)
    for index, name in enumerate(list(fits)):
        report(index, total, "fitting layers")
        solved[name] = fits.pop(name).solve(settings.ridge)
    report(total, total, "done")
    residuals = {name: round(left, 5) for name, (_, left) in solved.items()}
    return {name: factors for name, (factors, _) in solved.items()}, residuals


def _fits(
    base: "BaseModel", adapters: Sequence[Adapter], settings: FusionSettings, report: Report
) -> dict[str, LayerFit]:
    """Every layer's fit, with all concepts added; one concept's matrices are held at a time."""
    total, done = len(adapters) * settings.pictures * settings.steps, 0

    def on_step() -> None:
        nonlocal done
        done += 1
        report(done, total, "drawing concepts")

    fits: dict[str, LayerFit] = {}
    for adapter in adapters:
        told = [own.trigger for own in concepts_of(adapter.metadata)]
        grams = concept_grams(
            base,
            adapter,
            [prompt.format(words) for words in told for prompt in PROMPTS],
            steps=settings.steps,
            pictures=settings.pictures,
            seed=settings.seed,
            on_step=on_step,
        )
        factors = factors_of(base, adapter)
        for name, gram in grams.items():
            fits.setdefault(name, LayerFit()).add(factors.get(name), gram)
    return {name: fit for name, fit in fits.items() if fit.rows}


def _save(
    base: "BaseModel",
    adapters: Sequence[Adapter],
    fused: dict[str, Factors],
    out: Path,
    facts: dict[str, Any],
) -> None:
    """Write the fused adapter's file."""
    told = [own for adapter in adapters for own in concepts_of(adapter.metadata)]
    words, rank = joint_words(adapters), max(len(factors.down) for factors in fused.values())
    tensors = file_tensors(base, fused, adapters, rank)
    for adapter in adapters:
        detach(base, adapter)
    every = any(adapter.targets == "all" for adapter in adapters)
    together = attach(
        base,
        Adapter(
            name=concept_key(out.parent.name),
            class_word=told[0].class_word,
            trigger=" ".join(own.trigger for own in told),
            rank=rank,
            alpha=float(rank),
            method="edlora" if words.shape[1] > 1 else "lora",
            embeddings=nn.Parameter(words),
            targets="all" if every else "attention",
        ),
    )
    keys = zip(map(word_key, together.words), words, strict=True)
    load_adapter_state(base, together, {**tensors, **dict(keys)})
    save_adapter(base, together, out, {"concepts": [asdict(own) for own in told], "fusion": facts})
