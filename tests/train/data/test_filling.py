"""Masks and captions that are missing are filled in, by tiny networks; the user's own stay."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused

from smalti.train.data.descriptions import fill_captions, open_captioner, with_concept
from smalti.train.data.masks import fill_masks, open_segmenter

SIDE = 8


def varint(value: int) -> bytes:
    head = value & 127
    return bytes([head | 128]) + varint(value >> 7) if value > 127 else bytes([head])


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protocol buffer: a number, or something of a length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor_type(name: str, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(field(1, field(1, size)) for size in shape)
    kind = field(1, field(1, 1) + field(2, dims))  # fp32
    return field(1, name) + field(2, kind)


def make_network(path: Path) -> Path:
    """An ONNX file of a 1 x 1 convolution: ten times the sum of the channels, less 1."""
    weight = np.full((1, 3, 1, 1), 10, np.float32)
    initial = b"".join(field(1, size) for size in weight.shape)
    initial += field(2, 1) + field(8, "w") + field(9, weight.tobytes())
    node = field(1, "x") + field(1, "w") + field(2, "y") + field(4, "Conv")
    graph = field(1, node) + field(2, "g") + field(5, initial)
    graph += field(11, tensor_type("x", (1, 3, SIDE, SIDE)))
    graph += field(12, tensor_type("y", (1, 1, SIDE, SIDE)))
    model = field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))
    path.write_bytes(model)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photos, bright on the left: one with a mask and a caption, one cut out."""
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = np.zeros((80, 96, 3), np.uint8)
    pixels[:, :48] = 255
    for name in ("a", "b", "c"):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    Image.fromarray(np.dstack([pixels, pixels[..., 0]])).save(folder / "cut.png")
    Image.new("L", (96, 80), 200).save(folder / "a.mask.png")
    (folder / "a.txt").write_text("my own <concept>")
    return folder


def test_masks_are_the_sigmoid_of_the_network(photos, tmp_path):
    pytest.importorskip("onnxruntime")
    before = (photos / "a.mask.png").read_bytes()
    written = fill_masks(photos, open_segmenter(make_network(tmp_path / "net.onnx")))
    assert [path.name for path in written] == ["b.mask.png", "c.mask.png"]
    assert (photos / "a.mask.png").read_bytes() == before
    mask = np.asarray(Image.open(photos / "b.mask.png"))
    assert mask.shape == (80, 96) and mask[:, :36].min() == 255 and mask[:, 60:].max() == 0
    assert fill_masks(photos, lambda photo: Image.new("L", photo.size)) == []


def test_without_the_runtime_or_the_network_there_is_one_line(tmp_path, monkeypatch):
    with refused("hf download", "onnx"):
        open_segmenter()
    with refused("gone.onnx"):
        open_segmenter(tmp_path / "gone.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with refused("bad.onnx"):
        open_segmenter(tmp_path / "bad.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with refused("smalti[data]"):
        open_segmenter(tmp_path / "bad.onnx")


@pytest.mark.parametrize(
    ("caption", "class_word", "wanted"),
    [
        ("a girl with white hair", "girl", "a <concept> with white hair"),
        ("A Girl and a girl", "girl", "A <concept> and a girl"),
        ("a drawing of a person", "girl", "a <concept>, a drawing of a person"),
        ("araffe dog on  a sofa", "dog", "a <concept> on a sofa"),
        ("", "dog", "a <concept>"),
    ],
)
def test_the_concept_stands_for_its_class_word(caption, class_word, wanted):
    assert with_concept(caption, class_word) == wanted


def test_captions_are_written_where_there_are_none(photos):
    seen = []

    def describe(photo: Image.Image) -> str:
        seen.append(photo.mode)
        return "a mug on a table"

    written = fill_captions(photos, describe, "mug")
    assert [path.name for path in written] == ["b.txt", "c.txt", "cut.txt"]
    assert (photos / "b.txt").read_text() == "a <concept> on a table\n" and set(seen) == {"RGB"}
    assert (photos / "a.txt").read_text() == "my own <concept>"


def make_blip(folder: Path) -> Path:
    """A tiny random BLIP with a tokenizer of a few words."""
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "mug", "girl", "[DEC]", "red"]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
             "num_attention_heads": 2, "projection_dim": 16}  # fmt: skip
    config = BlipConfig(
        text_config=small | {"vocab_size": len(words), "encoder_hidden_size": 16, "bos_token_id": 8,
                             "sep_token_id": 3, "pad_token_id": 0, "eos_token_id": 3},
        vision_config=small | {"image_size": 16, "patch_size": 8},
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BlipForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_blip_describes_photos_always_alike(photos, tmp_path):
    describe = open_captioner(make_blip(tmp_path / "blip"))
    photo = Image.open(photos / "b.png").convert("RGB")
    said = describe(photo)
    assert said == describe(photo)
    assert set(said.split()) <= {"a", "mug", "girl", "red", "[UNK]", "[DEC]"}


def test_without_blip_there_is_one_line(tmp_path):
    with refused("hf download", "blip"):
        open_captioner()
    with refused("hf download", str(tmp_path)):
        open_captioner(tmp_path)
