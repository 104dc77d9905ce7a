"""What independent readers make of exported files: stock diffusers, and sd-scripts' own loader.

    python benchmarks/readers.py                                  # diffusers alone
    python benchmarks/readers.py --python PYTHON --sd-scripts DIR

sd-scripts is not on the package index and pins older libraries, so its loader runs in a Python of
its own:

    git clone https://github.com/kohya-ss/sd-scripts
    python -m venv reader
    reader/bin/pip install torch transformers==4.54.1 diffusers==0.32.1 tqdm

PYTHON is then reader/bin/python and DIR sd-scripts. For each kind of adapter a tiny base in Stable
Diffusion's layout is exported with --to kohya; each reader loads it and predicts the noise of one
latent, and what it predicts is compared with smalti. Then, the other way, sd-scripts lists every
tensor that its LoRA of Stable Diffusion 1.x can have, and smalti finds a place for each.
docs/files.md has the result.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from smalti.configs.base import BaseSettings
from smalti.configs.train import TrainSettings
from smalti.models.base import BaseModel
from smalti.models.bases import load_base
from smalti.models.bases.sd import StableDiffusion
from smalti.models.conditioning import encode_prompts
from smalti.models.edlora import attach_new, detach, load_adapter, parameter_groups, save_adapter
from smalti.models.exchange.export import export
from smalti.models.exchange.foreign import layers_by_part
from smalti.models.exchange.lora import LoraLayer
from smalti.models.exchange.metadata import base_facts
from smalti.models.exchange.own import read_own

ROOT = Path(__file__).parents[1]
PROMPT = "a girl on a hill"
KINDS = {
    "edlora, attention, rank 4, alpha 8": {"rank": 4, "lora_alpha": 8.0},
    "lora, attention, rank 3": {"rank": 3, "method": "lora"},
    "edlora, all layers, rank 2": {"rank": 2, "targets": "all"},
}
READER = """
import sys, torch, safetensors.torch, diffusers, transformers
folder, base, file, scripts = sys.argv[1:5]
sys.path.insert(0, scripts)
from networks.lora_diffusers import create_network_from_weights
given = safetensors.torch.load_file(folder + "/given.safetensors")
unet = diffusers.UNet2DConditionModel.from_pretrained(base + "/unet")
text = transformers.CLIPTextModel.from_pretrained(base + "/text_encoder")
weights = safetensors.torch.load_file(file)
network = create_network_from_weights(text, unet, dict(weights))
answer = network.load_state_dict(dict(weights), strict=True)
network.apply_to(1.0)
with torch.no_grad():
    shown = text(given["ids"]).last_hidden_state
    found = unet(given["latents"], torch.tensor(300), shown).sample
safetensors.torch.save_file({"found": found}, folder + "/found.safetensors")
loras = len(network.unet_loras) + len(network.text_encoder_loras)
print(f"{answer} {len(weights)} keys, {loras} modules, transformers {transformers.__version__}, "
      f"diffusers {diffusers.__version__}")
"""

# A network of every layer that sd-scripts looks into, on networks of Stable Diffusion 1.x's size.
LISTER = """
import sys, json, torch, diffusers, transformers
sys.path.insert(0, sys.argv[1])
from networks.lora_diffusers import LoRANetwork
class Every(dict):
    def __contains__(self, name): return True
    def __missing__(self, name): return 4
with torch.device("meta"):
    unet = diffusers.UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
    text = transformers.CLIPTextModel(transformers.CLIPTextConfig(hidden_size=768,
        intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12))
    network = LoRANetwork(text, unet, modules_dim=Every(), modules_alpha=Every())
print(json.dumps({key: list(value.shape) for key, value in network.state_dict().items()}))
"""


def make_base(folder: Path) -> BaseModel:
    """A tiny random base; its text encoder is saved under the names that SD's files have."""
    sys.path.insert(0, str(ROOT / "tests"))
    from tiny import make_tiny_sd

    make_tiny_sd(folder)
    weights = folder / "text_encoder" / "model.safetensors"
    named = {f"text_model.{key.removeprefix('text_model.')}": value
             for key, value in load_file(weights).items()}  # fmt: skip
    save_file(named, weights, metadata={"format": "pt"})
    return load_base(BaseSettings(name="tiny", source=str(folder), resolution=64), device="cpu")


