"""Read a LoRA of any trainer: kohya's, diffusers' and peft's names, and smalti's own adapters.

Layers come back by name: a path behind its part ("unet.mid_block...") or kohya's stem
("lora_unet_mid_block_..."), whose underscores only a base model can tell apart.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..adapter_file import damaged, read_tensors
from .header import peft_settings, texts_of
from .names import FAMILIES
from .refused import refuse_kinds

DOWN, UP, ALPHA = "down", "up", "alpha"
ENDINGS = {
    ".lora_down.weight": DOWN, ".lora_up.weight": UP, ".lora_A.weight": DOWN,
    ".lora_B.weight": UP, ".lora_A": DOWN, ".lora_B": UP, ".alpha": ALPHA,
}  # fmt: skip
WORDS = "edlora."
"""What the names of a concept's words begin with, in smalti's own files."""


@dataclass(frozen=True)
class LoraLayer:
    """The LoRA of one layer: its weight changes by alpha / rank times up @ down."""

    down: Tensor
    """[rank, in], of a convolution [rank, in, h, w]."""
    up: Tensor
    """[out, rank], of a convolution [out, rank, 1, 1]."""
    alpha: float

    @property
    def rank(self) -> int:
        """Rank of the two matrices."""
        return self.down.shape[0]


def read_lora(path: Path) -> dict[str, LoraLayer]:
    """All layers of a LoRA file by name, in the file's precision.

    An alpha that is missing is the rank, as kohya's and diffusers' loaders have it. Raises
    InputError for a file that is damaged, no LoRA, or of a kind that smalti does not draw with.
    """
    layers = layers_of(path, read_tensors(path))
    if not layers:
        raise damaged(path, "it has no layers")
    return layers


def layers_of(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, LoraLayer]:
    """The layers of a file whose tensors were read, none where it has none; raises as read_lora."""
    tensors = {key: value for key, value in tensors.items() if not key.startswith(WORDS)}
    settings = peft_settings(texts_of(path))
    _refuse(path, tensors, settings)
    pieces: dict[str, dict[str, Tensor]] = {}
    for key, value in _renamed(tensors).items():
        name, kind = _split(key)
        if not kind:
            raise damaged(path, f"it has {key}, which no LoRA has")
        pieces.setdefault(name, {})[kind] = value
    return {name: _layer(path, name, piece, settings) for name, piece in pieces.items()}


def _refuse(path: Path, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> None:
    refuse_kinds(path, tensors)
    if any(key.endswith(".use_dora") and value for key, value in settings.items()):
        refuse_kinds(path, ["dora_scale"])


def _split(key: str) -> tuple[str, str]:
    """A layer's name and which piece of it a tensor is; no piece where it is none."""
    for ending, kind in ENDINGS.items():
        if key.endswith(ending):
            return key.removesuffix(ending), kind
    return key, ""


def _layer(
    path: Path, name: str, piece: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> LoraLayer:
    if not {DOWN, UP} <= piece.keys():
        raise damaged(path, f"{name} has only one of its two matrices")
    down, up = piece[DOWN], piece[UP]
    if down.ndim not in (2, 4) or up.ndim not in (2, 4) or up.shape[1] != down.shape[0]:
        raise damaged(path, f"{name} has matrices of {list(down.shape)} and {list(up.shape)}")
    alpha = float(piece[ALPHA]) if ALPHA in piece else alpha_of(settings, name, down.shape[0])
    if not (math.isfinite(alpha) and down.isfinite().all() and up.isfinite().all()):
        raise damaged(path, f"{name} holds values that are no numbers")
    return LoraLayer(down, up, alpha)


def alpha_of(settings: Mapping[str, Any], name: str, rank: int) -> float:
    """The alpha of a layer by peft's settings, the rank without any.

    The alpha of rank-stabilised LoRA, which acts by alpha / sqrt(rank), is told as the one that
    acts alike by alpha / rank (Kalajdzievski 2023).
    """
    part, path = name.partition(".")[::2]
    pattern = settings.get(f"{part}.alpha_pattern") or {}
    own = (value for key, value in pattern.items() if path == key or path.endswith(f".{key}"))
    alpha = float(next(own, settings.get(f"{part}.lora_alpha") or rank))
    return alpha * math.sqrt(rank) if settings.get(f"{part}.use_rslora") else alpha


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under names of today: older ones of diffusers and peft's prefixes are changed."""
    kohya = {key: value for key, value in tensors.items() if _is_kohya(key)}
    dotted = {_with_part(key): value for key, value in tensors.items() if key not in kohya}
    return {**kohya, **dict(_of_today(dotted))}


def _is_kohya(key: str) -> bool:
    return key.startswith("lora_") and key.count(".") <= 2


def _with_part(key: str) -> str:
    """A name that begins with its part; those that peft writes for one network do not."""
    key = key.replace("base_model.model.", "").replace(".default.", ".")
    key = f"text_encoder.{key}" if key.startswith("text_model.") else key
    for part in FAMILIES["sd"]:
        if key.startswith(part.begins):
            return f"{part.own}.{key}"
    # transformers 5 has no text_model any more; files made with it lack the name.
    return key.replace("text_encoder.encoder.", "text_encoder.text_model.encoder.")


def _of_today(dotted: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """What diffusers called layers before peft, by its own converters."""
    from diffusers.utils import convert_state_dict_to_peft, convert_unet_state_dict_to_peft

    for key, value in dotted.items():
        text = key.startswith("text_encoder") and ("_lora." in key or "lora_linear" in key)
        convert = convert_state_dict_to_peft if text else convert_unet_state_dict_to_peft
        asked, back = _as_matrix(key)
        # The converter tells the two old styles apart by all keys of a file; one is enough here.
        style = {"original_type": _text_style(asked)} if text else {}
        renamed = next(iter(convert({asked: value}, **style)))
        yield renamed.replace(".lora_A.weight", ".alpha") if back else renamed, value


def _as_matrix(key: str) -> tuple[str, bool]:
    """A name that converters know: an alpha goes through them as its matrix does."""
    if not key.endswith(".alpha"):
        return key, False
    stem = key.removesuffix(".alpha")
    return stem + (".down.weight" if stem.endswith("_lora") else ".lora.down.weight"), True


def _text_style(key: str) -> Any:
    from diffusers.utils.state_dict_utils import StateDictType

    return StateDictType.DIFFUSERS_OLD if ".to_" in key else StateDictType.DIFFUSERS
