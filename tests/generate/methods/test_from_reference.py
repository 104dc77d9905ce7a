"""Starts from the reference: noise levels, and both ends of the strength."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import pixels_of

from smalti.configs.mosaic import SCHEDULERS, mosaic_settings
from smalti.generate.blocks import enlarge
from smalti.generate.grid import Grid
from smalti.generate.methods import method_of
from smalti.generate.methods.base import DECODER_COST
from smalti.generate.methods.upscaling import encode_whole
from smalti.generate.store import Store, tile_name
from smalti.models.denoising import denoise, make_scheduler, noised_at
from smalti.models.pixels import to_pixels
from smalti.models.randomness import normal

FROM_REFERENCE = ["img2img", "quilt"]


def test_the_last_share_of_the_steps_is_taken():
    def first(method="img2img", **options):
        mosaic = mosaic_settings(method=method, steps=10, **options)
        return method_of(mosaic).first_step(mosaic)

    assert [first(strength=s) for s in (1.0, 0.7, 0.5, 0.04, 0.0)] == [0, 3, 5, 10, 10]
    assert first("quilt", strength=0.3) == 7
    assert first("adain") == first("smalti") == 0


def test_plans_count_the_steps_that_are_taken():
    mosaic = mosaic_settings(method="img2img", steps=10, strength=0.4)
    assert method_of(mosaic).calls(mosaic) == 4 * 2 + DECODER_COST


@pytest.mark.parametrize("name", SCHEDULERS)
def test_noise_has_the_level_of_its_step(any_base, name):
    clean, noise = normal((2, 4, 8, 8), 1), normal((2, 4, 8, 8), 2)
    scheduler = make_scheduler(any_base, name, 5)
    for start in (1, 3):
        bar = float(scheduler.alphas_cumprod[int(scheduler.timesteps[start])])
        expected = bar**0.5 * clean + (1 - bar) ** 0.5 * noise
        assert torch.allclose(noised_at(clean, noise, scheduler, start), expected, atol=1e-6)
    assert torch.equal(noised_at(clean, noise, scheduler, 5), clean)


@pytest.mark.parametrize("name", ["ddim", "dpm++", "unipc"])
@pytest.mark.parametrize("start", [1, 3])
def test_a_perfect_prediction_takes_the_noise_off_again(any_base, name, start):
    """If x0 is known, every solver ends at it, but for the noise that DDIM leaves at t = 0."""
    clean, noise = normal((1, 4, 8, 8), 1), normal((1, 4, 8, 8), 2)
    with torch.no_grad():
        text = any_base.encode_text(["a cat"])
    scheduler, steps = make_scheduler(any_base, name, 5), []
    done = denoise(
        any_base.denoiser, scheduler, noised_at(clean, noise, scheduler, start), text,
        align=lambda _: clean, start=start, on_step=lambda index, _: steps.append(index),
    )  # fmt: skip
    assert steps == list(range(start, 5))
    assert (done - clean).abs().max() < (0.15 if name == "ddim" else 1e-3)


def test_ddim_goes_on_from_the_middle_as_if_it_had_come_there(any_base):
    """The state after two steps, handed back with start = 2, ends where the whole run ends."""
    with torch.no_grad():
        text = any_base.encode_text(["a cat"])
    scheduler, z, seen = make_scheduler(any_base, "ddim", 5), normal((1, 4, 8, 8), 1), []

    class Spy:
        through_unet = False

        def __call__(self, z, x0, step):
            seen.append(z)
            return z, x0

    whole = denoise(any_base.denoiser, scheduler, z, text, guide=Spy())
    assert torch.equal(denoise(any_base.denoiser, scheduler, seen[2], text, start=2), whole)


@pytest.fixture(scope="module")
def zero_terminal(tmp_path_factory, small):
    """Settings on a base whose schedule ends in pure noise, as the starter's and SD 2.1's do."""
    from tiny import make_tiny_sd

    folder = make_tiny_sd(tmp_path_factory.mktemp("v") / "base", prediction_type="v_prediction")
    return replace(small, base=replace(small.base, source=str(folder)))


@pytest.fixture(scope="module")
def plain(make, photo, zero_terminal):
    """Tiles of noise and prompts alone."""
    options = {"ref": str(photo), "ref_prompt": "", "noise": "random", "guidance": False}
    return pixels_of(make(zero_terminal, **options))


@pytest.mark.parametrize("method", FROM_REFERENCE)
def test_strength_one_is_plain_sampling_from_the_same_noise(
    make, photo, zero_terminal, plain, method
):
    options = {"ref": str(photo), "ref_prompt": "", "method": method}
    full, half = (pixels_of(make(zero_terminal, **options, strength=s)) for s in (1.0, 0.7))
    for name, pixels in plain.items():
        assert abs(pixels - full[name]).max() <= 1 and abs(pixels - half[name]).max() > 3


@pytest.mark.parametrize("method", FROM_REFERENCE)
def test_strength_zero_gives_the_reference_back(by_method, tiny_base, method):
    out, grid = by_method(method, strength=0.0), Grid(2, 3, 64, 21)
    reference = Store(out, grid).reference()
    if method == "img2img":
        blocks = reference.reshape(3, 2, 21, 3, 21).permute(1, 3, 0, 2, 4).flatten(0, 1)
        latents = tiny_base.encode(enlarge(blocks, 64))
    else:
        big = torch.nn.functional.interpolate(
            encode_whole(tiny_base, reference)[None], size=(16, 24), mode="bicubic"
        )[0]
        latents = big.reshape(4, 2, 8, 3, 8).permute(1, 3, 0, 2, 4).flatten(0, 1)
    with torch.no_grad():
        expected = tiny_base.decode(latents)
    made = pixels_of(out)
    for tile, image in zip(grid.tiles, expected, strict=True):
        assert np.abs(made[f"{tile_name(tile)}.png"] - to_pixels(image).astype(int)).max() <= 1
