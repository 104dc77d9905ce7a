"""Settings of stage one: how a concept folder becomes an adapter (`mosaic-train`)."""

from dataclasses import dataclass
from typing import ClassVar

from .fields import MAX_SEED, Group, setting
from .machine import ATTENTIONS, PRECISIONS

TRAIN_METHODS = ("edlora", "lora")
TARGETS = ("attention", "all")
OPTIMIZERS = ("adamw", "adamw8bit")
MAX_STEPS = 10_000_000


@dataclass(frozen=True)
class TrainSettings(Group):
    """Stage one: how a concept folder becomes an adapter (`mosaic-train`)."""

    section: ClassVar[str] = "train"

    method: str = setting("edlora", choices=TRAIN_METHODS)
    """"edlora" (layer-wise concept words and LoRA) or "lora" (one vector per word and LoRA)."""
    class_word: str = ""
    """What the concept is, one word the text encoder knows ("girl", "dog", "mug");
    empty: read concept.toml, else "thing"."""
    targets: str = setting("attention", choices=TARGETS)
    """What of the UNet learns: "attention" (its attention linears, as published) or "all" (every
    linear and convolution, which small networks need to draw a shape that is new to them)."""
    rank: int = setting(4, at_least=1, at_most=1024)
    """Rank of the LoRA matrices."""
    lora_alpha: float | None = setting(None, above=0, at_most=65_536, none="auto")
    """LoRA alpha; the effective scale is alpha / rank. "auto" is alpha = rank, so scale 1."""
    learning_rate_embedding: float = setting(1e-3, at_least=0, at_most=10)
    """Learning rate of the concept words."""
    learning_rate_text_encoder: float = setting(1e-5, at_least=0, at_most=10)
    """Learning rate of the text encoder's LoRA."""
    learning_rate_unet: float = setting(1e-4, at_least=0, at_most=10)
    """Learning rate of the UNet's LoRA."""
    weight_decay: float = setting(0.01, at_least=0, at_most=10)
    """AdamW weight decay, on every group."""
    steps: int = setting(2000, at_least=1, at_most=MAX_STEPS, identity=False)
    """Optimiser steps."""
    batch_size: int = setting(4, at_least=1, at_most=4096)
    """Samples per optimiser step and process."""
    gradient_accumulation: int = setting(1, at_least=1, at_most=4096)
    """Micro-batches that one optimiser step sums up."""
    gradient_clip: float | None = setting(1.0, above=0, at_most=1e6, none="off")
    """Largest norm of the gradient, or "off"."""
    gradient_checkpointing: bool = setting(False, identity=False)
    """Recompute activations in the backward pass: less memory, about a third slower."""
    optimizer: str = setting("adamw", choices=OPTIMIZERS)
    """"adamw", or "adamw8bit" with bitsandbytes installed."""
    mixed_precision: str = setting("auto", choices=PRECISIONS, identity=False)
    """"no", "fp16" or "bf16", or "auto": bf16 where the processor computes in it. Adapter weights
    stay fp32 in every case, and a run that goes on computes as it began."""
    attention: str = setting("sdpa", choices=ATTENTIONS, identity=False)
    """"sdpa" (torch), or "xformers" where it is installed."""
    noise_offset: float = setting(0.01, at_least=0, at_most=10)
    """Strength of the per-channel constant added to the noise."""
    min_snr_gamma: float | None = setting(None, above=0, at_most=1e4, none="off")
    """Timesteps are drawn in proportion to the min-SNR loss weights (Hang et al. 2023) of this
    gamma, 5 is usual; "off" draws all alike."""
    embedding_norm_limit: float | None = setting(0.55, above=0, at_most=1e4, none="off")
    """Concept words whose mean norm reaches this, and 1.5 times that at their start, are frozen;
    "off" lets them grow."""
    background_weight: float = setting(0.1, at_least=0, at_most=1)
    """Weight of the loss outside the subject mask, 0 to 1."""
    detail_emphasis: float = setting(0.0, at_least=0, at_most=10)
    """How much more the detailed parts of the subject weigh in the loss, as an exponent of their
    contrast; 0 weighs all alike."""
    use_masks: bool = True
    """Use NAME.mask.png beside an image where it is there."""
    attention_weight: float = setting(0.0025, at_least=0, at_most=100)
    """Weight of the attention regulariser (masked images and "edlora" only) beside a denoising
    loss that is a mean over channels; 0.0025 is the published 0.01 beside a sum over four."""
    attention_full_identity: bool = False
    """Pull the second word's attention onto the whole mask (clothes are part of the identity)."""
    crops_per_image: int = setting(8, at_least=1, at_most=1000)
    """Random crops of each image whose latents are cached before training."""
    relit_share: float = setting(0.0, at_least=0, at_most=1)
    """Share of steps that show the crops under random light, as the tiles of a mosaic are (their
    captions say "colored light"); 0 is none."""
    flip: bool = False
    """Also mirror crops; leave off for faces and lettering."""
    orthogonal: int | None = setting(
        None, at_least=0, at_most=1000, none="off", methods=("edlora", "lora"), later=True
    )
    """Slot of Orthogonal Adaptation (Po et al. 2024), another one for each concept: its LoRA reads
    directions that no other slot's does, so that mosaic fuse may add them; "off" learns freely."""
    seed: int = setting(0, at_least=0, at_most=MAX_SEED)
    """Seed of everything random."""
    checkpoint_every: int = setting(200, at_least=1, at_most=MAX_STEPS, identity=False)
    """Steps between checkpoints."""
    keep_checkpoints: int = setting(2, at_least=1, at_most=1000, identity=False)
    """How many of the latest checkpoints stay on disk."""
    validate_every: int | None = setting(
        200, above=0, at_most=MAX_STEPS, none="off", identity=False
    )
    """Steps between validation grids; "off" draws only the last."""
    validation_steps: int = setting(10, at_least=1, at_most=1000, identity=False)
    """Denoising steps of a validation image."""
    validation_prompts: tuple[str, ...] = setting(
        ("a <concept>", "a <concept> on a red background", "a {class_word}"),
        filled=True,
        identity=False,
    )
    """Prompts of the validation grid; <concept> and {class_word} are filled in."""
