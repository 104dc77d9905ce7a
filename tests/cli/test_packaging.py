"""The wheel holds the packaged rooms with their data; only an editable install has the recipe."""

import configparser
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["setuptools"]["packages"]
ROOMS = sorted({name.split(".")[1] for name in PACKAGES if "." in name})
NOT_IN_THE_WHEEL = {"starter"}
"""Rooms of the checkout alone: the recipe that made the weights."""


def rooms_of_the_checkout() -> set[str]:
    return {path.parent.name for path in ROOT.glob("*/__init__.py")}


def test_the_package_list_matches_the_tree() -> None:
    found = {
        "smalti." + ".".join(path.parent.relative_to(ROOT).parts)
        for room in rooms_of_the_checkout() - NOT_IN_THE_WHEEL
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert set(PACKAGES) == {"smalti", *found}
    assert not list(ROOT.glob("*.py")), "the package smalti would put them into the wheel"


def test_every_dependency_is_pinned_by_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    extras = PROJECT["project"]["optional-dependencies"]
    names = ("cluster", "data", "dev", "faces", "studio", "sign")
    installed = [text for name in names for text in extras[name]]
    for text in [*PROJECT["project"]["dependencies"], *installed]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), text


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, without a network."""
    folder = tmp_path_factory.mktemp("build")
    source = copy_of_the_checkout(folder / "source")
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(folder)]
    run([sys.executable, "-m", "pip", "wheel", str(source), *options])
    return next(folder.glob("smalti-*.whl"))


def copy_of_the_checkout(source: Path) -> Path:
    """What a package is built from; weights are replaced by empty files, so that it is quick."""
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    skip = shutil.ignore_patterns("__pycache__")
    for room in rooms_of_the_checkout():
        shutil.copytree(ROOT / room, source / room, ignore=skip, copy_function=_copy_small)
    return source


def run(command: list[str], folder: Path | None = None) -> str:
    """A command's output; the test fails where the command does."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _copy_small(source: str, target: str) -> None:
    if Path(source).suffix == ".safetensors":
        Path(target).touch()
    else:
        shutil.copy(source, target)


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.slow
def test_the_wheel_holds_code_presets_and_starter_weights(wheel: Path) -> None:
    names = contents(wheel)
    for room in ROOMS:
        for path in (ROOT / room).rglob("*"):
            if path.suffix in (".py", ".toml", ".safetensors"):
                assert f"smalti/{path.relative_to(ROOT).as_posix()}" in names
    for name in ("srgb.icc", "adobe-rgb.icc", "LICENSE.md"):
        assert f"smalti/studio/press/profiles/{name}" in names
    for name in ("clip/config.json", "tokenizer/merges.txt", "README.md", "ATTRIBUTION.md"):
        assert f"smalti/models/starter/{name}" in names


@pytest.mark.slow
def test_the_wheel_holds_no_other_room_and_no_loose_file(wheel: Path) -> None:
    tops = {name.split("/")[1] for name in contents(wheel) if name.startswith("smalti/")}
    assert tops == set(ROOMS)


@pytest.mark.slow
def test_an_editable_installation_holds_the_recipe(tmp_path: Path) -> None:
    """The way setuptools finds the package leads to every room of the checkout."""
    source = copy_of_the_checkout(tmp_path / "source")
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--target", str(tmp_path / "site")]
    run([sys.executable, "-m", "pip", "install", *options, "--editable", str(source)])
    code = (
        "import site, sys; site.addsitedir(sys.argv[1]);"
        "import smalti.starter, smalti.cli; print(smalti.starter.__file__, smalti.cli.__file__)"
    )
    # -S: what else is installed, smalti itself most of all, stays out of sight.
    command = [sys.executable, "-S", "-c", code, str(tmp_path / "site")]
    assert run(command, tmp_path).count(f"{source}/") == 2


@pytest.mark.slow
def test_the_wheel_works_where_the_source_is_not(wheel: Path, tmp_path: Path) -> None:
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
    assert "starter" in run(command, tmp_path)


@pytest.mark.slow
def test_the_entry_points_exist(wheel: Path) -> None:
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
