"""Where an order's files go: a template such as `{date}/{customer}/{reference}_{product}`, filled.

Parts of a path are made of what every file system takes. A list of what is allowed is shorter than
one of what is not: pathvalidate 3.3.1 lets "..", reversed text and "NUL .txt" pass.
"""

import hashlib
import re
import string
import unicodedata
from collections.abc import Collection, Mapping
from datetime import date
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ...configs.errors import InputError
from ...configs.tables import nearest

if TYPE_CHECKING:
    from .ticket import Order

DEFAULT = "{date}/{customer}/{reference}_{product}"
KEYS = (
    "date", "customer", "reference", "product", "size", "grid", "copies", "preset", "priority",
    "due", "state",
)  # fmt: skip
PART_BYTES = 80
"""Of one part in UTF-8: three of them, and what is written within, stay below Windows' 260."""
PUNCTUATION = " -_.,'()&+@="
ENDS = " .-_"  # what no part begins or ends with
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])", re.I)
"""Names that Windows keeps for devices, with any ending."""
DIGITS = 6


def check_template(template: str) -> str:
    """The template itself; raises InputError for an unknown key or one that names no order."""
    for key in _keys(template):
        if key not in KEYS:
            hint = nearest(key, KEYS)
            raise InputError(f'--name has no "{{{key}}}"{hint} Known: {", ".join(KEYS)}.')
    if "reference" not in _keys(template):
        raise InputError("--name needs {reference}, so that no two orders share a folder.")
    parts = template.replace("\\", "/").split("/")
    if any(part.strip() in ("", ".", "..") for part in parts) or ":" in parts[0]:
        raise InputError(f'--name "{template}" must lead down from the folder it starts in.')
    return template


def _keys(template: str) -> list[str]:
    """The keys between braces; raises InputError for braces that cannot be read."""
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InputError(f'--name "{template}": {error}.') from error
    if any(spec or conversion for _, _, spec, conversion in pieces):
        raise InputError(f'--name "{template}": keys stand alone, as in {{reference}}.')
    return [key for _, key, _, _ in pieces if key is not None]


def order_facts(order: "Order", day: date, state: str = "") -> dict[str, str]:
    """What the keys of a template stand for."""
    told = {key: getattr(order, key, "") for key in KEYS}
    told |= {"date": day.isoformat(), "due": order.due.isoformat() if order.due else ""}
    told |= {"product": order.product or order.size, "state": state}
    return {key: str(value) for key, value in told.items()}


def output_path(
    template: str, facts: Mapping[str, str], taken: Collection[str] = ()
) -> PurePosixPath:
    """A relative path, the same for the same facts; parts whose keys are all empty are left out.

    taken: paths of other orders, as `folded` writes them; the path then gets a few digits of the
    reference's hash. Raises InputError as `check_template` does.
    """
    check_template(template)
    parts = [_filled(part, facts) for part in template.replace("\\", "/").split("/")]
    path = PurePosixPath(*filter(None, parts))
    if folded(path) in taken:
        path = path.with_name(f"{path.name}-{_digits(facts['reference'])}")
    return path


def folded(path: PurePosixPath) -> str:
    """A path in the form in which file systems that ignore case compare it."""
    return unicodedata.normalize("NFKC", str(path).casefold()).casefold()


def _filled(part: str, facts: Mapping[str, str]) -> str:
    """A part of the template with its keys' values, safe; empty where all of them are."""
    keys = _keys(part)
    values = {key: _cleaned(facts[key]) for key in keys}
    if keys and not any(values.values()):
        return _digits(facts["reference"]) if "reference" in keys else ""
    changed = "reference" in keys and values["reference"] != facts["reference"]
    return safe_part(part.format(**values), _digits(facts["reference"]) if changed else "")


def safe_part(text: str, digits: str = "") -> str:
    """A text as one part of a path, in any script, on every file system.

    digits: what tells it from others that look alike. A text that is cut, or of which nothing is
    left, gets some digits of its own.
    """
    plain = _cleaned(text)
    if RESERVED.fullmatch(plain.split(".")[0].rstrip()):
        plain = f"_{plain}"
    short = PART_BYTES - DIGITS - 1
    if not plain or len(plain.encode()) > (short if digits else PART_BYTES):
        digits = digits or _digits(text)
        plain = plain.encode()[:short].decode(errors="ignore").rstrip(ENDS)
    return "-".join(filter(None, (plain, digits)))


def _cleaned(text: str) -> str:
    """Letters, marks and digits of any script, and harmless punctuation; others become "-"."""
    composed = unicodedata.normalize("NFC", text)
    visible = [c for c in composed if unicodedata.category(c) != "Cf"]  # they reverse and hide
    kept = ["-" if _strange(c) else c for c in visible]
    single = re.sub(r"([-_. ])\1+", r"\1", "".join(kept))
    return single.strip(ENDS)


def _strange(char: str) -> bool:
    return char not in PUNCTUATION and unicodedata.category(char)[0] not in "LMN"


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:DIGITS]
