"""The CLIP judge against transformers' own preprocessing and forward pass."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

from smalti.configs.errors import InputError
from smalti.evaluate import judge as judge_module
from smalti.evaluate.judge import STARTER_CLIP, Judge, middle_square, wordings


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


def test_a_judge_takes_its_seat_in_silence(capfd) -> None:
    from transformers.utils.logging import enable_progress_bar

    enable_progress_bar()
    Judge()
    assert capfd.readouterr() == ("", "")


def as_tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def disc() -> Image.Image:
    picture = Image.new("RGB", (128, 128), (200, 220, 255))
    ImageDraw.Draw(picture).ellipse((30, 30, 100, 100), fill=(220, 40, 30))
    return picture


def unit(tensor: torch.Tensor) -> torch.Tensor:
    return tensor / tensor.norm(dim=-1, keepdim=True)


def test_image_features_equal_the_stock_pipeline(judge: Judge, disc: Image.Image) -> None:
    processor = CLIPImageProcessor.from_pretrained(STARTER_CLIP)
    clip = CLIPModel.from_pretrained(STARTER_CLIP)
    seen = clip.vision_model(**processor([disc], return_tensors="pt")).pooler_output
    expected = unit(clip.visual_projection(seen))
    torch.testing.assert_close(judge.image_features(as_tensor(disc)), expected, atol=1e-4, rtol=0)


def test_text_features_equal_the_stock_pipeline(judge: Judge) -> None:
    texts = ["a cat", "a city at night, highly detailed"]
    clip = CLIPModel.from_pretrained(STARTER_CLIP)
    tokenizer = CLIPTokenizer.from_pretrained(STARTER_CLIP)
    tokens = tokenizer(texts, padding="max_length", return_tensors="pt")
    expected = unit(clip.text_projection(clip.text_model(**tokens).pooler_output))
    torch.testing.assert_close(judge.text_features(texts), expected, atol=1e-5, rtol=0)


def test_class_features_average_the_templates(judge: Judge) -> None:
    names = ["cat", "A coffee cup"]
    expected = torch.stack([unit(judge.text_features(wordings(n)).mean(0)) for n in names])
    torch.testing.assert_close(judge.class_features(names), expected, atol=1e-5, rtol=0)


def test_probabilities_do_not_depend_on_the_batch(judge: Judge, monkeypatch) -> None:
    monkeypatch.setattr(judge_module, "BATCH", 4)
    images = torch.rand(7, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    names = ["cat", "dog", "car"]
    together = judge.probabilities(images, names)
    alone = torch.cat([judge.probabilities(image[None], names) for image in images])
    torch.testing.assert_close(together.sum(1), torch.ones(7))
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)


def test_similarity_is_a_cosine(judge: Judge, disc: Image.Image) -> None:
    image = as_tensor(disc)
    found = judge.similarity(image, ["a red ball"])
    text = judge.text_features(["a red ball"])
    expected = torch.cosine_similarity(judge.image_features(image), text)
    torch.testing.assert_close(found[:, 0], expected)


@pytest.mark.parametrize(("height", "width"), [(128, 128), (64, 200), (300, 150), (37, 41)])
def test_middle_square(height: int, width: int) -> None:
    ramp = torch.linspace(0, 1, width).expand(1, 3, height, width)
    square = middle_square(ramp, 128)
    assert square.shape == (1, 3, 128, 128)
    assert abs(square.mean() - 0.5) < 0.01
    assert square.min() >= 0
    assert square.max() <= 1


def test_wordings() -> None:
    assert wordings("A cat")[:3] == ["cat", "a cat", "a photo of a cat"]
    assert wordings("an owl")[1] == "an owl"
    assert wordings("anime girl face")[1] == "an anime girl face"


def test_a_folder_without_clip(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        Judge(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_a_starter_folder_will_do(judge: Judge) -> None:
    other = Judge(STARTER_CLIP.parent)
    torch.testing.assert_close(other.text_features(["cat"]), judge.text_features(["cat"]))
