"""Settings of stage one: how a concept folder becomes an adapter (`mosaic-train`)."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import ClassVar

from .errors import InputError
from .fields import MAX_SEED, Group, facts_of, setting
from .machine import ATTENTIONS, PRECISIONS

TRAIN_METHODS = ("edlora", "lora", "dreambooth", "textual-inversion", "custom-diffusion")
LORA = ("edlora", "lora")
WORDS = ("edlora", "textual-inversion", "custom-diffusion")
PRIOR = ("lora", "dreambooth", "custom-diffusion")
LORA_VARIANTS = ("plain", "dora", "rslora", "pissa")
TARGETS = ("attention", "all")
OPTIMIZERS = ("adamw", "adamw8bit")
MAX_STEPS = 10_000_000


@dataclass(frozen=True)
class TrainSettings(Group):
    """Stage one: how a concept folder becomes an adapter (`mosaic-train`)."""

    section: ClassVar[str] = "train"

    method: str = setting("edlora", choices=TRAIN_METHODS)
    """"edlora" (layer-wise concept words and LoRA), "lora" (LoRA for a plain word, with class
    pictures), "dreambooth" (all of the UNet), "textual-inversion" (words alone) or
    "custom-diffusion" (a word, and cross-attention's keys and values)."""
    class_word: str = ""
    """What the concept is, one word the text encoder knows ("girl", "dog", "mug");
    empty: read concept.toml, else "thing"."""
    targets: str = setting("attention", choices=TARGETS, methods=LORA)
    """What of the UNet learns: "attention" (its attention linears, as published) or "all" (every
    linear and convolution, which small networks need to draw a shape that is new to them)."""
    rank: int = setting(4, at_least=1, at_most=1024, methods=LORA)
    """Rank of the LoRA matrices."""
    lora_alpha: float | None = setting(None, above=0, at_most=65_536, none="auto", methods=LORA)
    """LoRA alpha; the effective scale is alpha / rank. "auto" is alpha = rank, so scale 1."""
    lora_variant: str = setting("plain", choices=LORA_VARIANTS, methods=LORA, later=True)
    """"plain"; "dora" learns magnitude and direction apart; "rslora" scales by alpha over the root
    of the rank; "pissa" starts from a weight's strongest directions."""
    identifier: str = setting("sks", filled=True, methods=("lora", "dreambooth"), later=True)
    """Word that tells the concept from its class in prompts, "a sks dog"; it is not learned."""
    num_vectors: int = setting(
        1, at_least=1, at_most=64, methods=("textual-inversion",), later=True
    )
    """How many words stand for the concept."""
    layerwise: bool = setting(False, methods=("textual-inversion",), later=True)
    """Whether every cross-attention layer has vectors of its own for them."""
    train_text_encoder: bool = setting(False, methods=("dreambooth",), later=True)
    """Also learn the text encoder's weights."""
    prior_weight: float = setting(1.0, at_least=0, at_most=100, methods=PRIOR, later=True)
    """Weight of the loss on pictures of the class that the base drew itself, which keep the class
    as it was; 0 draws none, and a step takes half the time."""
    class_pictures: int = setting(100, at_least=1, at_most=100_000, methods=PRIOR, later=True)
    """How many pictures of the class are drawn before training; they stay in the work folder."""
    learning_rate_embedding: float = setting(1e-3, at_least=0, at_most=10, methods=WORDS)
    """Learning rate of the concept words."""
    learning_rate_text_encoder: float = setting(
        1e-5, at_least=0, at_most=10, methods=(*LORA, "dreambooth")
    )
    """Learning rate of the text encoder's LoRA, or weights."""
    learning_rate_unet: float = setting(1e-4, at_least=0, at_most=10, methods=(*LORA, *PRIOR[1:]))
    """Learning rate of the UNet's LoRA, or weights."""
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
    embedding_norm_limit: float | None = setting(
        0.55, above=0, at_most=1e4, none="off", methods=WORDS
    )
    """Concept words whose mean norm reaches this, and 1.5 times that at their start, are frozen;
    "off" lets them grow."""
    background_weight: float = setting(0.1, at_least=0, at_most=1)
    """Weight of the loss outside the subject mask, 0 to 1."""
    detail_emphasis: float = setting(0.0, at_least=0, at_most=10)
    """How much more the detailed parts of the subject weigh in the loss, as an exponent of their
    contrast; 0 weighs all alike."""
    use_masks: bool = True
    """Use NAME.mask.png beside an image where it is there."""
    attention_weight: float = setting(0.0025, at_least=0, at_most=100, methods=("edlora",))
    """Weight of the attention regulariser (masked images and "edlora" only) beside a denoising
    loss that is a mean over channels; 0.0025 is the published 0.01 beside a sum over four."""
    attention_full_identity: bool = setting(False, methods=("edlora",))
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
    judge_every: int | None = setting(
        None, above=0, at_most=MAX_STEPS, none="off", identity=False, later=True
    )
    """Steps between judged checkpoints, of which the best becomes the adapter; "off" takes the last
    step's."""
    patience: int | None = setting(
        None, above=0, at_most=1000, none="off", identity=False, later=True
    )
    """Stop after so many judged checkpoints that are no better than the best; "off" never does."""
    keep_judged: int = setting(5, at_least=1, at_most=1000, identity=False, later=True)
    """How many of the best judged checkpoints stay on disk, to pick from (mosaic concepts pick)."""
    validation_steps: int = setting(10, at_least=1, at_most=1000, identity=False)
    """Denoising steps of a validation image."""
    validation_prompts: tuple[str, ...] = setting(
        ("a <concept>", "a <concept> on a red background", "a {class_word}"),
        filled=True,
        identity=False,
    )
    """Prompts of the validation grid; <concept> and {class_word} are filled in."""

    def __post_init__(self) -> None:
        """Check every value; an identifier in angle brackets would be taken for a learned word."""
        super().__post_init__()
        if set("<>") & set(self.identifier) or not self.identifier.strip():
            raise InputError(
                f"train.identifier must be a plain word without < and >, not {self.identifier!r}."
            )

    def check_read(self, names: Collection[str]) -> None:
        """Raise InputError when one of these settings would have no effect."""
        if "patience" in names and self.patience and self.judge_every is None:
            raise InputError("train.patience counts judged checkpoints: give --judge-every too.")
        entries = {entry.name: facts_of(entry) for entry in fields(self)}
        for name in sorted(names):
            readers = entries[name].methods
            if readers and self.method not in readers:
                raise InputError(
                    f'train.{name} is for --method {", ".join(readers)}; "{self.method}" has no '
                    "use for it. Leave it out or choose one of those."
                )
