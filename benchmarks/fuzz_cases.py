"""What fuzz.py throws at the commands: picture files, captions, settings and options."""

import io
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pillow_heif
from hypothesis import strategies as st
from PIL import Image

from smalti.configs.guides import GUIDES
from smalti.configs.methods import METHODS
from smalti.configs.settings import Settings, as_tables
from smalti.configs.tables import setting_names

QUOTES = '"'
SMALL = {"ICO", "BLP"}  # hold icons only, or palettes
NOT_WRITTEN = {"PDF", "EPS", "PALM", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}  # or stubs
MODES = (
    "RGB", "L", "RGBA", "P", "CMYK", "1", "LA", "I;16", "I", "F", "YCbCr", "LAB", "HSV", "PA",
    "La", "RGBa", "RGBX",
)  # fmt: skip


@dataclass(frozen=True)
class OddPicture:
    """A picture file, and whether it must be readable, as nothing is wrong with its pixels."""

    data: bytes
    readable: bool


def formats() -> list[str]:
    """Every picture format that is written here."""
    pillow_heif.register_heif_opener()
    Image.init()
    return sorted(set(Image.SAVE) - NOT_WRITTEN)


def exif_of(turn: int) -> bytes:
    """EXIF data that hold an orientation and nothing else."""
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif.tobytes()


EXIF = st.one_of(
    st.just(b""),
    st.integers(0, 9).map(exif_of),
    st.binary(max_size=60),
    st.binary(max_size=40).map(lambda data: b"Exif\0\0II*\0\x08\0\0\0" + data),
)


@st.composite
def odd_pictures(draw: st.DrawFn) -> OddPicture:
    """A picture in some format and mode, whole, cut off, or with other bytes in it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.sampled_from(((64, 70), (90, 64), (71, 97), (68, 66), (63, 80), (1, 1))))
    image = Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8))
    mode, kind = draw(st.sampled_from(MODES)), draw(st.sampled_from(formats()))
    extra = {"exif": draw(EXIF), "icc_profile": draw(st.binary(max_size=20))}
    data = whole = saved(image, mode, kind, extra)
    for place in rng.integers(0, len(data) or 1, draw(st.sampled_from((0, 0, 1, 3)))):
        length = rng.integers(1, 4)
        data = data[:place] + rng.bytes(length) + data[place + length :]
    data = data[: int(draw(st.sampled_from((*[1] * 7, 0.9, 0.66, 0.2))) * len(data))]
    return OddPicture(data, data == whole and min(size) >= 64 and kind not in SMALL)


def saved(image: Image.Image, mode: str, kind: str, extra: Mapping[str, bytes]) -> bytes:
    """The picture in a file, as near to the wish as its format can: mode, metadata, or neither."""
    for wanted, more in ((mode, extra), (mode, {}), ("RGB", extra), ("RGB", {}), ("1", {})):
        try:
            with warnings.catch_warnings(action="ignore"):
                converted(image, wanted).save(file := io.BytesIO(), kind, **more)
            return file.getvalue()
        except Exception:  # not every format holds every mode, nor garbage
            continue
    return b""


def converted(image: Image.Image, mode: str) -> Image.Image:
    """The picture in a mode, over the mode that Pillow makes it of."""
    between = {"PA": "L", "La": "LA", "RGBa": "RGBA"}.get(mode, "RGB")
    return image.convert(between).convert(mode)


WORDS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(("", "-", "..", "/", "~", "~x/y", "a" * 300, "inf", "nan", "1e999", "9" * 5000,
                     "https://x/y.jpg", "[" * 3000, "cup", "photo.png", "<concept>", "{", "%s",
                     "\u202e", "a\nb", "auto", "off", "true", "0x" + "f" * 999)),
    st.binary(max_size=12).map(os.fsdecode),
).map(lambda text: text.replace("\0", ""))  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-3, 9), st.integers(), st.floats(), st.sampled_from((10**30, -1, 2**63, 1e30))
)
USUAL = st.sampled_from(("1", "2", "0.5", "8x8", "cup", "photo.png", "draft", "starter", "edlora"))
VALUES = st.one_of(USUAL, USUAL, NUMBERS.map(str), WORDS, st.lists(WORDS, max_size=3).map(str))
NAMES = st.one_of(*[st.sampled_from(setting_names())] * 3, WORDS)
DEFAULTS = [
    (f"{section}.{name}", json.dumps(value))
    for section, table in as_tables(Settings()).items()
    for name, value in table.items()
    if not isinstance(value, dict)
]
PAIRS = st.one_of(*[st.sampled_from(DEFAULTS)] * 3, st.tuples(NAMES, VALUES))
GEN_OPTIONS = (
    "--tile-lora", "--tile-prompt", "--ref", "--ref-lora", "--ref-prompt", "--negative-prompt",
    "--level", "--grid", "--tile-size", "--seed", "--steps", "--scheduler", "--cfg-scale",
    "--lora-scale", "--noise", "--low-pass-cells", "--guidance-strength", "--target-ssim",
    "--tint", "--mixed-precision", "--batch-size", "--out", "--base", "--preset", "--retile",
    "--config", "--concepts-dir",
)  # fmt: skip
TRAIN_OPTIONS = (
    "--class-word", "--steps", "--rank", "--batch-size", "--mixed-precision", "--optimizer",
    "--seed", "--base", "--preset", "--config", "--concepts-dir",
)  # fmt: skip


def options(names: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    """Up to three options or settings with values of any kind."""
    one = st.tuples(st.sampled_from(names), VALUES).map(list)
    chosen = st.sampled_from((("--method", *METHODS), ("--guide", *GUIDES)))
    method = chosen.flatmap(lambda c: st.sampled_from(c[1:]).map(lambda name: [c[0], name]))
    extra = PAIRS.map(lambda pair: ["--set", f"{pair[0]}={pair[1].strip(QUOTES)}"])
    own = st.one_of(one, one, extra, method) if names is GEN_OPTIONS else st.one_of(one, one, extra)
    return st.lists(own, max_size=3).map(lambda pairs: [word for pair in pairs for word in pair])


LINES = st.lists(PAIRS, max_size=3, unique_by=lambda pair: pair[0])
TOML = LINES.map(lambda pairs: "\n".join(f"{key} = {value}" for key, value in pairs))
DEEP = st.sampled_from(("[train]\nrank = 0x" + "f" * 9999, "a = " + "[" * 5000, "[" * 5000))
SETTINGS_FILES = st.one_of(
    *[text.map(lambda t: t.encode(errors="replace")) for text in (st.text(), TOML, TOML, DEEP)],
    st.binary(max_size=40),
)
CAPTIONS = st.one_of(
    st.text().map(lambda text: text.encode(errors="replace")),
    st.binary(max_size=40),
    odd_pictures().map(lambda odd: odd.data),
)
