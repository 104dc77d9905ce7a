"""What the measurements of the starter share: pipeline, judge, corpus, prompts, rows."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from smalti.evaluate.judge import Judge
from smalti.evaluate.protocol import PAIRS
from smalti.starter.contact_sheets import save_contact_sheet
from smalti.starter.corpus import Corpus, load_corpus
from smalti.starter.recipe_settings import CorpusSettings
from smalti.starter.unet import draw

ROOT = Path(__file__).parents[1]
STEPS = 30
GLOBAL_PROMPTS = [pair.reference for pair in PAIRS]
LOCAL_PROMPTS = [pair.tile for pair in PAIRS]


@dataclass(frozen=True)
class Row:
    """One measured figure.

    `passed` is None where nothing is demanded or a person has to judge, `value` where the training
    pictures that it takes are not there.
    """

    section: str
    measure: str
    value: float | None
    unit: str = ""
    goal: str = ""
    passed: bool | None = None


@dataclass
class Bench:
    """What the sections share; everything is loaded or drawn when first needed."""

    model: Path
    corpus_file: Path
    lpips_file: Path
    work: Path
    images: int | None
    sheets: Path | None

    def count(self, full: int) -> int:
        """How many pictures to use where a full run uses `full`."""
        return min(full, self.images or full)

    @cached_property
    def device(self) -> str:
        """Where pictures are drawn; the speed is always measured on the CPU."""
        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def pipeline(self) -> StableDiffusionPipeline:
        """The model in the stock pipeline."""
        return load_pipeline(self.model).to(self.device)

    @cached_property
    def judge(self) -> Judge:
        """The model's own CLIP pair."""
        return Judge(self.model, self.device)

    @cached_property
    def corpus(self) -> Corpus:
        """The training pictures, split as for training."""
        self.work.mkdir(parents=True, exist_ok=True)
        return load_corpus(CorpusSettings(parquet=str(self.corpus_file)), self.work)

    @cached_property
    def local_pictures(self) -> Tensor:
        """Pictures of every local prompt, `[12 * each, 3, S, S]`."""
        return draw(self.pipeline, LOCAL_PROMPTS, each=self.count(16), steps=STEPS)

    @property
    def has_corpus(self) -> bool:
        """Whether the training pictures are there, which no installation brings."""
        return self.corpus_file.is_file()

    def sheet(self, name: str, pictures: Tensor, columns: int) -> None:
        """Write a contact sheet, if any are wanted."""
        if self.sheets:
            self.sheets.mkdir(parents=True, exist_ok=True)
            save_contact_sheet(pictures, self.sheets / f"{name}.png", columns)


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
