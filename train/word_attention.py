"""Where a step's pictures attend to the concept's words: what the attention regulariser reads."""

import math
from collections import defaultdict
from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from ..configs.errors import InputError
from ..configs.settings import TrainSettings
from ..models.attention import TEXT_LENGTH, AttentionRecorder
from ..models.base import BaseModel
from ..models.device import without_autocast
from ..models.edlora import Adapter
from .captions import places_of
from .dataset import LatentSet
from .losses import attention_loss
from .run import Run


def make_recorder(
    base: BaseModel, adapter: Adapter, data: LatentSet, settings: TrainSettings
) -> AttentionRecorder | None:
    """Install the attention recorder if the regulariser has layer-wise words and masks."""
    if settings.attention_weight == 0 or not adapter.layerwise or not data.has_mask.any():
        return None
    recorder = AttentionRecorder()
    base.set_attention(gradients=True, recorder=recorder)
    return recorder


def regulariser(
    run: Run, recorder: AttentionRecorder, prompts: Sequence[str], subject: Tensor, mask: Tensor
) -> Tensor:
    """The attention loss, a scalar, of the maps that `recorder` holds.

    subject: [B, 1, h, w], share of the subject; mask: [B], which samples have one.
    """
    places = torch.stack([word_places(run, prompt) for prompt in prompts]).to(subject.device)
    full = run.settings.attention_full_identity
    # Each map is divided by its maximum, which may be tiny: fp16 has no such slopes.
    with without_autocast(subject.device):
        maps = word_maps(recorder.maps, places, subject.shape[-2:])
        return attention_loss(maps, subject, mask, full_identity=full)


def word_places(run: Run, prompt: str) -> Tensor:
    """Return the place [words] of each concept word among the prompt's tokens.

    Raises InputError when a prompt is so long that it is cut before the concept; captions are
    made to fit before (see `captions.py`).
    """
    if prompt not in run.word_places:
        places = places_of(run.base, run.adapter, prompt)
        if places is None:
            raise InputError(
                f'The caption "{prompt[:60]}..." is cut off before <concept>, as it is too long. '
                "Move <concept> to its front."
            )
        run.word_places[prompt] = places
    return run.word_places[prompt]


def word_maps(
    maps: Sequence[tuple[int, Tensor]], places: Tensor, latent_size: Sequence[int]
) -> dict[int, Tensor]:
    """Average maps over heads and over the layers of a resolution: {height: [B, words, h, w]}.

    `maps` holds (layer, [B, heads, h*w, 77]); `places` is [B, words].
    """
    grouped: dict[int, list[Tensor]] = defaultdict(list)
    # A product with ones and zeros: the gradient of an indexed map costs more than the map.
    chosen = F.one_hot(places, TEXT_LENGTH).float()
    for _, attention in maps:
        height = round(math.sqrt(attention.shape[2] * latent_size[0] / latent_size[1]))
        words = chosen @ attention.mean(dim=1).mT
        grouped[height].append(rearrange(words, "b words (h w) -> b words h w", h=height))
    return {height: torch.stack(group).mean(dim=0) for height, group in grouped.items()}
