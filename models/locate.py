"""Find a base model's files: inside the package, in a local folder, in the hub's cache, online."""

from pathlib import Path

from ..configs.base import BaseSettings
from ..configs.errors import InputError
from ..configs.files import user_path

PACKAGE = Path(__file__).resolve().parents[1]
WEIGHTS = {
    "unet": "diffusion_pytorch_model",
    "text_encoder": "model",
    "vae": "diffusion_pytorch_model",
}
NEEDED = (
    "unet/config.json",
    "text_encoder/config.json",
    "vae/config.json",
    "tokenizer/tokenizer_config.json",
    "scheduler/scheduler_config.json",
)


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


def is_present(settings: BaseSettings) -> bool:
    """Whether the base model is complete on this machine, so that no download is needed."""
    folder = local_folder(settings.source)
    if folder is None:
        return _is_hub_id(settings.source) and _cached(settings) is not None
    return not missing_files(folder, settings.variant)


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
    stem = folder / part / WEIGHTS[part]
    names = [f"{stem}{'.' * bool(kind)}{kind}.safetensors" for kind in (variant, "", "fp16")]
    return next((Path(name) for name in names if Path(name).is_file()), Path(names[0]))


def missing_files(folder: Path, variant: str = "") -> list[str]:
    """Files, relative to `folder`, that a complete base model would have and this one lacks."""
    weights = [weights_file(folder, part, variant).relative_to(folder) for part in WEIGHTS]
    return [str(name) for name in (*NEEDED, *weights) if not (folder / name).is_file()]


def _is_hub_id(source: str) -> bool:
    parts = source.split("/")
    return len(parts) == 2 and all(parts) and parts[0] not in (".", "..", "~", "models")


def _patterns(variant: str) -> list[str]:
    """What to fetch: one variant of the weights, and no copy in another format."""
    ending = f".{variant}.safetensors" if variant else ".safetensors"
    weights = [f"{part}/{stem}{ending}" for part, stem in WEIGHTS.items()]
    return [*weights, *(f"{part}/config.json" for part in WEIGHTS), "tokenizer/*", "scheduler/*"]


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
