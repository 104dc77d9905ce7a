"""DINOv2, a judge of likeness that knows no words (Oquab et al. 2023, arXiv 2304.07193).

DreamBooth measures subject fidelity by its forerunner's features (Ruiz et al. 2023, section 4.2):
unlike CLIP's they tell subjects of one class apart.
"""

import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from .judge import BATCH, channel_scales, middle_square


class Dino:
    """A DINOv2 network in evaluation mode, from a local folder."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from transformers import AutoModel
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        self.device = torch.device(device)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32)
        self.model = model.to(self.device).eval().requires_grad_(False)
        facts = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        self.side = facts["crop_size"]["height"]
        self.mean, self.deviation = channel_scales(folder, self.device)

    @torch.no_grad()
    def image_features(self, images: Tensor) -> Tensor:
        """Unit-length embeddings [K, D] of images [K, 3, H, W] in [0, 1]: the class token's.

        The shorter side is resized to the network's, then the middle square is taken.
        """
        return torch.cat([self._embedded(part) for part in images.split(BATCH)])

    def _embedded(self, images: Tensor) -> Tensor:
        square = middle_square(images.to(self.device), self.side)
        seen = self.model(pixel_values=(square - self.mean) / self.deviation)
        return normalize(seen.last_hidden_state[:, 0], dim=-1).cpu()
