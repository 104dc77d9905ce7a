"""Find a base model's files: inside the package, in a local folder, in the hub's cache, online."""

from pathlib import Path
from typing import Any

from ..configs.base import BaseSettings
from ..configs.errors import InputError
from ..configs.files import read_json, user_path

PACKAGE = Path(__file__).resolve().parents[1]
WEIGHTS = {
    "unet": "diffusion_pytorch_model",
    "text_encoder": "model",
    "vae": "diffusion_pytorch_model",
}
SECOND = {"text_encoder_2": "model"}
"""What SDXL's family has beside them."""
NEEDED = (
    "unet/config.json",
    "text_encoder/config.json",
    "vae/config.json",
    "tokenizer/tokenizer_config.json",
    "scheduler/scheduler_config.json",
)
SECOND_NEEDED = ("text_encoder_2/config.json", "tokenizer_2/tokenizer_config.json")
LORA_FILE = "pytorch_lora_weights.safetensors"
"""What a repository that holds one LoRA calls it."""


def locate(settings: BaseSettings) -> Path:
    """Folder that holds the base model; downloads it from the hub when it is nowhere yet.

    Raises InputError when the folder lacks a part, or when a download is needed and fails.
    """
    folder = local_folder(settings.source)
    if folder is None and _is_hub_id(settings.source):
        folder = _cached(settings) or _download(settings)
    if folder is None:
        raise InputError(
            f"No base model at {settings.source!r}. Give a preset's name (`mosaic bases` lists "
            "them), a folder in Stable Diffusion's layout, or a hub id such as owner/model."
        )
    if missing := missing_files(folder, settings.variant):
        raise InputError(
            f"The base model in {folder} is incomplete: {missing[0]} is missing. It must be a "
            "folder in Stable Diffusion's layout with safetensors weights."
        )
    return folder


def reads_twice(folder: Path) -> bool:
    """Whether the model in `folder` is of SDXL's family: two text encoders, sizes, pooled text."""
    config = read_json(folder / "unet" / "config.json") or {}
    return config.get("addition_embed_type") == "text_time"


def network_parts(folder: Path) -> tuple[str, ...]:
    """The parts that adapters change, by the folders in which they lie."""
    return ("unet", "text_encoder", *(SECOND if reads_twice(folder) else ()))


def is_present(settings: BaseSettings) -> bool:
    """Whether the base model is complete on this machine, so that no download is needed."""
    folder = local_folder(settings.source)
    if folder is None:
        whole = _is_hub_id(settings.source) and _cached(settings) is not None
    else:
        whole = not missing_files(folder, settings.variant)
    return whole and _additions_are_present(settings)


def _additions_are_present(settings: BaseSettings) -> bool:
    try:
        if settings.vae:
            vae_weights(settings, Path(), local_files_only=True)
        if settings.distilled_lora:
            distilled_lora(settings, local_files_only=True)
    except InputError:
        return False
    return True


def local_folder(source: str) -> Path | None:
    """The folder that `source` names inside the package or on disk, None when there is none."""
    inside, outside = PACKAGE / source, user_path(source)
    if source.startswith("models/") and inside.is_dir():
        return inside
    return outside if outside.is_dir() else None


def require_color_adapter(settings: BaseSettings) -> None:
    """Raise InputError when the base model has no colour adapter."""
    if not settings.color_adapter:
        raise InputError(
            f"There is no colour adapter for the base model {settings.name!r}. Name one with --set "
            "base.color_adapter=FOLDER, or take another --method."
        )


def weights_file(folder: Path, part: str, variant: str = "") -> Path:
    """Path of a part's weights: the wanted variant, else the plain file, else the fp16 one.

    Returns the wanted path when none of them is there.
    """
    return _weights_in(folder / part, (WEIGHTS | SECOND)[part], variant)


def _weights_in(folder: Path, stem: str, variant: str) -> Path:
    names = [f"{stem}{'.' * bool(kind)}{kind}.safetensors" for kind in (variant, "", "fp16")]
    found = (folder / name for name in names if (folder / name).is_file())
    return next(found, folder / names[0])


