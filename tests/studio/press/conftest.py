"""A small mosaic for the tests of the press, and readers that are not ours."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from made_mosaics import made_mosaic

from smalti.studio.press.finished import Finished, open_finished


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished mosaic of 3 x 4 tiles of 32 px; its tiles and record are not to be written to."""
    return made_mosaic(tmp_path_factory.mktemp("press") / "small", 3, 4)


@pytest.fixture(scope="session")
def mosaic(folder: Path) -> Finished:
    """The same, opened."""
    return open_finished(folder)


@pytest.fixture(scope="session")
def read_by() -> Callable[..., str]:
    """Run a reader of the system's on files; the test is skipped where it is not installed."""

    def run(program: str, *words: str | Path) -> str:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
        command = [program, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return run
