"""Settings of the recipe that makes the starter model (`train/starter/`)."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

from .errors import InputError
from .settings import _require
from .values import from_text, from_toml

_PRESETS = Path(__file__).parent / "starter"


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
    subject_share: float = 0.5
    """Share of samples drawn evenly from the subjects of `subjects.toml`; the rest from all."""
    subjects: tuple[str, ...] = ("often", "scenes", "faces", "people", "things")
    """Tables of `subjects.toml` that are used."""
    few: bool = False
    """Keep a few plain pictures per subject: what hours on a processor can learn by heart."""
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
    """Autocast to bf16, where the processor computes in it: elsewhere bf16 is many times slower."""
    compile: bool = False
    """Compile the model; worth it on a GPU for more than a few minutes of training."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""
    sample_every: int = 2000
    """Steps between sample grids."""
    minutes: float = 0.0
    """Finish within so many minutes, the learning rate going down by then; 0 sets no limit."""
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
    min_weight: float = 0.4
    """Lower bound of the Min-SNR weight, so that the zero-terminal timesteps learn too."""
    start: str = ""
    """Folder of a finished UNet to go on from; empty starts from random weights."""
    anew: str = ""
    """Table of `subjects.toml` whose words `start` learns anew, keeping all else; empty: all."""
    caption_dropout: float = 0.1
    """Share of empty captions, for classifier-free guidance."""

    def __post_init__(self) -> None:
        """Check values; raises InputError."""
        super().__post_init__()
        if self.anew:
            _require(bool(self.start), "unet.anew needs unet.start, a UNet to learn them in.")


@dataclass(frozen=True)
class ColorSettings(LoopSettings):
    """The colour adapter, which a finished UNet is fitted with."""

    blocks: int = 1
    """Residual blocks per level of the UNet."""


@dataclass(frozen=True)
class RecipeSettings:
    """The whole recipe."""

    corpus: CorpusSettings = CorpusSettings()
    vae: VaeSettings = VaeSettings()
    clip: ClipSettings = ClipSettings()
    unet: UnetSettings = UnetSettings()
    color: ColorSettings = ColorSettings()


def read_recipe(preset: str, overrides: Sequence[str] = ()) -> RecipeSettings:
    """The recipe of a preset ("cpu", "gpu") or TOML file, with overrides such as "unet.steps=9".

    Raises InputError for an unknown preset, file, key, or a value that does not fit.
    """
    known = sorted(path.stem for path in _PRESETS.glob("*.toml"))
    path = _PRESETS / f"{preset}.toml" if preset in known else Path(preset)
    if not path.is_file():
        raise InputError(f"No recipe {preset!r}: name a TOML file or one of {', '.join(known)}.")
    stages = {field.name: field.type for field in fields(RecipeSettings)}
    given = [
        (f"{stage}.{key}", value, from_toml, str(path))
        for stage, table in tomllib.loads(path.read_text(encoding="utf-8")).items()
        for key, value in table.items()
    ]
    for override in overrides:
        name, _, text = override.partition("=")
        given.append((name, text, from_text, "--set"))
    tables: dict[str, dict[str, Any]] = {stage: {} for stage in stages}
    for name, value, convert, source in given:
        stage, _, key = name.partition(".")
        types = get_type_hints(stages[stage]) if stage in stages else {}
        if key not in types:
            names = [f"{s}.{k}" for s, cls in stages.items() for k in get_type_hints(cls)]
            close = get_close_matches(name, names, n=1, cutoff=0.0)[0]
            raise InputError(f'{source}: unknown setting "{name}"; did you mean "{close}"?')
        tables[stage][key] = convert(value, types[key], name, source)
    return RecipeSettings(**{stage: cls(**tables[stage]) for stage, cls in stages.items()})
