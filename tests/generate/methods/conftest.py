"""Mosaics of every method on the tiny model."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def by_method(small, make, photo):
    """Make a small mosaic by a method; the reference is a photo."""

    def run(method: str, out: Path | None = None, **options) -> Path:
        return make(small, out, **{"method": method, "ref": str(photo), "ref_prompt": ""} | options)

    return run
