"""Readers and views of the photographic sources, on small synthetic files."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from smalti.configs.errors import SmaltiError
from smalti.starter.sources import gcompris, robohash, scenes
from smalti.starter.sources.licenses import Statement
from smalti.starter.sources.rcc import read_rcc
from smalti.starter.sources.records import Corpus


def test_robots_are_called_by_their_paint() -> None:
    image = Image.new("RGBA", (64, 64), (120, 120, 120, 255))
    image.paste((220, 110, 40, 255), (0, 0, 20, 20))
    assert robohash.paint_color(image) == "orange"


def pack_rcc(files, version=3):
    """An independent writer: a root folder with one folder "gc" that holds the files."""
    names, offsets = b"", []
    for name in ("gc", *files):
        offsets.append(len(names))
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    padding = b"" if version < 2 else bytes(8)
    tree = struct.pack(">IHII", 0, 2, 1, 1) + padding
    tree += struct.pack(">IHII", offsets[0], 2, len(files), 2) + padding
    data = b""
    for (content, flags), name in zip(files.values(), offsets[1:], strict=True):
        tree += struct.pack(">IHHHI", name, flags, 0, 0, len(data)) + padding
        if flags & 1:
            content = struct.pack(">I", len(content)) + zlib.compress(content)
        data += struct.pack(">I", len(content)) + content
    starts = (20, 20 + len(tree), 20 + len(tree) + len(data))
    return b"qres" + struct.pack(">4I", version, *starts) + tree + data + names


@pytest.mark.parametrize("version", [1, 2, 3])
def test_rcc_is_read(tmp_path, version) -> None:
    files = {"a.txt": (b"plain", 0), "ü.txt": (b"packed" * 50, 1), "z.txt": (b"zstd", 4)}
    path = tmp_path / "x.rcc"
    path.write_bytes(pack_rcc(files, version))
    assert read_rcc(path) == {"/gc/a.txt": b"plain", "/gc/ü.txt": b"packed" * 50}


def test_damaged_rcc_is_an_error(tmp_path) -> None:
    path = tmp_path / "x.rcc"
    path.write_bytes(pack_rcc({"a.txt": (b"text" * 100, 1)})[:60])
    with pytest.raises(SmaltiError, match=r"x\.rcc"):
        read_rcc(path)
    path.write_bytes(b"PNG")
    with pytest.raises(SmaltiError, match=r"x\.rcc"):
        read_rcc(path)


def photograph(width=150, height=100):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "green").save(buffer, "PNG")
    return buffer.getvalue()


README = b"""Copyright: Ann
License: CC-BY 3.0
Files:
redFox_1.webp

Copyright: Bob
License: CC-BY-SA 4.0
Files: owl.webp, cat.webp
"""


def test_gcompris_takes_each_file_by_its_own_licence() -> None:
    folder = "/gcompris/src/erase/resource/"
    files = {f"{folder}{name}.png": photograph() for name in ("redFox_1", "owl", "cat", "dog")}
    files |= {f"{folder}README": README, f"{folder}arrow.png": photograph()}
    project = [Statement("gcompris/src/*/dog", "CC0-1.0", "Cyd")]
    corpus = Corpus()
    gcompris.add_activity("erase", files, project, corpus)
    told = {(p.caption, p.origin.license, p.origin.author) for p in corpus.pictures}
    assert told == {("red fox", "CC-BY-3.0", "Ann"), ("dog", "CC0-1.0", "Cyd")}
    assert len(corpus.pictures) == 6
    assert corpus.skipped["deb:gcompris-qt-data", "licence not allowed"] == 2


def test_views_look_where_they_say() -> None:
    height, width = 256, 512
    longitude = (np.arange(width) + 0.5) / width * 360 - 180
    latitude = 90 - (np.arange(height) + 0.5) / height * 180
    panorama = np.stack(np.broadcast_arrays(longitude, latitude[:, None], 0), axis=-1) / 10
    for yaw, pitch in ((0, 0), (90, 8), (-150, -20)):
        view = scenes.look(panorama, yaw, pitch, 90)
        centre = view[63:65, 63:65].mean(axis=(0, 1)) * 10
        assert centre[:2] == pytest.approx((yaw, pitch), abs=1)
    edge = scenes.look(panorama, 0, 0, 90)[64, -1, 0] * 10
    assert edge == pytest.approx(np.degrees(np.arctan(127 / 128)), abs=1)


def test_exposure_brings_the_average_to_the_key() -> None:
    radiance = np.full((8, 8, 3), 7.0)
    expected = (0.2 * (1 + 0.2 / 9) / 1.2) ** (1 / 2.2) * 255
    assert np.abs(scenes.expose(radiance, 0.2) - expected).max() <= 1


def test_characters_of_games_stay_out(tmp_path) -> None:
    for name in ("bg meadow", "bg secret", "sylvie green smile"):
        Image.new("RGB", (160, 90), "green").save(tmp_path / f"{name}.jpg")
    corpus = Corpus()
    scenes.add_backgrounds(tmp_path, "deb:renpy-thequestion", corpus)
    assert {p.caption for p in corpus.pictures} == {"country road with autumn trees"}
    assert len(corpus.pictures) == 3
