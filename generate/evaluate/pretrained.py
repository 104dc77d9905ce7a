"""The networks that judge mosaics, each only where its weights are: nothing is downloaded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ...models.lpips import Lpips
from .judge import Judge, channel_scales
from .metrics import RESOLUTIONS

CLIP_ID = "openai/clip-vit-large-patch14"
BLIP_ID = "Salesforce/blip-itm-base-coco"
# The published weights in transformers' layout; tokenizer and preprocessor are CLIP's.
HPS_ID = "adams-story/HPSv2-hf"
CONFIGS = ("config.json", "preprocessor_config.json", "tokenizer_config.json")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
CLIP_SCALE = 2.5  # of CLIPScore
GOOD_AND_BAD = ("Good photo.", "Bad photo.")


class Blip:
    """BLIP's image-text matching head in evaluation mode (Li et al. 2022), from a local folder."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from transformers import AutoTokenizer, BlipForImageTextRetrieval

        self.device = torch.device(device)
        model = BlipForImageTextRetrieval.from_pretrained(folder, dtype=torch.float32)
        self.model = model.to(self.device).eval().requires_grad_(False)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.mean, self.deviation = channel_scales(folder, self.device)

    @torch.no_grad()
    def matches(self, images: Tensor, text: str) -> Tensor:
        """Probabilities [K] that `text` describes images [K, 3, H, W] in [0, 1]."""
        side = self.model.config.vision_config.image_size
        square = interpolate(images.to(self.device).float(), (side, side), mode="bicubic",
                             antialias=True).clamp(0, 1)  # fmt: skip
        words = self.tokenizer([text] * len(images), return_tensors="pt").to(self.device)
        found = self.model(
            pixel_values=(square - self.mean) / self.deviation,
            input_ids=words["input_ids"],
            attention_mask=words["attention_mask"],
        )
        return found.itm_score.softmax(-1)[:, 1].cpu()


@dataclass(frozen=True)
class Judges:
    """All networks; those whose weights are not on this machine are None."""

    starter: Judge = field(default_factory=Judge)
    """starter-CLIP, which ships with smalti."""
    lpips: Lpips | None = None
    """LPIPS, AlexNet."""
    clip: Judge | None = None
    """OpenAI's CLIP."""
    blip: Blip | None = None
    """BLIP."""
    hps: Judge | None = None
    """HPSv2, a CLIP trained on people's preferences (Wu et al. 2023)."""

    def measurable(self) -> set[str]:
        """Columns that can be measured because networks that do not ship with smalti are here."""
        found = {f"lpips_{side}" for side in RESOLUTIONS} if self.lpips else set()
        found |= {"clip", "clip_iqa"} if self.clip else set()
        found |= {"hpsv2"} if self.hps else set()
        return found | ({"blip"} if self.blip else set())


def find_judges(lpips_file: Path | None, device: str = "cpu") -> Judges:
    """Load every network whose weights are here.

    Raises InputError when `lpips_file` is given and not there.
    """
    import transformers

    transformers.utils.logging.disable_progress_bar()
    clip, blip, hps = cached(CLIP_ID), cached(BLIP_ID), cached_hps()
    return Judges(
        starter=Judge(device=device),
        lpips=Lpips(lpips_file, setting="--lpips") if lpips_file else None,
        clip=Judge(clip, device) if clip else None,
        blip=Blip(blip, device) if blip else None,
        hps=Judge(hps, device, reader=clip) if hps else None,
    )


def cached(hub_id: str, configs: Sequence[str] = CONFIGS) -> Path | None:
    """Folder of a network in the hub's cache, None when it is not completely there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(hub_id, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    whole = all((folder / name).is_file() for name in configs)
    return folder if whole and _has_any(folder, WEIGHTS) else None


def cached_hps() -> Path | None:
    """Folder of HPSv2 in the hub's cache, None when it or the CLIP that reads for it is not."""
    return cached(HPS_ID, ("config.json",)) if cached(CLIP_ID) else None


def _has_any(folder: Path, names: Sequence[str]) -> bool:
    return any((folder / name).is_file() for name in names)


def clip_score(judge: Judge, images: Tensor, prompt: str) -> Tensor:
    """CLIPScore [K], 2.5 max(cos, 0), of images [K, 3, H, W] in [0, 1] (Hessel et al. 2021)."""
    return CLIP_SCALE * judge.similarity(images, [prompt])[:, 0].clamp(min=0)


def clip_iqa(judge: Judge, images: Tensor) -> Tensor:
    """CLIP-IQA "quality" [K] in [0, 1] of images [K, 3, H, W] in [0, 1] (Wang et al. 2023, Eq. 3).

    The pair of antonyms is theirs; the network is CLIP as it is, with positional embeddings.
    """
    scale = float(judge.clip.logit_scale.exp())
    return (scale * judge.similarity(images, GOOD_AND_BAD)).softmax(-1)[:, 0]
