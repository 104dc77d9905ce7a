"""An order as a studio writes it down, and every fault of a ticket told at once, in words."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ...configs.errors import InputError
from ...configs.fields import MAX_SEED
from ...configs.tables import nearest
from ...train.concept import read_class_word
from .checks import faults_and_paths
from .places import Place, content_hash

OWN = "concept"
"""What `picture_concept` says of the order's own concept."""
SHOWN_CHARACTERS = 60
WANTED = {
    "consent": "yes or no",
    "copies": "a whole number from 1 to 999",
    "seed": "a whole number from 0",
    "priority": "a whole number from 0 (first) to 9",
    "due": "a date such as 2026-12-24",
    "tile_concepts": "a list of names",
    "tile_prompts": "a list of texts",
}

YES = ("x", "ja", "oui", "si", "sí", "sim", "wahr", "vrai", "verdadero", "vero", "waar")
NO = ("nein", "non", "nee", "não", "falsch", "faux", "falso", "onwaar")
"""What other languages' spreadsheets and people write, besides what pydantic knows."""


def _plain(text: str) -> str:
    """A text on one line, in Unicode's composed form; ValueError for what no person types."""
    text = re.sub(r"[\t\r\n]+", " ", text)
    if odd := next((c for c in text if unicodedata.category(c) in ("Cc", "Cs")), None):
        raise ValueError(f"holds the character {ascii(odd)}, which no name or path has")
    return unicodedata.normalize("NFC", text)


def _reference(text: str) -> str:
    """Refuse what spreadsheets make of long numbers: two orders would become one."""
    if re.fullmatch(r"\d+[.,]?\d*[eE]\+\d+", text):
        raise ValueError("was a long number, which the spreadsheet has rounded; make it a text")
    return text


def _day(value: Any) -> Any:
    """A day as TOML, JSON and spreadsheets write it; ValueError where day and month may be swapped.

    ISO dates, with or without midnight; day.month.year; and slashes where only one reading exists.
    """
    if isinstance(value, datetime):
        return value.date()
    if not isinstance(value, str):
        return value
    text = re.sub(r"[T ]00:00(:00(\.0+)?)?$", "", value.strip())
    match = re.fullmatch(r"(\d{1,2})([./])(\d{1,2})\2(\d{4})", text)
    if match is None:
        return text
    first, second, year = int(match[1]), int(match[3]), int(match[4])
    if match[2] == "/" and first <= 12 and second <= 12 and first != second:
        raise ValueError(f'"{text}" may be two days; write it as 2026-12-24')
    month_first = match[2] == "/" and second > 12
    return date(year, first, second) if month_first else date(year, second, first)


def _agreed(value: Any) -> Any:
    """Yes or no in other languages; what is neither stays as it is."""
    word = value.strip().lower() if isinstance(value, str) else value
    return True if word in YES else False if word in NO else word