def missing_files(folder: Path, variant: str = "") -> list[str]:
    """Files, relative to `folder`, that a complete base model would have and this one lacks."""
    second = reads_twice(folder)
    needed = (*NEEDED, *(SECOND_NEEDED if second else ()))
    parts = (*WEIGHTS, *(SECOND if second else ()))
    weights = [weights_file(folder, part, variant).relative_to(folder) for part in parts]
    return [str(name) for name in (*needed, *weights) if not (folder / name).is_file()]


def vae_weights(settings: BaseSettings, folder: Path, **options: Any) -> Path:
    """Path of the autoencoder's weights: in the base's folder, or where `base.vae` says.

    `options` are those of `snapshot_download`. Raises InputError when it cannot be had.
    """
    if not settings.vae:
        return weights_file(folder, "vae", settings.variant)
    stem = WEIGHTS["vae"]
    which = {"allow_patterns": ["config.json", f"{stem}.safetensors"], **options}
    there = local_folder(settings.vae) or _fetched(settings.vae, "base.vae", **which)
    return _weights_in(there, stem, settings.variant)


def distilled_lora(settings: BaseSettings, **options: Any) -> Path:
    """The file that `base.distilled_lora` names; raises InputError when it cannot be had.

    `options` are those of `snapshot_download`.
    """
    source = settings.distilled_lora
    path = user_path(source)
    if path.is_dir():
        path = path / LORA_FILE
    if path.is_file():
        return path
    parts = source.split("/")
    name = "/".join(parts[2:]) or LORA_FILE
    which = {"allow_patterns": [name], **options}
    found = _fetched("/".join(parts[:2]), "base.distilled_lora", **which) / name
    if not found.is_file():
        raise InputError(f"base.distilled_lora names {source!r}, but there is no {name} in it.")
    return found


def _fetched(source: str, setting: str, **options: Any) -> Path:
    """Folder of a hub repository's files, from the cache where they are there."""
    from huggingface_hub import snapshot_download

    try:
        if not _is_hub_id(source):
            raise ValueError(source)
        return Path(snapshot_download(source, **options))
    except Exception as error:  # the hub's client raises its own, httpx's and the system's errors
        raise InputError(
            f"{setting} names {source!r}, which is neither on this machine nor could be downloaded "
            f"({type(error).__name__}). Give a local one, or repeat with a network connection."
        ) from error


def _is_hub_id(source: str) -> bool:
    parts = source.split("/")
    return len(parts) == 2 and all(parts) and parts[0] not in (".", "..", "~", "models")


def _patterns(variant: str) -> list[str]:
    """What to fetch: one variant of the weights, and no copy in another format."""
    ending = f".{variant}.safetensors" if variant else ".safetensors"
    parts = WEIGHTS | SECOND
    weights = [f"{part}/{stem}{ending}" for part, stem in parts.items()]
    configs = [f"{part}/config.json" for part in parts]
    folders = ["tokenizer/*", "tokenizer_2/*", "scheduler/*"]
    return [*weights, *configs, *folders, "model_index.json"]


def _cached(settings: BaseSettings) -> Path | None:
    """The model's folder in the hub's cache when it is complete there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(settings.source, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return None if missing_files(folder, settings.variant) else folder


def _download(settings: BaseSettings) -> Path:
    from huggingface_hub import snapshot_download

    try:
        patterns = _patterns(settings.variant)
        return Path(snapshot_download(settings.source, allow_patterns=patterns))
    except Exception as error:  # the hub's client raises its own, httpx's and the system's errors
        raise InputError(
            f"Base model {settings.name!r} ({settings.source}, {settings.size_gb:g} GB) is not on "
            f"this machine and could not be downloaded ({type(error).__name__}). Repeat the "
            "command with a network connection, or give a folder that holds it, or --base starter."
        ) from error
