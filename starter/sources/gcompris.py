"""Photographs of GCompris, an educational suite; each file's licence stands in a README beside it.

Most of its pictures are share-alike and are left out; public-domain, CC0 and CC-BY ones are taken.
"""

import io
import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from .downloads import Packages
from .facts import read_facts
from .licenses import ALLOWED, Statement, find_statement, read_debian_copyright, spdx
from .raster import fit, squares
from .rcc import read_rcc
from .records import Corpus, Origin

SOURCE = "deb:gcompris-qt-data"
ARCHIVES = (
    *("erase", "categorization", "clickgame", "explore_farm_animals", "explore_world_animals"),
    *("explore_monuments", "details"),
)
"""The activities whose resources hold photographs."""

PICTURES = (".webp", ".jpg", ".png")
MAX_AUTHOR = 80
"""Characters of an author's line that are kept; some list a whole project."""


@dataclass(frozen=True)
class Subject:
    """What a file shows, told from its activity, folder and name."""

    activity: str
    category: str
    """Name of the file's folder, such as "tools" or "fishes"."""
    name: str
    """File name without ending."""

    @property
    def is_fish(self) -> bool:
        """Whether the file lies among fishes."""
        return self.activity == "clickgame" or self.category == "fishes"


def collect(packages: Packages, corpus: Corpus) -> None:
    """Add the photographs of all activities."""
    share = packages.folder(SOURCE) / "usr/share"
    text = (share / "doc/gcompris-qt-data/copyright").read_text(encoding="utf-8")
    project = [_without_ending(s) for s in read_debian_copyright(text)]
    for activity in ARCHIVES:
        files = read_rcc(share / f"gcompris-qt/rcc/{activity}.rcc")
        add_activity(activity, files, project, corpus)


def add_activity(
    activity: str, files: dict[str, bytes], project: list[Statement], corpus: Corpus
) -> None:
    """Add the photographs of one activity.

    Args:
        activity: its name.
        files: its archive, path -> content, with the READMEs.
        project: statements of the whole project, for files that no README names.
        corpus: where they go.
    """
    statements = read_statements(files)
    for path in sorted(filter(is_photograph, files)):
        subject = Subject(activity, PurePosixPath(path).parent.name, PurePosixPath(path).stem)
        if not _is_wanted(subject):
            continue
        stem = path.rsplit(".", 1)[0]
        statement = statements.get(stem) or find_statement(stem.lstrip("/"), project)
        if statement is None or statement.license not in ALLOWED:
            corpus.skip(SOURCE, "licence not allowed")
            continue
        _add(files[path], subject, statement, corpus)


def read_statements(files: dict[str, bytes]) -> dict[str, Statement]:
    """Who made which file, from the READMEs of an archive; keys are paths without ending."""
    statements = {}
    for path, content in files.items():
        if PurePosixPath(path).name == "README":
            folder = PurePosixPath(path).parent
            for paragraph in re.split(r"\n\s*\n", content.decode("utf-8", "ignore")):
                for statement in _read_paragraph(paragraph):
                    statements[f"{folder / statement.pattern}".rsplit(".", 1)[0]] = statement
    return statements


def _read_paragraph(paragraph: str) -> list[Statement]:
    flags = re.MULTILINE | re.IGNORECASE
    license = re.search(r"^Licen[sc]e:\s*(.*)$", paragraph, flags)
    names = re.search(r"^Files?:\s*((?:.|\n)*?)(?=^\w+:|\Z)", paragraph, flags)
    author = re.search(r"^Copyright:\s*(.*)$", paragraph, flags)
    if not (license and names):
        return []
    author_name = author[1][:MAX_AUTHOR] if author else ""
    names = [name for name in re.split(r"[\s,]+", names[1]) if name]
    return [Statement(name, spdx(license[1]), author_name) for name in names]


def _without_ending(statement: Statement) -> Statement:
    """Debian's file lists name the sources' endings, the archives hold converted pictures."""
    pattern = re.sub(r"\.(jpg|png|webp|svg|\*)$", "", statement.pattern)
    pattern = pattern.replace("src/", "gcompris/src/", 1)
    return replace(statement, pattern=pattern, author=statement.author[:MAX_AUTHOR])


def is_photograph(path: str) -> bool:
    """Whether a file may be a photograph rather than lettering or a control."""
    return path.endswith(PICTURES) and not re.search(r"alphabets|numbers|/sea\d|arrow|button", path)


def _is_wanted(subject: Subject) -> bool:
    """Of jigsaws only the whole picture, of a swimming fish's 14 frames two."""
    if subject.activity == "details":
        return "background" in subject.name
    frame = re.fullmatch(r"f(\d\d)", subject.name)
    return frame is None or int(frame[1]) % 7 == 0


def make_caption(subject: Subject) -> str:
    """A name for what is shown: "cuttingTool_2" -> "cutting tool"."""
    named = read_facts("photos")["gcompris"].get(subject.name)
    if named:
        return named[0]
    words = re.sub(r"[_\d-]+", " ", subject.name.replace("_background", ""))
    words = re.sub(r"([a-z])([A-Z])", r"\1 \2", words)
    words = re.sub(r"\s+", " ", words).strip().lower()
    if words in ("", "f"):
        return "fish"
    if subject.category == "fishes" and "fish" not in words:
        return f"{words} fish"
    return words


def _tags(subject: Subject) -> list[str]:
    if subject.is_fish:
        return ["photo", "fish", "animal"]
    if subject.category == "monuments" or "monument" in subject.activity:
        return ["photo", "landmark", "building"]
    if subject.activity in ("erase", "explore_farm_animals", "explore_world_animals"):
        return ["photo", "animal"]
    return ["photo", subject.category]


def _add(content: bytes, subject: Subject, statement: Statement, corpus: Corpus) -> None:
    image = Image.open(io.BytesIO(content)).convert("RGBA")
    is_cutout = (np.asarray(image)[..., 3] < 200).mean() > 0.02
    style = "painting or photo" if subject.activity == "details" else "photo"
    group = f"photo/{subject.activity}/{subject.category}"
    origin = Origin(SOURCE, statement.license, statement.author, style, "photo", group)
    names = [make_caption(subject), "fish" if subject.is_fish else ""]
    for picture in [fit(image)] if is_cutout else squares(image, longest=1.2):
        corpus.add(picture, names, _tags(subject), origin)
