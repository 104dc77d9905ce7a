"""Provenance: XMP in every file, a C2PA signature on request, and both read back."""

import json
import mmap
import os
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from PIL import Image

from ...configs.errors import InputError
from ...configs.files import remove, user_path
from ...generate.metadata import versions
from ..extra import require
from .finished import Finished
from .pdf import any_size
from .stream import PNG

XMP_BEGIN, XMP_END = b"<x:xmpmeta", b"</x:xmpmeta>"
MAX_XMP = 2**20  # bytes; ours has 600
SOURCE_TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
TOOL = "{http://ns.adobe.com/xap/1.0/}CreatorTool"
MP4_XMP = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac")  # XMP specification, part 3, 1.1.6
GIF_XMP = b"\x21\xff\x0bXMP DataXMP"  # XMP specification, part 3, 1.1.2
GIF_END = bytes([1, *range(255, -1, -1), 0])
MIMES = {"tiff": "image/tiff", "jpeg": "image/jpeg", "png": "image/png", "mp4": "video/mp4",
         "gif": "image/gif"}  # fmt: skip
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


@dataclass(frozen=True)
class Signer:
    """A certificate chain and its key, as C2PA wants them."""

    certificate: bytes
    key: bytes
    algorithm: str

    def sign(self, path: Path, kind: str, mosaic: Finished) -> None:
        """Sign a file of a kind such as "tiff" in its place; raises InputError when it fails."""
        c2pa = require("c2pa", "A signature")
        info = c2pa.C2paSignerInfo(
            alg=getattr(c2pa.C2paSigningAlg, self.algorithm),
            sign_cert=self.certificate,
            private_key=self.key,
            ta_url=None,
        )
        signed = path.with_name(".signed-" + path.name.lstrip("."))
        try:
            with path.open("rb") as source, signed.open("w+b") as target:
                builder = c2pa.Builder(json.dumps(_manifest(mosaic)))
                builder.sign(c2pa.Signer.from_info(info), MIMES[kind], source, target)
            os.replace(signed, path)
        except c2pa.C2paError as error:
            raise InputError(f"--sign: C2PA does not take this certificate: {error}.") from error
        finally:
            remove(signed)


def make_signer(certificate: str, key: str) -> Signer:
    """The signer of two PEM files: a certificate chain and its private key; raises InputError."""
    require("c2pa", "--sign")
    contents = []
    for name in (certificate, key):
        try:
            contents.append(user_path(name).read_bytes())
        except OSError as error:
            raise InputError(f"--sign: cannot read {name}: {error.strerror}.") from error
    if b"BEGIN CERTIFICATE" not in contents[0]:
        raise InputError(f"--sign: {certificate} is no certificate in PEM.")
    return Signer(contents[0], contents[1], _algorithm(contents[1], key))


def _algorithm(pem: bytes, name: str) -> str:
    """What a private key signs with, as C2PA calls it."""
    serialization = require("cryptography.hazmat.primitives.serialization", "--sign")
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise InputError(f"--sign: {name} is no private key in PEM without a password.") from error
    if curve := getattr(key, "curve", None):
        return CURVES.get(curve.name, "ES256")
    return "ED25519" if "Ed25519" in type(key).__name__ else "PS256"


def _manifest(mosaic: Finished) -> dict[str, Any]:
    """C2PA 2.x: the file was created by this software, with media of this source type."""
    version = versions()["smalti"]
    action = {
        "action": "c2pa.created",
        "digitalSourceType": xmp_facts(mosaic.xmp)["digital source type"],
        "softwareAgent": {"name": "smalti", "version": version},
    }
    return {
        "claim_generator_info": [{"name": "smalti", "version": version}],
        "title": mosaic.name,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }


def add_mp4_xmp(path: Path, packet: bytes) -> None:
    """Append XMP to an MP4, as a box of its own."""
    with path.open("ab") as file:
        file.write(struct.pack(">I", 24 + len(packet)) + b"uuid" + MP4_XMP.bytes + packet)


def add_gif_xmp(path: Path, packet: bytes) -> None:
    """Put XMP before the end of a GIF, as an application extension."""
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)  # the trailer
        file.write(GIF_XMP + packet + GIF_END + b"\x3b")


def read_xmp(path: Path) -> bytes:
    """The XMP packet of a file of any kind, empty when there is none.

    Packets stand in files as they are, so that they can be found without knowing the format (XMP
    specification, part 1, 7.3.2); only libvips packs those of a PNG.
    """
    if not path.stat().st_size:
        return b""
    with path.open("rb") as file:
        if file.read(len(PNG)) == PNG:
            return _png_xmp(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        begin = content.find(XMP_BEGIN)
        end = content.find(XMP_END, begin, begin + MAX_XMP) if begin >= 0 else -1
        return bytes(content[begin : end + len(XMP_END)]) if end >= 0 else b""


def _png_xmp(path: Path) -> bytes:
    """The XMP of a PNG, whether packed or not."""
    try:
        with any_size(), Image.open(path) as image:
            found = image.info.get("XML:com.adobe.xmp") or image.info.get("xmp") or b""
    except (OSError, SyntaxError, ValueError):
        return b""
    return found.encode() if isinstance(found, str) else found


def xmp_facts(packet: bytes) -> dict[str, str]:
    """What a packet says of who made the picture; empty when it is none that can be read."""
    start = packet.find(XMP_BEGIN)
    try:
        tree = ElementTree.fromstring(packet[start : packet.rfind(XMP_END) + len(XMP_END)])
    except ElementTree.ParseError:
        return {}
    found = {}
    for element in tree.iter():
        for name, key in (("digital source type", SOURCE_TYPE), ("made with", TOOL)):
            if value := element.attrib.get(key) or (element.tag == key and element.text):
                found[name] = str(value)
    return found


def verify(path: Path) -> tuple[dict[str, str], bool]:
    """What a file says of its making, and whether that holds.

    It does not where a signature is there and broken, or where the file says nothing. Raises
    InputError for a file that cannot be read.
    """
    try:
        facts = xmp_facts(read_xmp(path))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    signature = _signature(path)
    sound = signature.get("signature", "").split(" ")[0] not in ("broken", "unreadable")
    told = facts or {"digital source type": "not said; there is no XMP"}
    return told | signature, bool(sound and (facts or "signed by" in signature))


def _signature(path: Path) -> dict[str, str]:
    try:
        c2pa = require("c2pa", "A signature")
    except InputError:
        return {"signature": "not looked at; pip install 'smalti[sign]' reads C2PA"}
    try:
        with c2pa.Reader(str(path)) as reader:
            told = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return {"signature": "none"}
    except c2pa.C2paError as error:
        unknown = "NotSupported" in type(error).__name__
        return {"signature": "none" if unknown else f"unreadable ({str(error)[:100]})"}
    return _signature_facts(told)


def _signature_facts(told: dict[str, Any]) -> dict[str, str]:
    manifest = told["manifests"][told["active_manifest"]]
    info = manifest.get("signature_info", {})
    codes = {status["code"] for status in told.get("validation_status", ())}
    state = "whole" if told.get("validation_state") in ("Valid", "Trusted") else "broken"
    known = "unknown" if "signingCredential.untrusted" in codes else "known"
    return {
        "signature": f"{state} (C2PA; the certificate is of an authority that is {known} here)",
        "signed by": f"{info.get('common_name', '?')}, {info.get('issuer', '?')}",
    }
