"""The training loop of all networks: AdamW, cosine, average of weights, bf16, logs, resume."""

import json
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..configs.errors import InputError
from ..configs.files import replacing
from ..models.device import resolve_precision
from ..train.checkpoint import save_state
from .recipe_settings import LoopSettings

LOG_EVERY = 50

Loss = Callable[[int], dict[str, Tensor]]
Sampler = Callable[[nn.Module, Path], None]


def step_seed(seed: int, step: int) -> int:
    """One number per (seed, step), so that a resumed run draws what an unbroken one would."""
    return (seed * 1_000_003 + step) % 2**63


def learning_rate(settings: LoopSettings, step: int, used: float = 0.0) -> float:
    """Learning rate at a step: linear warm-up, then cosine to a hundredth of the peak.

    `used` is the used share of a time limit; the schedule follows whichever is further on.
    """
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    share = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    share = max(share, used)
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def fit(
    name: str, model: nn.Module, loss: Loss, settings: LoopSettings, work: Path, sample: Sampler
) -> nn.Module:
    """Train `model` to `settings.steps` and return its averaged copy.

    `loss(step)` gives named terms whose sum is minimised; it may use `model` through its closure
    and must draw from generators seeded by `step_seed`. `sample(average, path)` writes what the
    averaged model can do at intervals. State lies in `work/name.pt`; the same call resumes from it
    and ends with the same weights as an unbroken run.
    """
    if next(model.parameters()).is_cuda:
        model.to(memory_format=torch.channels_last)  # what a GPU's bf16 convolutions run on
    optimizer, average = _optimizer(model, settings), AveragedModel(model)
    average.eval().requires_grad_(False)
    checkpoint = work / f"{name}.pt"
    start, seconds = _resume(checkpoint, model, optimizer, average)
    if settings.compile:
        model.compile()
    began = time.perf_counter() - seconds
    with _Log(work, name, settings) as log:
        for step in range(start, settings.steps):
            used = _time_used(settings, seconds)
            if used >= 1:
                break
            terms, norm = _optimizer_step(model, optimizer, loss, settings, step, used)
            update_average(average, model, settings.ema_decay)
            log.step(step + 1, terms, norm)
            seconds = time.perf_counter() - began
            last = step + 1 == settings.steps or _time_used(settings, seconds) >= 1
            if last or (step + 1) % settings.checkpoint_every == 0:
                _save(checkpoint, step + 1, seconds, model, optimizer, average)
            if last or (step + 1) % settings.sample_every == 0:
                sample(average.module, work / f"{name}_{step + 1:06d}.png")
    return average.module


def update_average(average: AveragedModel, model: nn.Module, decay: float) -> None:
    """Move the exponential moving average towards the model, faster during the first steps."""
    count = int(average.n_averaged)
    average.multi_avg_fn = get_ema_multi_avg_fn(min(decay, (1 + count) / (10 + count)))
    average.update_parameters(model)


def _time_used(settings: LoopSettings, seconds: float) -> float:
    """The used share of the time limit, 0 without one."""
    return seconds / 60 / settings.minutes if settings.minutes else 0.0


def _optimizer(model: nn.Module, settings: LoopSettings) -> torch.optim.AdamW:
    """AdamW; biases and norms are not decayed."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay},
              {"params": others, "weight_decay": 0.0}]
    fused = next(model.parameters()).device.type == "cuda"
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.99), fused=fused)


def _optimizer_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss: Loss, settings: LoopSettings,
    step: int, used: float,
) -> tuple[dict[str, Tensor], Tensor]:
    """One optimiser step; returns the loss terms and the gradient's norm before clipping."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(settings, step, used)
    device = next(model.parameters()).device.type
    bf16 = settings.bf16 and resolve_precision("auto", device) == "bf16"
    with torch.autocast(device, torch.bfloat16) if bf16 else nullcontext():
        terms = loss(step)
    sum(terms.values()).backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return terms, norm


def _resume(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: AveragedModel
) -> tuple[int, float]:
    """Load what `_save` wrote, if anything; returns the steps done and the seconds they took.

    Raises InputError for a checkpoint that an older smalti wrote.
    """
    if not path.is_file():
        return 0, 0.0
    state = torch.load(path, map_location=next(model.parameters()).device, weights_only=True)
    if "average" not in state:
        raise InputError(f"An older smalti wrote {path}. Delete it, or take another --work.")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    average.load_state_dict(state["average"])
    return state["step"], state["seconds"]


def _save(
    path: Path, step: int, seconds: float, model: nn.Module, optimizer: torch.optim.Optimizer,
    average: AveragedModel,
) -> None:
    state = {"step": step, "seconds": seconds, "model": model.state_dict(),
             "optimizer": optimizer.state_dict(), "average": average.state_dict()}
    with replacing(path) as temporary:
        save_state(state, temporary)


class _Log:
    """Progress bar, JSONL and TensorBoard of one stage."""

    def __init__(self, work: Path, name: str, settings: LoopSettings) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.settings, self.name = settings, name
        self.jsonl = work / f"{name}.jsonl"
        self.board = SummaryWriter(str(work / "tensorboard" / name))
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"), TimeRemainingColumn(),
        )
        self.task = self.bar.add_task(name, total=settings.steps, note="")
        self.since = (time.perf_counter(), None)

    def __enter__(self) -> "_Log":
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()
        self.board.close()

    def step(self, step: int, terms: dict[str, Tensor], norm: Tensor) -> None:
        """Count a step; now and then read its losses off the device and write them down."""
        self.bar.update(self.task, completed=step)
        if step % LOG_EVERY and step != self.settings.steps:
            return
        then, before = self.since
        self.since = (time.perf_counter(), step)
        speed = (step - (before or step)) * self.settings.batch_size / (self.since[0] - then)
        values = {key: round(value.item(), 5) for key, value in terms.items()}
        row = {"step": step, "samples": step * self.settings.batch_size, **values,
               "gradient_norm": round(norm.item(), 4), "samples_per_second": round(speed, 1)}
        with self.jsonl.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
        for key, value in values.items():
            self.board.add_scalar(key, value, row["samples"])
        shown = " ".join(f"{key} {value:.4f}" for key, value in values.items())
        self.bar.update(self.task, note=f"{shown}  {speed:.0f} samples/s")
