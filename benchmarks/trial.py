"""One training of a recipe's trial: a copy of the concept, its adapter, and what it is worth."""

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import mean

import eyes
from named_colors import COLORS, border_mean, nearest_color
from PIL import Image
from scenes import engine_for
from torch import Tensor

from smalti.configs.files import file_hash, write_json
from smalti.configs.mosaic import changed
from smalti.configs.settings import Settings
from smalti.evaluate.likeness import ImageJudge, fidelity_and_likeness, likeness, photo_features
from smalti.evaluate.pictures import read_tiles
from smalti.generate.mosaic import generate_mosaic
from smalti.models.bases import load_base
from smalti.models.concepts import WORK_FOLDER
from smalti.models.denoising import draw_pictures
from smalti.models.edlora import load_adapter
from smalti.models.locate import WEIGHTS, locate, weights_file
from smalti.models.sheets import contact_sheet, in_rows
from smalti.train.concept import load_concept
from smalti.train.trainer import train_concept

IMAGES = 16
BATCH = 8  # images at once, and in a row of the sheet
BACKGROUNDS = ("red", "green", "blue", "yellow")
RESULT = "result.json"


@dataclass(frozen=True)
class Result:
    """What one training reached."""

    concept: str
    """Its name."""
    seed: int
    """The training's seed."""
    seconds: float
    """Time of the training, 0 when it was resumed."""
    megabytes: float
    """Size of the adapter's file."""
    unguided: float
    """Mean starter-CLIP similarity of 16 pictures of `a <concept>` to the concept's photos."""
    background: float
    """Share of pictures `a <concept> on a red background`, and so on, whose border is red."""
    guided: float
    """Likeness of the tiles of a mosaic of the astronaut, as `unguided`."""
    class_word: float
    """The same of that mosaic without the adapter: what `guided` must exceed."""
    eyes: float
    """How clearly eyes are seen in these tiles (`eyes.py`), NaN without known landmarks."""
    ssim: float
    """SSIM@64 of that mosaic."""


def trial_folder(source: Path, settings: Settings, name: str) -> str:
    """A name that says concept and seed; its last digits depend on all that the result does."""
    base = locate(settings.base)
    files = [weights_file(base, part, settings.base.variant) for part in WEIGHTS]
    facts = repr((settings, [file_hash(file) for file in [*files, *concept_files(source)]]))
    digest = sha256(facts.encode()).hexdigest()[:8]
    return f"{name}-{load_concept(source).name}-seed{settings.train.seed}-{digest}"


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
    """Take over encoded crops of another trial; their names say what they were made of."""
    work = target / WORK_FOLDER
    for path in sorted(others.glob(f"*/*/{WORK_FOLDER}/latents-*.safetensors")):
        if not (work / path.name).exists():
            work.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, work / path.name)


def run_trial(settings: Settings, source: Path, folder: Path, judge: ImageJudge) -> Result:
    """Train in `folder` and judge, unless the result is there; an unfinished training goes on.

    settings.mosaic: the mosaic that is drawn of the concept, without `tile_lora`. Raises
    InputError as `train_concept` does.
    """
    if (found := read_result(folder)) is not None:
        return found
    copy = copy_concept(source, folder / load_concept(source).name)
    share_latents(copy, folder.parent)
    began, resumed = time.monotonic(), (copy / WORK_FOLDER / "checkpoints").is_dir()
    adapter_file = train_concept(copy, settings)
    seconds = 0.0 if resumed else time.monotonic() - began
    plain, backgrounds = draw_unguided(settings, adapter_file)
    guided = draw_mosaic(settings, folder / "mosaic", tile_lora=(str(copy),))
    word = load_concept(copy, settings.train.class_word).class_word
    bare = draw_mosaic(settings, folder / "class-word", tile_prompt=(f"a {word}",))
    photos = photo_features(judge, [item.path for item in load_concept(copy).images])
    scores = fidelity_and_likeness(guided, judge, photos)
    result = Result(
        concept=copy.name,
        seed=settings.train.seed,
        seconds=seconds,
        megabytes=adapter_file.stat().st_size / 1e6,
        unguided=float(likeness(judge, plain, photos).mean()),
        background=obedience(backgrounds),
        guided=scores["likeness"],
        class_word=fidelity_and_likeness(bare, judge, photos)["likeness"],
        eyes=eyes_in(guided, copy),
        ssim=scores["ssim"],
    )
    write_sheet(plain, backgrounds, guided, folder / "sheet.png")
    write_json(folder / RESULT, asdict(result))
    return result


def read_result(folder: Path) -> Result | None:
    """The result of a finished trial, None when there is none or it is unreadable."""
    try:
        return Result(**json.loads((folder / RESULT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def draw_unguided(settings: Settings, adapter_file: Path) -> tuple[Tensor, Tensor]:
    """Pictures [16, 3, H, W] of the concept, and as many on coloured backgrounds, in [0, 1]."""
    base, sampler = load_base(settings.base, gradients=False), settings.mosaic.sampler
    adapter = load_adapter(base, adapter_file)
    scene = [f"a {adapter.trigger} on a {color} background" for color in BACKGROUNDS]

    def images(prompts: Sequence[str]) -> Tensor:
        return draw_pictures(
            base, prompts, [adapter], range(IMAGES), sampler.steps, sampler.cfg_scale,
            scheduler=sampler.scheduler, batch_size=BATCH,
        )  # fmt: skip

    return images([f"a {adapter.trigger}"] * IMAGES), images(scene * (IMAGES // len(scene)))


def draw_mosaic(settings: Settings, folder: Path, **tiles: tuple[str, ...]) -> Path:
    """Draw the trial's mosaic of these tiles, unless it is there; return its folder."""
    own = replace(settings, mosaic=changed(settings.mosaic, **tiles))
    engine = engine_for(own.base, own.mosaic.machine)
    generate_mosaic(own, folder, concepts_dir=folder.parent, engine=engine)
    return folder


def obedience(pictures: Tensor) -> float:
    """Share of pictures [K, 3, H, W], of BACKGROUNDS in turn, whose border has the colour named."""
    wanted = [COLORS.index(color) for color in BACKGROUNDS] * (len(pictures) // len(BACKGROUNDS))
    return float((nearest_color(border_mean(pictures)) == wanted).mean())


def eyes_in(mosaic: Path, concept: Path) -> float:
    """Mean clarity of the concept's eyes in a mosaic's tiles, NaN where none are known."""
    if concept.name not in eyes.all_boxes():
        return float("nan")
    _, strips = eyes.read_photos(concept)
    opened = [strip for strip in strips if strip is not None]
    return mean(eyes.clarity(eyes.details(tile), opened) for tile in read_tiles(mosaic))


def write_sheet(plain: Tensor, backgrounds: Tensor, mosaic: Path, path: Path) -> None:
    """The concept's pictures, those on backgrounds, and the mosaic's first sixteen tiles."""
    rows: list[list[Image.Image]] = []
    names: list[str] = []
    shown = {"concept": plain, "on colours": backgrounds, "tiles": read_tiles(mosaic)[:IMAGES]}
    for name, images in shown.items():
        own = in_rows(images, BATCH)
        rows, names = rows + own, [*names, name, *[""] * (len(own) - 1)]
    contact_sheet(rows, path, names=names, side=128)
