"""Last stage: the folder `models/starter/`, fp16, that a plain StableDiffusionPipeline loads."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessor, CLIPModel, CLIPTextModel, CLIPTokenizer

from ..configs.files import replacing
from .clip import DEVIATION, MEAN
from .tokenizer import load_tokenizer
from .unet import assemble

TEXT_PREFIX = "text_model."


def text_half(clip: CLIPModel) -> CLIPTextModel:
    """The pipeline's text encoder: CLIP's text half with the same weights."""
    half = CLIPTextModel(clip.config.text_config)
    own = half.state_dict()
    weights = {key.removeprefix(TEXT_PREFIX): value for key, value in clip.state_dict().items()
               if key.startswith(TEXT_PREFIX)}
    prefix = TEXT_PREFIX if next(iter(own)).startswith(TEXT_PREFIX) else ""
    half.load_state_dict({key: weights[key.removeprefix(prefix)] for key in own})
    return half.eval()


def write_starter(
    unet: UNet2DConditionModel, vae: AutoencoderKL, clip: CLIPModel, tokenizer: Path, folder: Path
) -> None:
    """Write pipeline and CLIP pair. The text half is stored once: CLIP's index points to it."""
    words = load_tokenizer(tokenizer)
    pipeline = assemble(unet, vae, text_half(clip), words)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.to("cpu", torch.float16)
    with replacing(folder) as building:
        pipeline.save_pretrained(building)
        _prefix_text_weights(building / "text_encoder" / "model.safetensors")
        _edit_config(building / "text_encoder" / "config.json")
        _edit_config(building / "vae" / "config.json")
        _write_clip(clip, words, building / "clip")
        for name in ("vocab.json", "merges.txt"):  # for readers older than tokenizer.json
            shutil.copy(tokenizer / name, building / "tokenizer" / name)
        for kept in ("README.md", "ATTRIBUTION.md"):
            if (folder / kept).is_file():
                shutil.copy(folder / kept, building / kept)


def _prefix_text_weights(path: Path) -> None:
    """Rename keys to `text_model.*`: all versions of transformers read it, CLIPModel shares it."""
    stored = load_file(path)
    weights = {TEXT_PREFIX + key.removeprefix(TEXT_PREFIX): stored[key] for key in stored}
    save_file(weights, path, metadata={"format": "pt"})


def _edit_config(path: Path) -> None:
    """State float32, else transformers keeps the stored fp16; forget the folder it came from."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    if "model_type" in config:  # transformers; diffusers always loads float32
        config["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _write_clip(clip: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """The CLIP pair as a folder for CLIPModel; its index leads to the pipeline's text encoder."""
    folder.mkdir()
    clip.config.save_pretrained(folder)
    _edit_config(folder / "config.json")
    tokenizer.save_pretrained(folder)
    size = clip.config.vision_config.image_size
    CLIPImageProcessor(size={"shortest_edge": size}, crop_size=size, image_mean=[MEAN] * 3,
                       image_std=[DEVIATION] * 3).save_pretrained(folder)
    state = {key: value.half().cpu().contiguous() for key, value in clip.state_dict().items()}
    own = {key: value for key, value in state.items() if not key.startswith(TEXT_PREFIX)}
    save_file(own, folder / "image.safetensors", metadata={"format": "pt"})
    text = "../text_encoder/model.safetensors"
    places = {key: "image.safetensors" if key in own else text for key in state}
    total = sum(value.numel() * value.element_size() for value in state.values())
    index = json.dumps({"metadata": {"total_size": total}, "weight_map": places}, indent=1)
    (folder / "model.safetensors.index.json").write_text(index, encoding="utf-8")
