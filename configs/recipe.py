"""Settings of the recipe that makes the starter model (`train/starter/`)."""

from dataclasses import dataclass

from .settings import _require


@dataclass(frozen=True)
class CorpusSettings:
    """Pictures and captions, and how they are composed into training samples."""

    parquet: str = "../shared/corpus/corpus.parquet"
    """The corpus: captioned RGBA pictures; `python -m smalti.train.starter.sources` rebuilds it."""
    resolution: int = 128
    """Side of a picture in pixels."""
    held_out: int = 500
    """Pictures the VAE never sees; its quality is measured on them."""
    vocabulary: int = 4096
    """Tokens of the tokenizer."""
    compositions: int = 1_000_000
    """Composed samples (subject, place, background, caption) that CLIP and UNet learn from."""
    seed: int = 0
    """Seed of split, compositions and captions."""


@dataclass(frozen=True)
class LoopSettings:
    """One training loop; VAE, CLIP and UNet each have one."""

    steps: int = 1000
    """Optimiser steps."""
    batch_size: int = 64
    """Samples per step."""
    learning_rate: float = 4e-4
    """Peak learning rate; linear warm-up, then cosine to a hundredth."""
    warmup: int = 200
    """Steps of warm-up."""
    weight_decay: float = 0.01
    """AdamW weight decay."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.999
    """Decay of the weight average that is shipped."""
    bf16: bool = True
    """Autocast to bf16."""
    compile: bool = False
    """Compile the model; worth it on a GPU for more than a few minutes of training."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""
    sample_every: int = 2000
    """Steps between sample grids."""
    seed: int = 0
    """Seed of initial weights and of every step."""

    def __post_init__(self) -> None:
        """Check values; raises InputError."""
        for name in ("steps", "batch_size", "checkpoint_every", "sample_every"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1.")


@dataclass(frozen=True)
class VaeSettings(LoopSettings):
    """The autoencoder: pixels to 4 latent channels at an eighth of the size."""

    channels: tuple[int, ...] = (24, 48, 96, 128)
    """Channels per level, finest first."""
    crop: int = 64
    """Side in pixels of the training crops; the network is fully convolutional."""
    lpips: str = "../shared/weights/lpips_alex.safetensors"
    """LPIPS AlexNet weights (keys as torchvision's `features.*`, and `lin0..4.weight`)."""
    lpips_weight: float = 0.5
    """Weight of the perceptual loss beside L1."""
    kl_weight: float = 1e-4
    """Weight of the mean KL divergence."""


@dataclass(frozen=True)
class ClipSettings(LoopSettings):
    """The CLIP pair: the text half conditions the UNet, the image half judges tiles offline."""

    width: int = 192
    """Hidden size of both halves, and of the joint space."""
    text_layers: int = 4
    """Transformer layers of the text half."""
    image_layers: int = 4
    """Transformer layers of the image half."""
    heads: int = 6
    """Attention heads."""
    patch: int = 8
    """Side of an image patch in pixels."""


@dataclass(frozen=True)
class UnetSettings(LoopSettings):
    """The denoiser, in Stable Diffusion's block pattern."""

    channels: tuple[int, ...] = (64, 128, 160, 96)
    """Channels per level, finest first; three with cross-attention, the last one plain."""
    heads: tuple[int, ...] = (2, 4, 5, 3)
    """Attention heads per level."""
    latents: int = 0
    """Compositions whose latents are encoded once before training; 0 takes all of them."""
    min_snr_gamma: float = 5.0
    """Min-SNR gamma (Hang et al. 2023)."""
    min_weight: float = 0.3
    """Lower bound of the Min-SNR weight, so that the zero-terminal timesteps learn too."""
    caption_dropout: float = 0.1
    """Share of empty captions, for classifier-free guidance."""


@dataclass(frozen=True)
class RecipeSettings:
    """The whole recipe."""

    corpus: CorpusSettings = CorpusSettings()
    vae: VaeSettings = VaeSettings()
    clip: ClipSettings = ClipSettings()
    unet: UnetSettings = UnetSettings()
