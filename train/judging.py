"""Checkpoints judged while a run goes on: pictures at fixed prompts and seeds, and their curve."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from ..configs.mosaic import SamplerSettings
from ..models.denoising import draw_pictures
from ..models.edlora import save_adapter
from ..models.words import CONCEPT
from .curve import draw_curve
from .judged import CURVE, is_over, judged_path, prune, read_judged
from .run import Run


class CheckpointJudge(Protocol):
    """Says what pictures of a concept are worth; handed in, as judges stand above this room."""

    prompts: Sequence[str]
    """What is drawn, <concept> in it; a prompt's seed is its place."""

    def __call__(self, pictures: Tensor) -> tuple[float, float]:
        """Likeness and obedience, 0 to 1 each, of pictures [K, 3, H, W] of the prompts."""
        ...


@dataclass(frozen=True)
class Judging:
    """How the checkpoints of a run are judged."""

    judge: CheckpointJudge
    sampler: SamplerSettings
    metadata: Callable[[Run], dict[str, Any]]
    """What an adapter's file says of its training."""

    def is_due(self, run: Run) -> bool:
        """Whether the step that was just done is judged: every so many, and the last."""
        every, last = run.settings.judge_every, run.step == run.settings.steps
        return every is not None and (last or run.step % every == 0)

    def values(self, run: Run) -> dict[str, float]:
        """Likeness and obedience of the run as it is, for its log."""
        prompts = [text.replace(CONCEPT, run.adapter.trigger) for text in self.judge.prompts]
        sampler = self.sampler
        with run.accelerator.autocast():
            pictures = draw_pictures(
                run.base, prompts, [run.adapter], range(len(prompts)), sampler.steps,
                sampler.cfg_scale, scheduler=sampler.scheduler,
            )  # fmt: skip
        likeness, obedience = self.judge(pictures)
        return {"likeness": likeness, "obedience": obedience}

    def keep(self, run: Run, work: Path) -> None:
        """Keep the adapter of a judged step, forget the worst, draw the curve."""
        save_adapter(run.base, run.adapter, judged_path(work, run.step), self.metadata(run))
        prune(work, run.settings.keep_judged)
        draw_curve(read_judged(work), work / CURVE)


def over(run: Run, work: Path) -> bool:
    """Whether a run has waited for a better checkpoint as long as its patience lasts."""
    patience = run.settings.patience if run.settings.judge_every else None
    return is_over(read_judged(work), patience) if patience else False
