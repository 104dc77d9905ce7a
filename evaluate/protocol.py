"""The paper's evaluation: twelve prompt pairs, fixed seeds, and the rows of its tables.

Nothing here draws or loads a model, so that commands can list names at once.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..configs.errors import InputError
from ..configs.guides import LpipsSettings
from ..configs.loading import resolve
from ..configs.methods import SmaltiSettings
from ..configs.mosaic import CHOSEN, changed
from ..configs.settings import MosaicSettings, Settings
from ..configs.tables import Tables, put_override


@dataclass(frozen=True)
class Pair:
    """What a mosaic shows from afar and near."""

    name: str
    """Short name, for options and file names."""
    reference: str
    """The global prompt."""
    tile: str
    """The local prompt."""


PAIRS = (
    Pair("cat", "A cat with flower background", "A cat"),
    Pair("dog", "A close-up photo of a dog in the forest", "A dog"),
    Pair(
        "teddy-bear",
        "A close-up photo of a teddy bear sitting on a bed, full body",
        "A teddy bear",
    ),
    Pair("car", "A car parked in front of a mountain", "A car"),
    Pair(
        "bird",
        "A colorful bird sitting on a branch, surrounded by detailed leaves and trees",
        "A bird",
    ),
    Pair(
        "castle",
        "A castle on top of a hill surrounded by clouds, dramatic lighting",
        "A chair",
    ),
    Pair(
        "anime-girl",
        "An anime girl with pink hair smiling under cherry blossoms, soft lighting",
        "An anime girl face",
    ),
    Pair("mountain", "A peaceful mountain landscape at sunrise, clear atmosphere", "A flower"),
    Pair(
        "reef",
        "A close-up of colorful coral reef underwater with fish swimming around",
        "A fish",
    ),
    Pair("coffee-shop", "A rustic coffee shop interior with wooden furniture", "A coffee cup"),
    Pair("city", "A futuristic city at night with flying cars and neon lights", "A robot"),
    Pair(
        "hamburger",
        "A delicious hamburger with melting cheese and sesame bun",
        "A hamburger",
    ),
)
"""Global and local prompts of the paper's Figure 11, word for word, in its order."""

PAPER_PRESET = "paper"
OURS = SmaltiSettings.name
"""The method that the others are compared with."""
COMPOSED: dict[str, dict[str, Any]] = {
    "match-and-tone": {"method": "match", "tone_adjustment": 1.0},
}
"""Methods of the paper that are one of ours with other settings, and which."""
LPIPS_GUIDED = "guided by LPIPS"
ABLATION: dict[str, dict[str, Any]] = {
    "without integral noise": {"noise": "random"},
    "without colour alignment": {"color": False},
    "without guidance": {"guidance": False},
    LPIPS_GUIDED: {"guide": "lpips"},
    "guided by luminance": {"guide": "ycbcr"},
}
"""What the rows of the paper's Tables 3 and 4 change in its method."""
WEIGHTS = {"w = 0": 0.0, "w = 500": 500.0, "w = 2000": 2000.0, "": 5000.0, "w = 10000": 10_000.0,
           "w = 20000": 20_000.0}  # fmt: skip
"""The guidance weights of the paper's Figure 9 by variant; 5000 is what the method has anyway."""
SWEEP: dict[str, dict[str, Any]] = {
    name: {"guidance_weight": weight} if weight else {"guidance": False}  # 0 without the gradient
    for name, weight in WEIGHTS.items()
    if name
}
"""What the variants of Figure 9 change in the paper's method."""
LEVELS: dict[str, dict[str, Any]] = {
    f"level {level}": {"grid": f"{2**level}x{2**level}"} for level in range(8)
}
"""The mosaic levels L of the paper's Figure 3 as variants of any method: 2^L x 2^L tiles."""
RESERVED = ("grid", "level", "seed", "method", "ref", "ref_prompt", "ref_lora", "tile_prompt",
            "tile_lora", "pool")  # fmt: skip
"""Mosaic settings that an evaluation chooses itself; what else is set holds for all of its rows."""


@dataclass(frozen=True)
class Row:
    """How mosaics of one row of the tables are made."""

    method: str
    """One of METHODS or COMPOSED, or of PEERS: a program of others."""
    preset: str
    """Mosaic preset; a peer's pool is drawn with it."""
    variant: str = ""
    """A key of ABLATION, SWEEP or LEVELS, or nothing."""

    @property
    def label(self) -> str:
        """The row's name in tables and pictures."""
        return ", ".join(filter(None, (self.method, self.preset, self.variant)))


@dataclass(frozen=True)
class Case:
    """One mosaic of the evaluation."""

    pair: Pair
    seed: int
    row: Row

    @property
    def place(self) -> tuple[str, int]:
        """What mosaics that can be compared have in common: pair and seed."""
        return self.pair.name, self.seed

    @property
    def label(self) -> str:
        """The mosaic's name in messages."""
        return f"{self.pair.name}, seed {self.seed}, {self.row.label}"


