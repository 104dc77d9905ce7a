"""From settings to the guide of a batch: each gets its own numbers, and the right decoder."""

from dataclasses import replace

import pytest
import torch
from drawn import change

from smalti.configs.errors import InputError
from smalti.configs.guides import GUIDES
from smalti.generate.engine import open_engine
from smalti.generate.guidance.making import low_pass, make_guide
from smalti.generate.job import make_job
from smalti.generate.plan import plan_mosaic

BLOCKS = torch.zeros(1, 3, 21, 21)


@pytest.fixture(scope="module")
def job_of(engine, small, tmp_path_factory):
    """A job of the small mosaic with other settings."""

    def make(own=None, settings=small, **options):
        plan = plan_mosaic(change(settings, **options), concepts_dir=tmp_path_factory.getbasetemp())
        return make_job(own or engine, plan, torch.full((3, 42, 63), 0.5))

    return make


@pytest.mark.parametrize("name", GUIDES)
def test_every_guide_is_made_and_is_none_when_off(engine, job_of, lpips_weights, name):
    weights = {"lpips": str(lpips_weights)} if name == "lpips" else {}
    guide = make_guide(engine, job_of(guide=name, **weights), BLOCKS)
    assert guide.through_unet == GUIDES[name].through_unet
    assert make_guide(engine, job_of(guide=name, guidance=False), BLOCKS) is None


def test_a_guide_pulls_as_much_as_the_job_says(engine, job_of):
    assert make_guide(engine, job_of(guidance_strength=0.3), BLOCKS).strength == 0.3


@pytest.mark.parametrize(
    ("options", "cells", "size"),
    [({}, 8, 21), ({"low_pass_cells": 100}, 8, 21), ({"guidance_size": 40}, 8, 40)],
    ids=str,
)
def test_the_band_has_no_more_cells_than_a_tile_has_latents(job_of, options, cells, size):
    """64 px are 8 latents; G compares at the block's size unless told otherwise."""
    job = job_of(guide="exact", **options)
    assert job.band_cells == cells
    assert low_pass(job)(torch.zeros(1, 3, 64, 64)).shape[-1] == size


@pytest.mark.parametrize("proof", [False, True])
def test_looks_go_through_the_decoder_that_draws_the_tiles(job_of, small, tmp_path, proof):
    from tiny import make_vae

    make_vae("tiny").save_pretrained(tmp_path / "taesd")
    with_tiny = replace(small, base=replace(small.base, tiny_vae=str(tmp_path / "taesd")))
    own = open_engine(with_tiny.base, with_tiny.mosaic.machine)
    guide = make_guide(own, job_of(own, with_tiny, proof=proof), BLOCKS)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = own.base.tiny_decoder(latents) if proof else own.base.decode(latents)
    assert torch.equal(guide.decode(latents), expected)


def test_a_missing_tiny_decoder_is_named(engine, job_of):
    with pytest.raises(InputError) as told:
        make_guide(engine, job_of(guide="x0-gradient", guide_decoder="tiny"), BLOCKS)
    assert "base.tiny_vae" in str(told.value)
