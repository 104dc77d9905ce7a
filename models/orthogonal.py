"""Orthogonal adaptation: adapters that are merged by their sum.

Po et al. 2024 ("Orthogonal Adaptation for Modular Customization of Diffusion Models", section 4.2):
the down projection A_i of a LoRA is fixed to rows of one orthogonal basis of the layer's inputs,
other rows for each concept, and only B_i learns. Then A_i A_j^T = 0: no two concepts read the same
direction of a layer's input. The paper draws the rows at random; here a concept has a slot, so that
two of them never share a row.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .randomness import normal

ROW_NORM = 1 / math.sqrt(3)  # that of rows as they start otherwise, so that rates mean the same


def basis_rows(layer: str, width: int, slot: int, rank: int) -> Tensor:
    """Rows [rank, width] of a slot in a layer's orthogonal basis, of norm 1 / sqrt(3).

    Rows of different slots are orthogonal for one rank, as long as the layer has (slot + 1) * rank
    inputs; beyond that, slots begin anew.
    """
    first = slot * rank % max(rank, width - width % rank)
    vectors = [normal((width,), row, "orthogonal", layer) for row in range(first + rank)]
    basis = torch.linalg.qr(torch.stack(vectors).T.double()).Q.T
    rows = basis[first : first + rank]
    return ROW_NORM * torch.cat([rows, rows.new_zeros(rank - len(rows), width)]).float()


@torch.no_grad()
def fix_down(parameters: Iterable[tuple[str, nn.Parameter]], slot: int) -> None:
    """Give the down projections among an adapter's LoRA tensors the rows of a slot."""
    for key, parameter in parameters:
        if ".lora_A." in key:
            rows = basis_rows(key, parameter[0].numel(), slot, len(parameter))
            parameter.copy_(rows.reshape(parameter.shape))