def parse_overrides(texts: Sequence[str]) -> Tables:
    """What overrides such as "mosaic.steps=4" set, by section and name; raises InputError."""
    tables: Tables = {}
    for text in texts:
        put_override(tables, text)
    return tables


@dataclass(frozen=True)
class Protocol:
    """What is the same for all mosaics of an evaluation."""

    base: str = "starter"
    """Base preset or folder."""
    grid: str = "8x8"
    """ROWSxCOLS."""
    overrides: tuple[str, ...] = ()
    """Further settings, "mosaic.steps=4"; each holds for the rows that read it."""
    precision: str | None = None
    """The one at which everything is drawn, resolved; None leaves it to the settings."""

    def __post_init__(self) -> None:
        """Refuse overrides of what an evaluation chooses itself; raises InputError."""
        for name in parse_overrides(self.overrides).get("mosaic", {}):
            if name in RESERVED:
                raise InputError(
                    f"--set mosaic.{name} is no choice here: an evaluation sets it itself. Take "
                    "--pairs, --seeds, --methods or --grid, or mosaic-gen for a mosaic of your own."
                )

    def settings(self, case: Case, lpips: Path | None = None) -> Settings:
        """Settings of one mosaic; raises InputError as `resolve` does.

        lpips: LPIPS weights, which the guide of that name needs.
        """
        row = case.row
        composed = COMPOSED.get(row.method, {"method": row.method})
        own = {"ref_prompt": case.pair.reference, "tile_prompt": (case.pair.tile,),
               "seed": case.seed, "method": composed["method"]}  # fmt: skip
        settings = self._resolved(row.preset, own)
        variant = {**ABLATION, **SWEEP, **LEVELS}.get(row.variant, {})
        mosaic = changed(settings.mosaic, **composed, **variant)
        if isinstance(mosaic.guide, LpipsSettings):
            mosaic = changed(mosaic, lpips=str(lpips))
        return replace(settings, mosaic=mosaic)

    def reference_settings(self, pair: Pair, seed: int, variant: str = "") -> Settings:
        """Settings that a reference is drawn with, the same for all rows: the default ones.

        Without guidance, so that a reference is the same whatever guides tiles. variant: a row's,
        which may have a grid of its own to cut the reference for.
        """
        own = {"ref_prompt": pair.reference, "tile_prompt": (pair.tile,), "seed": seed}
        own |= LEVELS.get(variant, {})
        return self._resolved(None, {**own, "guidance": False})

    def _resolved(self, preset: str | None, own: dict[str, Any]) -> Settings:
        """Settings with `own` ones and those overrides that their method and guide read."""
        options = {f"mosaic.{name}": value for name, value in {"grid": self.grid, **own}.items()}
        given = [(text, *_parsed(text)) for text in self.overrides]

        def resolved(read: Collection[str]) -> Settings:
            texts = [text for text, section, name in given if section != "mosaic" or name in read]
            return resolve(base=self.base, mosaic=preset, options=options, overrides=texts)

        named = _read(resolved({"method"}).mosaic) & CHOSEN.keys()
        settings = resolved(_read(resolved(named).mosaic))
        if not self.precision:
            return settings
        return replace(settings, mosaic=changed(settings.mosaic, mixed_precision=self.precision))

    def check_overrides(self, mosaics: Sequence[MosaicSettings]) -> None:
        """Raise InputError for an override that none of the mosaics reads."""
        read = {name for mosaic in mosaics for name in _read(mosaic)}
        for name in parse_overrides(self.overrides).get("mosaic", {}):
            if name not in read:
                raise InputError(
                    f"--set mosaic.{name} changes nothing: no row has a method or guide that reads "
                    "it. Leave it out or choose other --methods."
                )


def _read(mosaic: MosaicSettings) -> set[str]:
    """The settings that have an effect."""
    return mosaic.flat().keys() - mosaic.idle


def _parsed(override: str) -> tuple[str, str]:
    """Section and name of the setting that one override is of."""
    ((section, values),) = parse_overrides([override]).items()
    (name,) = values
    return section, name


def table_rows(
    methods: Sequence[str],
    presets: Sequence[str],
    variants: Sequence[str] = (),
    levels: Sequence[int] = (),
) -> list[Row]:
    """The rows of the tables, each once; variants bring the whole method as their first.

    levels: those at which every method is made once more.
    """
    found = [Row(method, preset) for preset in presets for method in methods]
    found += [replace(row, variant=f"level {level}") for level in levels for row in found]
    if variants:
        found += [Row(OURS, PAPER_PRESET, variant) for variant in ("", *variants)]
    return list(dict.fromkeys(found))


def all_cases(pairs: Sequence[Pair], seeds: Sequence[int], rows: Sequence[Row]) -> list[Case]:
    """Every mosaic, pair by pair, so that what is finished first can be compared first."""
    return [Case(pair, seed, row) for pair in pairs for seed in seeds for row in rows]
