"""What comes with an extra of the package, and what is said where it is not installed."""

from importlib import import_module
from types import ModuleType

from ..configs.errors import InputError

EXTRAS = {"c2pa": "sign", "ray": "cluster"}
"""Extras of modules that do not come with `studio`."""


def require(module: str, what: str) -> ModuleType:
    """Import a module of an extra; raises InputError that says what to install.

    what: the thing that needs it, the beginning of the message: "A print file".
    """
    try:
        return import_module(module)
    except (ImportError, OSError) as error:  # OSError: a library of the system's is missing
        extra = EXTRAS.get(module, "studio")
        raise InputError(
            f"{what} needs {module}, which does not load ({error}). "
            f"Install it: pip install 'smalti[{extra}]'"
        ) from error
