"""What holds for all orders of a run, and the settings that an order means under them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ...configs.loading import resolve
from ...configs.product import ProductSettings
from ...configs.settings import Settings
from .naming import DEFAULT, check_template
from .ticket import OWN, Order


@dataclass(frozen=True)
class Terms:
    """What was given for a whole run; an order keeps those that it was received under."""

    base: str | None = None
    """Base model; None is what presets and overrides say, else the starter."""
    preset: str | None = None
    """Mosaic preset of orders that name none."""
    overrides: tuple[str, ...] = ()
    """Further settings, such as "train.steps=300"."""
    proof_first: bool = False
    """Whether print files wait until the proof is approved."""
    concepts_dir: str = "concepts"
    """Where trained concepts lie, an absolute path."""
    naming: str = DEFAULT
    """Template of the folders of finished orders."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Terms":
        """The terms in what JSON holds."""
        known = {entry.name for entry in fields(cls)}
        values = {key: value for key, value in told.items() if key in known}
        return cls(**{**values, "overrides": tuple(values.get("overrides", ()))})


@dataclass(frozen=True)
class Materials:
    """The files of an order where its work finds them."""

    concept: str = ""
    """Folder of the order's own concept, or the name of a trained one."""
    picture: str = ""
    """The photo that is seen from afar."""
    lora: str = ""
    """The LoRA of the tiles."""


def drawing_settings(order: Order, terms: Terms, materials: Materials) -> Settings:
    """The settings of an order's mosaic; raises InputError for what does not go together."""
    own = materials.concept
    options: dict[str, Any] = {
        "mosaic.tile_lora": _given(own, *order.tile_concepts, materials.lora),
        "mosaic.tile_prompt": list(order.tile_prompts) or None,
        "mosaic.ref": materials.picture or None,
        "mosaic.ref_prompt": order.picture_prompt or None,
        "mosaic.ref_lora": (own if order.picture_concept == OWN else order.picture_concept) or None,
        "mosaic.seed": order.seed,
    }
    if order.grid:
        options["mosaic.grid"] = order.grid
    given = {
        "base": terms.base, "mosaic": order.preset or terms.preset, "overrides": terms.overrides,
    }  # fmt: skip
    settings = resolve(**given, options=options)
    if (wanted := order.product or order.size) and not order.grid:
        from ..press.sizes import layout_for

        layout = layout_for(wanted, settings)
        grid = {"mosaic.grid": f"{layout.rows}x{layout.cols}"}
        settings = resolve(**given, options=options | grid)
    return settings


def _given(*names: str) -> list[str] | None:
    return [name for name in names if name] or None


def training_settings(order: Order, terms: Terms, folder: Path) -> Settings:
    """The settings with which an order's own concept is trained."""
    return resolve(
        base=terms.base,
        concept_toml=folder / "concept.toml",
        overrides=terms.overrides,
        options={"train.class_word": order.class_word or None},
    )


def product_of(order: Order) -> ProductSettings | None:
    """What is printed of an order, None where it wants no print."""
    from ..press.sizes import chosen_product

    text = order.product or order.size
    return chosen_product(text) if text else None


def kin_of(order: Order, terms: Terms) -> str:
    """What orders share that one loaded base with its adapters serves."""
    shared = (terms.base or "", *sorted(_given(order.concept, *order.tile_concepts) or ()))
    return "|".join((*shared, order.tile_lora))


def check_terms(terms: Terms) -> None:
    """Raise InputError where what was given for the run cannot work for any order."""
    resolve(base=terms.base, mosaic=terms.preset, overrides=terms.overrides)
    check_template(terms.naming)
