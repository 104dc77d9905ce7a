"""An automatic judge: which words fit a picture, and how alike two pictures are (CLIP).

The starter brings its own CLIP pair (`models/starter/clip/`), so judging needs no network. Any
folder that transformers' CLIPModel and CLIPTokenizer load will do.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize
from transformers import CLIPModel, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

from ..configs.errors import InputError

STARTER_CLIP = Path(__file__).parents[1] / "models" / "starter" / "clip"
TEMPLATES = ("{bare}", "{noun}", "a photo of {noun}", "a picture of {noun}")
BATCH = 64


class Judge:
    """A CLIP pair in evaluation mode.

    Args:
        folder: A CLIP folder (weights, tokenizer, preprocessor_config.json) or a starter folder
            that has one as `clip/`.
        device: Where it runs; features come back on the CPU.
        reader: Another CLIP folder whose tokenizer and preprocessor it takes, when it has none.

    Raises:
        InputError: `folder` holds no CLIP pair.
    """

    def __init__(
        self, folder: Path = STARTER_CLIP, device: str = "cpu", reader: Path | None = None
    ) -> None:
        inner = folder / "clip"
        folder = inner if inner.is_dir() else folder
        reader = reader or folder
        if not (reader / "preprocessor_config.json").is_file():
            raise InputError(f"No CLIP pair in {folder}; name a folder such as {STARTER_CLIP}.")
        self.device = torch.device(device)
        disable_progress_bar()
        clip = CLIPModel.from_pretrained(folder, dtype=torch.float32)
        self.clip = clip.to(self.device).eval().requires_grad_(False)
        self.tokenizer = CLIPTokenizer.from_pretrained(reader)
        self.mean, self.deviation = channel_scales(reader, self.device)

    @torch.no_grad()
    def image_features(self, images: Tensor) -> Tensor:
        """Unit-length embeddings [K, D] of images [K, 3, H, W] in [0, 1], any size; K >= 1.

        The shorter side is resized to the network's, then the middle square is taken.
        """
        return torch.cat([self._embedded(part) for part in images.split(BATCH)])

    def _embedded(self, images: Tensor) -> Tensor:
        square = middle_square(images.to(self.device), self.clip.config.vision_config.image_size)
        seen = self.clip.vision_model(pixel_values=(square - self.mean) / self.deviation)
        return normalize(self.clip.visual_projection(seen.pooler_output), dim=-1).cpu()

    @torch.no_grad()
    def text_features(self, texts: Sequence[str]) -> Tensor:
        """Unit-length embeddings [K, D] of texts, taken word for word."""
        tokens = self.tokenizer(list(texts), padding="max_length", truncation=True, max_length=77,
                                return_tensors="pt").to(self.device)
        read = self.clip.text_model(**tokens).pooler_output
        return normalize(self.clip.text_projection(read), dim=-1).cpu()

    def class_features(self, names: Sequence[str]) -> Tensor:
        """Unit-length embeddings [N, D] of what `names` mean, averaged over TEMPLATES.

        Prompt ensembling (Radford et al. 2021, section 3.1.4). A leading article is ignored.
        """
        texts = [text for name in names for text in wordings(name)]
        features = self.text_features(texts).view(len(names), len(TEMPLATES), -1)
        return normalize(features.mean(1), dim=-1)

    def probabilities(self, images: Tensor, names: Sequence[str]) -> Tensor:
        """Zero-shot probabilities [K, N]: which of `names` images [K, 3, H, W] in [0, 1] show."""
        scale = float(self.clip.logit_scale.exp())
        similarity = self.image_features(images) @ self.class_features(names).T
        return (scale * similarity).softmax(-1)

    def similarity(self, images: Tensor, texts: Sequence[str]) -> Tensor:
        """Cosine similarities [K, N] of images [K, 3, H, W] in [0, 1] and whole sentences."""
        return self.image_features(images) @ self.text_features(texts).T


def channel_scales(folder: Path, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation [1, 3, 1, 1] by which a vision network's folder wants images scaled."""
    facts = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    mean, deviation = (
        torch.tensor(facts[key], device=device).view(1, 3, 1, 1)
        for key in ("image_mean", "image_std")
    )
    return mean, deviation


def wordings(name: str) -> list[str]:
    """A class name in every template: "A cat" gives "cat", "a cat", "a photo of a cat", ..."""
    bare = name.strip().lower()
    for article in ("a ", "an ", "the "):
        bare = bare.removeprefix(article)
    noun = f"{'an' if bare[:1] in tuple('aeiou') else 'a'} {bare}"
    return [template.format(bare=bare, noun=noun) for template in TEMPLATES]


def middle_square(images: Tensor, side: int) -> Tensor:
    """Images [K, 3, H, W] in [0, 1] -> [K, 3, side, side]: antialiased resize, centre crop."""
    height, width = images.shape[-2:]
    if (height, width) != (side, side):
        scale = side / min(height, width)
        size = (round(height * scale), round(width * scale))
        images = interpolate(images.float(), size=size, mode="bicubic", antialias=True).clamp(0, 1)
    top, left = (images.shape[-2] - side) // 2, (images.shape[-1] - side) // 2
    return images[..., top : top + side, left : left + side].float()
