"""Settings of a printed product: its size, and what the lab that prints it wants of a file."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

from .errors import InputError
from .fields import Group, facts_of, setting
from .files import user_path
from .presets import PRESETS, preset_names
from .tables import nearest, read_settings_file
from .values import from_toml

FORMATS = ("tiff", "jpeg", "png", "pdf")
INTENTS = ("perceptual", "relative", "saturation", "absolute")
EDGES = ("mirror", "picture")
MAX_MM = 20_000


@dataclass(frozen=True)
class ProductSettings(Group):
    """A printed product; lengths in millimetres."""

    section: ClassVar[str] = "product"

    width: float = setting(300, above=0, at_most=MAX_MM)
    """Width when it is cut, in mm; a product is turned to suit the mosaic."""
    height: float = setting(400, above=0, at_most=MAX_MM)
    """Height when it is cut, in mm."""
    name: str = ""
    """Name of the file that a lab gets."""
    title: str = ""
    """What it is, in words."""
    bleed: float = setting(3, at_least=0, at_most=200)
    """What is printed beyond each edge, in mm; the sides of a canvas are bleed too."""
    margin: float = setting(5, at_least=0, at_most=500)
    """Safe margin inside each edge, in mm: what a cut or a frame may take."""
    dpi: int = setting(300, at_least=20, at_most=2400)
    """Pixels per inch of the file."""
    profile: str = setting("srgb", path=True)
    """Colour profile: "srgb", "adobe-rgb", "display-p3", or the file of the lab's own."""
    intent: str = setting("relative", choices=INTENTS)
    """What becomes of colours that the profile does not hold."""
    format: str = setting("tiff", choices=FORMATS)
    """"tiff", "jpeg", "png" or "pdf"."""
    edge: str = setting("mirror", choices=EDGES)
    """What the bleed shows: "mirror" (the outer tiles, mirrored) or "picture" (the picture goes on,
    so that its outer tiles are cut)."""
    panels: str = "1x1"
    """ROWSxCOLS of sheets that a large print is cut into."""
    overlap: float = setting(10, at_least=0, at_most=500)
    """How far panels reach over their neighbours, in mm."""


def load_product(name: str) -> ProductSettings:
    """A shipped product by its name, or a TOML file of the user's.

    Raises InputError for a name that is neither, an unknown key, or a value that does not fit.
    """
    if name in preset_names("product"):
        return read_product(PRESETS / "product" / f"{name}.toml")
    path = user_path(name)
    if path.suffix.lower() == ".toml" or path.is_file():
        return read_product(path)
    names = preset_names("product")
    raise InputError(
        f'"{name}" is no product{nearest(name, names)} Known products: {", ".join(names)}; or give '
        "a TOML file, or a size such as 60x40cm or 24x16in."
    )


def read_product(path: Path) -> ProductSettings:
    """The product in a TOML file, whose keys may stand under [product]; raises InputError."""
    content = read_settings_file(path)
    table = content.pop("product", {}) if isinstance(content.get("product"), dict) else {}
    values = {"name": path.stem, **content, **table}
    kinds = get_type_hints(ProductSettings)
    for key, value in values.items():
        if key not in kinds or key == "section":
            known = [entry.name for entry in fields(ProductSettings)]
            raise InputError(f'{path}: unknown setting "{key}"{nearest(key, known)}')
        values[key] = from_toml(value, kinds[key], f"product.{key}", str(path))
    if missing := {"width", "height"} - values.keys():
        raise InputError(f"{path} says no {sorted(missing)[0]}; a product needs one in mm.")
    return ProductSettings(**values)


def with_changes(product: ProductSettings, **changes: Any) -> ProductSettings:
    """The product with what is not None changed; raises InputError for what is out of range."""
    values = {entry.name: getattr(product, entry.name) for entry in fields(product)}
    return ProductSettings(**(values | {k: v for k, v in changes.items() if v is not None}))


def product_facts(name: str) -> str:
    """What a help text says of a field's choices, such as "tiff, jpeg, png, pdf"."""
    return ", ".join(facts_of(ProductSettings.__dataclass_fields__[name]).choices)
