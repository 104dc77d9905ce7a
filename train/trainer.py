"""Stage one: a concept folder becomes an adapter. The same call resumes an unfinished run."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..configs.errors import InputError, SmaltiError
from ..configs.files import ensure_writable, remove
from ..configs.settings import Settings, TrainSettings
from ..configs.tables import save_settings
from ..models.attention import AttentionRecorder
from ..models.base import BaseModel, load_base
from ..models.concepts import ADAPTER_FILE, WORK_FOLDER
from ..models.conditioning import install_layerwise_attention
from ..models.device import DTYPES, pick_device, resolve_precision
from ..models.edlora import (
    adapter_state,
    attach_new,
    load_adapter_state,
    read_metadata,
    save_adapter,
)
from .captions import fill
from .checkpoint import (
    Checkpoint,
    check_identity,
    load_latest,
    save_checkpoint,
)
from .concept import Concept, load_concept
from .dataset import LatentSet, build_latents
from .plan import dry_run, finished_steps, identity_of, with_class_word
from .step import Run, initial_norm_limits, make_optimizer, train_step, word_positions
from .tracking import ProgressCallback, RunLog, TrainingBar, say
from .validation import draw_validation, grid_labels, save_grid

__all__ = ["ADAPTER_FILE", "WORK_FOLDER", "dry_run", "train_concept"]


def train_concept(
    folder: Path,
    settings: Settings,
    *,
    progress: ProgressCallback | None = None,
    restart: bool = False,
    restarted: Callable[[], None] = lambda: None,
) -> Path:
    """Train the concept in `folder` and return the path of its `edlora.safetensors`.

    Work files (checkpoints, logs, validation grids, cached latents) lie in `folder/.training`. A
    run that was cut off goes on from its last checkpoint; a finished one returns at once, or goes
    on when `train.steps` has grown.

    Args:
        folder: The concept's folder.
        settings: Resolved settings; `train.class_word`, when empty, comes from concept.toml.
        progress: Called with (steps done, steps in all, loss) instead of showing a progress bar.
        restart: Forget earlier work on this concept and begin anew.
        restarted: Called once that work is gone, so that nobody asks for it twice.

    Raises:
        InputError: The folder, the settings or the base model cannot be used, or differ from those
            the run began with.
        SmaltiError: The run failed; what was saved stays.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the state was saved.
    """
    concept = load_concept(folder, settings.train.class_word)
    settings = with_class_word(settings, concept)
    accelerator = make_accelerator(settings.train)
    talkative = accelerator.is_main_process and progress is None
    work, out = concept.folder / WORK_FOLDER, concept.folder / ADAPTER_FILE
    ensure_writable(work)
    for warning in concept.warnings if talkative else ():
        say(f"Note: {warning}")
    done = 0 if restart else finished_steps(concept, settings, work, accelerator.num_processes)
    if done and holds_steps(out, done):
        if talkative:
            say(_finished_message(concept.name, done))
        return out
    run = prepare(concept, settings, accelerator, work, tell_encoding if talkative else None)
    if restart and accelerator.is_main_process:  # not before: what can fail has not
        remove(work / "checkpoints")
        restarted()
    accelerator.wait_for_everyone()
    resume(run, load_latest(work / "checkpoints"))
    if accelerator.is_main_process:
        save_settings(settings, work / "settings.toml")
    fit(run, concept, work, progress)
    if accelerator.is_main_process:
        finish(run, concept, settings, out)
    accelerator.wait_for_everyone()
    return out


def holds_steps(path: Path, steps: int) -> bool:
    """Say whether the adapter's file is whole and that of `steps` steps, not of an earlier run."""
    try:
        return path.is_file() and read_metadata(path).get("steps") == steps
    except InputError:
        return False


def make_accelerator(settings: TrainSettings) -> Any:
    """Return the Accelerator of devices, precision, processes; InputError for fp16 on a CPU."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # Its shared state would refuse a process that trains twice at different precisions.
    AcceleratorState._reset_state()
    if settings.mixed_precision == "fp16" and not torch.cuda.is_available():
        raise InputError('train.mixed_precision = "fp16" needs a GPU. Use "bf16" or "no" here.')
    return Accelerator(mixed_precision=resolve_precision(settings.mixed_precision, pick_device()))


def prepare(
    concept: Concept,
    settings: Settings,
    accelerator: Any,
    work: Path,
    report: Callable[[int, int], None] | None = None,
) -> Run:
    """Load the base, encode the images and attach a fresh adapter.

    `report(done, total)` is called after each encoded image.
    """
    train = settings.train
    base = load_base(
        settings.base,
        device=str(accelerator.device),
        dtype=DTYPES[accelerator.mixed_precision],
        attention=train.attention,
    )
    # Identical in every process, whatever else has drawn random numbers.
    torch.manual_seed(train.seed)
    adapter = attach_new(base, concept.name, concept.class_word, train)
    with accelerator.main_process_first():
        data = build_latents(concept, base, train, work, report)
    check_latents(data)
    if train.gradient_checkpointing:
        base.unet.enable_gradient_checkpointing()
    optimizer = make_optimizer(base, adapter, train)
    run = Run(
        settings=train,
        base=base,
        adapter=adapter,
        data=data,
        accelerator=accelerator,
        optimizer=accelerator.prepare_optimizer(optimizer),
        alphas=base.scheduler("ddim").alphas_cumprod.float().cpu(),
        recorder=make_recorder(base, data, train),
        norm_limits=initial_norm_limits(adapter.embeddings, train.embedding_norm_limit),
        frozen_words=[False] * adapter.embeddings.shape[0],
        identity=identity_of(concept, settings, base.fingerprint, accelerator.num_processes),
    )
    for caption in {caption for caption in data.captions if caption}:
        word_positions(run, fill(caption, adapter.trigger, train.class_word))
    return run


def check_latents(data: LatentSet) -> None:
    """Raise SmaltiError when the encoder gave infinities, as some do in fp16."""
    if not torch.isfinite(data.latents).all():
        raise SmaltiError(
            "The base model's encoder overflowed. Use train.mixed_precision = bf16 or no."
        )


def tell_encoding(done: int, total: int) -> None:
    """Say once, with the first image, that images are being encoded: slow for a big base."""
    if done == 1:
        say(f"Encoding {total} images (once; kept for the next run).")


def make_recorder(
    base: BaseModel, data: LatentSet, settings: TrainSettings
) -> AttentionRecorder | None:
    """Install the attention recorder if the regulariser has layer-wise words and masks."""
    if settings.attention_weight == 0 or settings.method != "edlora" or not data.has_mask.any():
        return None
    recorder = AttentionRecorder()
    install_layerwise_attention(base.unet, recorder, attention=settings.attention)
    return recorder


def resume(run: Run, checkpoint: Checkpoint | None) -> None:
    """Put a checkpoint into a freshly prepared run; raises InputError if it is another run's."""
    if checkpoint is None:
        return
    check_identity(run.identity, checkpoint.identity)
    load_adapter_state(run.base, run.adapter, checkpoint.adapter)
    run.optimizer.load_state_dict(checkpoint.optimizer)
    if checkpoint.scaler and run.accelerator.scaler:
        run.accelerator.scaler.load_state_dict(checkpoint.scaler)
    run.step, run.frozen_words = checkpoint.step, checkpoint.frozen_words


