"""The training set: every crop encoded once, kept on disk under a key of its contents."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from ..configs.files import replacing
from ..configs.progress import Report, silent
from ..configs.settings import TrainSettings
from ..models.pixels import flatten
from .concept import Concept, ImageItem, open_image
from .crops import Crop, make_crop
from .identity import content_hash, data_digest, digest
from .lighting import draw_lights, relit

if TYPE_CHECKING:
    from PIL import Image

    from ..models.base import BaseModel

# Raise it when crops change, so that no latents of an older smalti are taken for ours.
CACHE_VERSION = 5
# Relit copies of every crop: so many that their colours are not learned by heart.
LIGHTS = 8
# Pixels that the encoder takes at once: four images of 512 px.
ENCODE_PIXELS = 2**20


@dataclass(frozen=True)
class LatentSet:
    """Encoded crops of a concept; entry [i, k] is crop k of image i."""

    latents: torch.Tensor
    """[N, K, 1 + lights, C, h, w], scaled as the UNet expects, fp32 on the CPU: a crop as it is,
    then its relit copies."""
    subject: torch.Tensor
    """[N, K, 1, h, w], share of the subject in each latent pixel, by area; ones without a mask."""
    padding: torch.Tensor
    """[N, K, 1, h, w], share of real picture in each latent pixel."""
    has_mask: torch.Tensor
    """[N] bool."""
    captions: tuple[str | None, ...]
    """Own caption of each image, None where templates are used."""
    digest: str
    """Key of everything the set depends on (see `latents_digest`)."""
    frames: torch.Tensor | None = None
    """[N, K, 4], what each crop shows of its original (see `Crop.frame`); None where it is not
    known, as an earlier smalti did not keep it."""

    @property
    def images(self) -> int:
        """Number of images."""
        return self.latents.shape[0]

    @property
    def crops(self) -> int:
        """Number of crops per image."""
        return self.latents.shape[1]

    @property
    def lights(self) -> int:
        """Number of relit copies per crop."""
        return self.latents.shape[2] - 1


def build_latents(
    concept: Concept,
    base: "BaseModel",
    settings: TrainSettings,
    cache: Path | None = None,
    report: Report = silent,
) -> LatentSet:
    """Return the concept's encoded crops.

    They come from the folder `cache` when nothing that shapes them has changed; `report` is told
    of each image that is encoded. Older files in `cache` are removed.
    """
    digest = latents_digest(concept, base, settings)
    path = cache / f"latents-{digest}.safetensors" if cache else None
    tensors = _read(path) if path else None
    if tensors is None:
        tensors = _encode(concept, base, settings, report)
        if path:
            _write(path, tensors)
    captions = tuple(item.caption for item in concept.images)
    return LatentSet(**tensors, captions=captions, digest=digest)


def latents_digest(concept: Concept, base: "BaseModel", settings: TrainSettings) -> str:
    """Return a short key of what the latents depend on: data, crop settings, encoder."""
    shaping = [
        settings.crops_per_image,
        settings.flip,
        settings.use_masks,
        settings.seed,
        settings.relit_share > 0,
        concept.class_word,
    ]
    return digest(
        [
            CACHE_VERSION,
            data_digest(concept, settings),
            shaping,
            base.resolution,
            base.vae_fingerprint,
            str(base.dtype),
        ]
    )


def _encode(
    concept: Concept,
    base: "BaseModel",
    settings: TrainSettings,
    report: Report,
) -> dict[str, torch.Tensor]:
    """Cut and encode image by image, so that no more than one image's crops are in memory."""
    rows, has_mask = [], []
    lights = LIGHTS if settings.relit_share else 0
    for item in concept.images:
        image, mask = image_and_mask(item, settings.use_masks)
        has_mask.append(mask is not None)
        # Keyed by content, so that adding an image leaves the crops of the others as they were.
        seed = (settings.seed, int(content_hash(item.path)[:15], 16))
        crops = [
            make_crop(image, mask, concept.class_word, base.resolution, k, settings.flip, seed)
            for k in range(settings.crops_per_image)
        ]
        rows.append(_encode_crops(base, crops, lights, Random(str(seed))))
        report(len(rows), len(concept.images), "encoding images")
    tensors = {key: torch.stack([row[key] for row in rows]) for key in rows[0]}
    return {**tensors, "has_mask": torch.tensor(has_mask)}


def image_and_mask(
    item: ImageItem, use_masks: bool = True
) -> "tuple[Image.Image, Image.Image | None]":
    """The picture and mask of a concept's image; a cut-out's transparency serves as mask."""
    opened, mask = open_image(item)
    image, alpha = flatten(opened)
    if not use_masks:
        return image, None
    return image, mask if mask is not None else alpha


@torch.no_grad()
def _encode_crops(
    base: "BaseModel", crops: list[Crop], lights: int, random: Random
) -> dict[str, torch.Tensor]:
    """Entry k: crop k in its own light, then in `lights` drawn ones."""
    images = torch.stack([crop.image for crop in crops])
    copies = [relit(images, draw_lights(random, len(images))) for _ in range(lights)]
    views = torch.stack([images, *copies], dim=1)
    batch = max(1, ENCODE_PIXELS // base.resolution**2)
    latents = [base.encode(part).float().cpu() for part in views.flatten(0, 1).split(batch)]
    latents = torch.cat(latents).unflatten(0, views.shape[:2])
    size = latents.shape[-2:]
    return {
        "latents": latents,
        "subject": F.adaptive_avg_pool2d(torch.stack([crop.subject for crop in crops]), size),
        "padding": F.adaptive_avg_pool2d(torch.stack([crop.padding for crop in crops]), size),
        "frames": torch.stack([crop.frame for crop in crops]),
    }


def _read(path: Path) -> dict[str, torch.Tensor] | None:
    try:
        return load_file(path)
    except (OSError, SafetensorError):
        # Missing or cut short by a crash: encoding again is always possible.
        return None


def _write(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    for old in path.parent.glob("latents-*.safetensors"):
        old.unlink()
    with replacing(path) as temporary:
        save_file({key: value.contiguous() for key, value in tensors.items()}, temporary)
