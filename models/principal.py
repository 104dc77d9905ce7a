"""PiSSA: LoRA that starts as the strongest directions of a weight instead of as nothing.

Source: Meng et al. 2024, "PiSSA: Principal Singular Values and Singular Vectors Adaptation",
section 3. W = U S V^T is split: A and B start as its first r directions and learn, the rest stays
frozen in the weight's place. What was learned is the difference to that start, a LoRA of twice the
rank (section 3, "efficient conversion"), so that a file fits the base's own weights and every
reader of LoRA reads it.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .deltas import WeightDeltas

if TYPE_CHECKING:
    from .base import BaseModel

Pairs = Mapping[str, tuple[nn.Parameter, nn.Parameter]]
"""A and B of every layer, under the layer's name in the file."""


class PrincipalStart:
    """Where A and B of a PiSSA adapter began, and the rest of the weights beside them."""

    def __init__(self, base: "BaseModel", pairs: Pairs, scaling: float) -> None:
        """Put the principal directions into `pairs`; scaling: alpha / rank."""
        self.pairs, self.scaling = pairs, scaling
        self.rest = WeightDeltas(base, [f"{layer}.weight" for layer in pairs])
        self.start: dict[str, tuple[Tensor, Tensor]] = {}
        for layer, (down, up) in pairs.items():
            own = self.rest.own[f"{layer}.weight"].detach().float()
            first = principal(own, down.shape, up.shape, scaling)
            self.begin(layer, *first)
            for parameter, start in zip((down, up), first, strict=True):
                parameter.data.copy_(start)

    def begin(self, layer: str, down: Tensor, up: Tensor) -> None:
        """Set where a layer's A and B began, and so what is left of its weight."""
        self.start[layer] = (down.clone(), up.clone())
        product = up.flatten(1) @ down.flatten(1)
        own = self.rest.own[f"{layer}.weight"]
        self.rest.fixed[f"{layer}.weight"] = -self.scaling * product.view(own.shape)

    def saved(self) -> Iterable[tuple[str, Tensor]]:
        """LoRA of twice the rank whose product is what was learned since the start."""
        for layer, (down, up) in self.pairs.items():
            first_down, first_up = self.start[layer]
            yield f"{layer}.lora_A.weight", torch.cat([down, first_down], dim=0)
            yield f"{layer}.lora_B.weight", torch.cat([up, -first_up], dim=1)

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `saved` returned."""
        for layer, (down, up) in self.pairs.items():
            rank = down.shape[0]
            both, sides = state[f"{layer}.lora_A.weight"], state[f"{layer}.lora_B.weight"]
            down.copy_(both[:rank])
            up.copy_(sides[:, :rank])
            device = down.device
            self.begin(layer, both[rank:].to(device), -sides[:, rank:].to(device))


def principal(
    weight: Tensor, down: torch.Size, up: torch.Size, scaling: float
) -> tuple[Tensor, Tensor]:
    """A and B of these shapes whose product times `scaling` is the best of its rank (PiSSA, Eq. 2).

    weight: [out, in] or a convolution's [out, in, k, k], fp32. A layer of fewer directions than the
    rank has zeros beyond them in B alone, so that these learn as LoRA does.
    """
    left, values, right = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    rank = min(down[0], len(values))
    root = (values[:rank] / scaling).sqrt()
    first = torch.full((down[0], weight[0].numel()), 1.0, device=weight.device)
    first *= weight.std()
    first[:rank] = root[:, None] * right[:rank]
    second = torch.zeros(weight.shape[0], up[1], device=weight.device)
    second[:, :rank] = left[:, :rank] * root
    return first.view(down), second.view(up)
