"""Tiny random networks in the layout in which the judges of an evaluation are published."""

import json
from pathlib import Path

import torch
from torch import Tensor
from transformers import BertTokenizer, BlipConfig, BlipForImageTextRetrieval

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog")
# ImageReward: two heads in the encoder that sees, one in the encoder that reads.
SIDE, PATCH, SEEN, READ, LAYERS = 32, 16, 128, 64, 2


def reward_weights() -> dict[str, Tensor]:
    """Random weights with the names and proportions of ImageReward.pt."""
    g = torch.Generator().manual_seed(0)
    found: dict[str, Tensor] = {}

    def add(name: str, *shape: int, scale: float = 0.2, around: float = 0.0) -> None:
        found[name] = around + scale * torch.randn(*shape, generator=g)

    def dense(name: str, out: int, width: int) -> None:
        add(f"{name}.weight", out, width, scale=width**-0.5)
        add(f"{name}.bias", out)

    def norm(name: str, width: int) -> None:
        add(f"{name}.weight", width, around=1.0)
        add(f"{name}.bias", width)

    eye, text = "blip.visual_encoder", "blip.text_encoder"
    add(f"{eye}.cls_token", 1, 1, SEEN)
    add(f"{eye}.pos_embed", 1, 1 + (SIDE // PATCH) ** 2, SEEN)
    add(f"{eye}.patch_embed.proj.weight", SEEN, 3, PATCH, PATCH, scale=0.05)
    add(f"{eye}.patch_embed.proj.bias", SEEN)
    norm(f"{eye}.norm", SEEN)
    found[f"{text}.embeddings.position_ids"] = torch.arange(40)[None]
    add(f"{text}.embeddings.word_embeddings.weight", len(VOCABULARY), READ, scale=1.0)
    add(f"{text}.embeddings.position_embeddings.weight", 40, READ)
    norm(f"{text}.embeddings.LayerNorm", READ)
    for index in range(LAYERS):
        block, layer = f"{eye}.blocks.{index}", f"{text}.encoder.layer.{index}"
        for part in ("norm1", "norm2"):
            norm(f"{block}.{part}", SEEN)
        dense(f"{block}.attn.qkv", 3 * SEEN, SEEN)
        dense(f"{block}.attn.proj", SEEN, SEEN)
        dense(f"{block}.mlp.fc1", 4 * SEEN, SEEN)
        dense(f"{block}.mlp.fc2", SEEN, 4 * SEEN)
        for part, width in (("attention", READ), ("crossattention", SEEN)):
            dense(f"{layer}.{part}.self.query", READ, READ)
            dense(f"{layer}.{part}.self.key", READ, width)
            dense(f"{layer}.{part}.self.value", READ, width)
            dense(f"{layer}.{part}.output.dense", READ, READ)
            norm(f"{layer}.{part}.output.LayerNorm", READ)
        dense(f"{layer}.intermediate.dense", 4 * READ, READ)
        dense(f"{layer}.output.dense", READ, 4 * READ)
        norm(f"{layer}.output.LayerNorm", READ)
    dense("blip.vision_proj", 16, SEEN)  # left over from pretraining, used by nothing
    dense("blip.text_proj", 16, READ)
    for index, (out, width) in {
        0: (24, READ),
        2: (12, 24),
        4: (6, 12),
        6: (4, 6),
        7: (1, 4),
    }.items():
        dense(f"mlp.layers.{index}", out, width)
    return found


def make_blip(folder: Path) -> Path:
    """A tiny random BLIP in the hub's layout."""
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    text = {"vocab_size": len(VOCABULARY), "hidden_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 16, "encoder_hidden_size": 16,
            "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}  # fmt: skip
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
              "intermediate_size": 16, "image_size": 32, "patch_size": 16}  # fmt: skip
    torch.manual_seed(0)
    model = BlipForImageTextRetrieval(BlipConfig(text_config=text, vision_config=vision))
    model.save_pretrained(folder)
    facts = {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]}
    (folder / "preprocessor_config.json").write_text(json.dumps(facts))
    return folder


def hub_cache(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(folder))


def snapshot(folder: Path, hub_id: str) -> Path:
    """An empty snapshot folder as the hub's cache has it."""
    repo = folder / f"models--{hub_id.replace('/', '--')}"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("abc")
    return repo / "snapshots" / "abc"
