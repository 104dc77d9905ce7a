"""Several adapters made one: gradient fusion in closed form, and sums.

Gradient fusion (Gu et al. 2023, Mix-of-Show, section 3.2, Eq. 5) asks for the weights W of a layer
whose outputs, for the inputs X_i that concept i sends there, are those of its own adapter:

    min_W  sum_i || X_i (W - W_i)^T ||^2 + l || W - W_0 ||^2,    W_i = W_0 + B_i A_i.

The ridge l takes the place of the paper's few steps of L-BFGS from W_0. With G_i = X_i^T X_i and
G = sum_i G_i the solution is

    W - W_0 = (sum_i B_i A_i G_i) (G + l)^-1 = sum_i B_i [A_i G_i (G + l)^-1]:

a LoRA again, of the sum of the ranks, whose up projections are the concepts' own. Nothing has to be
cut off, and only G and the small products A_i G_i are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .edlora import lora_layers

if TYPE_CHECKING:
    from .base import BaseModel
    from .edlora import Adapter


@dataclass(frozen=True)
class Factors:
    """A layer's change B A; a convolution's are those of its unfolded input."""

    down: Tensor
    """A [r, in], fp64."""
    up: Tensor
    """B [out, r], with the adapter's scale in it, fp64."""


@dataclass
class LayerFit:
    """The fit of one layer, as concepts are added to it."""

    gram: Tensor | None = None
    """G [in, in], fp64: in fp32, directions that no concept uses come out as noise."""
    rows: list[Tensor] = field(default_factory=list)
    """A_i G_i [r_i, in]."""
    ups: list[Tensor] = field(default_factory=list)
    change: float = 0.0
    """How much the concepts' own changes add to their outputs, squared and summed."""

    def add(self, factors: Factors | None, gram: Tensor) -> None:
        """Add a concept with the gram matrix X^T X [in, in] of its inputs; None changes nothing."""
        self.gram = gram.clone() if self.gram is None else self.gram + gram
        if factors is None:
            return
        row = factors.down @ gram
        self.rows.append(row)
        self.ups.append(factors.up)
        self.change += float(((factors.up.T @ factors.up) * (row @ factors.down.T)).sum())

    def solve(self, ridge: float) -> tuple[Factors, float]:
        """The fitted change, and its residual: 0 fits every concept, 1 is the base without any.

        ridge: l in units of the mean of G's diagonal.
        """
        assert self.gram is not None, "a layer without concepts is not fitted"
        rows, up = torch.cat(self.rows), torch.cat(self.ups, dim=1)
        held = self.gram + ridge * self.gram.diagonal().mean() * torch.eye(len(self.gram)).to(rows)
        down = torch.linalg.solve(held, rows.T).T
        inner = up.T @ up
        fitted = float((inner * (down @ self.gram @ down.T)).sum())
        shared = float((inner * (rows @ down.T)).sum())
        left = max(0.0, fitted - 2 * shared + self.change)
        return Factors(down, up), (left / self.change) ** 0.5 if self.change else 0.0


def summed(parts: Sequence[Factors]) -> Factors:
    """The sum of changes, as one of the sum of their ranks (Po et al. 2024, Eq. 4)."""
    return Factors(torch.cat([p.down for p in parts]), torch.cat([p.up for p in parts], dim=1))


def overlap(parts: Sequence[Factors]) -> float:
    """Largest cosine between directions that two changes read, 0 where a sum mixes nothing."""
    unit = [part.down / part.down.norm(dim=1, keepdim=True).clamp(min=1e-30) for part in parts]
    pairs = [(a, b) for i, a in enumerate(unit) for b in unit[i + 1 :]]
    return max((float((a @ b.T).abs().max()) for a, b in pairs if len(a) and len(b)), default=0.0)


def factors_of(base: "BaseModel", adapter: "Adapter") -> dict[str, Factors]:
    """What an adapter adds to each layer that carries its LoRA, by the layer's name in files."""
    found = {}
    for name, layer in lora_layers(base):
        if adapter.peft_name in layer.lora_A:
            down, up = (part[adapter.peft_name].weight for part in (layer.lora_A, layer.lora_B))
            scale = adapter.alpha / adapter.rank
            found[name] = Factors(
                down.detach().flatten(1).double(), scale * up.detach().flatten(1).double()
            )
    return found


def file_tensors(
    base: "BaseModel", fused: dict[str, Factors], adapters: Sequence["Adapter"], rank: int
) -> dict[str, Tensor]:
    """A fused adapter's LoRA under the names of its file, every layer of the same rank, fp32."""
    tensors = {}
    for name, layer in lora_layers(base):
        if name not in fused:
            continue
        down, up = fused[name].down, fused[name].up
        peft_name = next(a.peft_name for a in adapters if a.peft_name in layer.lora_A)
        shape = layer.lora_A[peft_name].weight.shape[1:]
        ends = layer.lora_B[peft_name].weight.shape[2:]
        down = torch.cat([down, down.new_zeros(rank - len(down), down.shape[1])])
        up = torch.cat([up, up.new_zeros(len(up), rank - up.shape[1])], dim=1)
        tensors[f"{name}.lora_A.weight"] = down.reshape(rank, *shape).float()
        tensors[f"{name}.lora_B.weight"] = up.reshape(len(up), rank, *ends).float()
    return tensors


def joint_words(adapters: Sequence["Adapter"]) -> Tensor:
    """The words of all concepts [words, L, D]; those that all layers share repeat their vector."""
    tables = [adapter.embeddings.detach().float() for adapter in adapters]
    layers = max(table.shape[1] for table in tables)
    return torch.cat([table.expand(-1, layers, -1) for table in tables])
