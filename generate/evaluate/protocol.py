"""The paper's evaluation: twelve prompt pairs, fixed seeds, and the rows of its tables.

Nothing here draws or loads a model, so that commands can list names at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...configs.errors import InputError
from ...configs.loading import nearest, resolve
from ...configs.settings import Settings


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

# An evaluation sets these itself; what else is set holds for all of its rows.
OWN = ("grid", "level", "seed", "method", "ref", "ref_prompt", "ref_lora", "tile_prompt",
       "tile_lora", "pool")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """How mosaics of one row of the tables are made."""

    method: str
    """One of METHODS, or of PEERS: a program of others."""
    preset: str
    """Mosaic preset; a peer's pool is drawn with it."""
    variant: str = ""
    """A key of ABLATION or SWEEP, or nothing."""

    @property
    def label(self) -> str:
        """The row's name in tables and pictures."""
        return ", ".join(filter(None, (self.method, self.preset, self.variant)))


@dataclass(frozen=True)
class Job:
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


def setting_name(override: str) -> str:
    """The setting that an override such as "mosaic.steps=4" is of."""
    return override.partition("=")[0].strip()


@dataclass(frozen=True)
class Protocol:
    """What is the same for all mosaics of an evaluation."""

    base: str = "starter"
    """Base preset or folder."""
    grid: str = "8x8"
    """ROWSxCOLS."""
    overrides: tuple[str, ...] = ()
    """Further settings, "mosaic.steps=4"."""

    def __post_init__(self) -> None:
        """Refuse overrides of what an evaluation sets itself; raises InputError."""
        for text in self.overrides:
            name = setting_name(text)
            if name in [f"mosaic.{own}" for own in OWN]:
                raise InputError(
                    f"--set {name} is no choice here: an evaluation sets it itself. Take --pairs, "
                    "--seeds, --methods or --grid, or mosaic-gen for a mosaic of your own."
                )

    def settings(self, job: Job, lpips: Path | None = None) -> Settings:
        """Settings of one mosaic; raises InputError as `resolve` does.

        lpips: LPIPS weights, which the guide of that name needs.
        """
        settings = self._resolved(job.pair, job.seed, job.row.preset, {"method": job.row.method})
        changes = dict({**ABLATION, **SWEEP}.get(job.row.variant, {}))
        if job.row.variant == LPIPS_GUIDED:
            changes["lpips"] = str(lpips)
        return replace(settings, mosaic=replace(settings.mosaic, **changes))

    def reference_settings(self, pair: Pair, seed: int) -> Settings:
        """Settings that a reference is drawn with, the same for all rows: the default ones.

        Without guidance, so that a reference is the same whatever guides tiles.
        """
        return self._resolved(pair, seed, None, {"guidance": False})

    def _resolved(
        self, pair: Pair, seed: int, preset: str | None, more: Mapping[str, Any]
    ) -> Settings:
        own = {"grid": self.grid, "seed": seed, "ref_prompt": pair.reference,
               "tile_prompt": (pair.tile,), **more}  # fmt: skip
        options = {f"mosaic.{name}": value for name, value in own.items()}
        return resolve(base=self.base, mosaic=preset, options=options, overrides=self.overrides)


def table_rows(
    methods: Sequence[str], presets: Sequence[str], variants: Sequence[str] = ()
) -> list[Row]:
    """The rows of the tables, each once; variants bring the whole method as their first."""
    found = [Row(method, preset) for preset in presets for method in methods]
    if variants:
        found += [Row("smalti", PAPER_PRESET, variant) for variant in ("", *variants)]
    return list(dict.fromkeys(found))


def all_jobs(pairs: Sequence[Pair], seeds: Sequence[int], rows: Sequence[Row]) -> list[Job]:
    """Every mosaic, pair by pair, so that what is finished first can be compared first."""
    return [Job(pair, seed, row) for pair in pairs for seed in seeds for row in rows]


def choose_names(text: str, known: Sequence[str], what: str) -> list[str]:
    """Read comma-separated names of `known`, "all" for all of them; raises InputError."""
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    if chosen == ["all"]:
        return list(known)
    if not chosen:
        raise InputError(f"--{what}s is empty; known: {', '.join(known)}.")
    for name in chosen:
        if name not in known:
            raise InputError(
                f'There is no {what} "{name}"{nearest(name, known)} Known: {", ".join(known)}.'
            )
    return list(dict.fromkeys(chosen))


def choose_pairs(text: str) -> list[Pair]:
    """Read comma-separated names of pairs, "all" for all of them; raises InputError."""
    by_name = {pair.name: pair for pair in PAIRS}
    return [by_name[name] for name in choose_names(text, list(by_name), "pair")]


def choose_seeds(text: str) -> list[int]:
    """Read comma-separated seeds; raises InputError."""
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = [-1]
    if min(seeds) < 0:
        raise InputError(f'--seeds takes whole numbers from 0 up, such as 0,1, not "{text}".')
    return list(dict.fromkeys(seeds))
