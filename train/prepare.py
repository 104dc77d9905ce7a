"""Make a run ready for its first step: base, latents, adapter, optimiser, and what was saved."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..configs.errors import InputError, SmaltiError
from ..configs.progress import Report, silent
from ..configs.settings import Settings, TrainSettings
from ..models.base import BaseModel
from ..models.bases import load_base
from ..models.device import DTYPES, pick_device, resolve_precision
from ..models.edlora import Adapter, load_adapter_state
from ..models.words import CONCEPT
from .captions import fitted_captions
from .checkpoint import Checkpoint
from .concept import Concept
from .dataset import LatentSet, build_latents
from .earlier import EarlierWork
from .identity import check_goes_on, identity_of, with_precision
from .methods import method_of
from .optimizer import initial_norm_limits, make_optimizer
from .priors import build_priors
from .run import Run
from .word_attention import make_recorder


def with_resolved_precision(settings: Settings, earlier: EarlierWork | None) -> Settings:
    """The settings with "auto" resolved: as an earlier run began, else by this processor."""
    asked = settings.train.mixed_precision
    wanted = earlier.precision(asked) if earlier else asked
    return with_precision(settings, resolve_precision(wanted, pick_device()))


def make_accelerator(settings: TrainSettings) -> Any:
    """Return the Accelerator of devices, precision, processes; InputError for fp16 on a CPU."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # Its shared state would refuse a process that trains twice at different precisions.
    AcceleratorState._reset_state()
    if settings.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise InputError(
            'train.mixed_precision = "fp16" needs a GPU. Go on where there is one, or give '
            "--mixed-precision bf16 or no (a run that was begun in fp16 also needs --restart)."
        )
    return Accelerator(mixed_precision=settings.mixed_precision)


def prepare(
    concept: Concept,
    settings: Settings,
    accelerator: Any,
    work: Path,
    report: Report = silent,
    tell: Callable[[str], None] = lambda text: None,
) -> Run:
    """Load the base, encode the images and attach a fresh adapter.

    settings: with class word and precision resolved; `report` is told of each encoded image,
    `tell` of captions that are too long.
    """
    train, method = settings.train, method_of(settings.train)
    base = open_base(settings, accelerator)
    # Identical in every process, whatever else has drawn random numbers.
    torch.manual_seed(train.seed)
    adapter = method.attach(base, concept.name, concept.class_word, train)
    with accelerator.main_process_first():
        data = build_latents(concept, base, train, work, report)
        keeps = method.keeps_class and train.prior_weight > 0
        prior = build_priors(base, adapter, train, work, report) if keeps else None
    check_latents(data)
    data = with_fitted_captions(data, base, adapter, train, tell)
    groups = method.parameter_groups(base, adapter, train)
    return Run(
        settings=train,
        method=method,
        base=base,
        adapter=adapter,
        data=data,
        accelerator=accelerator,
        optimizer=accelerator.prepare_optimizer(make_optimizer(base, groups, train)),
        recorder=make_recorder(base, adapter, data, train) if method.keeps_attention else None,
        prior=prior,
        norm_limits=initial_norm_limits(adapter.embeddings, train.embedding_norm_limit),
        frozen_words=[False] * adapter.embeddings.shape[0],
        identity=identity_of(concept, settings, base.fingerprint, accelerator.num_processes),
    )


def with_fitted_captions(
    data: LatentSet,
    base: BaseModel,
    adapter: Adapter,
    settings: TrainSettings,
    tell: Callable[[str], None],
) -> LatentSet:
    """The set with captions in which the text encoder sees the concept; says what was moved."""
    captions = fitted_captions(data.captions, base, adapter, settings)
    for caption in captions.moved:
        tell(f'Note: "{caption[:60]}..." is too long; its {CONCEPT} is moved to the front.')
    return replace(data, captions=captions.captions)


def open_base(settings: Settings, accelerator: Any) -> BaseModel:
    """Load the base for training on the accelerator's device and in its precision."""
    base = load_base(
        settings.base,
        device=str(accelerator.device),
        dtype=DTYPES[accelerator.mixed_precision],
        attention=settings.train.attention,
    )
    if settings.train.gradient_checkpointing:
        base.enable_gradient_checkpointing()
    return base


def check_latents(data: LatentSet) -> None:
    """Raise SmaltiError when the encoder gave infinities, as some do in fp16."""
    if not torch.isfinite(data.latents).all():
        raise SmaltiError(
            "The base model's encoder overflowed. Use train.mixed_precision = bf16 or no."
        )


def resume(run: Run, work: Path, checkpoint: Checkpoint | None) -> None:
    """Put a checkpoint into a freshly prepared run; raises InputError if it is another run's."""
    if checkpoint is None:
        return
    check_goes_on(work, checkpoint.identity, run.identity)
    load_adapter_state(run.base, run.adapter, checkpoint.adapter)
    run.optimizer.load_state_dict(checkpoint.optimizer)
    if checkpoint.scaler and run.accelerator.scaler:
        run.accelerator.scaler.load_state_dict(checkpoint.scaler)
    run.step, run.frozen_words = checkpoint.step, checkpoint.frozen_words
