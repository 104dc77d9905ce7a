"""Losses against closed forms and plain loops."""

import math

import pytest
import torch

from smalti.configs.loading import resolve
from smalti.train.losses import (
    DETAIL_RANGE,
    attention_loss,
    detail_weights,
    loss_weights,
    masked_mean,
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_masked_mean_is_a_true_mean_over_channels_and_pixels():
    error, weight = random(2, 4, 3, 5), random(2, 1, 3, 5, seed=1)
    for b in range(2):
        total = count = 0.0
        for c in range(4):
            for y in range(3):
                for x in range(5):
                    total += float(error[b, c, y, x] * weight[b, 0, y, x])
                    count += float(weight[b, 0, y, x])
        assert masked_mean(error, weight)[b].item() == pytest.approx(total / count, rel=1e-5)


def test_masked_mean_of_ones_is_the_plain_mean_and_of_nothing_zero():
    error = random(3, 4, 8, 8)
    plain = masked_mean(error, torch.ones(3, 1, 8, 8))
    assert torch.allclose(plain, error.mean(dim=(1, 2, 3)))
    assert masked_mean(error, torch.zeros(3, 1, 8, 8)).tolist() == [0, 0, 0]


def test_loss_weights_are_soft_outside_the_subject_and_zero_on_padding():
    subject = torch.tensor([1.0, 0.0, 0.5, 1.0]).view(1, 1, 1, 4)
    padding = torch.tensor([1.0, 1.0, 1.0, 0.0]).view(1, 1, 1, 4)
    weights = loss_weights(subject, padding, 0.2)
    assert weights.flatten().tolist() == pytest.approx([1.0, 0.2, 0.6, 0.0])


def test_detail_weights_against_a_loop_over_neighbours():
    latents, subject = random(2, 4, 6, 7), random(2, 1, 6, 7, seed=1)
    latents[:, :, :2] *= 0.1  # a flat part
    found = detail_weights(latents, subject, 1.5)
    for b in range(2):
        detail = torch.zeros(6, 7)
        for y in range(6):
            for x in range(7):
                rows = [min(max(y + d, 0), 5) for d in (-1, 0, 1)]
                columns = [min(max(x + d, 0), 6) for d in (-1, 0, 1)]
                around = latents[b][:, rows][:, :, columns].flatten(1)
                detail[y, x] = around.var(dim=1, correction=0).mean().sqrt()
        usual = (detail * subject[b, 0]).sum() / subject[b, 0].sum()
        expected = (detail / usual).clamp(*DETAIL_RANGE) ** 1.5
        torch.testing.assert_close(found[b, 0], expected, rtol=1e-3, atol=1e-3)
    assert detail_weights(latents, subject, 0.0).eq(1).all()


def test_where_nothing_happens_all_weigh_alike():
    flat = torch.full((1, 4, 5, 5), 0.3)
    weights = detail_weights(flat, torch.ones(1, 1, 5, 5), 2.0)
    assert weights.isfinite().all() and (weights == weights[0, 0, 0, 0]).all()
    assert detail_weights(flat, torch.zeros(1, 1, 5, 5), 2.0).isfinite().all()


def attention_by_loops(maps, mask, full_identity):
    """The regulariser for hard masks, one sample: plain loops over words and pixels."""
    total = 0.0
    for words in maps.values():
        side = words.shape[-1]
        block = mask.shape[-1] // side
        for w, word in enumerate(words):
            word = word / word.max()
            small = [
                [
                    float(mask[y * block : (y + 1) * block, x * block : (x + 1) * block].mean())
                    for x in range(side)
                ]
                for y in range(side)
            ]
            pixels = [(y, x) for y in range(side) for x in range(side)]
            if w == len(words) - 1 and full_identity:
                total += sum((float(word[y, x]) - small[y][x]) ** 2 for y, x in pixels) / side**2
            else:
                outside = [float(word[y, x]) for y, x in pixels if small[y][x] == 0]
                total += sum(outside) / len(outside)
    return total


@pytest.mark.parametrize("full_identity", [False, True])
def test_attention_loss_against_loops(full_identity: bool):
    mask = torch.zeros(8, 8)
    mask[2:6, 4:8] = 1  # whole cells at every resolution below
    maps = {8: random(1, 2, 8, 8), 4: random(1, 2, 4, 4, seed=1)}
    found = attention_loss(
        maps, mask[None, None], torch.tensor([True]), full_identity=full_identity
    )
    expected = attention_by_loops({k: v[0] for k, v in maps.items()}, mask, full_identity)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_attention_loss_is_never_nan_and_skips_images_without_mask():
    maps = {4: torch.zeros(2, 2, 4, 4).requires_grad_()}
    everything = torch.ones(2, 1, 8, 8)
    loss = attention_loss(maps, everything, torch.tensor([True, True]), full_identity=False)
    loss.backward()
    assert loss.item() == 0 and torch.isfinite(maps[4].grad).all()
    outside = attention_loss(
        {4: random(2, 2, 4, 4)}, everything * 0, torch.tensor([False, True]), full_identity=False
    )
    alone = attention_loss(
        {4: random(2, 2, 4, 4)[1:]}, everything[1:] * 0, torch.tensor([True]), full_identity=False
    )
    assert math.isclose(outside.item(), alone.item() / 2, rel_tol=1e-6)


def published_loss(error, mask, maps):
    """What Mix-of-Show's code minimises for one photo (its `use_mask_loss`), in plain loops.

    The squared error is summed over channels and pixels of the subject and divided by the number of
    its pixels; 0.01 times the regulariser stands beside it.
    """
    total = 0.0
    for channel in error:
        total += sum(float(e) for e, m in zip(channel.flatten(), mask.flatten(), strict=True) if m)
    return total / float(mask.sum()), 0.01 * attention_by_loops(maps, mask, False)


@pytest.mark.parametrize("base", ["sd15", "sd21", "sd-turbo", "sd15-lcm"])
@pytest.mark.parametrize("preset", ["edlora", "edlora-fast"])
def test_the_regulariser_weighs_as_published_beside_the_denoising_loss(base: str, preset: str):
    """Their ratio, and so the direction of the gradient; the sum is a quarter of the published."""
    settings = resolve(base=base, train=preset).train
    mask = torch.zeros(8, 8)
    mask[2:6, 4:8] = 1
    error, maps = random(4, 8, 8, seed=2), {8: random(1, 2, 8, 8), 4: random(1, 2, 4, 4, seed=1)}
    denoising, attention = published_loss(error, mask, {k: v[0] for k, v in maps.items()})
    subject, there = mask[None, None], torch.tensor([True])
    own = masked_mean(error[None], loss_weights(subject, torch.ones(1, 1, 8, 8), 0.0)).item()
    beside = settings.attention_weight * attention_loss(maps, subject, there, full_identity=False)
    assert beside.item() / own == pytest.approx(attention / denoising, rel=1e-5)
    assert (own + beside.item()) * 4 == pytest.approx(denoising + attention, rel=1e-5)
