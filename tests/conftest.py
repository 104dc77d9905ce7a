"""Fixtures that several test modules share: a tiny base model, on disk and loaded."""

import gc
import os
import signal
import tempfile
from pathlib import Path

import pytest

# A job in a shell's background ignores Ctrl+C, and so would every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# No test may need the network: a forgotten download fails at once instead of hanging.
os.environ["HF_HUB_OFFLINE"] = "1"
# Nor does one depend on whose machine this is: what lies in a cache, whether there is a home, how
# wide or colourful a terminal is.
_OWN_HOME = tempfile.TemporaryDirectory(prefix="smalti-tests-", ignore_cleanup_errors=True)
for _name in ("HF_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
    os.environ[_name] = str(Path(_OWN_HOME.name) / _name.lower())
for _name in (
    "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE", "FORCE_COLOR", "CLICOLOR_FORCE",
    "PY_COLORS", "GITHUB_ACTIONS", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "TERMINAL_WIDTH", "LINES",
    "MAKEFLAGS", "MAKELEVEL", "MFLAGS",
):  # fmt: skip
    os.environ.pop(_name, None)
os.environ["COLUMNS"] = "200"

import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What smalti keeps between runs goes to a folder of the tests' own."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    return folder / "smalti"


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny model in SD's layout (epsilon prediction, AutoencoderKL).

    Beside it lies `color_adapter`.
    """
    from tiny import make_color_adapter, make_tiny_sd

    folder = tmp_path_factory.mktemp("bases")
    make_color_adapter(folder / "color_adapter")
    return make_tiny_sd(folder / "tiny")


@pytest.fixture(scope="session")
def tiny_settings(tiny_sd: Path):
    """Base settings that point at `tiny_sd`."""
    from smalti.configs.base import BaseSettings

    adapter = str(tiny_sd.parent / "color_adapter")
    return BaseSettings(name="tiny", source=str(tiny_sd), resolution=64, color_adapter=adapter)


@pytest.fixture(scope="session")
def tiny_base(tiny_settings):
    """The tiny model, loaded once. Tests that attach adapters detach them, or load their own."""
    from smalti.models.bases import load_base

    return load_base(tiny_settings, device="cpu")


@pytest.fixture(scope="session")
def xl_settings(tmp_path_factory: pytest.TempPathFactory):
    """Base settings that point at a tiny model in SDXL's layout."""
    from tiny_xl import make_tiny_sdxl

    from smalti.configs.base import BaseSettings

    folder = make_tiny_sdxl(tmp_path_factory.mktemp("bases") / "xl")
    return BaseSettings(name="xl", source=str(folder), resolution=64)


@pytest.fixture(scope="session")
def xl_base(xl_settings):
    """That model, loaded once. Tests that attach adapters detach them."""
    from smalti.models.bases import load_base

    return load_base(xl_settings, device="cpu")


@pytest.fixture(scope="session", params=["epsilon", "v_prediction"])
def any_base(request, tiny_base, tmp_path_factory):
    """A tiny base that predicts eps, and one that predicts v with zero-terminal SNR."""
    from tiny import make_tiny_sd

    from smalti.configs.base import BaseSettings
    from smalti.models.bases import load_base

    if request.param == "epsilon":
        return tiny_base
    folder = make_tiny_sd(tmp_path_factory.mktemp("any") / "v", prediction_type=request.param)
    return load_base(BaseSettings(name="tiny", source=str(folder), resolution=64), device="cpu")


@pytest.fixture(scope="session")
def lpips_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An LPIPS file of random weights; the heads are positive, as the real ones are."""
    from safetensors.torch import save_file

    from smalti.models.lpips import LAYERS

    g = torch.Generator().manual_seed(0)
    weights = {}
    for number, (key, inside, outside, kernel, *_) in enumerate(LAYERS):
        shape = (outside, inside, kernel, kernel)
        scale = (2 / (inside * kernel * kernel)) ** 0.5
        weights[f"features.{key}.weight"] = (torch.randn(shape, generator=g) * scale).half()
        weights[f"features.{key}.bias"] = torch.zeros(outside).half()
        weights[f"lin{number}.weight"] = torch.rand(1, outside, 1, 1, generator=g).half()
    path = tmp_path_factory.mktemp("lpips") / "lpips.safetensors"
    save_file(weights, path)
    return path


def pytest_collection_finish() -> None:
    """What is imported by now stays: garbage collection need not look at it again and again."""
    gc.collect()
    gc.freeze()
