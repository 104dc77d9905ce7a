"""The settings of smalti: frozen dataclasses whose attribute docs become help texts.

Every field can be set from a TOML file or by a dotted override such as `--set train.rank=8`.
`loading.py` reads presets into these classes; it refuses keys that are not listed here.
"""

from dataclasses import dataclass

from .errors import InputError

TRAIN_METHODS = ("edlora", "lora")
CLASSICAL = ("match", "tone", "histogram")  # methods that place pictures of a pool
FROM_REFERENCE = ("img2img", "quilt")  # methods that start from the reference, noised in part
METHODS = (
    "smalti", *CLASSICAL, "color-adapter", "adain", "noise-blend", *FROM_REFERENCE, "factorized",
)  # fmt: skip
NOISES = ("white", "paper", "random")
COLOR_SPACES = ("latent", "pixel")
GUIDES = ("projection", "filtered-difference", "x0-gradient", "exact", "ycbcr", "lpips")
GUIDE_DECODERS = ("full", "tiny", "linear")
SCHEDULERS = ("ddim", "dpm++", "unipc", "lcm")
PRECISIONS = ("auto", "no", "fp16", "bf16")
ATTENTIONS = ("sdpa", "xformers")
OPTIMIZERS = ("adamw", "adamw8bit")

_SHARES = (
    "cfg_start", "cfg_end", "guidance_start", "guidance_end", "guidance_strength",
    "target_ssim", "tint", "tone_adjustment", "blend", "strength",
)  # fmt: skip
_RATES = ("learning_rate_embedding", "learning_rate_text_encoder", "learning_rate_unet")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


def _require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    _require(value in choices, f'{name} must be one of {", ".join(choices)}; "{value}" is not.')


