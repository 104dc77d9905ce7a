"""Two hundred hostile requests: none brings the server down, gets out of its folders, or runs."""

import io
import json
import struct
import zlib
from itertools import product
from pathlib import Path

import pytest
from PIL import Image

from smalti.studio.page import safety
from smalti.studio.page.safety import MAX_BODY, TOKEN_HEADER, make_gate

SCRIPT = "<script>alert(1)</script>"
OUT = ("../secret.txt", "..%2f..%2fsecret.txt", "%2e%2e/secret.txt", "....//secret.txt",
       "/etc/passwd", "%2fetc%2fpasswd", "..\\secret.txt", "..%5csecret.txt", "%00", ".", "..",
       "%c0%ae%c0%ae/secret.txt", "a" * 5000, SCRIPT, "mosaic.json%00.jpg", "~", "${HOME}",
       "\u202e")  # fmt: skip
PLACES = (
    "/concepts/{}", "/concepts/{}/photos", "/concepts/mug/photos/{}",
    "/concepts/mug/photos/{}/mask", "/concepts/mug/validation/{}", "/mosaics/{}",
    "/mosaics/{}/preview.jpg",
    "/mosaics/plain/files/{}", "/photos/{}", "/drafts/{}", "/static/{}", "/viewer/{}",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def secret(desk) -> Path:
    """What must never be read."""
    path = desk.concepts.parent / "secret.txt"
    path.write_text("SECRET")
    return path


@pytest.mark.parametrize("place", PLACES)
def test_no_address_leads_out(client, place):
    for name in OUT:
        answer = client.get(place.format(name))
        assert answer.status_code in (200, 303, 307, 400, 404, 405), (place, name)
        assert "SECRET" not in answer.text and "root:" not in answer.text
        if SCRIPT in name and "html" in answer.headers.get("content-type", ""):
            assert SCRIPT not in answer.text


@pytest.mark.parametrize(
    "path",
    ["/concepts", "/mosaics", "/drafts", "/photos", "/loras", "/concepts/mug/photos",
     "/concepts/mug/training", "/concepts/mug/class", "/mosaics/plain/stop",
     "/mosaics/plain/tiles/0,0",
     "/mosaics/plain/write/print"],
)  # fmt: skip
def test_nothing_changes_without_the_token_or_from_elsewhere(client, desk, path):
    before = {p: p.stat().st_mtime_ns for p in desk.concepts.parent.rglob("*")}
    for headers in (
        {TOKEN_HEADER: ""}, {TOKEN_HEADER: "x" * 32}, {"origin": "https://evil.example"},
        {"origin": "null"}, {"origin": "http://127.0.0.1:8137.evil.example"},
        {"content-length": str(MAX_BODY + 1)},
    ):  # fmt: skip
        answer = client.post(path, data={"name": "new"}, headers=headers)
        assert answer.status_code in (403, 413), headers
    assert {p: p.stat().st_mtime_ns for p in desk.concepts.parent.rglob("*")} == before


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8137", "127.0.0.1", "", "127.0.0.1:1", "localhost.evil:8137"],
)
def test_a_name_that_is_not_ours_is_refused(client, host):
    """A site whose name was made to point here (DNS rebinding) says its own name."""
    assert client.get("/mosaics", headers={"host": host}).status_code == 421


