"""What the command line imports to parse and to plan loads no torch, so that it answers at once."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "diffusers", "transformers", "peft", "scipy", "matplotlib")


def loaded_by(code: str) -> set[str]:
    """Heavy libraries that a fresh Python has loaded after running `code`."""
    run = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(HEAVY) & set(run.stdout.split())


@pytest.mark.parametrize(
    "modules",
    [
        "smalti.cli.gen, smalti.cli.train, smalti.cli.main, smalti.generate.plan",
        "smalti.models.adapter_file, smalti.models.concepts, smalti.models.cost, "
        "smalti.models.locate, smalti.models.photos, smalti.models.pixels, smalti.models.sheets, "
        "smalti.models.words, smalti.configs.describe, smalti.configs.loading, "
        "smalti.configs.claim, smalti.configs.progress",
    ],
    ids=["commands", "parts"],
)
def test_no_heavy_library_is_loaded(modules: str):
    assert loaded_by(f"import {modules}") == set()


def test_an_estimate_loads_none_either():
    """But where a GPU may be there, which only torch can tell."""
    code = (
        "import shutil, pathlib; shutil.which = lambda name: None; import smalti.models.cost as c; "
        "c.NVIDIA_DRIVER = pathlib.Path('none'); c.platform.system = lambda: 'Linux'; "
        "from smalti.configs.loading import resolve; "
        "c.seconds_of(10, resolve(base='sd21', mosaic='paper').base, 768, c.expected_device())"
    )
    assert loaded_by(code) == set()
