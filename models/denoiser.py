"""The denoiser: noisy latents and what they should show, to clean latents.

Samplers, guides and losses know x0 only. What the network predicts ends in `Prediction`, what a
family of models feeds its network ends in `Denoiser.network`, and classifier-free guidance is a
wrapper around it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from .prediction import NoiseLevel, Prediction


@dataclass(frozen=True)
class Conditioning:
    """What a batch of K samples should show."""

    text: Tensor | tuple[Tensor, ...]
    """Layer-wise text [K, L, 77, D], or one text [K, 77, D] for each of L layers."""
    pooled: Tensor | None = None
    """Pooled text [K, P], of families whose networks take it."""
    time_ids: Tensor | None = None
    """Sizes and crops [K, 6], of families whose networks take them."""
    residuals: tuple[Tensor, ...] = ()
    """What a T2I-Adapter adds at the UNet's levels, from [K, C, h, w] down."""
    parts: tuple["Conditioning", ...] = ()
    """What each region should show, of a picture of several concepts (`regions.py`)."""
    guidance: float | None = None
    """Scale of guidance, for networks that take it as an input; the denoiser fills it in."""

    def before(self, other: "Conditioning") -> "Conditioning":
        """This batch and then another one; what only the other has counts for both."""
        return Conditioning(
            text=_both(self.text, other.text),
            pooled=_both(self.pooled, other.pooled),
            time_ids=_both(self.time_ids, other.time_ids),
            residuals=tuple(torch.cat([part, part]) for part in other.residuals),
        )

    def repeated(self, count: int) -> "Conditioning":
        """The conditioning of one sample for a batch of `count`."""
        return Conditioning(
            text=self.text.expand(count, *self.text.shape[1:]),
            pooled=None if self.pooled is None else self.pooled.expand(count, -1),
            time_ids=None if self.time_ids is None else self.time_ids.expand(count, -1),
        )


def stacked(samples: Sequence[Conditioning]) -> Conditioning:
    """The conditioning of a batch, of one sample each."""
    return Conditioning(
        text=torch.cat([sample.text for sample in samples]),
        pooled=_all([sample.pooled for sample in samples]),
        time_ids=_all([sample.time_ids for sample in samples]),
        parts=tuple(stacked(part) for part in zip(*(s.parts for s in samples), strict=True)),
    )


def _all(parts: Sequence[Tensor | None]) -> Tensor | None:
    return None if parts[0] is None else torch.cat(list(parts))