def _many(value: Any) -> Any:
    """A list without empty items; a single text is a list of one."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        return items
    return [item for item in items if not (isinstance(item, str) and not item.strip())]


Text = Annotated[str, Field(max_length=2000), AfterValidator(_plain)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_many)]
Reference = Annotated[
    str, Field(min_length=1, max_length=120), AfterValidator(_plain), AfterValidator(_reference)
]


class Order(BaseModel):
    """One order; `check_ticket` makes it, its paths are absolute then."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", str_strip_whitespace=True, coerce_numbers_to_str=True,
        use_attribute_docstrings=True,
    )  # fmt: skip

    reference: Reference
    """Your number of the order; told twice with the same content, it is one order."""
    customer: Text = ""
    """The customer's name, in any script."""
    concept: Text = ""
    """What the tiles show: a folder of at least 3 photos (about 15 are best), which is trained
    first, or the name of a trained concept."""
    class_word: Text = ""
    """What the photos show, in a word: dog, girl, mug."""
    consent: Annotated[bool, BeforeValidator(_agreed)] = False
    """Whether the people in the photos agreed to them being used; required with photos."""
    tile_concepts: Texts = ()
    """Further trained concepts for the tiles."""
    tile_prompts: Texts = ()
    """What tiles show, in words; <concept> stands for the concept."""
    tile_lora: Text = ""
    """A LoRA for the tiles: a .safetensors file."""
    picture: Text = ""
    """What is seen from afar: a photo, ..."""
    picture_prompt: Text = ""
    """... or words from which it is drawn, ..."""
    picture_concept: Text = ""
    """... or a trained concept; the word "concept" means the order's own."""
    product: Text = ""
    """What is printed: a name that `mosaic products` lists; ..."""
    size: Text = ""
    """... or a size such as 60x40cm. Without both there is a mosaic but no print file."""
    grid: Text = ""
    """Rows and columns of tiles, such as 8x8; what suits the print if it is left out."""
    copies: Annotated[int, Field(ge=1, le=999)] = 1
    """How many prints."""
    preset: Text = ""
    """How carefully it is drawn: a mosaic preset such as draft or fine."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    """Another number gives another mosaic of the same kind."""
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    """0 is drawn first, 9 last."""
    due: Annotated[date | None, BeforeValidator(_day)] = None
    """The day on which it must be ready: 2026-12-24."""
    notes: Text = ""
    """For people; nothing is done with it."""

    @property
    def photos(self) -> Path | None:
        """The folder of photos that is trained, None where `concept` is a trained one's name."""
        path = Path(self.concept)
        return path if self.concept and path.is_absolute() else None

    def digest(self) -> str:
        """SHA-256 of what the order says and of the files it names, wherever these lie.

        Raises InputError for a file that is not there any more.
        """
        told = self.model_dump(mode="json")
        for name in ("picture", "tile_lora"):
            if told[name]:
                told[name] = content_hash(Path(told[name]))
        if self.photos:
            told["concept"] = content_hash(self.photos)
        text = json.dumps(told, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def warnings(self, today: date) -> list[str]:
        """What a studio should know of an order that can be done."""
        found = []
        if self.due and self.due < today:
            found.append(f"due is {self.due}, which is past")
        if self.photos and not (self.class_word or read_class_word(self.photos)):
            found.append("no class_word says what the photos show, so it is a thing")
        return found


class BadTicket(InputError):
    """A ticket that cannot become an order, with all its faults."""

    def __init__(self, reference: str, faults: list[str]) -> None:
        self.reference, self.faults = reference, faults
        super().__init__(f"{reference or 'an order without reference'}: {'; '.join(faults)}")


def check_ticket(
    values: Mapping[str, Any],
    where: Path,
    *,
    concepts_dir: Path = Path("concepts"),
    inside: bool = True,
) -> Order:
    """The order that a ticket tells; its photos are decoded once.

    values: fields by name; an empty one counts as not given. where: the folder that paths start
    from. inside: whether they may not leave it. Raises BadTicket with every fault.
    """
    given = {key: value for key, value in values.items() if value is not None and value != ""}
    order, faults, unread = _typed(given)
    place = Place(where.absolute(), concepts_dir, inside)
    more, paths = faults_and_paths(order, unread, place)
    if faults + more:
        reference = given.get("reference", "")
        raise BadTicket(str(reference).strip()[:SHOWN_CHARACTERS], faults + more)
    return order.model_copy(update=paths)


def _typed(given: Mapping[str, Any]) -> tuple[Order, list[str], set[str]]:
    """What of a ticket can be read; a fault for each field that cannot, and those fields."""
    try:
        return Order.model_validate(dict(given)), [], set()
    except ValidationError as error:
        found = error.errors(include_url=False)
    bad = {str(fault["loc"][0]) for fault in found}
    good = {key: value for key, value in given.items() if key not in bad}
    faults = list(dict.fromkeys(map(_in_words, found)))
    return Order.model_validate({"reference": "unknown"} | good), faults, bad


def _in_words(fault: Mapping[str, Any]) -> str:
    name, value = str(fault["loc"][0]), fault.get("input")
    if fault["type"] == "extra_forbidden":
        return f'unknown field "{name}"{nearest(name, list(Order.model_fields))}'.rstrip(".")
    if fault["type"] == "missing":
        return f"{name} is missing"
    if fault["type"] == "value_error":
        return f"{name} {str(fault['ctx']['error'])}"
    if fault["type"] == "string_too_long":
        return f"{name} has {len(str(value))} characters, at most {fault['ctx']['max_length']}"
    return f'{name} must be {WANTED.get(name, "a text")}, not "{str(value)[:SHOWN_CHARACTERS]}"'
