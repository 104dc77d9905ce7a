"""A job is plain data: what stands in it, and that a copy draws the same bytes elsewhere."""

import pickle
from dataclasses import fields

import pytest
import torch
from drawn import change

from smalti.generate import job as job_module
from smalti.generate.draw import draw
from smalti.generate.engine import open_engine
from smalti.generate.guidance.calibration import START
from smalti.generate.job import Job, make_job
from smalti.generate.methods import method_of
from smalti.generate.plan import plan_mosaic
from smalti.models.randomness import normal


@pytest.fixture(scope="module")
def job_of(engine, small, concepts):
    """A job of the small mosaic with some settings changed."""

    def make(noise=None, batch=None, **options) -> Job:
        plan = plan_mosaic(change(small, **options), concepts_dir=concepts)
        reference = torch.rand(3, *plan.grid.reference_size, generator=torch.manual_seed(0))
        return make_job(engine, plan, reference, noise=noise, batch=batch)

    return make


@pytest.mark.slow
def test_a_pickled_job_is_drawn_to_the_same_bytes_by_an_engine_that_knows_nothing(
    engine, job_of, pool
):
    """As a worker of orders does in its own process."""
    concept = {"tile_lora": ("sylvie",), "tile_prompt": (), "ref_prompt": "", "steps": 2}
    pooled = job_of(method="match", pool=str(pool), tile_prompt=(), repeat_distance=1)
    pooled = method_of(pooled.mosaic).complete(pooled, pooled.tiles, {}, None)
    jobs = [job_of(**concept), pooled, job_of(method="img2img", steps=2)]
    copies = pickle.loads(pickle.dumps(jobs))
    other = open_engine(
        copies[0].settings.base, copies[0].mosaic.machine, precision=copies[0].precision
    )
    count = 0
    for job, copy in zip(jobs, copies, strict=True):
        pairs = zip(draw(engine, job, job.tiles), draw(other, copy, copy.tiles), strict=True)
        for ours, theirs in pairs:
            assert (ours.tile, ours.facts) == (theirs.tile, theirs.facts)
            assert torch.equal(ours.image, theirs.image)
            count += 1
    assert count == 18


def test_a_job_holds_what_a_process_does_not_own(job_of):
    """Copied through a pickle it says the same; no engine, model or open file is in it."""
    job = job_of(tile_lora=("sylvie",), tile_prompt=())
    copy = pickle.loads(pickle.dumps(job))
    for name in (entry.name for entry in fields(job)):
        ours, theirs = getattr(job, name), getattr(copy, name)
        if name in ("reference", "field"):
            assert torch.equal(ours, theirs)
        elif name == "blocks":
            assert all(torch.equal(ours[tile], theirs[tile]) for tile in job.tiles)
        else:
            assert ours == theirs
    assert len(pickle.dumps(job)) < 4 * (2 * job.reference.nbytes + job.field.nbytes)


def test_blocks_are_cut_from_the_reference_and_subjects_cover_the_grid(job_of):
    job = job_of()
    for (row, col), block in job.blocks.items():
        part = job.reference[:, 21 * row : 21 * row + 21, 21 * col : 21 * col + 21]
        assert torch.equal(block, part)
    assert set(job.subjects) == set(job.grid.tiles) == set(job.tiles)
    assert {s.prompt for s in job.subjects.values()} > {"a dog"}
    assert not any("<color>" in s.prompt for s in job.subjects.values())


def test_groups_share_a_concept_and_cover_the_tiles(job_of):
    job = job_of(tile_lora=("sylvie", "eileen"), tile_prompt=("a <concept>",))
    groups = dict(job.groups())
    assert groups.keys() == {"sylvie", "eileen"}
    assert sorted(tile for group in groups.values() for tile in group) == sorted(job.tiles)
    for concept, group in groups.items():
        assert {job.subjects[tile].concept for tile in group} == {concept}
        assert group == sorted(group)


def test_the_field_comes_from_the_noise_of_a_drawn_reference(job_of):
    noise = normal((4, 8, 8), 5)
    own, drawn = job_of(), job_of(noise=noise)
    assert own.field.shape == drawn.field.shape
    assert not torch.equal(own.field, drawn.field)
    assert torch.equal(job_of(noise=noise, grid="8x8").field, noise)


def test_the_batch_is_the_settings_else_an_earlier_runs_else_memorys(job_of, monkeypatch):
    monkeypatch.setattr(job_module, "choose_batch", lambda *_: 17)
    assert job_of(batch_size=2, batch=5).batch == 2
    assert job_of(batch_size=None, batch=5).batch == 5
    assert job_of(batch_size=None).batch == 17


def test_a_pull_that_nobody_gave_is_to_be_measured(job_of):
    given, measured = job_of(guidance_strength=0.21), job_of(guidance_strength=None)
    assert given.mosaic.guide.guidance_strength == 0.21 and not given.is_measured
    assert measured.mosaic.guide.guidance_strength == START and measured.is_measured
    assert not job_of(method="adain").is_measured
