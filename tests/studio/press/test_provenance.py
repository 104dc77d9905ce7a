"""XMP and C2PA: written, read back by others, and what `verify` makes of damaged files."""

import json
from pathlib import Path

import pytest
from made_mosaics import made_mosaic
from PIL import Image
from refusals import refused

from smalti.configs.product import ProductSettings, with_changes
from smalti.studio.press.finished import open_finished
from smalti.studio.press.printing import print_mosaic
from smalti.studio.press.provenance import (
    add_gif_xmp,
    add_mp4_xmp,
    make_signer,
    read_xmp,
    verify,
    xmp_facts,
)

pytest.importorskip("pyvips")
PRODUCT = ProductSettings(width=40, height=30, bleed=1, dpi=100, name="card")
QUIET = {"progress": lambda *_: None}
KINDS = ("tiff", "jpeg", "png", "pdf")


@pytest.fixture(scope="module")
def signing(tmp_path_factory) -> tuple[str, str]:
    pytest.importorskip("c2pa")
    from certificates import make_certificate

    chain, key = make_certificate(tmp_path_factory.mktemp("pem"))
    return str(chain), str(key)


def printed(mosaic, out: Path, kind: str, signer=None) -> Path:
    product = with_changes(PRODUCT, format=kind)
    return print_mosaic(mosaic, product, out, signer=signer, **QUIET)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("options", "source"),
    [({}, "trainedAlgorithmicMedia"), ({"ref": "a.jpg"}, "compositeWithTrainedAlgorithmicMedia")],
)
def test_every_print_says_who_made_it(tmp_path, read_by, kind, options, source):
    mosaic = open_finished(made_mosaic(tmp_path / "m", 1, 1, **options))
    path = printed(mosaic, tmp_path, kind)
    facts, sound = verify(path)
    assert sound and facts["digital source type"].endswith(f"/{source}")
    assert "smalti" in facts["made with"]
    told = json.loads(read_by("exiftool", "-json", "-n", path))[0]
    assert told["DigitalSourceType"].endswith(f"/{source}")


@pytest.mark.parametrize("kind", ["tiff", "jpeg", "png"])
def test_a_signature_holds_until_a_pixel_changes(mosaic, tmp_path, signing, kind):
    import c2pa

    path = printed(mosaic, tmp_path, kind, make_signer(*signing))
    with c2pa.Reader(str(path)) as reader:
        told = json.loads(reader.json())
    manifest = told["manifests"][told["active_manifest"]]
    (action,) = manifest["assertions"][0]["data"]["actions"]
    assert action["action"] == "c2pa.created"
    assert action["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert {s["code"] for s in told["validation_status"]} == {"signingCredential.untrusted"}
    facts, sound = verify(path)
    assert sound and "Press" in facts["signed by"]
    with Image.open(path) as image:
        image.load()
        assert image.size == (157 + 2 * 4, 118 + 2 * 4)

    content = bytearray(path.read_bytes())
    place = {"tiff": 400, "jpeg": len(content) - 200, "png": len(content) - 100}[kind]
    content[place] ^= 1
    path.write_bytes(content)
    assert not verify(path)[1]


def test_what_cannot_sign_is_refused(mosaic, tmp_path, signing):
    chain, key = signing
    for pair, word in (
        ((chain, "nowhere.pem"), "nowhere.pem"), ((key, key), "certificate"),
        ((chain, chain), "private key"),
    ):  # fmt: skip
        with refused("--sign", word):
            make_signer(*pair)
    with refused("PDF"):
        printed(mosaic, tmp_path, "pdf", make_signer(chain, key))
    from certificates import make_certificate

    (tmp_path / "other").mkdir()
    _, strange = make_certificate(tmp_path / "other")
    with refused("--sign"):
        printed(mosaic, tmp_path / "out", "tiff", make_signer(chain, str(strange)))
    assert list((tmp_path / "out").iterdir()) == []


def test_films_and_gifs_carry_it_too(mosaic, tmp_path, read_by):
    gif = tmp_path / "a.gif"
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(gif, save_all=True, append_images=frames[1:])
    add_gif_xmp(gif, mosaic.xmp)
    with Image.open(gif) as image:
        assert image.n_frames == 2
        image.seek(1)
        image.load()
    assert verify(gif)[1]
    told = json.loads(read_by("exiftool", "-json", "-n", gif))[0]
    assert told["DigitalSourceType"].endswith("/trainedAlgorithmicMedia")
    box = tmp_path / "a.mp4"
    box.write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0")
    add_mp4_xmp(box, mosaic.xmp)
    told = json.loads(read_by("exiftool", "-json", "-n", box))[0]
    assert told["DigitalSourceType"].endswith("/trainedAlgorithmicMedia")


def test_files_that_say_nothing(tmp_path):
    plain, empty = tmp_path / "plain.png", tmp_path / "empty.png"
    Image.new("RGB", (8, 8)).save(plain)
    empty.write_bytes(b"")
    for path in (plain, empty):
        assert read_xmp(path) == b"" and not verify(path)[1]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"<x:xmpmeta <<< </x:xmpmeta>")
    assert xmp_facts(read_xmp(broken)) == {} and not verify(broken)[1]
    with refused("nowhere.jpg"):
        verify(tmp_path / "nowhere.jpg")
    with refused(str(tmp_path)):
        verify(tmp_path)


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_films_can_be_signed(mosaic, tmp_path, signing, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "gif":
        Image.new("P", (8, 8)).save(path)
        add_gif_xmp(path, mosaic.xmp)
    else:
        av = pytest.importorskip("av")
        with av.open(str(path), "w") as film:
            stream = film.add_stream("mpeg4", rate=5)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            frame = av.VideoFrame.from_image(Image.new("RGB", (64, 64), "red"))
            film.mux(stream.encode(frame.reformat(format="yuv420p")))
            film.mux(stream.encode())
        add_mp4_xmp(path, mosaic.xmp)
    make_signer(*signing).sign(path, kind, mosaic)
    facts, sound = verify(path)
    assert sound and "Press" in facts["signed by"]
    assert facts["digital source type"].endswith("/trainedAlgorithmicMedia")
