"""Settings of the recipe that makes the starter model."""

import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

from ..configs.errors import InputError
from ..configs.fields import Group, setting
from ..configs.values import from_text, from_toml

_PRESETS = Path(__file__).parent / "presets"

Given = tuple[str, Any, Callable[..., Any], str]
"""A setting's dotted name, its value, how that is converted to the declared type, its source."""


@dataclass(frozen=True)
class CorpusSettings(Group):
    """Pictures and captions, and how they are composed into training samples."""

    section: ClassVar[str] = "corpus"
    parquet: str = "../shared/corpus/corpus.parquet"
    """The corpus: captioned RGBA pictures; `python -m smalti.starter.sources` rebuilds it."""
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
    subjects: tuple[str, ...] = ("common", "scenes", "faces", "people", "things")
    """Tables of `subjects.toml` that are used."""
    plainest_only: bool = False
    """Keep a few plain pictures per subject: what hours on a processor can learn by heart."""
    seed: int = 0
    """Seed of split, compositions and captions."""


@dataclass(frozen=True)
class LoopSettings(Group):
    """One training loop; VAE, CLIP, UNet and colour adapter each have one."""

    section: ClassVar[str] = "loop"
    steps: int = setting(1000, at_least=1)
    """Optimiser steps."""
    batch_size: int = setting(64, at_least=1)
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
    checkpoint_every: int = setting(500, at_least=1)
    """Steps between checkpoints."""
    sample_every: int = setting(2000, at_least=1)
    """Steps between sample grids."""
    minutes: float = 0.0
    """Finish within so many minutes, the learning rate going down by then; 0 sets no limit."""
    seed: int = 0
    """Seed of initial weights and of every step."""


@dataclass(frozen=True)
class VaeSettings(LoopSettings):
    """The autoencoder: pixels to 4 latent channels at an eighth of the size."""

    section: ClassVar[str] = "vae"
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

    section: ClassVar[str] = "clip"
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

    section: ClassVar[str] = "unet"
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
    finetune_table: str = ""
    """Table of `subjects.toml` whose words `start` is fine-tuned on, all else kept; empty: all."""
    caption_dropout: float = 0.1
    """Share of empty captions, for classifier-free guidance."""

    def __post_init__(self) -> None:
        """Check values; raises InputError."""
        super().__post_init__()
        if self.finetune_table and not self.start:
            raise InputError("unet.finetune_table needs unet.start, a UNet to fine-tune.")


@dataclass(frozen=True)
class ColorSettings(LoopSettings):
    """The colour adapter, which a finished UNet is fitted with."""

    section: ClassVar[str] = "color"
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
    types = _setting_types()
    tables: dict[str, dict[str, Any]] = {entry.name: {} for entry in fields(RecipeSettings)}
    for name, value, convert, source in (*_read_file(preset), *map(_override, overrides)):
        if name not in types:
            close = get_close_matches(name, types, n=1, cutoff=0.0)[0]
            raise InputError(f'{source}: unknown setting "{name}"; did you mean "{close}"?')
        stage, _, key = name.partition(".")
        tables[stage][key] = convert(value, types[name], name, source)
    stages = get_type_hints(RecipeSettings)
    return RecipeSettings(**{stage: stages[stage](**table) for stage, table in tables.items()})


def _setting_types() -> dict[str, Any]:
    """The declared type of every setting by its dotted name, such as "unet.steps"."""
    types = {}
    for stage, cls in get_type_hints(RecipeSettings).items():
        hints = get_type_hints(cls)
        types |= {f"{stage}.{entry.name}": hints[entry.name] for entry in fields(cls)}
    return types


def _read_file(preset: str) -> Iterator[Given]:
    """What a preset or another TOML file gives."""
    known = sorted(path.stem for path in _PRESETS.glob("*.toml"))
    path = _PRESETS / f"{preset}.toml" if preset in known else Path(preset)
    if not path.is_file():
        raise InputError(f"No recipe {preset!r}: name a TOML file or one of {', '.join(known)}.")
    for stage, table in _toml(path).items():
        for key, value in table.items() if isinstance(table, dict) else [("", table)]:
            yield f"{stage}.{key}".rstrip("."), value, _from_toml, str(path)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}.") from error


def _override(text: str) -> Given:
    """What `--set NAME=VALUE` gives."""
    name, _, value = text.partition("=")
    return name, value, _from_text, "--set"


def _from_toml(value: Any, kind: Any, name: str, source: str) -> Any:
    """The checked value: whole numbers in a list, or what `configs.values` knows."""
    if kind != tuple[int, ...]:
        return from_toml(value, kind, name, source)
    if isinstance(value, list) and all(type(item) is int for item in value):
        return tuple(value)
    raise InputError(f"{source}: {name} must be a list of whole numbers, not {value}.")


def _from_text(text: str, kind: Any, name: str, source: str) -> Any:
    """The value that a text such as "9", "true" or "[64, 128]" says."""
    if kind != tuple[int, ...]:
        return from_text(text, kind, name, source)
    try:
        return _from_toml(tomllib.loads(f"list = {text}")["list"], kind, name, source)
    except tomllib.TOMLDecodeError:
        return _from_toml(text, kind, name, source)
