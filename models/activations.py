"""What reaches a base's layers while it draws a concept: gram matrices of their inputs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .denoising import denoise, make_scheduler
from .edlora import lora_layers, set_active
from .randomness import keyed_generator, normal

if TYPE_CHECKING:
    from .base import BaseModel
    from .edlora import Adapter

ROWS = 64
"""Inputs of a layer that are looked at per call, of all its samples and places together."""


class Grams:
    """Gram matrices X^T X [in, in], fp64, of the inputs of layers, gathered by hooks.

    Of a large input ROWS random ones stand for all, weighed accordingly.
    """

    def __init__(self, layers: dict[str, nn.Module], seed: int):
        """Of layers by name; seed: of the choice of inputs."""
        self.layers, self.found = layers, {}
        self._generator = keyed_generator(seed, "fusion", "rows")
        self._hooks: list[Any] = []

    def __enter__(self) -> "Grams":
        for name, layer in self.layers.items():
            self._hooks.append(layer.register_forward_pre_hook(self._listener(name)))
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _listener(self, name: str) -> Callable[[Any, tuple[Any, ...]], None]:
        def listen(layer: Any, given: tuple[Any, ...]) -> None:
            self.add(name, inputs_of(layer, given[0]))

        return listen

    @torch.no_grad()
    def add(self, name: str, rows: Tensor) -> None:
        """Add inputs [N, in] of a layer."""
        weight = 1.0
        if len(rows) > ROWS:
            weight = len(rows) / ROWS
            chosen = torch.randperm(len(rows), generator=self._generator)[:ROWS]
            rows = rows[chosen.to(rows.device)]
        rows = rows.double()
        gram = weight * (rows.T @ rows)
        self.found[name] = gram + self.found[name] if name in self.found else gram


def inputs_of(layer: Any, given: Tensor) -> Tensor:
    """What a linear layer or a convolution multiplies its weights with: rows [N, in].

    A convolution's are its unfolded patches, in the order of its flattened weights.
    """
    own = layer.get_base_layer()
    if not isinstance(own, nn.Conv2d):
        return given.flatten(0, -2)
    sizes = {"padding": own.padding, "stride": own.stride, "dilation": own.dilation}
    return F.unfold(given, own.kernel_size, **sizes).transpose(1, 2).flatten(0, 1)


@torch.no_grad()
def concept_grams(
    base: "BaseModel",
    adapter: "Adapter",
    prompts: Sequence[str],
    *,
    steps: int,
    pictures: int,
    seed: int,
    on_step: Callable[[], None],
) -> dict[str, Tensor]:
    """Gram matrices of all layers that carry LoRA while an adapter alone draws prompts.

    The text encoder reads each prompt once per cross-attention layer, the network draws `pictures`
    of each without guidance (Mix-of-Show, section 3.2). prompts: in the adapter's words.
    """
    set_active(base, [adapter.name])
    side = base.resolution // base.latent_factor
    shape = (base.latent_channels, side, side)
    with Grams(dict(lora_layers(base)), seed) as grams:
        text = base.encode_text(list(prompts), [adapter])
        for number in range(pictures):
            noise = [normal(shape, seed, "fusion", number, prompt) for prompt in prompts]
            denoise(
                base.denoiser,
                make_scheduler(base, "dpm++", steps),
                torch.stack(noise),
                text,
                on_step=lambda index, x0: on_step(),
            )
    return grams.found
