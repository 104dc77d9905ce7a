"""The exact guide against finite differences, closed forms and its own size law."""

from dataclasses import replace

import pytest
import torch

from smalti.generate.alignment import channel_statistics, match_statistics
from smalti.generate.guidance.exact import LUMA, ExactGuide
from smalti.models.band import LowPass
from smalti.models.bases import load_base
from smalti.models.denoiser import Conditioning, with_cfg
from smalti.models.denoising import Step, describe_step, make_scheduler


class LinearBase:
    """A decoder that repeats each latent pixel's first 3 channels 8 x 8 times, times 0.1."""

    def decode(self, latents):
        return 0.1 * latents[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3)


def double_base(settings):
    """The tiny base in float64, with a decoder that keeps it."""
    base = load_base(settings, device="cpu", dtype=torch.float64)
    scale = base.vae.config.scaling_factor
    base.decode = lambda latents: base.vae.decode(latents / scale).sample / 2 + 0.5
    return base


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("index", [0, 3])
def test_gradient_against_finite_differences(tiny_settings, color, index):
    """Through decoder, colour alignment and UNet with CFG, in float64."""
    base = double_base(tiny_settings)
    torch.manual_seed(0)
    z = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    shape = (base.layers, 77, base.concepts.embedding_dim)
    text = Conditioning(torch.randn(2, *shape, dtype=torch.float64))
    negative = Conditioning(torch.randn(1, *shape, dtype=torch.float64))
    denoiser = with_cfg(base.denoiser, negative, 3.0)
    block_statistics = channel_statistics(torch.randn_like(z))
    scheduler = make_scheduler(base, "ddim", 5)
    step = describe_step(denoiser, scheduler, index)
    guide = ExactGuide(
        base,
        torch.rand(2, 3, 16, 16, dtype=torch.float64),
        weight=9216.0,
        decay=0.9,
        low_pass=LowPass(16, 1.0),
    )

    def x0_of(z):
        x0 = denoiser(z, step, text)
        return match_statistics(x0, *block_statistics) if color else x0

    moving = z.clone().requires_grad_()
    guided, _ = guide(moving, x0_of(moving), step)
    gradient = (z - guided) / 0.9**index  # the weight makes w / (96 * 96) = 1
    h = 1e-5
    for _ in range(3):
        direction = torch.randn_like(z)
        with torch.no_grad():
            ahead, behind = (guide.error(x0_of(z + s * h * direction)) for s in (1, -1))
        slopes = (gradient * direction).sum(dim=(1, 2, 3))
        assert torch.allclose((ahead - behind) / (2 * h), slopes, rtol=1e-5, atol=1e-9)


def one_shift(size: int, weight: float = 5000.0, index: int = 0, target: float = 0.9):
    """How far the guide moves z when x0 = z and the decoder is linear."""
    z = torch.zeros(1, 4, size, size, requires_grad=True)
    blocks = torch.full((1, 3, size, size), target)
    guide = ExactGuide(LinearBase(), blocks, weight=weight, decay=0.95, low_pass=LowPass(size, 0))
    step = describe_linear(index)
    guided, x0 = guide(z, z * 1.0, step)
    assert torch.equal(guided, x0)  # carry 1, and both were zero
    return guided


def describe_linear(index):
    return Step(index=index, count=50, timestep=500, alpha=1.0, sigma=0.0, carry=1.0)


def test_the_same_weight_moves_tiles_of_any_size_equally_far():
    """Closed form: x = 0.1 z, per latent pixel -d/dz mean_c (0.1 z - t)^2 = 0.1 * 2 t / 3."""
    for size in (8, 16, 96):
        moved = one_shift(size)
        expected = 5000 / 9216 * 2 * 0.1 * 0.9 / 3
        assert torch.allclose(moved[:, :3], torch.tensor(expected), rtol=1e-5)
        assert moved[:, 3].abs().max() == 0


def test_at_the_papers_size_it_is_the_plain_mean():
    """z - w * d MSE / dz with the mean over 3 x 96 x 96 values, w = 5000."""
    z = torch.zeros(1, 4, 96, 96, requires_grad=True)
    mse = (0.1 * z[:, :3] - 0.9).square().mean()
    (gradient,) = torch.autograd.grad(mse, z)
    assert torch.allclose(one_shift(96), -5000 * gradient, rtol=1e-5)


def test_weight_decays_with_every_step():
    first, tenth = one_shift(8), one_shift(8, index=10)
    assert torch.allclose(tenth, first * 0.95**10, rtol=1e-5)


def test_tiles_of_a_batch_do_not_touch_each_other(tiny_base):
    torch.manual_seed(1)
    z, blocks = torch.randn(3, 4, 8, 8), torch.rand(3, 3, 16, 16)
    step = replace(describe_linear(0), carry=0.5)

    def guided(part):
        x = z[part].clone().requires_grad_()
        guide = ExactGuide(
            tiny_base, blocks[part], weight=5e4, decay=1.0, low_pass=LowPass(16, 2.0)
        )
        return torch.stack(guide(x, x * 1.0, step))

    together = guided(slice(0, 3))
    for k in range(3):
        assert torch.allclose(together[:, k : k + 1], guided(slice(k, k + 1)), atol=1e-5)


def luma_guide(blocks: torch.Tensor) -> ExactGuide:
    low_pass = LowPass(8, 0)
    return ExactGuide(LinearBase(), blocks, weight=1, decay=1, low_pass=low_pass, space=LUMA)


def test_ycbcr_counts_errors_in_luminance():
    """Eq. 10, against a colour conversion of the standard's own numbers, as skimage has them."""
    from skimage.color import rgb2ycbcr

    z, blocks = torch.rand(1, 4, 8, 8) * 10, torch.rand(1, 3, 8, 8)
    ours, theirs = (  # skimage has Y in 16..235; undo that, then it is plain BT.601
        torch.from_numpy(rgb2ycbcr(x[0].movedim(0, -1).numpy()))[..., 0] / 219
        for x in (0.1 * z[:, :3], blocks)
    )
    expected = (ours - theirs).square().mean() * 64
    assert luma_guide(blocks).error(z).item() == pytest.approx(expected.item(), rel=1e-4)


def test_ycbcr_leaves_colours_of_equal_luminance_alone():
    """0.299 R + 0.587 G + 0.114 B is the same where green gives way to red and blue (Eq. 9)."""
    z = (torch.rand(2, 4, 8, 8) * 10).requires_grad_()
    along = torch.tensor([[0.587, -0.299, 0.0], [0.0, 0.114, -0.587]])[:, :, None, None]
    blocks = (0.1 * z.detach()[:, :3] + 0.5 * torch.rand(2, 1, 8, 8) * along).clamp(-9, 9)
    guide = luma_guide(blocks)
    (gradient,) = torch.autograd.grad(guide.error(z).sum(), z)
    plain = ExactGuide(LinearBase(), blocks, weight=1, decay=1, low_pass=LowPass(8, 0))
    assert guide.error(z).max() < 1e-10 and gradient.abs().max() < 1e-6
    assert plain.error(z).min() > 0.1, "in RGB they differ"


def test_ycbcr_weighs_grey_errors_as_exact_does():
    """So that w = 5000 means the same to both."""
    z = torch.rand(1, 1, 8, 8).expand(1, 4, 8, 8) * 10
    blocks = torch.rand(1, 1, 8, 8).expand(1, 3, 8, 8)
    plain = ExactGuide(LinearBase(), blocks, weight=1, decay=1, low_pass=LowPass(8, 0))
    torch.testing.assert_close(luma_guide(blocks).error(z), plain.error(z))
