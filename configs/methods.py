"""Settings of the methods: how the tiles of a mosaic are made. One class per method."""

from dataclasses import dataclass
from typing import ClassVar

from .fields import Group, setting

NOISES = ("white", "paper", "random")
COLOR_SPACES = ("latent", "pixel")


@dataclass(frozen=True)
class MethodSettings(Group):
    """What every method has."""

    section: ClassVar[str] = "mosaic.method"
    name: ClassVar[str]
    guided: ClassVar[bool] = False
    """Whether it reads `mosaic.guide`."""


@dataclass(frozen=True)
class SmaltiSettings(MethodSettings):
    """Integral noise, colour alignment and guidance: the paper's method and ours."""

    name: ClassVar[str] = "smalti"
    guided: ClassVar[bool] = True

    noise: str = setting("white", choices=NOISES)
    """Initial tile noise (Eq. 1-2): "white" (exactly unit variance), "paper" (as printed),
    "random" (off)."""
    color: bool = False
    """Colour alignment (Eq. 3-5) at every step."""
    color_space: str = setting("latent", choices=COLOR_SPACES)
    """Where colour is aligned: "latent" or "pixel"."""


@dataclass(frozen=True)
class PoolSettings(MethodSettings):
    """Methods that place pictures of a pool."""

    pool: str = setting("", path=True, identity=False, replaces=("tile_lora", "tile_prompt"))
    """Folder of pictures that "match", "tone" and "histogram" place; empty: they draw their own."""
    pool_size: int = setting(64, at_least=1, at_most=10_000)
    """How many pictures they draw for themselves, from the tile prompts and without guidance."""


@dataclass(frozen=True)
class MatchSettings(PoolSettings):
    """The nearest picture in colour that is not used near it."""

    name: ClassVar[str] = "match"

    repeat_distance: int = setting(2, at_least=0, at_most=256)
    """So near, counted in rows and columns, "match" never repeats a picture; 0 lets it."""
    tone_adjustment: float = setting(0.0, at_least=0, at_most=1)
    """Share of the way from its pictures' tone to the block's that "match" goes, 0 to 1."""


@dataclass(frozen=True)
class ToneSettings(PoolSettings):
    """Any picture, with its block's mean and deviation."""

    name: ClassVar[str] = "tone"


@dataclass(frozen=True)
class HistogramSettings(PoolSettings):
    """Any picture, with its block's histogram."""

    name: ClassVar[str] = "histogram"


@dataclass(frozen=True)
class ColorAdapterSettings(MethodSettings):
    """Drawn with the palette of its block through a T2I-Adapter."""

    name: ClassVar[str] = "color-adapter"

    adapter_scale: float = setting(1.0, at_least=0, at_most=10)
    """Strength of the palette in "color-adapter"; 0 is without."""


@dataclass(frozen=True)
class AdainSettings(MethodSettings):
    """Colour alignment alone."""

    name: ClassVar[str] = "adain"


@dataclass(frozen=True)
class NoiseBlendSettings(MethodSettings):
    """Every prediction mixed with the encoded block."""

    name: ClassVar[str] = "noise-blend"

    blend: float = setting(0.5, at_least=0, at_most=1)
    """Share of the reference in every prediction of "noise-blend", 0 to 1."""


@dataclass(frozen=True)
class FromReferenceSettings(MethodSettings):
    """Methods that start from the reference, noised in part."""

    strength: float = setting(0.5, at_least=0, at_most=1)
    """Share of the steps that "img2img" and "quilt" take; 1 forgets the block, 0 returns it."""


@dataclass(frozen=True)
class Img2ImgSettings(FromReferenceSettings):
    """Each tile starts from its enlarged block."""

    name: ClassVar[str] = "img2img"


@dataclass(frozen=True)
class QuiltSettings(FromReferenceSettings):
    """Each tile starts from its part of the enlarged reference."""

    name: ClassVar[str] = "quilt"


@dataclass(frozen=True)
class FactorizedSettings(MethodSettings):
    """The low band of every prediction replaced by the encoded block's."""

    name: ClassVar[str] = "factorized"


METHODS: dict[str, type[MethodSettings]] = {
    kind.name: kind
    for kind in (
        SmaltiSettings, MatchSettings, ToneSettings, HistogramSettings, ColorAdapterSettings,
        AdainSettings, NoiseBlendSettings, Img2ImgSettings, QuiltSettings, FactorizedSettings,
    )
}  # fmt: skip