def train(base: BaseModel, path: Path, settings: TrainSettings) -> None:
    """An adapter whose every value is away from its start."""
    adapter = attach_new(base, "sylvie", "girl", settings)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for group in parameter_groups(base, adapter, settings):
            for parameter in group["params"]:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    save_adapter(base, adapter, path)
    detach(base, adapter)


@torch.no_grad()
def by_smalti(base: BaseModel, path: Path, latents: torch.Tensor) -> torch.Tensor:
    """What smalti predicts; layers that kohya's format lacks are left out."""
    adapter = load_adapter(base, path)
    for name in ("conv_in", "conv_out"):
        layer = getattr(base.unet, name)
        if hasattr(layer, "lora_B"):
            layer.lora_B[adapter.peft_name].weight.zero_()
    text = encode_prompts(base, [PROMPT], [adapter])
    found = base.unet(latents, torch.tensor(300), text).sample
    detach(base, adapter)
    return found


@torch.no_grad()
def by_diffusers(folder: Path, file: Path, latents: torch.Tensor) -> torch.Tensor:
    """What a stock pipeline predicts."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.load_lora_weights(file.parent, weight_name=file.name)
    text = pipeline.encode_prompt(PROMPT, "cpu", 1, False)[0]
    return pipeline.unet(latents, torch.tensor(300), text).sample


def by_sd_scripts(
    python: str, scripts: str, folder: Path, base: Path, file: Path
) -> tuple[torch.Tensor, str]:
    """What sd-scripts' network predicts in a Python of its own, and what its loader says."""
    said = run_reader(python, READER, str(folder), str(base), str(file), scripts)
    return load_file(folder / "found.safetensors")["found"], said


def run_reader(python: str, code: str, *words: str) -> str:
    """The last line that a program prints in another Python; stops where it fails."""
    done = subprocess.run([python, "-c", code, *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout.strip().splitlines()[-1]


def sd15_on_meta() -> StableDiffusion:
    """Networks of Stable Diffusion 1.x's size, without values."""
    config = CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
                            num_attention_heads=12)  # fmt: skip
    meta = torch.device("meta")
    with meta:
        unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8)
        text = CLIPTextModel(config)
    return StableDiffusion(BaseSettings(), Path(), None, {}, meta, torch.float32, unet, text)


def find_places(python: str, scripts: str) -> None:
    """Print how many of sd-scripts' own keys for Stable Diffusion 1.x have a place in smalti."""
    shapes = json.loads(run_reader(python, LISTER, scripts))
    stems = {key.split(".")[0] for key in shapes}
    empty = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    lora = {
        stem: LoraLayer(empty[f"{stem}.lora_down.weight"], empty[f"{stem}.lora_up.weight"], 4.0)
        for stem in stems
    }
    found = layers_by_part(sd15_on_meta(), Path("listed"), lora)
    placed = {part: len(layers) for part, layers in found.items()}
    print(f"sd-scripts lists {len(shapes)} keys of {len(stems)} modules; smalti places {placed}")


def main() -> None:
    """Print a line for each kind of adapter and reader."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", help="a Python with sd-scripts' pins")
    parser.add_argument("--sd-scripts", help="a folder that holds networks/lora_diffusers.py")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = make_base(folder / "tiny")
        for kind, values in KINDS.items():
            compare(asked, base, folder, kind, TrainSettings(**values))
    if asked.python and asked.sd_scripts:
        find_places(asked.python, asked.sd_scripts)


def compare(
    asked: argparse.Namespace, base: BaseModel, folder: Path, kind: str, settings: TrainSettings
) -> None:
    """Export one adapter and ask every reader that is there."""
    own, file = folder / "own.safetensors", folder / "kohya.safetensors"
    train(base, own, settings)
    for line in export(read_own(own), "kohya", base_facts(read_own(own), base.settings), file):
        print(f"{kind}: {line}")
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))
    ids = base.tokenizer(PROMPT, padding="max_length", return_tensors="pt").input_ids
    save_file({"latents": latents, "ids": ids}, folder / "given.safetensors")
    ours = by_smalti(base, own, latents)
    theirs = by_diffusers(base.folder, file, latents)
    print(f"{kind}: diffusers differs by {(theirs - ours).abs().max():.1e}")
    if asked.python and asked.sd_scripts:
        theirs, said = by_sd_scripts(asked.python, asked.sd_scripts, folder, base.folder, file)
        print(f"{kind}: sd-scripts differs by {(theirs - ours).abs().max():.1e}; {said}")


if __name__ == "__main__":
    main()
