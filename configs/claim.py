"""The one claim on a folder: work that goes on there must be the work that was begun there.

An identity is a flat table of everything that a result depends on: settings, hashes of the files
that were read, and the precision that was resolved. A mosaic's folder, a training run and an
evaluation each keep theirs; here is how two are compared, and what is said when they differ.
"""

import json
from collections.abc import Mapping
from typing import Any

from .errors import InputError

SHOWN = 3  # differences that a message names
EXPLAINING = ("base", "resolution", "method")  # what others of them follow from


def check_claim(
    claimed: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    what: str,
    remedy: str,
    defaults: Mapping[str, Any] | None = None,
) -> None:
    """Raise InputError when work of identity `now` cannot go on where `claimed` was begun.

    what: the folder and what it holds, the beginning of the message; remedy: its end, what to do.
    defaults: values that count where `claimed` has none, as an older smalti did not know them yet.
    """
    begun = {**(defaults or {}), **claimed}
    names = differences(begun, now)
    if not names:
        return
    shown = [f"{name}: {begun.get(name)!r}, now {now[name]!r}" for name in names[:SHOWN]]
    if len(names) > SHOWN:
        shown.append(f"and {len(names) - SHOWN} more")
    raise InputError(f"{what} with other settings ({'; '.join(shown)}). {remedy}")


def differences(claimed: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Names of what differs; base and method first, as they explain the others."""
    wanted = as_json(now)
    names = [name for name in sorted(wanted) if claimed.get(name) != wanted[name]]
    return sorted(names, key=lambda name: name not in EXPLAINING)


def as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they come back from a JSON file: lists for tuples."""
    return json.loads(json.dumps(values))
