"""The presets of this package, and the facts of a base model that is a folder of the user's."""

import json
from pathlib import Path
from typing import Any

from .errors import InputError
from .files import user_path
from .tables import Tables, checked_tables, nearest, read_settings_file

KINDS = ("base", "train", "mosaic", "product")
STANDS = "stands_on_every_base"
"""What a preset's file says if it is a method of its own: no base changes anything of it."""
KIN = {768: "sd15", 1024: "sd21", 2048: "sdxl"}
"""Whose settings a model in a folder takes, by the width of the text that its network reads."""
WEIGHED = ("unet", "vae", "text_encoder", "text_encoder_2")
PRESETS = Path(__file__).parent / "presets"


def preset_names(kind: str) -> list[str]:
    """Return the names of the presets of a kind: "base", "train", "mosaic" or "product"."""
    return sorted(path.stem for path in (PRESETS / kind).glob("*.toml"))


def load_preset(kind: str, name: str) -> Tables:
    """Read a preset of this package; raises InputError naming the known ones."""
    path = _preset_path(kind, name)
    content = read_settings_file(path)
    content.pop(STANDS, None)
    return checked_tables(content, str(path))


def stands_on_every_base(kind: str, name: str) -> bool:
    """Whether what a preset says wins over what a base's own file says."""
    return read_settings_file(_preset_path(kind, name)).get(STANDS, False)


def _preset_path(kind: str, name: str) -> Path:
    names = preset_names(kind)
    if name not in names:
        raise InputError(
            f'There is no {kind} preset "{name}"{nearest(name, names)} '
            f"Known {kind} presets: {', '.join(names)}."
        )
    return PRESETS / kind / f"{name}.toml"


def load_base_preset(name: str) -> Tables:
    """Read a base preset, or the facts of a local folder in diffusers' layout.

    A folder takes the settings of the preset that it is kin to, where there is one.
    """
    if name in preset_names("base"):
        tables = load_preset("base", name)
        return tables | {"base": {"name": name} | tables.get("base", {})}
    folder = user_path(name)
    if folder.is_dir():
        kin = preset_of_kin(name)
        return (load_preset("base", kin) if kin else {}) | {"base": _folder_facts(folder)}
    names = preset_names("base")
    raise InputError(
        f'"{name}" is neither a base preset nor a folder{nearest(name, names)} Known base presets: '
        f"{', '.join(names)}; or give a folder that StableDiffusionPipeline.from_pretrained loads."
    )


def preset_of_kin(name: str) -> str:
    """The base preset whose settings a base takes: its own, its kin's, or none ("")."""
    if name in preset_names("base"):
        return name
    width = _config(user_path(name), "unet").get("cross_attention_dim")
    return KIN.get(width, "") if isinstance(width, int) else ""


def _config(folder: Path, part: str) -> dict[str, Any]:
    """The config file of a local model's part; raises InputError."""
    try:
        return dict(json.loads((folder / part / "config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{folder} is not a model in diffusers' layout: {error}. It needs the folders unet, "
            "vae, text_encoder, tokenizer and scheduler, each with its files."
        ) from error


def _folder_facts(folder: Path) -> dict[str, Any]:
    """Read a local model's facts off its config files; weights are not touched."""
    unet, vae = _config(folder, "unet"), _config(folder, "vae")
    # AutoencoderTiny has one block more than it has halvings, like AutoencoderKL.
    channels = vae.get("block_out_channels") or vae.get("encoder_block_out_channels") or [0] * 4
    side = unet.get("sample_size") or 64
    return {
        "name": folder.resolve().name,
        "source": str(folder.resolve()),
        "resolution": side * 2 ** (len(channels) - 1),
        "size_gb": sum(_largest(folder / part) for part in WEIGHED) / 1e9,
    }


def _largest(folder: Path) -> int:
    """Bytes of a part's largest weights file: other files are the same weights again."""
    return max((path.stat().st_size for path in folder.glob("*.safetensors")), default=0)
