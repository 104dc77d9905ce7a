"""ImageReward: how much people would like an image for a prompt (Xu et al. 2023, section 2.3).

BLIP's vision transformer looks, its text encoder reads the prompt with cross-attention to what was
seen, and linear layers turn the first token into one number. The published file holds BLIP in its
authors' layout; here the two encoders are transformers', whose names differ, and all sizes are read
from the weights. The package of the same name would need older versions of everything else.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from ..configs.errors import InputError
from .judge import middle_square

if TYPE_CHECKING:  # imported only where the weights are, as BLIP is
    from transformers import BlipVisionModel
    from transformers.models.blip.modeling_blip_text import BlipTextModel

HEAD_WIDTH = 64  # channels of an attention head in both encoders
MEAN, DEVIATION = 0.16717362830052426, 1.0333394966054072  # of the raw score on its own data
LONGEST = 35  # tokens of a prompt
# Images are scaled as for CLIP.
CHANNEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
CHANNEL_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
VISION, TEXT, HEAD = "blip.visual_encoder.", "blip.text_encoder.", "mlp.layers."
VISION_NAMES = {
    "cls_token": "embeddings.class_embedding",
    "pos_embed": "embeddings.position_embedding",
    "patch_embed.proj.": "embeddings.patch_embedding.",
    "blocks.": "encoder.layers.",
    "attn.qkv.": "self_attn.qkv.",
    "attn.proj.": "self_attn.projection.",
    "norm1.": "layer_norm1.",
    "norm2.": "layer_norm2.",
}

Weights = dict[str, Tensor]
Module = TypeVar("Module", bound=nn.Module)


class ImageReward:
    """The reward model in evaluation mode.

    Args:
        file: ImageReward.pt as published.
        reader: A folder with BERT's uncased tokenizer, such as any BLIP's.
        device: Where it runs; rewards come back on the CPU.

    Raises:
        InputError: `file` does not hold these weights.
    """

    def __init__(self, file: Path, reader: Path, device: str = "cpu") -> None:
        from transformers import AutoTokenizer

        weights = read_weights(file)
        self.device = torch.device(device)
        self.vision = vision_encoder(part(weights, VISION))
        self.text = text_encoder(part(weights, TEXT), self.vision.config.hidden_size)
        self.head = linear_head(part(weights, HEAD))
        for module in (self.vision, self.text, self.head):
            module.to(self.device).eval().requires_grad_(False)
        self.tokenizer = AutoTokenizer.from_pretrained(reader)
        self.mean, self.deviation = (
            torch.tensor(scale, device=self.device).view(1, 3, 1, 1)
            for scale in (CHANNEL_MEAN, CHANNEL_DEVIATION)
        )

    @torch.no_grad()
    def rewards(self, images: Tensor, text: str) -> Tensor:
        """Rewards [K] of images [K, 3, H, W] in [0, 1] for a prompt.

        In deviations from the mean over the images that the authors trained on.
        """
        square = middle_square(images.to(self.device), self.vision.config.image_size)
        seen = self.vision(pixel_values=(square - self.mean) / self.deviation).last_hidden_state
        words = self.tokenizer([text] * len(images), truncation=True, max_length=LONGEST,
                               return_tensors="pt").to(self.device)  # fmt: skip
        read = self.text(
            input_ids=words["input_ids"],
            attention_mask=words["attention_mask"],
            encoder_hidden_states=seen,
        ).last_hidden_state
        return ((self.head(read[:, 0])[:, 0] - MEAN) / DEVIATION).cpu()


def read_weights(file: Path) -> Weights:
    """The published weights; raises InputError when they are damaged or others."""
    try:
        weights = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no pickle raise anything
        raise InputError(f"{file} is damaged; delete it and download it again.") from error
    if not all(any(name.startswith(kind) for name in weights) for kind in (VISION, TEXT, HEAD)):
        raise InputError(f"{file} holds no ImageReward weights; delete it and download it again.")
    return weights


def part(weights: Weights, prefix: str) -> Weights:
    """The weights of one part, named within it."""
    own = {name: value for name, value in weights.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): value.float() for name, value in own.items()}


def vision_encoder(weights: Weights) -> "BlipVisionModel":
    """BLIP's vision transformer from its authors' names."""
    from transformers import BlipVisionConfig, BlipVisionModel

    width, _, patch, _ = weights["patch_embed.proj.weight"].shape
    patches = weights["pos_embed"].shape[1] - 1
    config = BlipVisionConfig(
        hidden_size=width,
        intermediate_size=len(weights["blocks.0.mlp.fc1.weight"]),
        num_hidden_layers=count(weights, "blocks"),
        num_attention_heads=width // HEAD_WIDTH,
        image_size=round(patches**0.5) * patch,
        patch_size=patch,
        layer_norm_eps=1e-6,
    )
    return filled(BlipVisionModel(config), {vision_name(name): w for name, w in weights.items()})


def vision_name(name: str) -> str:
    """The name in transformers of a weight of BLIP's vision transformer."""
    if name.startswith("norm."):
        return f"post_layer{name}"
    for theirs, ours in VISION_NAMES.items():
        name = name.replace(theirs, ours)
    return name


def text_encoder(weights: Weights, seen_width: int) -> "BlipTextModel":
    """BLIP's text encoder with cross-attention to features `seen_width` wide; names agree."""
    from transformers import BlipTextConfig
    from transformers.models.blip.modeling_blip_text import BlipTextModel

    weights.pop("embeddings.position_ids", None)  # a counter, no weight
    vocabulary, width = weights["embeddings.word_embeddings.weight"].shape
    config = BlipTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        encoder_hidden_size=seen_width,
        intermediate_size=len(weights["encoder.layer.0.intermediate.dense.weight"]),
        num_hidden_layers=count(weights, "encoder.layer"),
        num_attention_heads=width // HEAD_WIDTH,
        max_position_embeddings=len(weights["embeddings.position_embeddings.weight"]),
        layer_norm_eps=1e-12,
        is_decoder=True,  # gives it the cross-attention; it still reads in both directions
    )
    return filled(BlipTextModel(config, add_pooling_layer=False), weights)


def linear_head(weights: Weights) -> nn.Sequential:
    """The linear layers in their order; between them there was dropout only."""
    layers = []
    for index in sorted({int(name.split(".")[0]) for name in weights}):
        out, width = weights[f"{index}.weight"].shape
        own = {kind: weights[f"{index}.{kind}"] for kind in ("weight", "bias")}
        layers.append(filled(nn.Linear(width, out), own))
    return nn.Sequential(*layers)


def filled(module: Module, weights: Weights) -> Module:
    """The module with these weights, which must be all it has."""
    module.load_state_dict(weights)
    return module


def count(weights: Weights, prefix: str) -> int:
    """How many layers are named `prefix`.0, `prefix`.1, ..."""
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.")
    return 1 + max(int(found[1]) for name in weights if (found := pattern.match(name)))
