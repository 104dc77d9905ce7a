"""One combination of the sweep: a copy of the concept folder, its training and its likeness."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

import torch
from PIL import Image

from smalti.configs.files import file_hash, write_json
from smalti.configs.settings import Settings, TrainSettings
from smalti.evaluate.likeness import ImageJudge, landmarks, likeness, photo_features
from smalti.evaluate.pictures import read_images
from smalti.models.bases import load_base
from smalti.models.concepts import WORK_FOLDER
from smalti.models.denoising import draw_pictures
from smalti.models.edlora import load_adapter, set_active
from smalti.models.locate import WEIGHTS, locate, weights_file
from smalti.models.pixels import to_pixels
from smalti.models.sheets import contact_sheet, in_rows
from smalti.train.concept import load_concept
from smalti.train.trainer import train_concept

IMAGES = 16
BATCH = 8  # images at once
PHOTOS = 8  # shown at the top of a sheet
RESULT = "result.json"


@dataclass(frozen=True)
class Rates:
    """The three learning rates."""

    embedding: float
    text_encoder: float
    unet: float


@dataclass(frozen=True)
class Result:
    """What one combination reached."""

    rank: int
    """LoRA rank."""
    rates: Rates
    """Learning rates."""
    steps: int
    """Training steps."""
    concept: float
    """Mean starter-CLIP similarity of images of `a <concept>` to the concept's photos."""
    class_word: float
    """The same of images of the bare class word, same seeds."""
    noise: float
    """The same of blobs of random colours: below it, `concept` proves nothing."""
    seconds: float
    """Time of the training, 0 when it was resumed."""

    @property
    def likeness(self) -> float:
        """What the adapter brings, if it is `credible`."""
        return self.concept - self.class_word

    @property
    def credible(self) -> bool:
        """Whether the images score above noise; rates that ruin the images raise likeness too."""
        return self.concept > self.noise


def combined(settings: Settings, rank: int, rates: Rates, steps: int) -> Settings:
    """Settings of one combination; validation grids show one prompt, the sheet shows the rest."""
    train = replace(
        settings.train,
        rank=rank,
        steps=steps,
        learning_rate_embedding=rates.embedding,
        learning_rate_text_encoder=rates.text_encoder,
        learning_rate_unet=rates.unet,
        validate_every=None,
        validation_prompts=("a <concept>",),
    )
    return replace(settings, train=train)


def folder_name(source: Path, settings: Settings, draw_steps: int) -> str:
    """A name that says the combination; its last digits depend on all that the result does.

    So a result is never taken for that of other photos, settings or weights of the base.
    """
    train, base = settings.train, locate(settings.base)
    files = [weights_file(base, part, settings.base.variant) for part in WEIGHTS]
    files += concept_files(source)
    facts = repr((settings, draw_steps, [file_hash(file) for file in files]))
    digest = sha256(facts.encode()).hexdigest()[:8]
    rate = f"{train.learning_rate_unet:g}"
    return f"{load_concept(source).name}-rank{train.rank}-unet{rate}-{train.steps}steps-{digest}"


def concept_files(folder: Path) -> list[Path]:
    """Photos, masks, captions and concept.toml; never an adapter or work of a training."""
    concept = load_concept(folder)
    files = [concept.folder / "concept.toml"]
    for item in concept.images:
        files += [item.path, item.path.with_suffix(".txt"), *([item.mask] if item.mask else [])]
    return [file for file in files if file.is_file()]


def copy_concept(folder: Path, target: Path) -> Path:
    """Copy what a concept is trained from."""
    target.mkdir(parents=True, exist_ok=True)
    for path in concept_files(folder):
        if not (target / path.name).exists():
            shutil.copy2(path, target / path.name)
    return target


def share_latents(target: Path, others: Path) -> None:
    """Take over encoded crops of another combination; their names say what they were made of."""
    work = target / WORK_FOLDER
    for path in sorted(others.glob(f"*/*/{WORK_FOLDER}/latents-*.safetensors")):
        if not (work / path.name).exists():
            work.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, work / path.name)


def run_combination(
    settings: Settings, source: Path, folder: Path, judge: ImageJudge, draw_steps: int
) -> Result:
    """Train and judge one combination in `folder`, unless its result is there already.

    settings: from `combined`. An unfinished training goes on. Raises InputError as `train_concept`.
    """
    if (found := read_result(folder)) is not None:
        return found
    copy = copy_concept(source, folder / load_concept(source).name)
    share_latents(copy, folder.parent)
    began, resumed = time.monotonic(), (copy / WORK_FOLDER / "checkpoints").is_dir()
    adapter_file = train_concept(copy, settings)
    seconds = 0.0 if resumed else time.monotonic() - began
    with_concept, without = draw_both(settings, adapter_file, draw_steps)
    files = [item.path for item in load_concept(copy).images]
    photos = photo_features(judge, files)
    result = Result(
        settings.train.rank,
        _rates(settings.train),
        settings.train.steps,
        float(likeness(judge, with_concept, photos).mean()),
        float(likeness(judge, without, photos).mean()),
        landmarks(judge, photos).noise,
        seconds,
    )
    write_sheet(files[:PHOTOS], with_concept, without, folder / "sheet.png")
    write_json(folder / RESULT, asdict(result))
    return result


def _rates(train: TrainSettings) -> Rates:
    return Rates(
        train.learning_rate_embedding, train.learning_rate_text_encoder, train.learning_rate_unet
    )


def read_result(folder: Path) -> Result | None:
    """The result of a finished combination, None when there is none or it is unreadable."""
    try:
        values = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return Result(**{**values, "rates": Rates(**values["rates"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def draw_both(
    settings: Settings, adapter_file: Path, steps: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [16, 3, H, W] of the concept, and of its class word by the bare base, same seeds."""
    base, sampler = load_base(settings.base, gradients=False), settings.mosaic.sampler
    adapter = load_adapter(base, adapter_file)

    def images(prompt: str, adapters: list) -> torch.Tensor:
        return draw_pictures(
            base, [prompt] * IMAGES, adapters, range(IMAGES), steps, sampler.cfg_scale,
            scheduler=sampler.scheduler, batch_size=BATCH,
        )  # fmt: skip

    with_concept = images(f"a {adapter.trigger}", [adapter])
    set_active(base, ())
    return with_concept, images(f"a {adapter.class_word}", [])


def write_sheet(
    photos: Sequence[Path], with_concept: torch.Tensor, without: torch.Tensor, path: Path
) -> None:
    """Photos above the concept's images above the class word's, eight to a row."""
    rows, names = [[Image.fromarray(to_pixels(p)) for p in read_images(photos)]], ["photos"]
    for name, images in (("concept", with_concept), ("class word", without)):
        own = in_rows(images, BATCH)
        rows += own
        names += [name, *[""] * (len(own) - 1)]
    contact_sheet(rows, path, names=names, side=128)
