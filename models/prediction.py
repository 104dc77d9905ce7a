"""What a diffusion network predicts, and how that becomes clean latents: eps, v or x0 itself.

z_t = alpha x0 + sigma e (Ho et al. 2020, Eq. 4) at every noise level. Everything that depends on
the kind of prediction stands here, for drawing and for training.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..configs.errors import InputError

MIN_ALPHA = 2.0**-12  # diffusers' own floor where a schedule ends at zero signal


@dataclass(frozen=True)
class NoiseLevel:
    """How much signal and how much noise noisy latents hold."""

    timestep: int | Tensor
    """What the network is told: a number, or one per sample, [B]."""
    alpha: float | Tensor
    """Signal, sqrt(alpha_bar): a number, or [B, 1, 1, 1]."""
    sigma: float | Tensor
    """Noise, sqrt(1 - alpha_bar), as alpha."""

    @classmethod
    def of(cls, timesteps: Tensor, alphas_cumprod: Tensor) -> "NoiseLevel":
        """The levels of timesteps [B], where these lie, by a schedule's cumulative alphas [T]."""
        a = alphas_cumprod.to(timesteps.device)[timesteps].view(-1, 1, 1, 1)
        return cls(timesteps, a.sqrt(), (1 - a).sqrt())

    def noised(self, clean: Tensor, noise: Tensor) -> Tensor:
        """z_t of clean latents [B, C, h, w] and unit noise."""
        return self.alpha * clean + self.sigma * noise


class Prediction(Protocol):
    """One kind of prediction."""

    def clean(self, output: Tensor, z: Tensor, level: NoiseLevel) -> Tensor:
        """Predicted clean latents x0 of the network's output at z [B, C, h, w]."""
        ...

    def target(self, clean: Tensor, noise: Tensor, level: NoiseLevel) -> Tensor:
        """What the network should put out."""
        ...

    def carry(self, level: NoiseLevel) -> float | Tensor:
        """D x0 / d z with the network's output held fixed."""
        ...

    def min_snr_weight(self, alphas_cumprod: Tensor, gamma: float) -> Tensor:
        """Weights of the loss [T] (Hang et al. 2023), of s = a / (1 - a)."""
        ...


class Epsilon:
    """The network predicts the noise."""

    def clean(self, output: Tensor, z: Tensor, level: NoiseLevel) -> Tensor:
        """(z - sigma e) / alpha, alpha no smaller than diffusers' floor (paper, Eq. 6)."""
        return (z - level.sigma * output) / _floored(level.alpha)

    def target(self, clean: Tensor, noise: Tensor, level: NoiseLevel) -> Tensor:
        """The noise."""
        return noise

    def carry(self, level: NoiseLevel) -> float | Tensor:
        """1 / alpha."""
        return 1 / _floored(level.alpha)

    def min_snr_weight(self, alphas_cumprod: Tensor, gamma: float) -> Tensor:
        """min(s, g) / s, written without 0/0; 1 at zero-terminal SNR."""
        floor = torch.finfo(alphas_cumprod.dtype).tiny
        return (gamma * (1 - alphas_cumprod) / alphas_cumprod.clamp(min=floor)).clamp(max=1)


class Velocity:
    """The network predicts v = alpha e - sigma x0 (Salimans & Ho 2022)."""

    def clean(self, output: Tensor, z: Tensor, level: NoiseLevel) -> Tensor:
        """Alpha z - sigma v, which needs no division at zero-terminal SNR."""
        return level.alpha * z - level.sigma * output

    def target(self, clean: Tensor, noise: Tensor, level: NoiseLevel) -> Tensor:
        """The velocity."""
        return level.alpha * noise - level.sigma * clean

    def carry(self, level: NoiseLevel) -> float | Tensor:
        """The signal level."""
        return level.alpha

    def min_snr_weight(self, alphas_cumprod: Tensor, gamma: float) -> Tensor:
        """min(s, g) / (s + 1) = min(a, g (1 - a)); 0 at zero-terminal SNR."""
        return torch.minimum(alphas_cumprod, gamma * (1 - alphas_cumprod))


class Sample:
    """The network predicts the clean latents."""

    def clean(self, output: Tensor, z: Tensor, level: NoiseLevel) -> Tensor:
        """The output."""
        return output

    def target(self, clean: Tensor, noise: Tensor, level: NoiseLevel) -> Tensor:
        """The clean latents."""
        return clean

    def carry(self, level: NoiseLevel) -> float | Tensor:
        """Nothing of z is in x0."""
        return 0.0

    def min_snr_weight(self, alphas_cumprod: Tensor, gamma: float) -> Tensor:
        """min(s, g)."""
        return (alphas_cumprod / (1 - alphas_cumprod)).clamp(max=gamma)


def _floored(alpha: float | Tensor) -> float | Tensor:
    return alpha.clamp(min=MIN_ALPHA) if isinstance(alpha, Tensor) else max(alpha, MIN_ALPHA)


_KINDS: dict[str, Prediction] = {
    "epsilon": Epsilon(), "v_prediction": Velocity(), "sample": Sample(),
}  # fmt: skip


def prediction_of(kind: str) -> Prediction:
    """The prediction that diffusers calls `kind`; raises InputError for an unknown one."""
    if kind not in _KINDS:
        raise InputError(
            f"The base model predicts {kind!r}; smalti knows {', '.join(_KINDS)}. Take another "
            "base model."
        )
    return _KINDS[kind]
