""".ci/install.py: CUDA builds of torch come to machines with an NVIDIA GPU only."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
CUDA = ["torch", "nvidia-cublas-cu13", "triton"]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module that notes commands in `ran` instead of running them."""
    spec = importlib.util.spec_from_file_location("install", ROOT / ".ci" / "install.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ran, module.fails = [], ()

    def run(command: list[str]) -> int:
        module.ran.append(command)
        return int(any(word in command for word in module.fails))

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "is_there", lambda package: False)
    return module


def kinds(install: ModuleType) -> list[str]:
    """What was run: "uv" for a CPU build of torch, "pip uv", or "pip" for the rest."""
    found = []
    for command in install.ran:
        words = command[1:]
        if words[:2] == ["-m", "uv"]:
            assert words[words.index("--torch-backend") + 1] == "cpu" and "torch==" in words[-1]
            found.append("uv")
        else:
            found.append("pip uv" if words[-1] == "uv" else "pip")
    return found


@pytest.mark.parametrize(
    ("planned", "gpu", "wanted"),
    [
        (CUDA, False, ["pip uv", "uv", "pip"]),
        (CUDA, True, ["pip"]),
        (["torch", "sympy"], False, ["pip"]),
        (["torch", "sympy"], True, ["pip"]),
        ([], False, ["pip"]),
    ],
)
def test_cuda_comes_with_a_gpu_only(install, monkeypatch, capsys, planned, gpu, wanted):
    monkeypatch.setattr(install, "would_install", lambda requirement: planned)
    monkeypatch.setattr(install, "has_nvidia_gpu", lambda: gpu)
    assert install.main(".[dev]") == 0
    assert kinds(install) == wanted
    assert "GB" in capsys.readouterr().out


def test_a_torch_that_is_there_stays(install, monkeypatch):
    monkeypatch.setattr(install, "is_there", lambda package: package == "torch")
    assert install.main(".[dev]") == 0
    assert kinds(install) == ["pip"]


@pytest.mark.parametrize("failing", ["uv", "--torch-backend"])
def test_without_a_cpu_build_nothing_is_installed(install, monkeypatch, capsys, failing):
    monkeypatch.setattr(install, "would_install", lambda requirement: CUDA)
    monkeypatch.setattr(install, "has_nvidia_gpu", lambda: False)
    install.fails = (failing,)
    assert install.main(".[dev]") == 1
    assert "pip" not in kinds(install)
    assert install.pinned("torch") in capsys.readouterr().out


def test_the_gpu_is_what_its_driver_lists(install, monkeypatch, tmp_path: Path):
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not install.has_nvidia_gpu()
    for code in (9, 0):
        tool.write_text(f"#!/bin/sh\nexit {code}\n")
        tool.chmod(0o755)
        assert install.has_nvidia_gpu() is (code == 0)
