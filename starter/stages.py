"""The stages in order, each of which leaves a folder that the next one reads."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPModel

from ..configs.errors import InputError
from ..configs.files import replacing
from .clip import train_clip
from .export import text_half, write_starter
from .prepare import Prepared, prepare
from .recipe_settings import RecipeSettings
from .subjects import distinctive_words
from .t2i_adapter import train_color_adapter
from .unet import train_unet
from .vae import train_vae


def run_stage(stage: str, settings: RecipeSettings, work: Path, out: Path) -> None:
    """Run one stage, or all; earlier stages must have left their results in `work`.

    Raises InputError for what is missing or misspelt, before the corpus is read.
    """
    _check(stage, settings, work, out)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    prepared = prepare(settings, work, device)
    (work / "settings.json").write_text(json.dumps(asdict(settings), indent=1), encoding="utf-8")
    if stage in ("vae", "all"):
        train_vae(settings, prepared, work).save_pretrained(work / "vae")
    if stage in ("clip", "all"):
        train_clip(settings, prepared, work).save_pretrained(work / "clip")
    if stage in ("unet", "all"):
        _train_and_write_unet(settings, prepared, work, out, device)
    if stage in ("color", "all"):
        _train_and_write_color_adapter(settings, prepared, work, out, device)


def _check(stage: str, settings: RecipeSettings, work: Path, out: Path) -> None:
    """What a stage needs of earlier ones, and the names of tables; raises InputError."""
    for earlier in ("vae", "clip") if stage in ("unet", "color") else ():
        _require(earlier, work)
    if stage == "color":
        _require("unet", out)
    for table in filter(None, (*settings.corpus.subjects, settings.unet.finetune_table)):
        distinctive_words(table)


def _require(stage: str, folder: Path) -> None:
    """Raise InputError where a stage has left nothing in `folder`."""
    if not (folder / stage).is_dir():
        raise InputError(f'{folder} has no {stage} yet; run the stage "{stage}" first.')


def _train_and_write_unet(
    settings: RecipeSettings, prepared: Prepared, work: Path, out: Path, device: torch.device
) -> None:
    """Train the UNet on the finished VAE and CLIP, and write the model folder."""
    vae, clip = _load_vae_and_clip(work, device)
    unet = train_unet(settings, prepared, vae, text_half(clip), work)
    write_starter(unet, vae, clip, prepared.tokenizer_folder, out)


def _train_and_write_color_adapter(
    settings: RecipeSettings, prepared: Prepared, work: Path, out: Path, device: torch.device
) -> None:
    """Train the colour adapter for the finished UNet in `out`, into a folder beside it."""
    vae, clip = _load_vae_and_clip(work, device)
    unet = UNet2DConditionModel.from_pretrained(out / "unet")
    adapter = train_color_adapter(settings, prepared, vae, text_half(clip), unet, work)
    with replacing(out.with_name(f"{out.name}_color")) as building:
        adapter.to("cpu", torch.float16).save_pretrained(building)


def _load_vae_and_clip(work: Path, device: torch.device) -> tuple[AutoencoderKL, CLIPModel]:
    """The VAE and the CLIP pair that their stages left in `work`."""
    vae = AutoencoderKL.from_pretrained(work / "vae").to(device).requires_grad_(False)
    try:
        return vae, CLIPModel.from_pretrained(work / "clip")
    except FileNotFoundError as error:  # copied from a model, without its text half
        missing = str(error).partition(": ")[2]
        raise InputError(f"{work / 'clip'} needs {missing}; copy that, too.") from None
