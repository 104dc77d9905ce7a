"""ImageReward against its forward pass written out on weights in the layout of its authors."""

from pathlib import Path

import pytest
import torch
from published import LAYERS, PATCH, READ, SEEN, SIDE, make_blip, reward_weights
from torch import Tensor
from torch.nn.functional import conv2d, gelu, interpolate, layer_norm, linear

from smalti.configs.errors import InputError
from smalti.evaluate.image_reward import ImageReward


def attend(queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """Attention of [T, W] to [S, W], head by head."""
    parts = [
        (q @ k.T / q.shape[1] ** 0.5).softmax(-1) @ v
        for q, k, v in zip(*(x.chunk(heads, 1) for x in (queries, keys, values)), strict=True)
    ]
    return torch.cat(parts, 1)


def reward(w: dict[str, Tensor], image: Tensor, tokens: list[int]) -> float:
    """The reward of an image [3, SIDE, SIDE] in [0, 1], one at a time and without padding."""

    def dense(x: Tensor, name: str) -> Tensor:
        return linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(x: Tensor, name: str, eps: float) -> Tensor:
        return layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)

    eye, text = "blip.visual_encoder", "blip.text_encoder"
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    deviation = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    projection = (w[f"{eye}.patch_embed.proj.{kind}"] for kind in ("weight", "bias"))
    patches = conv2d(((image - mean) / deviation)[None], *projection, stride=PATCH)
    x = torch.cat([w[f"{eye}.cls_token"][0], patches[0].flatten(1).T]) + w[f"{eye}.pos_embed"][0]
    for index in range(LAYERS):
        at = f"{eye}.blocks.{index}"
        qkv = dense(norm(x, f"{at}.norm1", 1e-6), f"{at}.attn.qkv").chunk(3, 1)
        x = x + dense(attend(*qkv, heads=SEEN // 64), f"{at}.attn.proj")
        x = x + dense(gelu(dense(norm(x, f"{at}.norm2", 1e-6), f"{at}.mlp.fc1")), f"{at}.mlp.fc2")
    seen = norm(x, f"{eye}.norm", 1e-6)

    at = f"{text}.embeddings"
    words = w[f"{at}.word_embeddings.weight"][tokens]
    places = w[f"{at}.position_embeddings.weight"][: len(tokens)]
    y = norm(words + places, f"{at}.LayerNorm", 1e-12)
    for index in range(LAYERS):
        layer = f"{text}.encoder.layer.{index}"
        for part in ("attention", "crossattention"):
            at, source = f"{layer}.{part}", y if part == "attention" else seen
            k, v = dense(source, f"{at}.self.key"), dense(source, f"{at}.self.value")
            attended = attend(dense(y, f"{at}.self.query"), k, v, heads=READ // 64)
            y = norm(y + dense(attended, f"{at}.output.dense"), f"{at}.output.LayerNorm", 1e-12)
        fed = dense(gelu(dense(y, f"{layer}.intermediate.dense")), f"{layer}.output.dense")
        y = norm(y + fed, f"{layer}.output.LayerNorm", 1e-12)
    first = y[:1]
    for index in (0, 2, 4, 6, 7):
        first = dense(first, f"mlp.layers.{index}")
    return float((first[0, 0] - 0.16717362830052426) / 1.0333394966054072)


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Path:
    return make_blip(tmp_path_factory.mktemp("reward") / "blip")


@pytest.fixture(scope="module")
def model(reader: Path) -> ImageReward:
    torch.save(reward_weights(), reader.parent / "ImageReward.pt")
    return ImageReward(reader.parent / "ImageReward.pt", reader)


def test_rewards_are_the_forward_pass_written_out(model: ImageReward):
    images = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    cat, dog = [2, 5, 6, 3], [2, 5, 7, 3]  # [CLS] a cat [SEP]
    for text, tokens in (("A cat", cat), ("a dog", dog)):
        expected = [reward(reward_weights(), image, tokens) for image in images]
        assert model.rewards(images, text).tolist() == pytest.approx(expected, abs=1e-4)
    assert (model.rewards(images, "a cat") - model.rewards(images, "a dog")).abs().min() > 0.01


def test_long_prompts_are_cut_and_any_size_is_looked_at(model: ImageReward):
    image = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    cut = [2, *[5, 6] * 16, 5, 3]
    assert len(cut) == 35
    expected = reward(reward_weights(), image[0], cut)
    assert float(model.rewards(image, "a cat " * 30)) == pytest.approx(expected, abs=1e-4)
    larger = interpolate(image, 2 * SIDE, mode="nearest")
    reduced = interpolate(larger, SIDE, mode="bicubic", antialias=True).clamp(0, 1)
    expected = reward(reward_weights(), reduced[0], [2, 5, 6, 3])
    assert float(model.rewards(larger, "a cat")) == pytest.approx(expected, abs=1e-4)


def test_bad_files_are_named(tmp_path: Path, reader: Path):
    file = tmp_path / "ImageReward.pt"
    torch.save({"conv.weight": torch.zeros(1)}, file)
    other = file.read_bytes()
    torch.save(reward_weights(), file)
    for content in (other, b"half a file", b"", file.read_bytes()[:5000]):
        file.write_bytes(content)
        with pytest.raises(InputError) as raised:
            ImageReward(file, reader)
        assert str(file) in str(raised.value)