def _both(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None else torch.cat([first, second])


class Denoises(Protocol):
    """Predicts clean latents, as a base model does or a wrapper around one."""

    def output(self, z: Tensor, level: NoiseLevel, conditioning: Conditioning) -> Tensor:
        """What the network puts out for noisy latents z [K, C, h, w]."""
        ...

    def clean(self, output: Tensor, z: Tensor, level: NoiseLevel) -> Tensor:
        """The clean latents that an output means."""
        ...

    def carry(self, level: NoiseLevel) -> float | Tensor:
        """D x0 / d z with the network's output held fixed."""
        ...

    def __call__(
        self, z: Tensor, level: NoiseLevel, conditioning: Conditioning, share: float = 0.5
    ) -> Tensor:
        """Clean latents x0 of z; `share` is where in the process z is, 0 pure noise to 1."""
        ...


@dataclass(frozen=True)
class Denoiser:
    """A base model's own denoiser."""

    network: Callable[[Tensor, int | Tensor, Conditioning], Tensor]
    """z [K, C, h, w], timestep and conditioning to the network's output, in z's data type."""
    prediction: Prediction
    alphas_cumprod: Tensor
    """Cumulative alphas [T] that the model was trained with, fp32 on the CPU."""
    guidance: float | None = None
    """Scale of guidance that the network takes as an input, None where it takes none: a consistency
    model distilled with guidance inside (Luo et al. 2023) draws as if it had been guided so."""

    def output(self, z: Tensor, level: NoiseLevel, conditioning: Conditioning) -> Tensor:
        """What the network puts out."""
        if self.guidance is not None:
            conditioning = replace(conditioning, guidance=self.guidance)
        return self.network(z, level.timestep, conditioning)

    def clean(self, output: Tensor, z: Tensor, level: NoiseLevel) -> Tensor:
        """The clean latents that an output means."""
        return self.prediction.clean(output, z, level)

    def carry(self, level: NoiseLevel) -> float | Tensor:
        """D x0 / d z with the network's output held fixed."""
        return self.prediction.carry(level)

    def __call__(
        self, z: Tensor, level: NoiseLevel, conditioning: Conditioning, share: float = 0.5
    ) -> Tensor:
        """Clean latents x0 of z."""
        return self.clean(self.output(z, level, conditioning), z, level)

    def level(self, timesteps: Tensor) -> NoiseLevel:
        """Noise levels of training timesteps [B]."""
        return NoiseLevel.of(timesteps, self.alphas_cumprod.to(timesteps.device))

    def target(self, clean: Tensor, noise: Tensor, level: NoiseLevel) -> Tensor:
        """What the network should put out for clean latents with this noise: the loss's target."""
        return self.prediction.target(clean, noise, level)

    def timestep_weights(self, gamma: float | None) -> Tensor:
        """Weights [T] of all timesteps: min-SNR's of this gamma, or ones."""
        if gamma is None:
            return torch.ones_like(self.alphas_cumprod)
        return self.prediction.min_snr_weight(self.alphas_cumprod, gamma)


@dataclass(frozen=True)
class ClassifierFreeGuidance:
    """Outputs pushed away from those of a negative prompt (Ho & Salimans 2022).

    Outside the shares `window` of the process there is none (Kynkäänniemi et al. 2024), and a step
    costs half. Outputs are mixed, not clean latents, in one batched call.

    With `weaker`, a denoiser that does not know the concept, outputs are pushed away from what that
    one puts out for the negative prompt (Karras et al. 2024, "Guiding a Diffusion Model with a Bad
    Version of Itself", Eq. 3): an adapter that reaches all layers has moved its own negative
    towards the concept, and little would be left of the difference.
    """

    inner: Denoiser
    negative: Conditioning
    """Of one sample."""
    scale: float
    window: tuple[float, float] = (0.0, 1.0)
    weaker: Denoiser | None = None

    def output(self, z: Tensor, level: NoiseLevel, conditioning: Conditioning) -> Tensor:
        """The mixed outputs, as inside the window."""
        without, wanted = self._outputs(z, level, conditioning)
        return without + self.scale * (wanted - without)

    def _outputs(
        self, z: Tensor, level: NoiseLevel, conditioning: Conditioning
    ) -> Sequence[Tensor]:
        """What is put out for the negative prompt, and for the wanted one."""
        negative = self.negative.repeated(len(z))
        if self.weaker is None:
            both = negative.before(conditioning)
            return self.inner.output(torch.cat([z, z]), level, both).chunk(2)
        negative = replace(negative, residuals=conditioning.residuals)
        return self.weaker.output(z, level, negative), self.inner.output(z, level, conditioning)

    def clean(self, output: Tensor, z: Tensor, level: NoiseLevel) -> Tensor:
        """The clean latents that an output means."""
        return self.inner.clean(output, z, level)

    def carry(self, level: NoiseLevel) -> float | Tensor:
        """D x0 / d z with the network's output held fixed."""
        return self.inner.carry(level)

    def __call__(
        self, z: Tensor, level: NoiseLevel, conditioning: Conditioning, share: float = 0.5
    ) -> Tensor:
        """Clean latents x0 of z."""
        start, end = self.window
        if not start <= share <= end:
            return self.inner(z, level, conditioning)
        return self.clean(self.output(z, level, conditioning), z, level)


def with_cfg(
    denoiser: Denoiser,
    negative: Conditioning,
    scale: float,
    window: Sequence[float] = (0.0, 1.0),
    weaker: Denoiser | None = None,
) -> Denoises:
    """The denoiser under classifier-free guidance; a scale of 1 is none.

    A network that takes the scale as an input is told it, and needs no second call.
    """
    if denoiser.guidance is not None:
        return replace(denoiser, guidance=scale)
    if scale == 1:
        return denoiser
    return ClassifierFreeGuidance(denoiser, negative, scale, (window[0], window[1]), weaker)