def test_every_answer_forbids_scripts_from_elsewhere_and_frames(client):
    for path in ("/mosaics", "/nothing", "/static/page.css"):
        headers = client.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG whose header promises a size, whatever is in it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        whole = kind + body
        return struct.pack(">I", len(body)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def photo(color: str = "red", size: tuple[int, int] = (80, 80), kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, color).save(stream, kind)
    return stream.getvalue()


BAD = {
    "bomb.png": png(60_000, 60_000, zlib.compress(b"\0" * 10**6)),
    "huge.png": png(2**31 - 1, 2**31 - 1),
    "short.jpg": photo(kind="JPEG")[:300],
    "empty.jpg": b"",
    "text.jpg": b"no picture at all",
    "script.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "page.html": SCRIPT.encode(),
    "run.exe": b"MZ" + bytes(500),
    "ps.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n",
    "archive.zip": b"PK\3\4" + bytes(100),
    "long" + "x" * 400 + ".jpg": b"no",
    ".htaccess": b"no",
    "no-ending": photo(),
}


def tensors(names: dict[str, object], size: int = 4, **metadata: str) -> bytes:
    """A safetensors file whose header says this, with so many bytes behind it."""
    header = json.dumps({"__metadata__": metadata, **names}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


def one(first: int = 0, last: int = 4, kind: str = "F32") -> dict[str, object]:
    return {"dtype": kind, "shape": [1], "data_offsets": [first, last]}


KEY = "lora_unet_mid_block_attentions_0_proj_in"
DEEP = "[" * 100_000
BAD_LORA = {
    **{f"{name}.safetensors": data for name, data in BAD.items()},
    "good.ckpt": tensors({f"{KEY}.alpha": one()}),
    "good.safetensors.exe": tensors({f"{KEY}.alpha": one()}),
    "good": tensors({f"{KEY}.alpha": one()}),
    "cut.safetensors": tensors({f"{KEY}.alpha": one()}, 2),
    "beyond.safetensors": tensors({f"{KEY}.alpha": one(0, 2**40)}),
    "over.safetensors": tensors({f"{KEY}.alpha": one(), f"{KEY}.lora_up.weight": one()}),
    "promise.safetensors": (2**63 - 1).to_bytes(8, "little") + b"{",
    "deep.safetensors": len(DEEP).to_bytes(8, "little") + DEEP.encode(),
    "pickle.safetensors": b"\x80\x04cos\nsystem\n(S'id'\ntR.",
    "model.safetensors": tensors({"model.diffusion_model.out.bias": one()}),
    "words.safetensors": tensors({"emb_params": one()}),
    "other.safetensors": tensors({"down_blocks.0.bias": one()}),
    "none.safetensors": tensors({}, 0),
    "own.safetensors": tensors({"unet.mid.lora_A.weight": one()}, edlora=DEEP),
}


def test_a_file_that_is_no_lora_is_refused_and_not_kept(client, desk):
    before = {path for path in desk.concepts.parent.rglob("*") if path.is_file()}
    for name, data in BAD_LORA.items():
        answer = client.post("/loras", files={"lora": (name, data)})
        assert answer.status_code == 400 and "text/plain" in answer.headers["content-type"], name
    assert client.post("/loras", data={"lora": "../secret.txt"}).status_code == 400
    assert {path for path in desk.concepts.parent.rglob("*") if path.is_file()} == before


def test_a_lora_is_kept_under_a_name_and_says_its_words(client, desk):
    odd = {"modelspec.trigger_phrase": SCRIPT, "modelspec.architecture": SCRIPT,
           "ss_tag_frequency": DEEP}  # fmt: skip
    for given, kept, told in (
        ("../../cat.safetensors", "cat.safetensors", {"modelspec.trigger_phrase": "sks cat"}),
        ("..\\x\\cat.safetensors", "cat-2.safetensors", odd),
        (f"{SCRIPT}.SAFETENSORS", "script.safetensors", {"ss_tag_frequency": DEEP}),
    ):
        data = tensors({f"{KEY}.alpha": one()}, **told)
        answer = client.post("/loras", files={"lora": (given, data)})
        assert answer.status_code == 200 and kept in answer.text and SCRIPT not in answer.text
        assert ('value="sks cat"' in answer.text) == ("sks cat" in str(told))
        path = desk.uploads / kept
        assert path.read_bytes() == data
    for path in desk.uploads.glob("*.safetensors"):
        assert client.get(f"/photos/{path.name}").status_code == 404
        path.unlink()


def test_what_goes_on_beyond_the_limit_is_cut_off(client, desk, monkeypatch):
    """Whatever the length was said to be: here it is not said at all."""
    monkeypatch.setattr(safety, "MAX_BODY", 10_000)
    head = b'--x\r\nContent-Disposition: form-data; name="lora"; filename="a.safetensors"\r\n\r\n'
    kind = {"content-type": "multipart/form-data; boundary=x"}
    for body in (iter([head, *[bytes(1000)] * 20]), head + bytes(20_000)):
        assert client.post("/loras", content=body, headers=kind).status_code == 413
    assert not list(desk.uploads.glob("*.safetensors"))


@pytest.mark.parametrize("where", ["/photos", "/concepts/mug/photos"])
def test_what_cannot_be_decoded_is_named_and_not_kept(client, desk, where):
    field = "photo" if where == "/photos" else "photos"
    before = {path for path in desk.concepts.parent.rglob("*") if path.is_file()}
    for name, data in BAD.items():
        answer = client.post(where, files={field: (name, data)})
        assert answer.status_code in (200, 400), name
        assert "alert(1)</script>" not in answer.text
    assert {path for path in desk.concepts.parent.rglob("*") if path.is_file()} == before
    assert client.get("/mosaics").status_code == 200


@pytest.mark.parametrize(
    ("given", "kept"),
    [("../../evil.png", "evil.png"), ("C:\\photos\\me.png", "me.png"), ("CON.png", "CON-1.png"),
     (SCRIPT + ".png", "script.png"), ("mosaic.json\0.png", "mosaic-json-00.png"),
     ("Ünï çödé 写真.PNG", "Ünï-çödé-写真.png"), ("-rf.png", "rf.png")],
)  # fmt: skip
def test_an_uploads_name_is_a_name_and_no_path(client, desk, given, kept):
    before = set(desk.concepts.parent.rglob("*"))
    assert client.post("/photos", files={"photo": (given, photo())}).status_code == 200
    new = {path for path in set(desk.concepts.parent.rglob("*")) - before if path.is_file()}
    (path,) = new
    assert path.parent == desk.uploads
    path.unlink()
    assert path.name == kept


FIELDS = {
    "/concepts": ("name",),
    "/mosaics": ("tile_prompt", "tile_file", "tile_trigger", "photo", "grid", "seed", "preset",
                 "base", "size", "name", "crop"),
    "/concepts/mug/class": ("class_word",),
    "/mosaics/plain/tiles/0,0": ("seed",),
    "/mosaics/plain/write/print": ("product", "size"),
}  # fmt: skip
VALUES = (
    SCRIPT,
    "../../x",
    "\0",
    "9" * 400,
    "; rm -rf /",
    "--out=/tmp/x",
    "$(id)",
    "{{7*7}}",
    "-1",
)


@pytest.mark.parametrize(
    ("path", "field"), [(path, field) for path, fields in FIELDS.items() for field in fields]
)
def test_odd_values_are_refused_or_said_as_they_are(client, desk, monkeypatch, path, field):
    """Nothing is drawn here: what is asked for is checked first."""
    from smalti.studio.page.drawing import Drawer
    from smalti.studio.page.works import Works

    async def start(self, key, words):
        assert all(isinstance(word, str) for word in words)

    monkeypatch.setattr(Drawer, "submit", lambda self, drawing: None)
    monkeypatch.setattr(Works, "start", start)
    base = {"size_by": "grid", "grid": "2x2", "seed": "1", "tile_prompt": "a cat"}
    outside = {p for p in desk.concepts.parent.parent.iterdir()}
    for value in VALUES:
        answer = client.post(path, data={**base, field: value})
        assert answer.status_code in (200, 204, 400, 404), value
        assert SCRIPT not in answer.text or "text/plain" in answer.headers["content-type"]
    assert {p for p in desk.concepts.parent.parent.iterdir()} == outside
    for page in ("/concepts", "/mosaics", "/concepts/mug", "/new"):
        text = client.get(page).text
        assert SCRIPT not in text and "49" not in text.partition("{{7*7}}")[0][-2:]


def test_names_are_shown_as_text(client):
    text = client.get("/mosaics").text
    assert "<b>one" not in text and "&lt;b&gt;one &amp; more" in text


def test_another_machine_needs_the_key(desk):
    from starlette.testclient import TestClient

    from smalti.studio.page.app import make_app

    gate = make_gate("203.0.113.7", 8137)
    with TestClient(make_app(desk, gate, warm=False), "http://203.0.113.7:8137",
                    follow_redirects=False) as found:  # fmt: skip
        for path, key in product(("/mosaics", "/static/page.css"), ("", "?key=wrong")):
            assert found.get(path + key).status_code == 403
        answer = found.get(f"/?key={gate.key}")
        assert answer.status_code == 303 and "httponly" in answer.headers["set-cookie"].lower()
        assert found.get("/mosaics").status_code == 200
