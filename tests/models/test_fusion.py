"""Fusion in closed form against least squares, and where it must be exact."""

import pytest
import torch

from smalti.models.activations import ROWS, Grams, inputs_of
from smalti.models.fusion import Factors, LayerFit, factors_of, file_tensors, overlap, summed
from smalti.models.orthogonal import ROW_NORM, basis_rows


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def fitted(inputs, changes, ridge):
    fit = LayerFit()
    for x, change in zip(inputs, changes, strict=True):
        fit.add(change, x.T @ x)
    return fit.solve(ridge)


def test_it_is_the_least_squares_solution():
    """Of all rows at once, the ridge as rows of its own; for W - W0 as the unknown."""
    inputs = [random(20, 7, seed=1), random(15, 7, seed=2) * 2]
    changes = [Factors(random(2, 7, seed=s), random(5, 2, seed=s + 9)) for s in (3, 4)]
    factors, residual = fitted(inputs, changes, 0.05)
    level = 0.05 * sum((x.T @ x).diagonal().mean() for x in inputs)
    rows = torch.cat([*inputs, level.sqrt() * torch.eye(7)])
    wanted = torch.cat(
        [*(x @ (c.up @ c.down).T for x, c in zip(inputs, changes, strict=True)),
         torch.zeros(7, 5, dtype=torch.double)]
    )  # fmt: skip
    solution = torch.linalg.lstsq(rows, wanted).solution.T
    assert torch.allclose(factors.up @ factors.down, solution, atol=1e-10)
    left = [x @ (solution - c.up @ c.down).T for x, c in zip(inputs, changes, strict=True)]
    whole = [x @ (c.up @ c.down).T for x, c in zip(inputs, changes, strict=True)]
    share = (sum(v.square().sum() for v in left) / sum(v.square().sum() for v in whole)).sqrt()
    assert residual == pytest.approx(float(share), rel=1e-6)
    assert factors.down.shape == (4, 7)


def test_it_is_exact_where_inputs_are_orthogonal():
    basis = torch.linalg.qr(random(8, 8)).Q
    inputs = [random(12, 4, seed=1) @ basis[:4], random(12, 4, seed=2) @ basis[4:]]
    changes = [Factors(random(3, 8, seed=s), random(6, 3, seed=s + 9)) for s in (3, 4)]
    factors, residual = fitted(inputs, changes, 1e-12)
    for x, change in zip(inputs, changes, strict=True):
        assert torch.allclose(x @ (factors.up @ factors.down).T, x @ (change.up @ change.down).T)
    assert residual < 1e-5


def test_a_concept_without_the_layer_holds_it_to_the_base():
    change = Factors(random(1, 4), random(3, 1))
    alone, _ = fitted([random(9, 4)], [change], 1e-9)
    beside, left = fitted([random(9, 4), 100 * random(9, 4)], [change, None], 1e-9)
    assert (beside.up @ beside.down).norm() < 1e-3 * (alone.up @ alone.down).norm()
    assert left == pytest.approx(1, abs=1e-3)


def test_slots_are_orthogonal():
    rows = [basis_rows("layer", 24, slot, 4) for slot in range(6)]
    for index, own in enumerate(rows):
        assert torch.allclose(own @ own.T, ROW_NORM**2 * torch.eye(4), atol=1e-6)
        for other in rows[index + 1 :]:
            assert torch.allclose(own @ other.T, torch.zeros(4, 4), atol=1e-6)
    assert torch.equal(basis_rows("layer", 24, 6, 4), rows[0])  # the layer has no more
    assert not torch.allclose(basis_rows("other", 24, 0, 4), rows[0])


def test_a_sum_of_orthogonal_changes_keeps_each():
    """Each acts on its own rows as if the other were not there."""
    downs = [basis_rows("layer", 16, slot, 3).double() for slot in (0, 1)]
    parts = [Factors(down, random(5, 3, seed=s)) for s, down in enumerate(downs)]
    both = summed(parts)
    for part in parts:
        x = random(4, 3) @ part.down
        wanted = x @ (part.up @ part.down).T
        assert torch.allclose(x @ (both.up @ both.down).T, wanted, atol=1e-6)
    assert overlap(parts) < 1e-6
    assert overlap([parts[0], parts[0]]) == pytest.approx(1)


def test_inputs_of_a_convolution_are_what_it_multiplies(trained, base):
    """Unfolded inputs times flattened weights are its output, also at a stride."""
    from smalti.models.edlora import lora_layers

    trained("pim", targets="all")
    layers = dict(lora_layers(base))
    for name in ("unet.conv_in", "unet.down_blocks.0.downsamplers.0.conv", "unet.conv_out"):
        own = layers[name].get_base_layer()
        given = torch.randn(2, own.in_channels, 8, 8, generator=torch.Generator().manual_seed(1))
        rows = inputs_of(layers[name], given)
        product = rows @ own.weight.flatten(1).T
        plain = torch.nn.functional.conv2d(given, own.weight, None, own.stride, own.padding)
        assert torch.allclose(product, plain.flatten(2).transpose(1, 2).flatten(0, 1), atol=1e-4)


def test_many_inputs_are_weighed_as_all_of_them():
    grams = Grams({}, 0)
    rows = torch.ones(10 * ROWS, 3)
    grams.add("layer", rows)
    grams.add("layer", rows[:5])
    assert torch.allclose(grams.found["layer"], (10 * ROWS + 5) * torch.ones(3, 3).double())


def test_file_tensors_hold_the_change(trained, base):
    one, other = trained("pim", seed=1, rank=2), trained("bolt", seed=2, rank=3, lora_alpha=1.5)
    found = [factors_of(base, adapter) for adapter in (one, other)]
    tensors = file_tensors(base, {n: summed([p[n] for p in found]) for n in found[0]}, [one], 5)
    name = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    change = tensors[f"{name}.lora_B.weight"] @ tensors[f"{name}.lora_A.weight"]
    layer = base.unet.get_submodule(name.removeprefix("unet."))
    wanted = sum(layer.get_delta_weight(adapter.peft_name) for adapter in (one, other))
    assert torch.allclose(change, wanted, atol=1e-5)