def fit(run: Run, concept: Concept, work: Path, progress: ProgressCallback | None) -> None:
    """Do the remaining steps, with validation, checkpoints and logs on the main process."""
    main = run.accelerator.is_main_process
    log = RunLog(work, run.step) if main else None
    bar = TrainingBar(concept.name, run.settings.steps, run.step, visible=main and progress is None)
    with bar, casts_left_to_autocast(run.base), stop_requests() as stop:
        if run.step:
            bar.note(f"Going on after step {run.step}.")
        elif main:
            validate(run, work / "validation" / "step_0000.png")
        try:
            while run.step < run.settings.steps:
                values = train_step(run)
                stopping = agreed(run, stop)
                bar.update(run.step, values["loss"])
                if progress and main:
                    progress(run.step, run.settings.steps, values["loss"])
                if log:
                    log.write(run.step, values)
                    keep_state(run, work, log, stopping=stopping)
                if stopping:
                    bar.note(
                        f"Stopped after step {run.step}; the state is saved in {work}. "
                        "The same command goes on from there."
                    )
                    raise KeyboardInterrupt
        finally:
            if log:
                log.close()


@contextmanager
def casts_left_to_autocast(base: BaseModel) -> Iterator[None]:
    """Spare every LoRA layer a cast of its input to fp32, which autocast takes back at once."""
    from peft.helpers import disable_input_dtype_casting

    with disable_input_dtype_casting(base.unet), disable_input_dtype_casting(base.text_encoder):
        yield


def keep_state(run: Run, work: Path, log: RunLog, *, stopping: bool) -> None:
    """Save a checkpoint and draw a validation grid where they are due."""
    last = run.step == run.settings.steps
    if last or stopping or run.step % run.settings.checkpoint_every == 0:
        log.flush()
        save_checkpoint(work / "checkpoints", state_of(run), run.settings.keep_checkpoints)
    every = run.settings.validate_every
    if not last and not stopping and every and run.step % every == 0:
        validate(run, work / "validation" / f"step_{run.step:04d}.png")


def state_of(run: Run) -> Checkpoint:
    """Return everything the next step depends on."""
    scaler = run.accelerator.scaler
    return Checkpoint(
        step=run.step,
        position=run.step * run.samples_per_step,
        frozen_words=run.frozen_words,
        identity=run.identity,
        adapter=adapter_state(run.base, run.adapter),
        optimizer=run.optimizer.state_dict(),
        scaler=scaler.state_dict() if scaler else None,
    )


def agreed(run: Run, stop: threading.Event) -> bool:
    """Say whether any process was asked to stop, so that all leave the loop at the same step."""
    if run.accelerator.num_processes == 1:
        return stop.is_set()
    asked = torch.tensor(float(stop.is_set()), device=run.base.device)
    return bool(run.accelerator.reduce(asked, reduction="sum") > 0)


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event checked between steps; a second one acts at once."""
    stop = threading.Event()

    def ask(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    old = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def validate(run: Run, *paths: Path) -> None:
    """Draw one validation grid and save it under every path."""
    with run.accelerator.autocast():
        images = draw_validation(run.base, run.adapter, run.settings)
    for path in paths:
        save_grid(images, grid_labels(run.settings, run.adapter), path)


def finish(run: Run, concept: Concept, settings: Settings, out: Path) -> None:
    """Write the adapter and the last validation grid."""
    work = concept.folder / WORK_FOLDER
    validate(
        run, work / "validation" / f"step_{run.step:04d}.png", concept.folder / "validation.png"
    )
    save_adapter(run.base, run.adapter, out, adapter_metadata(run, concept, settings))


def adapter_metadata(run: Run, concept: Concept, settings: Settings) -> dict[str, Any]:
    """Return what the adapter's file says about its training, beside what is always there."""
    return {
        "steps": run.step,
        "images": len(concept.images),
        "training": asdict(settings.train),
        "data": run.data.digest,
    }


def _finished_message(name: str, steps: int) -> str:
    return (
        f"{name} is trained already ({steps} steps). To go on, give more: --steps {2 * steps}; "
        "to begin anew, give --restart."
    )
