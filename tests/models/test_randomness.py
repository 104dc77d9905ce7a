"""Streams of random numbers that depend on seed and key only."""

import pytest
import torch

from smalti.models.randomness import keyed_generator, normal


def test_keys_do_not_run_together():
    """Parts are told apart, and neither their sum nor their digits in a row is what counts."""
    keys = [(1, 2, 3), (1, 23), (12, 3), (1, 3, 2), (2, 1, 3), (1, "2", "30"), (-1, 2, 3), (123,)]
    draws = {torch.rand(1, generator=keyed_generator(*key)).item() for key in keys}
    assert len(draws) == len(keys)


def test_a_stream_does_not_depend_on_what_was_drawn_before():
    torch.manual_seed(1)
    first = normal((2, 3), 7, "tile", 4)
    torch.manual_seed(2)
    normal((5,), 7, "tile", 3)
    assert torch.equal(normal((2, 3), 7, "tile", 4), first)
    assert torch.equal(normal((2, 3), 7, "tile", "4"), first), "a key's parts are texts"


@pytest.mark.parametrize("seed", [0, 2**63 - 1, -5])
def test_any_seed_serves_and_draws_standard_normal_numbers(seed: int):
    drawn = normal((100_000,), seed, "x")
    assert drawn.mean().abs() < 5 / 100_000**0.5
    assert (drawn.var() - 1).abs() < 5 * (2 / 100_000) ** 0.5


def test_streams_of_neighbouring_keys_are_independent():
    drawn = torch.stack([normal((20_000,), 0, index) for index in range(6)])
    correlation = torch.corrcoef(drawn) - torch.eye(6)
    assert correlation.abs().max() < 5 / 20_000**0.5
