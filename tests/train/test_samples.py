"""The stream of samples: a pure function of seed and position, in the shares asked for."""

from functools import partial

import torch

from smalti.train.samples import draw_sample, image_at, relit_at, template_at

EVEN = torch.ones(1000)


def test_steps_in_other_lights_come_as_often_as_asked():
    shown = [relit_at(0, step, 0.3) for step in range(2000)]
    assert abs(sum(shown) / 2000 - 0.3) < 4 * (0.3 * 0.7 / 2000) ** 0.5
    assert not any(relit_at(0, step, 0.0) for step in range(100))
    assert all(relit_at(0, step, 1.0) for step in range(100))


def test_lights_change_nothing_else_of_a_sample():
    draw = partial(draw_sample, 0, images=5, crops=4, shape=(4, 8, 8), noise_offset=0.1,
                   timestep_weights=EVEN)  # fmt: skip
    plain, relit = [draw(p) for p in range(200)], [draw(p, lights=3) for p in range(200)]
    assert {sample.light for sample in plain} == {0}
    assert {sample.light for sample in relit} == {1, 2, 3}
    for a, b in zip(plain, relit, strict=True):
        assert (a.image, a.crop, a.timestep) == (b.image, b.crop, b.timestep)
        assert torch.equal(a.noise, b.noise)


def test_every_epoch_shows_every_image_once():
    seen = [image_at(3, position, 7) for position in range(21)]
    for epoch in range(3):
        assert sorted(seen[7 * epoch : 7 * epoch + 7]) == list(range(7))
    assert seen[:7] != seen[7:14]
    assert seen == [image_at(3, position, 7) for position in range(21)]


def test_samples_depend_on_seed_and_position_alone():
    def draw(seed: int, position: int):
        return draw_sample(
            seed, position, images=5, crops=4, shape=(4, 8, 8), noise_offset=0.1,
            timestep_weights=EVEN,
        )

    a, b = draw(0, 17), draw(0, 17)
    assert (a.image, a.crop, a.timestep) == (b.image, b.crop, b.timestep)
    assert torch.equal(a.noise, b.noise)
    assert not torch.equal(a.noise, draw(0, 18).noise)
    assert not torch.equal(a.noise, draw(1, 17).noise)
    times = torch.tensor([draw(0, p).timestep for p in range(400)]).float()
    assert times.min() >= 0 and times.max() <= 999
    assert abs(times.mean() - 499.5) < 4 * 288.7 / 20  # four standard errors


def test_timesteps_come_in_proportion_to_their_weights():
    weights = torch.tensor([0.0, 1.0, 2.0, 5.0])
    draw = partial(draw_sample, 0, images=1, crops=1, shape=(1, 1, 1), noise_offset=0.0)
    drawn = torch.tensor([draw(p, timestep_weights=weights).timestep for p in range(1600)])
    share = weights / weights.sum()
    error = (share * (1 - share) / 1600).sqrt()
    assert ((drawn.bincount(minlength=4) / 1600 - share).abs() <= 4 * error).all()


def test_noise_offset_adds_a_constant_per_channel():
    def noise(offset: float):
        return draw_sample(
            0, 3, images=1, crops=1, shape=(4, 64, 64), noise_offset=offset, timestep_weights=EVEN
        ).noise

    shift = noise(0.5) - noise(0.0)
    assert torch.allclose(shift, shift[:, :1, :1].expand_as(shift), atol=1e-6)
    assert shift[:, 0, 0].unique().numel() == 4
    assert abs(noise(0.0).std() - 1) < 0.03


def test_every_template_comes_and_a_step_keeps_its_own():
    templates = ("a", "b", "c")
    drawn = [template_at(0, step, templates) for step in range(60)]
    assert set(drawn) == set(templates)
    assert drawn == [template_at(0, step, templates) for step in range(60)]
    assert drawn != [template_at(1, step, templates) for step in range(60)]
