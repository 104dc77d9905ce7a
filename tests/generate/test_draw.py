"""Drawing: exactly the tiles that are wanted, in any order, and nothing on disk."""

import builtins
import io
import os
from pathlib import Path
from unittest.mock import create_autospec

import pytest
import torch
from drawn import change

from smalti.configs.errors import SmaltiError
from smalti.generate import denoised
from smalti.generate import draw as draw_module
from smalti.generate.draw import draw
from smalti.generate.job import Job, make_job
from smalti.generate.plan import plan_mosaic


@pytest.fixture(scope="module")
def job(engine, small, concepts) -> Job:
    """The small mosaic with two concepts, so that batches of three are cut from both."""
    options = {"tile_lora": ("sylvie", "eileen"), "tile_prompt": ("a <concept>",), "steps": 2}
    plan = plan_mosaic(change(small, **options), concepts_dir=concepts)
    return make_job(engine, plan, torch.rand(3, 42, 63, generator=torch.manual_seed(0)))


@pytest.fixture(scope="module")
def whole(engine, job) -> dict:
    """Every tile of the job."""
    return {made.tile: made for made in draw(engine, job, job.tiles)}


@pytest.mark.parametrize(
    "wanted",
    [
        [(1, 2), (0, 0)],
        [(0, 1)],
        {(1, 0), (0, 2), (0, 1)},
        [],
    ],
    ids=str,
)
def test_only_wanted_tiles_come_and_they_are_those_of_the_whole(engine, job, whole, wanted):
    made = {one.tile: one for one in draw(engine, job, wanted)}
    assert made.keys() == set(wanted)
    for tile, one in made.items():
        assert torch.equal(one.image, whole[tile].image) and one.facts == whole[tile].facts


def test_the_order_in_which_tiles_are_asked_for_does_not_matter(engine, job, whole):
    made = [one.tile for one in draw(engine, job, list(reversed(job.tiles)))]
    assert made == list(whole)


def test_a_tile_comes_with_what_its_file_says(job, whole):
    for tile, made in whole.items():
        subject = job.subjects[tile]
        assert made.facts == {
            "seed": 0, "correction_energy": 0.0, "concept": subject.concept,
            "prompt": subject.prompt,
        }  # fmt: skip
        assert made.image.shape == (3, 64, 64) and made.image.device.type == "cpu"
        assert made.image.min() >= 0 and made.image.max() <= 1


def test_tiles_are_handed_on_as_they_are_decoded(engine, job, monkeypatch):
    """Whoever stops after a tile has paid for its batch's steps and no other decoding."""
    decode = create_autospec(engine.base.decode, side_effect=engine.base.decode)
    monkeypatch.setattr(engine.base, "decode", decode)
    spy = create_autospec(draw_module.draw_batch, side_effect=draw_module.draw_batch)
    monkeypatch.setattr(draw_module, "draw_batch", spy)
    drawing = draw(engine, job, job.tiles)
    assert spy.call_count == 0
    first = next(drawing)
    assert spy.call_count == 1 and first.tile in spy.call_args.args[3]
    looks = decode.call_count  # the guide's, and the first tile's
    assert decode.call_args.args[0].shape == (1, 4, 8, 8)
    next(drawing)
    assert spy.call_count == 1 and decode.call_count == looks + 1


def test_every_step_of_every_batch_is_told(engine, job):
    told = []
    list(draw(engine, job, job.tiles, lambda index, x0: told.append((index, len(x0)))))
    assert told == [(0, 3), (1, 3)] * 2


def test_nothing_is_written(engine, job, whole, monkeypatch, tmp_path):
    """Neither by opening a file to write, nor by making, moving or removing one."""

    def reading_only(real):
        def call(file, mode="r", *args, **options):
            flags = mode if isinstance(mode, int) else 0
            assert not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT), f"{file} is opened to write"
            assert isinstance(mode, int) or not set(mode) & set("wax+"), f"{file} is to be written"
            return real(file, mode, *args, **options)

        return call

    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", reading_only(open))
        patch.setattr(io, "open", reading_only(io.open))
        patch.setattr(os, "open", reading_only(os.open))
        for name in ("mkdir", "rename", "replace", "remove", "unlink", "rmdir"):
            patch.setattr(os, name, create_autospec(getattr(os, name), side_effect=AssertionError))
        made = {one.tile: one for one in draw(engine, job, job.tiles)}
    assert made.keys() == whole.keys()
    assert not list(Path().iterdir())


@pytest.fixture
def small_memory(monkeypatch):
    """Memory that holds so many tiles and no more; the list has the sizes of all attempts."""
    real, sizes = denoised.denoise, []

    def set_limit(limit: int) -> list[int]:
        def denoise(denoiser, scheduler, latents, *args, **options):
            sizes.append(len(latents))
            if len(latents) > limit:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return real(denoiser, scheduler, latents, *args, **options)

        monkeypatch.setattr(denoised, "denoise", create_autospec(real, side_effect=denoise))
        return sizes

    return set_limit


def test_out_of_memory_halves_the_batch_and_goes_on(engine, job, whole, small_memory):
    """The size that worked is kept for the other concept, too."""
    sizes = small_memory(2)
    made = {one.tile: one for one in draw(engine, job, job.tiles)}
    assert sizes == [3, 1, 1, 1, 1, 1, 1]
    for tile, one in made.items():
        assert torch.allclose(one.image, whole[tile].image, atol=1e-3)


def test_out_of_memory_with_one_tile_says_what_to_lower(engine, job, small_memory):
    small_memory(0)
    with pytest.raises(SmaltiError) as told:
        list(draw(engine, job, job.tiles))
    assert "--tile-size" in str(told.value)
