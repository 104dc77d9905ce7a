"""What a person asks of a mosaic: a form's fields as settings, and as a command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...configs.errors import InputError
from ...configs.loading import resolve
from ...configs.settings import Settings
from ..press.sizes import layout_for
from .desk import Desk

DRAFT = "draft"
MAX_PROMPTS = 8


@dataclass(frozen=True)
class Asked:
    """One mosaic as it was asked for."""

    base: str
    preset: str
    options: dict[str, Any]
    """Settings of [mosaic] by name, only those that were given."""
    print_as: str = ""
    """A size or a product that chooses the grid."""
    overrides: tuple[str, ...] = ()
    """What `--set` says."""

    def settings(self) -> Settings:
        """The resolved settings; raises InputError as `resolve` and `layout_for` do."""
        given = {
            "base": self.base or None,
            "mosaic": self.preset or None,
            "options": {f"mosaic.{name}": value for name, value in self.options.items()},
            "overrides": self.overrides,
        }
        if self.print_as:
            layout = layout_for(self.print_as, resolve(**given))
            given["options"]["mosaic.grid"] = f"{layout.rows}x{layout.cols}"
        return resolve(**given)

    def words(self) -> list[str]:
        """What a person types after `mosaic` for the same."""
        words = ["gen"]
        for name, value in self.options.items():
            for one in value if isinstance(value, tuple) else (value,):
                words += [f"--{name.replace('_', '-')}", str(one)]
        for flag, text in (("base", self.base), ("preset", self.preset), ("print", self.print_as)):
            words += [f"--{flag}", text] if text else []
        return [*words, *(word for text in self.overrides for word in ("--set", text))]


def read_form(form: Mapping[str, Any], many: Mapping[str, Sequence[str]], desk: Desk) -> Asked:
    """What a form asks for.

    form: its single fields; many: those that may be given several times: concepts (tile_lora),
    dropped files (tile_file), and the words (tile_trigger) of those that others trained. Raises
    InputError for a field that cannot be understood.
    """
    options: dict[str, Any] = {}
    options |= _adapters(many, desk)
    lines = tuple(line.strip() for line in form.get("tile_prompt", "").splitlines() if line.strip())
    if len(lines) > MAX_PROMPTS:
        raise InputError(f"Up to {MAX_PROMPTS} prompts, one in a line.")
    if lines:
        options["tile_prompt"] = lines
    options |= _picture(form, desk)
    options |= _pull(form.get("pull", "auto"))
    options["seed"] = _number(form.get("seed", "0") or "0", "seed")
    print_as, kind = "", form.get("size_by", "grid")
    if kind == "grid":
        options["grid"] = form.get("grid", "").strip() or "8x8"
    else:
        print_as = form.get(kind, "").strip()
    base = form.get("base", "") or desk.base
    return Asked(base, form.get("preset", ""), options, print_as, desk.overrides)


def _adapters(many: Mapping[str, Sequence[str]], desk: Desk) -> dict[str, Any]:
    """Concepts and files that the tiles show, and the words of each file but for the last empty."""
    files = (str(desk.lora(name)) for name in many.get("tile_file", ()))
    concepts = (*filter(None, many.get("tile_lora", ())), *files)
    words = [" ".join(text.split()) for text in many.get("tile_trigger", ())]
    while words and not words[-1]:
        words.pop()
    given = {"tile_lora": concepts, "tile_trigger": tuple(words)}
    return {name: values for name, values in given.items() if values}


def _picture(form: Mapping[str, Any], desk: Desk) -> dict[str, Any]:
    """What the mosaic shows from afar: a photo, or a prompt, with a concept or without."""
    if form.get("picture_by", "photo") == "photo":
        if not (name := form.get("photo", "")):
            return {}
        ref = desk.upload(name)
        crop = form.get("crop", "center") or "center"
        return {"ref": str(ref), **({"crop": crop} if crop != "center" else {})}
    given = {"ref_lora": form.get("ref_lora", ""), "ref_prompt": form.get("ref_prompt", "")}
    return {name: value.strip() for name, value in given.items() if value.strip()}


def _pull(text: str) -> dict[str, Any]:
    if text in ("", "auto"):
        return {}
    try:
        return {"guidance_strength": round(float(text), 3)}
    except ValueError as error:
        raise InputError("The pull is a number, or auto.") from error


def _number(text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"The {what} is a whole number.") from error
