"""The wheel holds every package with its data, and the list in pyproject.toml matches the tree."""

import configparser
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("cli", "configs", "evaluate", "generate", "models", "train")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_package_list_matches_the_tree():
    found = {
        "smalti." + ".".join(path.parent.relative_to(ROOT).parts)
        for room in ROOMS
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found
    assert not (ROOT / "__init__.py").exists()


def test_every_dependency_is_pinned_by_the_constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    extras = PROJECT["project"]["optional-dependencies"]["dev"]
    for requirement in [*PROJECT["project"]["dependencies"], *extras]:
        name, bound = requirement.split(">=")
        pinned = [int(part) for part in pins[name.replace("_", "-")].split(".")]
        assert pinned >= [int(part) for part in bound.split(".")]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, without a network; weights are replaced by small files."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    skip = shutil.ignore_patterns("__pycache__")
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=skip, copy_function=_copy_small)
    for name in ("unet/w.safetensors", "clip/config.json", "tokenizer/merges.txt", "README.md"):
        path = source / "models" / "starter" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder)]
    command = [sys.executable, "-m", "pip", "wheel", str(source), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("smalti-*.whl"))


def _copy_small(source: str, target: str) -> None:
    if Path(source).suffix == ".safetensors":
        Path(target).touch()
    else:
        shutil.copy(source, target)


def test_the_wheel_holds_code_presets_and_starter_weights(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for room in ROOMS:
        for path in (ROOT / room).rglob("*"):
            if path.suffix in (".py", ".toml"):
                assert f"smalti/{path.relative_to(ROOT).as_posix()}" in names
    for name in ("unet/w.safetensors", "clip/config.json", "tokenizer/merges.txt", "README.md"):
        assert f"smalti/models/starter/{name}" in names
    assert not any(name.startswith(("smalti/concepts", "smalti/tests")) for name in names)


def test_the_wheel_works_where_the_source_is_not(wheel: Path, tmp_path: Path):
    """Unpacked and put first on the path, it must run from its own files alone."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        # An editable installation answers for smalti before the path does.
        "sys.meta_path[:] = [f for f in sys.meta_path if '_editable_' not in repr(f).lower()];"
        "from smalti.configs import loading; assert loading.__file__.startswith(sys.argv[1]);"
        "from smalti.cli.main import app; print(loading.preset_names('base'))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "starter" in done.stdout


def test_the_entry_points_exist(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith("entry_points.txt"))
        parser = configparser.ConfigParser()
        parser.read_string(archive.read(name).decode())
    from importlib import import_module

    scripts = dict(parser["console_scripts"])
    assert set(scripts) == {"mosaic", "mosaic-train", "mosaic-gen"}
    for target in scripts.values():
        module, function = target.split(":")
        assert callable(getattr(import_module(module), function))
