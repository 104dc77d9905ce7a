"""Starts from the reference: noise levels, both ends of the strength, the enlarged latents."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.configs.settings import SCHEDULERS, MosaicSettings
from smalti.generate import studio as studio_module
from smalti.generate.color import enlarge
from smalti.generate.grid import Grid
from smalti.generate.methods.img2img import encode_whole, first_step, upscaled
from smalti.generate.noise import keyed_generator
from smalti.generate.plan import DECODER_COST, unet_calls
from smalti.generate.sampler import add_noise, encode_pair, make_scheduler, sample
from smalti.generate.tiles import TileStore
from smalti.models.pixels import to_pixels

FROM_REFERENCE = ["img2img", "quilt"]


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=keyed_generator(1))


def test_the_last_share_of_the_steps_is_taken():
    def first(**options):
        return first_step(MosaicSettings(**{"method": "img2img", "steps": 10, **options}))

    assert [first(strength=s) for s in (1.0, 0.7, 0.5, 0.04, 0.0)] == [0, 3, 5, 10, 10]
    assert first(method="quilt", strength=0.3) == 7
    assert first(method="adain", strength=0.3) == first(method="smalti", strength=0.3) == 0


def test_plans_count_the_steps_that_are_taken():
    mosaic = MosaicSettings(method="img2img", guidance=False, steps=10, strength=0.4)
    assert unet_calls(mosaic) == 4 * 2 + DECODER_COST


@pytest.mark.parametrize("name", SCHEDULERS)
def test_noise_has_the_level_of_its_step(any_base, name):
    clean, noise = random(2, 4, 8, 8), torch.randn(2, 4, 8, 8, generator=keyed_generator(2))
    scheduler = make_scheduler(any_base, name, 5)
    for start in (1, 3):
        bar = float(scheduler.alphas_cumprod[int(scheduler.timesteps[start])])
        expected = bar**0.5 * clean + (1 - bar) ** 0.5 * noise
        ours = add_noise(any_base, clean, noise, scheduler, start)
        assert torch.allclose(ours, expected, atol=1e-6)
    assert torch.equal(add_noise(any_base, clean, noise, scheduler, 5), clean)


@pytest.mark.parametrize("name", ["ddim", "dpm++", "unipc"])
@pytest.mark.parametrize("start", [1, 3])
def test_a_perfect_prediction_takes_the_noise_off_again(any_base, name, start):
    """If x0 is known, every solver ends at it, but for the noise that DDIM leaves at t = 0."""
    clean, noise = random(1, 4, 8, 8), torch.randn(1, 4, 8, 8, generator=keyed_generator(2))
    with torch.no_grad():
        text, _ = encode_pair(any_base, ["a cat"], (), "", 1.0)
    scheduler, steps = make_scheduler(any_base, name, 5), []
    z = add_noise(any_base, clean, noise, scheduler, start)
    done = sample(
        any_base, text, None, z, scheduler,
        cfg_scale=1.0, align=lambda _: clean, start=start,
        on_step=lambda index, _: steps.append(index),
    )  # fmt: skip
    assert steps == list(range(start, 5))
    assert (done - clean).abs().max() < (0.15 if name == "ddim" else 1e-3)


def test_ddim_goes_on_from_the_middle_as_if_it_had_come_there(any_base):
    """The state after two steps, handed back with start = 2, ends where the whole run ends."""
    z = random(1, 4, 8, 8)
    with torch.no_grad():
        text, _ = encode_pair(any_base, ["a cat"], (), "", 1.0)
    scheduler = make_scheduler(any_base, "ddim", 5)
    whole = sample(any_base, text, None, z, scheduler, cfg_scale=1.0)
    seen = []

    class Spy:
        through_unet = False

        def __call__(self, z, x0, step):
            seen.append(z)
            return z, x0

    sample(any_base, text, None, z, scheduler, cfg_scale=1.0, guide=Spy())
    rest = sample(any_base, text, None, seen[2], scheduler, cfg_scale=1.0, start=2)
    assert torch.equal(rest, whole)


@pytest.fixture(scope="module")
def zero_terminal(tmp_path_factory, small):
    """Settings on a base whose schedule ends in pure noise, as the starter's and SD 2.1's do."""
    from tiny import make_tiny_sd

    folder = make_tiny_sd(tmp_path_factory.mktemp("v") / "base", prediction_type="v_prediction")
    return replace(small, base=replace(small.base, source=str(folder)))


@pytest.mark.parametrize("method", FROM_REFERENCE)
def test_strength_one_is_plain_sampling_from_the_same_noise(make, photo, zero_terminal, method):
    options = {"ref": str(photo), "ref_prompt": ""}
    plain = make(zero_terminal, **options, noise="random", guidance=False)
    full, half = (
        make(zero_terminal, **options, method=method, strength=strength) for strength in (1.0, 0.7)
    )
    for path in (plain / "tiles").iterdir():
        a, b, c = (
            np.asarray(Image.open(folder / "tiles" / path.name)).astype(int)
            for folder in (plain, full, half)
        )
        assert abs(a - b).max() <= 1 and abs(a - c).max() > 3


@pytest.mark.parametrize("method", FROM_REFERENCE)
def test_strength_zero_gives_the_reference_back(by_method, tiny_base, method):
    out = by_method(method, strength=0.0)
    grid = Grid(2, 3, 64, 21)
    reference = TileStore(out, grid).reference()
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
    for (row, col), image in zip(grid.tiles, expected, strict=True):
        tile = np.asarray(Image.open(out / f"tiles/r{row:02d}_c{col:02d}.png")).astype(int)
        assert abs(tile - to_pixels(image).astype(int)).max() <= 1


@pytest.mark.parametrize("shape", [(2, 3), (1, 1), (4, 4)])
def test_a_tiles_latents_are_its_part_of_the_enlarged_picture(shape):
    grid, latents = Grid(*shape, 64, 16), random(4, 2 * shape[0], 2 * shape[1])
    size = (8 * shape[0], 8 * shape[1])
    whole = torch.nn.functional.interpolate(latents[None], size=size, mode="bicubic")[0]
    for row, col in grid.tiles:
        part = whole[:, 8 * row : 8 * row + 8, 8 * col : 8 * col + 8]
        assert torch.allclose(upscaled(latents, grid, (row, col), 8), part, atol=1e-5)


def test_a_reference_of_any_size_is_encoded_whole(tiny_base):
    assert encode_whole(tiny_base, torch.rand(3, 42, 63)).shape == (4, 6, 8)
    picture = torch.rand(3, 48, 64)
    assert torch.allclose(encode_whole(tiny_base, picture), tiny_base.encode(picture[None])[0])


def test_adain_gives_latents_the_mean_and_deviation_of_the_blocks(
    by_method, tiny_base, monkeypatch
):
    """Of the last prediction, at which DPM++ ends."""
    real, ends = studio_module.sample, []

    def sample(*args, **options):
        ends.append(real(*args, **options))
        return ends[-1]

    monkeypatch.setattr(studio_module, "sample", sample)
    out = by_method("adain", batch_size=6)
    reference = TileStore(out, Grid(2, 3, 64, 21)).reference()
    blocks = reference.reshape(3, 2, 21, 3, 21).permute(1, 3, 0, 2, 4).flatten(0, 1)
    wanted, made = tiny_base.encode(enlarge(blocks, 64)).numpy(), ends[0].numpy()
    assert np.allclose(made.mean((2, 3)), wanted.mean((2, 3)), atol=1e-4)
    assert np.allclose(made.std((2, 3)), wanted.std((2, 3)), atol=1e-4)


def test_adain_is_colour_alignment_alone(small, by_method, make, photo):
    ours = by_method("adain")
    switches = {"color": True, "guidance": False, "noise": "random"}
    plain = make(small, ref=str(photo), ref_prompt="", **switches)
    for path in (ours / "tiles").iterdir():
        with Image.open(path) as a, Image.open(plain / "tiles" / path.name) as b:
            assert np.array_equal(np.asarray(a), np.asarray(b))
