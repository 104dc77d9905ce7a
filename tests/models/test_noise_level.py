"""Noise levels of a batch, one for each of its samples."""

import pytest
import torch

from smalti.models.prediction import NoiseLevel, prediction_of

ALPHAS = torch.linspace(0.99, 0.0, 100)  # ends in noise only, as zero-terminal SNR does
TIMES = torch.tensor([0, 40, 99])


def test_levels_lie_where_their_timesteps_lie():
    """A schedule is kept on the CPU; training asks for levels on the device of its batch."""
    level = NoiseLevel.of(TIMES.to("meta"), ALPHAS)
    assert {level.alpha.device.type, level.sigma.device.type} == {"meta"}


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_a_batch_of_levels_is_each_sample_at_its_own(kind: str):
    g = torch.Generator().manual_seed(0)
    output, z = torch.randn(2, 3, 4, 2, 2, generator=g)
    prediction, batch = prediction_of(kind), NoiseLevel.of(TIMES, ALPHAS)
    clean = prediction.clean(output, z, batch)
    carry = torch.as_tensor(prediction.carry(batch)).expand(3, 1, 1, 1)
    for row, time in enumerate(TIMES.tolist()):
        alpha_bar = float(ALPHAS[time])
        one = NoiseLevel(time, alpha_bar**0.5, (1 - alpha_bar) ** 0.5)
        torch.testing.assert_close(clean[row], prediction.clean(output[row], z[row], one))
        assert float(carry[row]) == pytest.approx(prediction.carry(one), rel=1e-6)
