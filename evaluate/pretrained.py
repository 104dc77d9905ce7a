"""The networks that judge mosaics, each only where its weights are: nothing is downloaded."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ..models.lpips import Lpips
from ..models.metrics import RESOLUTIONS
from .image_reward import ImageReward
from .judge import Judge, channel_scales
from .networks import BLIP, CLIP, HPS, REWARD, Network

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
    reward: ImageReward | None = None
    """ImageReward, a BLIP trained on them (Xu et al. 2023)."""

    def measurable(self) -> set[str]:
        """Columns that can be measured because networks that do not ship with smalti are here."""
        here: dict[Network, object] = {
            CLIP: self.clip, BLIP: self.blip, HPS: self.hps, REWARD: self.reward
        }  # fmt: skip
        found = {column for network, judge in here.items() if judge for column in network.columns}
        return found | ({f"lpips_{side}" for side in RESOLUTIONS} if self.lpips else set())


def find_judges(lpips_file: Path | None, device: str = "cpu") -> Judges:
    """Load every network whose weights are here.

    Raises InputError when `lpips_file` is given and not there, or ImageReward's file is damaged.
    """
    import transformers

    transformers.utils.logging.disable_progress_bar()
    clip, blip, hps, reward = (network.folder() for network in (CLIP, BLIP, HPS, REWARD))
    return Judges(
        starter=Judge(device=device),
        lpips=Lpips(lpips_file, setting="--lpips") if lpips_file else None,
        clip=Judge(clip, device) if clip else None,
        blip=Blip(blip, device) if blip else None,
        hps=Judge(hps, device, reader=clip) if hps else None,
        reward=ImageReward(reward / REWARD.file, blip, device) if reward else None,
    )


def clip_score(judge: Judge, images: Tensor, prompt: str) -> Tensor:
    """CLIPScore [K], 2.5 max(cos, 0), of images [K, 3, H, W] in [0, 1] (Hessel et al. 2021)."""
    return CLIP_SCALE * judge.similarity(images, [prompt])[:, 0].clamp(min=0)


def clip_iqa(judge: Judge, images: Tensor) -> Tensor:
    """CLIP-IQA "quality" [K] in [0, 1] of images [K, 3, H, W] in [0, 1] (Wang et al. 2023, Eq. 3).

    The pair of antonyms is theirs; the network is CLIP as it is, with positional embeddings.
    """
    scale = float(judge.clip.logit_scale.exp())
    return (scale * judge.similarity(images, GOOD_AND_BAD)).softmax(-1)[:, 0]
