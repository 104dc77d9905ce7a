"""Parts of a model in Stable Diffusion's layout, read from its folder as every family does."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...configs.base import BaseSettings
from ...configs.errors import InputError
from ..autoencoder import safe_dtype
from ..conditioning import ConceptEmbedding
from ..distilled import fuse_distilled_lora
from ..locate import vae_weights, weights_file

VAES = ("AutoencoderKL", "AutoencoderTiny")


@dataclass(frozen=True)
class Parts:
    """Reads the parts of the model in `folder`, each on its device, frozen, in evaluation mode."""

    settings: BaseSettings
    folder: Path
    device: torch.device
    dtype: torch.dtype

    def facts(self) -> dict[str, Any]:
        """What every base is made of, beside its parts."""
        scheduler = self.folder / "scheduler/scheduler_config.json"
        return {
            "settings": self.settings,
            "folder": self.folder,
            "scheduler_config": json.loads(scheduler.read_text()),
            "device": self.device,
            "dtype": self.dtype,
        }

    def unet(self) -> Any:
        """The UNet, a distilled LoRA fused into it."""
        from diffusers import UNet2DConditionModel

        path = weights_file(self.folder, "unet", self.settings.variant)
        unet = _read(UNet2DConditionModel, path, torch_dtype=self.dtype)
        fuse_distilled_lora(unet, self.settings)
        return self._placed(unet)

    def text_encoder(self, kind: str, part: str, first: int = 0) -> Any:
        """The text encoder in `part`, a class of transformers, with room for concept words.

        Its words' vectors begin at column `first` of their tables.
        """
        import transformers

        # As in the UNet: torch's fused attention is slow backwards on a CPU.
        kernel = "eager" if self.device.type == "cpu" else "sdpa"
        path = weights_file(self.folder, part, self.settings.variant)
        options = {"dtype": self.dtype, "attn_implementation": kernel}
        encoder = _read(getattr(transformers, kind), path, **options)
        encoder.set_input_embeddings(ConceptEmbedding(encoder.get_input_embeddings(), first))
        return self._placed(encoder)

    def tokenizer(self, part: str) -> Any:
        """The tokenizer in `part`."""
        from transformers import CLIPTokenizer

        return CLIPTokenizer.from_pretrained(self.folder / part)

    def vae(self) -> Any:
        """The autoencoder; raises InputError for one of another kind."""
        import diffusers

        path = vae_weights(self.settings, self.folder)
        config = json.loads((path.parent / "config.json").read_text())
        kind, dtype = config["_class_name"], safe_dtype(config, self.dtype)
        if kind not in VAES:
            raise InputError(
                f"The autoencoder in {path.parent} is a {kind}; smalti reads {' and '.join(VAES)}."
            )
        return self._placed(_read(getattr(diffusers, kind), path, torch_dtype=dtype))

    def _placed(self, module: Any) -> Any:
        return module.to(self.device).requires_grad_(False).eval()


def _read(kind: Any, path: Path, **options: Any) -> Any:
    """Read a part from the folder of its weights."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()  # e.g. AutoencoderTiny's own config keys
    variant = path.name.split(".")[1] if path.name.count(".") == 2 else None
    return kind.from_pretrained(path.parent, variant=variant, use_safetensors=True, **options)
