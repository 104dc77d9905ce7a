"""What a setting knows about itself: its range, its choices, and whether a result depends on it.

A setting is a field of a frozen dataclass, `name: type = setting(default, facts...)`, with its doc
right below it. Checks, help texts, option types and identities are all read off the field, so that
a new setting is one field and nothing else.
"""

import math
from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar

from .errors import InputError

MAX_BITS = 256  # more digits than a message should show

MAX_SEED = 2**63 - 1  # what torch's generators take


@dataclass(frozen=True)
class Facts:
    """The side facts of one setting."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    choices: tuple[str, ...] = ()
    filled: bool = False
    """Whether a list must hold something."""
    path: bool = False
    """Whether it names files that only we open, as their names may hold bytes that are no text."""
    none: str = ""
    """What a user writes for None, "auto" or "off"; empty where the setting always has a value."""
    identity: bool = True
    """Whether the result depends on it, so that unfinished work goes on only with the same."""
    methods: tuple[str, ...] = ()
    """The training methods that read it, where not all do."""
    later: bool = False
    """Whether it came after the first adapters: at its default their files do not mention it."""
    replaces: tuple[str, ...] = ()
    """Settings that say the same in another way: those of an earlier source give way to this."""


def setting(default: Any, **facts: Any) -> Any:
    """A field of a settings class; keywords are those of `Facts`."""
    return field(default=default, metadata={"facts": Facts(**facts)})


def facts_of(entry: Field) -> Facts:
    """The side facts of a field."""
    return entry.metadata.get("facts") or Facts()


class Group:
    """Settings that belong together; a frozen dataclass derives from it.

    Raises InputError when a value is out of its range.
    """

    section: ClassVar[str]
    """Dotted name of the group, such as "mosaic.sampler"."""

    def __post_init__(self) -> None:
        """Check every value against its field's facts."""
        for entry in fields(self):  # type: ignore[arg-type]
            value = getattr(self, entry.name)
            if value is not None:
                check(f"{self.section}.{entry.name}", value, facts_of(entry))

    def identity(self) -> dict[str, Any]:
        """The settings that a result depends on, by name."""
        kept = [e.name for e in fields(self) if facts_of(e).identity]  # type: ignore[arg-type]
        return {name: getattr(self, name) for name in kept}

    def record(self) -> dict[str, Any]:
        """All settings by name, for a file; later ones only where they have another value."""
        entries = fields(self)  # type: ignore[arg-type]
        kept = [e for e in entries if not facts_of(e).later or getattr(self, e.name) != e.default]
        return {entry.name: getattr(self, entry.name) for entry in kept}


def check(name: str, value: Any, facts: Facts) -> None:
    """Raise InputError when a value is not one of the choices, not finite, or out of range."""
    if isinstance(value, str | tuple):
        _check_texts(name, value, facts)
        if facts.choices:
            require_one_of(name, value, facts.choices)
    elif not isinstance(value, bool):
        _check_number(name, value, facts)


def _texts_of(value: str | tuple[Any, ...]) -> Iterator[str]:
    """A text, or those of a list; the recipe also has lists of numbers."""
    items = (value,) if isinstance(value, str) else value
    yield from (item for item in items if isinstance(item, str))


def _check_texts(name: str, value: str | tuple[str, ...], facts: Facts) -> None:
    if facts.filled and not value:
        raise InputError(f"{name} must hold something.")
    for text in _texts_of(value):
        try:
            text.encode(errors="surrogateescape" if facts.path else "strict")
        except UnicodeEncodeError as error:
            raise InputError(f"{name} must be text in UTF-8, not {ascii(text)}.") from error
        if "\0" in text:
            raise InputError(f"{name} must hold no null character: {ascii(text)}.")


def _check_number(name: str, value: float, facts: Facts) -> None:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise InputError(f"{name} is a number of {value.bit_length()} bits, which is too large.")
    spare = f', or "{facts.none}"' if facts.none else ""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{name} must be a finite number{spare}, not {value}.")
    if facts.at_least is not None and value < facts.at_least:
        raise InputError(f"{name} must be at least {facts.at_least}{spare}, not {value}.")
    if facts.above is not None and value <= facts.above:
        raise InputError(f"{name} must be above {facts.above}{spare}, not {value}.")
    if facts.at_most is not None and value > facts.at_most:
        raise InputError(f"{name} must be at most {facts.at_most}{spare}, not {value}.")


def require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise InputError when a value is none of the choices."""
    if value not in choices:
        raise InputError(f'{name} must be one of {", ".join(choices)}; "{value}" is not.')