def _require_at_least(settings: object, section: str, minimum: float, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        _require(value >= minimum, f"{section}.{name} must be at least {minimum}, not {value}.")


@dataclass(frozen=True)
class BaseSettings:
    """Facts about one base model that cannot be read off its files."""

    name: str = "starter"
    """Short name, also the name of the preset file."""
    source: str = "models/starter"
    """Hub id, local folder, or a folder inside the installed package."""
    variant: str = ""
    """Weight variant on the hub, such as "fp16"; empty for the plain files."""
    resolution: int = 128
    """Side of a tile in pixels at which the model draws best."""
    size_gb: float = 0.05
    """What a first download fetches, in gigabytes."""
    license: str = ""
    """Licence of the weights, as their publisher names it."""
    tiny_vae: str = ""
    """A small autoencoder for the same latents, for proofs: hub id or local folder."""
    color_adapter: str = ""
    """A T2I-Adapter for colours, for --method color-adapter: hub id or local folder."""

    def __post_init__(self) -> None:
        """Check values; raises InputError."""
        _require(
            self.resolution > 0 and self.resolution % 8 == 0,
            f"base.resolution must be a positive multiple of 8, not {self.resolution}.",
        )


@dataclass(frozen=True)
class TrainSettings:
    """Stage one: how a concept folder becomes an adapter (`mosaic-train`)."""

    method: str = "edlora"
    """"edlora" (layer-wise concept words and LoRA) or "lora" (one vector per word and LoRA)."""
    class_word: str = ""
    """What the concept is, one word the text encoder knows ("girl", "dog", "mug");
    empty: read concept.toml, else "thing"."""
    rank: int = 4
    """Rank of the LoRA matrices."""
    lora_alpha: int = 0
    """LoRA alpha; the effective scale is alpha / rank. 0 means alpha = rank, so scale 1."""
    learning_rate_embedding: float = 1e-3
    """Learning rate of the concept words."""
    learning_rate_text_encoder: float = 1e-5
    """Learning rate of the text encoder's LoRA."""
    learning_rate_unet: float = 1e-4
    """Learning rate of the UNet's LoRA."""
    weight_decay: float = 0.01
    """AdamW weight decay, on every group."""
    steps: int = 800
    """Optimiser steps."""
    batch_size: int = 4
    """Samples per optimiser step and process."""
    gradient_accumulation: int = 1
    """Micro-batches that one optimiser step sums up."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient; 0 switches clipping off."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third slower."""
    optimizer: str = "adamw"
    """"adamw", or "adamw8bit" with bitsandbytes installed."""
    mixed_precision: str = "auto"
    """"no", "fp16" or "bf16", or "auto": bf16 where the processor computes in it. Adapter weights
    stay fp32 in every case."""
    attention: str = "sdpa"
    """"sdpa" (torch), or "xformers" where it is installed."""
    noise_offset: float = 0.01
    """Strength of the per-channel constant added to the noise."""
    min_snr_gamma: float = 0.0
    """Timesteps are drawn in proportion to the min-SNR loss weights (Hang et al. 2023); 0 draws all
    alike, 5 is usual."""
    embedding_norm_limit: float = 0.55
    """Concept words whose mean norm reaches this are frozen; 0 switches the limit off."""
    background_weight: float = 0.1
    """Weight of the loss outside the subject mask, 0 to 1."""
    detail_emphasis: float = 0.0
    """How much more the detailed parts of the subject weigh in the loss, as an exponent of their
    contrast; 0 weighs all alike."""
    use_masks: bool = True
    """Use NAME.mask.png beside an image where it is there."""
    attention_weight: float = 0.01
    """Weight of the attention regulariser (masked images and "edlora" only)."""
    attention_full_identity: bool = False
    """Pull the second word's attention onto the whole mask (clothes are part of the identity)."""
    crops_per_image: int = 8
    """Random crops of each image whose latents are cached before training."""
    relit_share: float = 0.0
    """Share of steps that show the crops under random light, as the tiles of a mosaic are (their
    captions say "colored light"); 0 is none."""
    flip: bool = False
    """Also mirror crops; leave off for faces and lettering."""
    seed: int = 0
    """Seed of everything random."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    keep_checkpoints: int = 2
    """How many of the latest checkpoints stay on disk."""
    validate_every: int = 200
    """Steps between validation grids; 0 draws only the first and the last."""
    validation_steps: int = 10
    """Denoising steps of a validation image."""
    validation_prompts: tuple[str, ...] = (
        "a <concept>",
        "a <concept> on a red background",
        "a {class_word}",
    )
    """Prompts of the validation grid; <concept> and {class_word} are filled in."""

    def __post_init__(self) -> None:
        """Check values; raises InputError."""
        _require_one_of("train.method", self.method, TRAIN_METHODS)
        _require_one_of("train.optimizer", self.optimizer, OPTIMIZERS)
        _require_one_of("train.mixed_precision", self.mixed_precision, PRECISIONS)
        _require_one_of("train.attention", self.attention, ATTENTIONS)
        _require_at_least(self, "train", 1, "rank", "steps", "batch_size", "gradient_accumulation")
        _require_at_least(self, "train", 1, "crops_per_image", "validation_steps")
        _require_at_least(self, "train", 1, "checkpoint_every", "keep_checkpoints")
        _require_at_least(self, "train", 0, *_RATES, "lora_alpha", "weight_decay", "gradient_clip")
        _require_at_least(self, "train", 0, "noise_offset", "min_snr_gamma", "validate_every")
        _require_at_least(self, "train", 0, "embedding_norm_limit", "attention_weight")
        _require_at_least(self, "train", 0, "detail_emphasis", "seed")
        _require(
            0 <= self.background_weight <= 1, "train.background_weight must lie between 0 and 1."
        )
        _require(0 <= self.relit_share <= 1, "train.relit_share must lie between 0 and 1.")


@dataclass(frozen=True)
class MosaicSettings:
    """Stage two: reference and adapters become a mosaic (`mosaic-gen`)."""

    level: int = 3
    """Mosaic level L of the paper: 2^L x 2^L tiles."""
    grid: str = ""
    """Any other grid, ROWSxCOLS such as "12x16"; overrides the level."""
    tile_size: int = 0
    """Side of a tile in pixels; 0 takes the base model's resolution."""
    ref: str = ""
    """Reference photo, a path."""
    ref_lora: str = ""
    """Concept drawn in the reference."""
    ref_prompt: str = ""
    """Prompt of the reference; with a concept, <concept> stands for it."""
    tile_lora: tuple[str, ...] = ()
    """Concepts drawn in the tiles."""
    tile_prompt: tuple[str, ...] = ()
    """Prompts of the tiles; with a concept, <concept> stands for it; <color> is the block's."""
    negative_prompt: str = ""
    """What tiles and reference should not show."""
    method: str = "smalti"
    """"smalti", or a method that it is compared with: "match", "tone", "histogram",
    "color-adapter", "adain", "noise-blend", "img2img", "quilt", "factorized"."""
    pool: str = ""
    """Folder of pictures that "match", "tone" and "histogram" place; empty: they draw their own."""
    pool_size: int = 64
    """How many pictures they draw for themselves, from the tile prompts and without guidance."""
    repeat_distance: int = 2
    """So near, counted in rows and columns, "match" never repeats a picture; 0 lets it."""
    tone_adjustment: float = 0.0
    """Share of the way from its pictures' tone to the block's that "match" goes, 0 to 1."""
    blend: float = 0.5
    """Share of the reference in every prediction of "noise-blend", 0 to 1."""
    strength: float = 0.5
    """Share of the steps that "img2img" and "quilt" take; 1 forgets the block, 0 returns it."""
    adapter_scale: float = 1.0
    """Strength of the palette in "color-adapter"; 0 is without."""
    lora_scale: float = 1.0
    """Strength of the adapters, 0 to about 1.5."""
    seed: int = 0
    """Seed of everything random."""
    steps: int = 6
    """Denoising steps."""
    scheduler: str = "dpm++"
    """"ddim", "dpm++", "unipc" or "lcm"."""
    cfg_scale: float = 7.5
    """Classifier-free guidance scale; 1 switches it off."""
    cfg_start: float = 0.0
    """Share of the steps before which there is no classifier-free guidance: a step costs half."""
    cfg_end: float = 1.0
    """Share of the steps after which there is none."""
    noise: str = "white"
    """Initial tile noise (Eq. 1-2): "white" (exactly unit variance), "paper" (as printed),
    "random" (off)."""
    color: bool = False
    """Colour alignment (Eq. 3-5) at every step."""
    color_space: str = "latent"
    """Where colour is aligned: "latent" or "pixel"."""
    guidance: bool = True
    """Low-frequency guidance: what makes the tiles the reference from afar."""
    guide: str = "projection"
    """How: "projection" (closed form), "filtered-difference", "x0-gradient", "exact" (the paper's
    Eq. 6-8), or what the paper rejects: "ycbcr", "lpips"."""
    low_pass_cells: int = 8
    """What guides call low: so many cells per tile and axis follow the reference; "match" compares
    as many, "factorized" takes as many from the reference."""
    guidance_start: float = 0.3
    """Share of the steps after which guidance begins; the prompt lays the tile out before."""
    guidance_end: float = 1.0
    """Share of the steps after which guidance ends."""
    guidance_strength: float = 0.0
    """Share of the low-frequency error that "projection", "filtered-difference" and "x0-gradient"
    remove at a step: more comes nearer to the reference, less leaves the tile more of its own.
    0 takes as little as `target_ssim` allows, between 0.17 and 0.4."""
    target_ssim: float = 0.7
    """SSIM@64 that a mosaic should about reach where no guidance_strength is given: references of
    little contrast are pulled more."""
    corrections: int = 1
    """How often "projection" looks at the decoded tile at the last step; a look counts for three
    pulls."""
    guide_decoder: str = "full"
    """What "x0-gradient" differentiates: the "full" decoder, the "tiny" one or the "linear" map."""
    inner_steps: int = 1
    """Gradient steps of "x0-gradient" per denoising step."""
    guidance_weight: float = 5000.0
    """w of Eq. 8, of "exact", "ycbcr" and "lpips"."""
    guidance_decay: float = 0.95
    """gamma of Eq. 8: w is multiplied by it after every step."""
    guidance_size: int = 0
    """Side in pixels at which Eq. 7 compares tile and block; 0 takes the block's own size."""
    lpips: str = ""
    """Weights of LPIPS (AlexNet, safetensors), which the guide "lpips" needs."""
    tint: float = 0.0
    """Most that a drawn tile's values may be shifted towards its block, 0 to 1: 0 is never."""
    proof: bool = False
    """Decode tiles with the base's tiny decoder where it has one: faster, coarser."""
    reference_steps: int = 30
    """Denoising steps of a drawn reference; fewer than `steps` count as `steps`."""
    reference_cfg_scale: float = 0.0
    """Classifier-free guidance scale of a drawn reference; 0 takes the tiles'."""
    mixed_precision: str = "auto"
    """"no", "fp16" or "bf16", or "auto": bf16 where the processor computes in it."""
    attention: str = "sdpa"
    """"sdpa" (torch), or "xformers" where it is installed."""
    compile: bool = False
    """Compile the UNet; worth its first minutes on a GPU and many tiles."""
    batch_size: int = 0
    """Tiles drawn at once; 0 chooses from free memory."""

    def __post_init__(self) -> None:
        """Check values; raises InputError."""
        _require_one_of("mosaic.method", self.method, METHODS)
        _require_one_of("mosaic.noise", self.noise, NOISES)
        _require_one_of("mosaic.color_space", self.color_space, COLOR_SPACES)
        _require_one_of("mosaic.guide", self.guide, GUIDES)
        _require_one_of("mosaic.guide_decoder", self.guide_decoder, GUIDE_DECODERS)
        _require_one_of("mosaic.scheduler", self.scheduler, SCHEDULERS)
        _require_one_of("mosaic.mixed_precision", self.mixed_precision, PRECISIONS)
        _require_one_of("mosaic.attention", self.attention, ATTENTIONS)
        _require(
            0 <= self.level <= 7,
            f"mosaic.level must lie between 0 and 7 (1x1 to 128x128 tiles), not {self.level}.",
        )
        _require_at_least(self, "mosaic", 1, "steps", "reference_steps")
        _require_at_least(self, "mosaic", 1, "low_pass_cells", "inner_steps", "pool_size")
        for name in _SHARES:
            _require(0 <= getattr(self, name) <= 1, f"mosaic.{name} must lie between 0 and 1.")
        _require_at_least(self, "mosaic", 0, "tile_size", "lora_scale", "batch_size", "cfg_scale")
        _require_at_least(self, "mosaic", 0, "reference_cfg_scale")
        _require_at_least(self, "mosaic", 0, "guidance_weight", "guidance_size")
        _require_at_least(self, "mosaic", 0, "corrections", "repeat_distance")
        _require(
            0 < self.guidance_decay <= 1, "mosaic.guidance_decay must lie above 0 and at most at 1."
        )


@dataclass(frozen=True)
class Settings:
    """Everything one run uses; saved beside its output."""

    base: BaseSettings = BaseSettings()
    train: TrainSettings = TrainSettings()
    mosaic: MosaicSettings = MosaicSettings()
