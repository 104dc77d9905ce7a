"""Files that are no LoRA, or none that smalti draws with: refused by the names of their tensors."""

from collections.abc import Iterable
from pathlib import Path

from ...configs.errors import InputError
from ..adapter_file import damaged

LYCORIS = "of LyCORIS"
# What a tensor's name holds, and what that makes of the file.
KINDS = {
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "hada_w": f"LoHa {LYCORIS}",
    "lokr_w": f"LoKr {LYCORIS}",
    "lora_mid.": f"LoCon with a Tucker core {LYCORIS}",
    "oft_blocks": "OFT",
    "oft_diag": "OFT",
    "boft_": "BOFT",
    "vera_": "VeRA",
    "on_input": f"IA3 {LYCORIS}",
    ".a1.weight": f"GLoRA {LYCORIS}",
    ".diff": f"full weight differences {LYCORIS}",
    ".w_norm": f"norm differences {LYCORIS}",
    "bundle_emb.": "a LoRA with a bundled embedding",
    "modules_to_save": "a LoRA with whole layers beside it",
    "lora_embedding_": "a LoRA of the token embedding",
}
OTHERS = {
    "emb_params": "a textual-inversion embedding",
    "IN01": "layer-wise words (XTI)",
    "clip_l": "a textual-inversion embedding",
    "model.diffusion_model.": "a whole model",
    "first_stage_model.": "a whole model",
}
BASES = {
    "lora_te2_": "SDXL",
    "lora_te1_": "SDXL",
    "text_encoder_2.": "SDXL",
    "lora_unet_input_blocks_": "SDXL",
    "lora_unet_double_blocks_": "FLUX",
    "lora_unet_single_blocks_": "FLUX",
    "transformer.": "a diffusion transformer (FLUX, SD 3, ...)",
    "diffusion_model.": "another program's layout",
}
"""What tells by its name that a LoRA is another family's."""


def refuse_kinds(path: Path, keys: Iterable[str]) -> None:
    """Raise InputError for a file that is no plain LoRA, and say what it is."""
    for key in keys:
        if kind := _kind_of(key):
            raise InputError(
                f"{path} is {kind} (it has {key}); smalti draws with plain LoRA, of linear layers "
                "and convolutions."
            )


def refuse_strangers(path: Path, keys: Iterable[str]) -> None:
    """Raise InputError for a file none of whose tensors is called as a LoRA's, in any layout."""
    names = list(keys)
    if not any("lora" in name.lower() for name in names):
        raise damaged(path, f"it has {names[0]}, which no LoRA has" if names else "it is empty")


def _kind_of(key: str) -> str:
    within = (kind for sign, kind in KINDS.items() if sign in key)
    ahead = (kind for sign, kind in OTHERS.items() if key.startswith(sign))
    return next(within, "") or next(ahead, "")


def family_by_names(keys: Iterable[str]) -> str:
    """The family of base models that names of layers give away; empty where they do not."""
    return next((base for key in keys for sign, base in BASES.items() if key.startswith(sign)), "")
