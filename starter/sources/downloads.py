"""Packages from the npm, PyPI and Debian registries, fetched once and unpacked below one folder.

Each registry is asked through its ordinary client (npm, pip, apt-get), which also verifies what it
fetched. `versions.toml` pins the versions. A package's folder appears under its final name only
when it is complete, so a run that was stopped goes on with the packages that are still missing.
"""

import fnmatch
import posixpath
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...configs.errors import InputError, SmaltiError

VERSIONS = Path(__file__).with_name("versions.toml")

INSTALL_HINTS = {
    "npm": "install Node.js 18 or newer with npm (Debian: apt-get install nodejs npm)",
    "node": "install Node.js 18 or newer (Debian: apt-get install nodejs)",
    "apt-get": "run this on Debian or Ubuntu, or in a Debian container",
    "dpkg-deb": "run this on Debian or Ubuntu, or in a Debian container",
}


@dataclass(frozen=True)
class Package:
    """One pinned package; `key` is "REGISTRY:NAME", as the corpus' source column writes it."""

    registry: str
    """"npm", "pypi" or "deb"."""
    name: str
    version: str
    """Exact version; empty takes the one that the machine's release has (Debian only)."""
    files: tuple[str, ...] = ()
    """Globs of the paths to unpack; empty: everything."""
    install: tuple[str, ...] = ()
    """Packages that npm installs beside it; not empty: `npm install` instead of `npm pack`."""
    optional: bool = False
    """Whether its source may be left out when the registry does not have it."""

    @property
    def key(self) -> str:
        """REGISTRY:NAME."""
        return f"{self.registry}:{self.name}"

    @property
    def folder_name(self) -> str:
        """Name of the folder that the package is unpacked to."""
        name = f"{self.registry}-{self.name.lstrip('@')}-{self.version or 'any'}"
        return name.replace("/", "-").replace(":", "-")


class Unavailable(SmaltiError):
    """An optional package that this machine's registries do not have."""


def read_versions(path: Path = VERSIONS) -> dict[str, Package]:
    """The pinned packages of `versions.toml` by key, such as "npm:emojilib"."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    packages = {}
    for registry, entries in tables.items():
        for name, entry in entries.items():
            lists = {key: tuple(entry.get(key, ())) for key in ("files", "install")}
            optional = entry.get("optional", False)
            package = Package(registry, name, entry["version"], optional=optional, **lists)
            packages[package.key] = package
    return packages


def require_tool(name: str) -> str:
    """Path of a command; raises InputError with what to install when it is missing."""
    path = shutil.which(name)
    if path is None:
        raise InputError(f"The command {name} is missing: {INSTALL_HINTS[name]}, then run again.")
    return path


def run_tool(command: list[str], folder: Path) -> str:
    """Run a command in a folder and return its output; raises SmaltiError with its complaint."""
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode != 0:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        complaint = [line for line in lines if "error" in line.lower()] or lines[-1:]
        called = " ".join([Path(command[0]).name, *command[1:]])[:80]
        raise SmaltiError(f"`{called}` failed: {complaint[0] if complaint else 'no message'}")
    return result.stdout


class Packages:
    """Folders of unpacked packages; what is not there yet is fetched when it is first asked for.

    Args:
        work: folder that keeps archives and unpacked packages between runs.
        versions: the pinned packages, by default those of `versions.toml`.
    """

    def __init__(self, work: Path, versions: dict[str, Package] | None = None):
        self.work = work.absolute()
        self.versions = read_versions() if versions is None else versions

    def folder(self, key: str) -> Path:
        """The folder of a package such as "deb:blender-data", fetched if it is missing.

        Raises:
            InputError: a command such as npm is not installed.
            Unavailable: the package is optional and the registry does not have it.
            SmaltiError: the download failed.
        """
        package = self.versions[key]
        target = self.work / package.folder_name
        if target.is_dir():
            return target
        part = target.with_name(target.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            _fetch(package, part)
            part.rename(target)
        except SmaltiError as error:
            if package.optional and not isinstance(error, InputError):
                raise Unavailable(f"{key} is not to be had here: {error}") from error
            raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return target


def _fetch(package: Package, folder: Path) -> None:
    _FETCHERS[package.registry](package, folder)
    if not any(path.is_file() for path in folder.rglob("*")):
        raise SmaltiError(f"{package.key} {package.version} has no file that versions.toml names.")


def _fetch_npm(package: Package, folder: Path) -> None:
    """`npm pack`, or `npm install` for a package that is run."""
    npm = require_tool("npm")
    wanted = f"{package.name}@{package.version}"
    if package.install:
        (folder / "package.json").write_text('{"name": "pictures", "private": true}\n')
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--save-exact"]
        run_tool([npm, "install", *options, *package.install, wanted], folder)
        return
    archive = folder / run_tool([npm, "pack", wanted, "--silent"], folder).splitlines()[-1].strip()
    with tarfile.open(archive) as tar:
        unpack_tar(tar, folder, package.files, strip=1)
    archive.unlink()


def _fetch_pypi(package: Package, folder: Path) -> None:
    """`pip download` of one wheel, without its dependencies."""
    wanted = f"{package.name}=={package.version}"
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--dest", "."]
    run_tool([sys.executable, "-m", "pip", "download", *options, wanted], folder)
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, _selected(archive.namelist(), package.files))
    wheel.unlink()


def _fetch_debian(package: Package, folder: Path) -> None:
    """`apt-get download`, which needs no root, then unpack without installing."""
    apt, dpkg = require_tool("apt-get"), require_tool("dpkg-deb")
    wanted = f"{package.name}={package.version}" if package.version else package.name
    try:
        run_tool([apt, "download", "--quiet", wanted], folder)
    except SmaltiError as error:
        hint = "Run `apt-get update` first; versions.toml names the Debian release."
        raise SmaltiError(f"{error}. {hint}") from error
    archive = next(folder.glob("*.deb"))
    with (
        subprocess.Popen([dpkg, "--fsys-tarfile", archive], stdout=subprocess.PIPE) as process,
        tarfile.open(fileobj=process.stdout, mode="r|") as tar,
    ):
        unpack_tar(tar, folder, package.files)
    archive.unlink()


_FETCHERS: dict[str, Callable[[Package, Path], None]] = {
    "npm": _fetch_npm,
    "pypi": _fetch_pypi,
    "deb": _fetch_debian,
}


def _selected(names: Iterable[str], patterns: tuple[str, ...]) -> list[str]:
    """The names that match one of the globs, all of them when there are no globs."""
    return [n for n in names if not patterns or any(fnmatch.fnmatch(n, p) for p in patterns)]


def unpack_tar(
    tar: tarfile.TarFile, folder: Path, patterns: tuple[str, ...], strip: int = 0
) -> None:
    """Unpack the files and symbolic links that match, without their first `strip` folders.

    What would lie or point outside of `folder` is left out.
    """
    safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # not in Python 3.11.0-3
    for member in tar:
        parts = PurePosixPath(member.name).parts[strip:]
        if not (member.isfile() or member.issym()) or not parts:
            continue
        member.name = "/".join(parts)
        if _selected([member.name], patterns) and not _leaves(member):
            tar.extract(member, folder, **safe)


def _leaves(member: tarfile.TarInfo) -> bool:
    """Whether a file, or what a symbolic link points to, lies outside of the archive's folder."""
    around = posixpath.dirname(member.name)
    place = posixpath.join(around, member.linkname) if member.issym() else member.name
    return posixpath.normpath(place).startswith(("/", ".."))
