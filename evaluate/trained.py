"""What a trained concept is worth: pictures of it, and a mosaic, judged.

Pictures are drawn as the tiles of a mosaic that nothing guides are, with the settings' own sampler;
seeds and prompts are fixed, so that methods and trainings compare. Without an adapter the base
draws the class word: what an adapter must exceed in likeness, and reach in the rest.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from ..configs.files import file_hash, read_json, write_json
from ..configs.mosaic import changed
from ..configs.progress import silent
from ..configs.settings import Settings
from ..generate.mosaic import generate_mosaic
from ..models.denoiser import stacked
from ..models.denoising import denoise, make_scheduler
from ..models.pixels import to_pixels, write_png
from ..models.randomness import normal
from ..models.words import CONCEPT
from .jury import STARTER, Jury
from .likeness import fidelity_and_likeness, likeness
from .obedience import (
    BACKGROUNDS,
    STYLES,
    background_prompt,
    has_background,
    has_style,
    style_prompt,
)
from .scores import tile_similarity

if TYPE_CHECKING:
    from ..generate.engine import Engine

PLAIN = 8  # pictures of the concept alone
EACH = 2  # pictures of every background and style
BATCH = 8
RESULT = "result.json"
PICTURES = "pictures"


@dataclass(frozen=True)
class Trained:
    """Something to judge: a concept's adapter, or its class word without one."""

    method: str
    seed: int
    adapter: Path | None
    class_word: str
    seconds: float = 0.0
    """Time that the training's steps took."""


def scored(
    engine: "Engine", settings: Settings, one: Trained, folder: Path, jury: Jury, photos: Tensor
) -> dict[str, float | str]:
    """The scores of a training, worked out unless `folder` has those of this very adapter.

    settings.mosaic: the mosaic that is drawn, without its tiles; photos: embeddings [P, D] by
    jury.alike.
    """
    key = file_hash(one.adapter)[:16] if one.adapter else one.class_word
    found = read_json(folder / RESULT)
    if found and (found.get("key"), found.get("jury", STARTER)) == (key, jury.name):
        return found
    pictures = draw_all(engine, settings, one)
    for name, images in pictures.items():
        for number, image in enumerate(images):
            write_png(folder / PICTURES / f"{name}-{number:02d}.png", to_pixels(image), {})
    mosaic = draw_mosaic(engine, settings, one, folder / f"mosaic-{key}")
    scores = {
        **picture_scores(pictures, one.class_word, jury, photos),
        **{f"mosaic_{k}": v for k, v in fidelity_and_likeness(mosaic, jury.alike, photos).items()},
        "megabytes": one.adapter.stat().st_size / 1e6 if one.adapter else 0.0,
    }
    facts = {k: v for k, v in asdict(one).items() if k != "adapter"}
    result = {"key": key, "jury": jury.name, **facts, **scores, "mosaic": mosaic.name}
    write_json(folder / RESULT, result)
    return result


def draw_all(engine: "Engine", settings: Settings, one: Trained) -> dict[str, Tensor]:
    """Pictures [K, 3, H, W] in [0, 1]: of the concept alone, on backgrounds, in styles."""
    subject = CONCEPT if one.adapter else one.class_word
    prompts = {
        "plain": [f"a {subject}"] * PLAIN,
        "background": [background_prompt(color, subject) for color in BACKGROUNDS] * EACH,
        "style": [style_prompt(style, subject) for style in STYLES] * EACH,
    }
    return {
        name: draw_shown(engine, settings, one.adapter, texts) for name, texts in prompts.items()
    }


@torch.no_grad()
def draw_shown(
    engine: "Engine", settings: Settings, path: Path | None, prompts: Sequence[str]
) -> Tensor:
    """Pictures [K, 3, H, W] in [0, 1], as tiles without a guide; a picture's place is its seed."""
    base, mosaic = engine.base, settings.mosaic
    sampler, scale = mosaic.sampler, mosaic.picture.lora_scale
    words = engine.adapter(path).trigger if path else ""
    texts = [prompt.replace(CONCEPT, words) for prompt in prompts]
    guided = engine.guided(mosaic, path)
    shown = engine.encode(texts, path, scale)
    engine.activate(path, scale)
    side = base.resolution // base.latent_factor
    noise = [normal((base.latent_channels, side, side), n, "draw") for n in range(len(texts))]
    images = []
    for start in range(0, len(texts), BATCH):
        part = slice(start, start + BATCH)
        clean = denoise(
            guided,
            make_scheduler(base, sampler.scheduler, sampler.steps),
            torch.stack(noise[part]),
            stacked([shown[text] for text in texts[part]]),
        )
        images.append(base.decode(clean).clamp(0, 1).float().cpu())
    return torch.cat(images)


def draw_mosaic(engine: "Engine", settings: Settings, one: Trained, folder: Path) -> Path:
    """Draw the mosaic of a concept, or of its class word, and return its folder."""
    word = one.class_word
    tiles = (
        {"tile_lora": (str(one.adapter),)}
        if one.adapter
        else {"tile_prompt": (f"a {word} on a <color> background", f"a {word}")}
    )
    own = replace(settings, mosaic=changed(settings.mosaic, **tiles))
    generate_mosaic(own, folder, concepts_dir=folder.parent, engine=engine, progress=silent)
    return folder


def picture_scores(
    pictures: dict[str, Tensor], class_word: str, jury: Jury, photos: Tensor
) -> dict[str, float]:
    """Likeness, obedience (shares) and variety (one less the mean similarity of pictures)."""
    backgrounds, styles = (list(names) * EACH for names in (BACKGROUNDS, STYLES))
    plain = pictures["plain"]
    alike = tile_similarity(jury.alike.image_features(plain))
    return {
        "likeness": float(likeness(jury.alike, plain, photos).mean()),
        "background": float(has_background(pictures["background"], backgrounds).mean()),
        "style": float(has_style(jury.words, pictures["style"], styles, class_word).mean()),
        "variety": 1.0 - float(alike or 0.0),
    }


def shown_pictures(folder: Path, mosaic: str) -> list[Image.Image]:
    """A row of a sheet: some of the pictures that `scored` left in a folder, and its mosaic."""
    wanted = [("plain", n) for n in (0, 1, 2)]
    wanted += [("background", n) for n in (0, 1, 2)] + [("style", n) for n in (0, 1, 2)]
    files = [folder / PICTURES / f"{name}-{number:02d}.png" for name, number in wanted]
    return [Image.open(file) for file in (*files, folder / mosaic / "mosaic.png")]
