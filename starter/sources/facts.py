"""Reads the fact files (captions, vocabularies, credits) that lie beside the code."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any


@cache
def read_facts(name: str) -> dict[str, Any]:
    """Content of NAME.toml in this folder."""
    path = Path(__file__).with_name(f"{name}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))
