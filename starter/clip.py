"""Third stage: a CLIP pair on the same pictures and captions (Radford et al. 2021)."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

from .prepare import Prepared
from .recipe_settings import ClipSettings, RecipeSettings
from .rendering import render
from .tokenizer import LENGTH, load_tokenizer
from .training_loop import fit, step_seed

MEAN = DEVIATION = 0.5  # of the image preprocessing, every channel
LARGEST_LOGIT_SCALE = 4.6052  # log 100


def new_clip(settings: ClipSettings, vocabulary: int, resolution: int) -> CLIPModel:
    """CLIP with pre-norm transformers of `width`; the last two tokens are start and end."""
    shape = {"hidden_size": settings.width, "intermediate_size": 4 * settings.width,
             "num_attention_heads": settings.heads, "projection_dim": settings.width,
             "hidden_act": "gelu"}
    marks = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1,
             "pad_token_id": vocabulary - 1}
    text = CLIPTextConfig(vocab_size=vocabulary, num_hidden_layers=settings.text_layers,
                          max_position_embeddings=LENGTH, **shape, **marks)
    vision = CLIPVisionConfig(num_hidden_layers=settings.image_layers, image_size=resolution,
                              patch_size=settings.patch, **shape)
    return CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(),
                                projection_dim=settings.width))


class Embedding(nn.Module):
    """Both halves as one forward: unit-length picture and caption embeddings."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, pictures: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures `[K, 3, S, S]` in [0, 1] and token ids `[K, 77]` to `[K, D]` twice."""
        clip = self.clip
        seen = clip.vision_model(pixel_values=(pictures - MEAN) / DEVIATION).pooler_output
        read = clip.text_model(input_ids=tokens).pooler_output
        seen, read = clip.visual_projection(seen), clip.text_projection(read)
        return F.normalize(seen.float(), dim=-1), F.normalize(read.float(), dim=-1)


def contrastive_loss(seen: Tensor, read: Tensor, scale: Tensor, tokens: Tensor) -> Tensor:
    """Symmetric cross-entropy over a batch (Radford et al. 2021, Figure 3).

    `seen` and `read` `[K, D]` have unit length, `scale` is the log of the inverse temperature.
    Samples with the very same caption `[K, 77]` count as one another's match.
    """
    logits = scale.clamp(max=LARGEST_LOGIT_SCALE).exp() * seen @ read.T
    same = (tokens[:, None] == tokens[None]).all(-1).float()
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def train_clip(settings: RecipeSettings, prepared: Prepared, work: Path) -> CLIPModel:
    """Train on composed samples and their captions."""
    ours, corpus = settings.clip, prepared.corpus
    device = corpus.images.device
    torch.manual_seed(ours.seed)
    vocabulary = len(load_tokenizer(prepared.tokenizer_folder))
    model = Embedding(new_clip(ours, vocabulary, settings.corpus.resolution)).to(device)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        generator = np.random.default_rng([step_seed(ours.seed, step), 2])
        chosen = generator.integers(len(prepared.compositions), size=ours.batch_size)
        pictures = render(corpus, prepared.compositions.select(chosen))
        return pictures, torch.from_numpy(prepared.tokens[chosen]).long().to(device)

    def loss(step: int) -> dict[str, Tensor]:
        pictures, tokens = batch(step)
        seen, read = model(pictures, tokens)
        return {"contrast": contrastive_loss(seen, read, model.clip.logit_scale, tokens)}

    def sample(average: nn.Module, path: Path) -> None:
        pictures, tokens = batch(2**40)
        seen, read = average(pictures, tokens)
        hit = (seen @ read.T).argmax(1) == torch.arange(len(seen), device=device)
        found = f"caption found among {len(hit)}: {hit.float().mean():.3f}\n"
        path.with_suffix(".txt").write_text(found, encoding="utf-8")

    return fit("clip", model, loss, ours, work, sample).clip
