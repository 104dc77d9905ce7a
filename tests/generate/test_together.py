"""Several concepts in one picture: who is named, where each stands, what each pass says."""

from dataclasses import replace

import pytest
import torch
from drawn import change
from refusals import refused
from torch.nn.functional import pad

from smalti.configs.mosaic import changed, mosaic_settings
from smalti.generate.draw import draw
from smalti.generate.job import make_job
from smalti.generate.plan import plan_mosaic
from smalti.generate.reference import planned_noise, reference_noise, reference_picture
from smalti.generate.subjects import Subject
from smalti.generate.together import Cast, mean_cost, passes
from smalti.models.denoising import denoise, make_scheduler
from smalti.models.edlora import set_active

BOTH = "a <sylvie> and a <eileen> in a red dress"
PAIR = {"ref_lora": ("sylvie", "eileen"), "ref_prompt": BOTH, "tile_prompt": ("a dog",)}


@pytest.fixture
def cast(concepts):
    """A cast of the concepts' adapters, with regions."""

    def of(*names: str, regions: tuple[str, ...] = ()) -> Cast:
        return Cast({n: concepts / n / "edlora.safetensors" for n in names}, regions)

    return of


def test_each_pass_says_its_own(cast):
    company = cast("sylvie", "eileen").company(BOTH)
    sylvie, eileen = company.members
    assert company.whole(BOTH) == "a girl and a girl in a red dress"
    assert company.own(BOTH, sylvie) == "a <sylvie-1> <sylvie-2> in a red dress"
    assert company.own(BOTH, eileen) == "a <eileen-1> <eileen-2> in a red dress"
    assert company.boxes == ((0, 0, 0.5, 1), (0.5, 0, 1, 1))


@pytest.mark.parametrize(
    ("prompt", "own"),
    [
        ("<eileen> with <Sylvie>", "<eileen-1> <eileen-2>"),
        ("<eileen> in front of <sylvie>", "<eileen-1> <eileen-2> in front of girl"),
        ("a dog, the <sylvie>, and an <eileen>", "a dog, an <eileen-1> <eileen-2>"),
    ],
)
def test_names_in_a_row_make_room_for_one(cast, prompt, own):
    company = cast("sylvie", "eileen").company(prompt)
    eileen = next(member for member in company.members if member.name == "eileen")
    assert company.own(prompt, eileen) == own


def test_one_name_is_drawn_by_its_own_adapter_alone(cast):
    known = cast("sylvie", "eileen")
    assert known.company("a <eileen>") is None
    assert known.show(Subject("sylvie", "a <eileen>")).concept == "eileen"
    assert known.show(Subject("sylvie", "a <concept>")).concept == "sylvie"
    assert known.show(Subject("sylvie", BOTH)).concept == "sylvie + eileen"
    assert known.spoken("a <eileen>", "-") == "a <eileen-1> <eileen-2>"


def test_regions_are_whose_they_say(cast):
    regions = ("eileen=0,0,0.4,1", "Sylvie=0.4,0,1,0.8")
    company = cast("sylvie", "eileen", regions=regions).company(BOTH)
    assert company.boxes == ((0.4, 0, 1, 0.8), (0, 0, 0.4, 1))


@pytest.mark.parametrize(
    ("regions", "prompt", "named"),
    [
        ((), "<sylvie> and <harry>", "<harry>"),
        ((), "<sylvie> and a <concept>", "<concept>"),
        (("sylvie=0,0,0.5,1",), BOTH, "eileen"),
        (("sylvie=0,0,0.5,1", "eileen=0.5,0,1,0.5", "harry=0.5,0.5,1,1"), BOTH, "harry"),
        (("sylvie=0,0,0.5,1",), "a <sylvie>", "sylvie"),
    ],
)
def test_what_does_not_fit_together_is_refused(cast, regions, prompt, named):
    with refused(named):
        cast("sylvie", "eileen", regions=regions).check([prompt])


def test_two_of_one_name_have_to_be_told_apart(cast):
    known = cast("sylvie", "girls/sylvie")
    known.check(["a <concept>"])
    with refused("<sylvie>", "girls/sylvie"):
        known.check(["a <sylvie>"])
    known.check(["a <girls-sylvie>"])


def test_passes_are_counted(cast):
    """A fifth of the steps has one picture's two passes, the others two of each window's size."""
    known, mosaic = cast("sylvie", "eileen"), mosaic_settings(cfg_scale=5.0)
    company = known.company(BOTH)
    assert passes(None, mosaic.sampler) == 2
    assert passes(company, mosaic.sampler) == pytest.approx(2 * (0.2 + 0.8 * 1.25))
    gaps = replace(company, boxes=((0, 0, 0.5, 1), (0.5, 0, 1, 0.5)))
    assert passes(gaps, mosaic.sampler) == pytest.approx(2 * (0.2 + 0.8 * (0.625 + 0.625**2 + 1)))
    half = changed(mosaic, tile_prompt=(BOTH, "a <concept>"))
    assert mean_cost(known, half) == pytest.approx((1.2 + 1) / 2)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"ref_lora": ("sylvie", "eileen"), "ref_prompt": "two girls"}, "--ref-prompt"),
        ({"ref_lora": ("sylvie",), "ref_prompt": BOTH}, "<eileen>"),
        ({**PAIR, "region": ("sylvie=0,0,0.5,1", "harry=0.5,0,1,1")}, "eileen"),
        ({"tile_lora": ("sylvie",), "tile_prompt": ("<sylvie> with <harry>",)}, "<harry>"),
    ],
)
def test_a_plan_refuses_bad_company(small, concepts, options, named):
    with refused(named):
        plan_mosaic(change(small, **{"tile_prompt": ("a dog",)} | options), concepts_dir=concepts)


def test_without_a_prompt_the_reference_shows_all(small, concepts):
    options = {"ref_lora": ("sylvie", "eileen"), "ref_prompt": "", "tile_prompt": ()}
    plan = plan_mosaic(change(small, **options), concepts_dir=concepts)
    assert plan.settings.mosaic.picture.ref_prompt == "a <sylvie> and a <eileen>"
    assert plan.settings.mosaic.picture.tile_lora == ("sylvie", "eileen")
    assert "sylvie + eileen" in plan.facts()["together"]


def test_one_concept_is_one_as_it_always_was(small, concepts):
    one, named = (
        plan_mosaic(change(small, ref_lora=name, ref_prompt=""), concepts_dir=concepts)
        for name in ("sylvie", ("sylvie",))
    )
    assert one.identity == named.identity and one.identity["ref_lora"] == "sylvie"
    assert plan_mosaic(small, concepts_dir=concepts).identity["ref_lora"] == ""


def test_the_reference_blends_passes_with_each_adapter(engine, small, concepts):
    """Against adapters switched on and off by peft, and x0 blended by hand."""
    settings = change(small, **PAIR, concept_cfg_scale=2.0, cfg_scale=3.0, regions_start=0.4)
    plan = plan_mosaic(settings, concepts_dir=concepts)
    noise = reference_noise(engine.base, 0)
    ours = reference_picture(engine, plan, noise)

    base, paths = engine.base, [plan.adapters[name] for name in ("sylvie", "eileen")]
    adapters = [engine.adapter(path) for path in paths]
    said = [f"a {adapter.trigger} in a red dress" for adapter in adapters]
    texts = [engine.encode([t], p, 1.0)[t] for t, p in zip(said, paths, strict=True)]
    common = "a girl and a girl in a red dress"
    whole, negative = (engine.encode([t], None, 1.0)[t] for t in (common, ""))
    engine.activate(None, 1.0)
    columns = (torch.arange(8) + 0.5) / 8
    left = ((0.5 - columns) / 0.125 + 0.5).clamp(0, 1)

    def clean(z, level, conditioning, scale, active):
        set_active(base, [])
        without = base.network(z, level.timestep, negative)
        set_active(base, active)
        wanted = base.network(z, level.timestep, conditioning)
        return base.denoiser.clean(without + scale * (wanted - without), z, level)

    class ByHand:
        carry = staticmethod(base.denoiser.carry)

        def __call__(self, z, level, conditioning, share):
            if share < 0.4:
                return clean(z, level, whole, 3.0, [])
            one = clean(z[..., :5], level, texts[0], 2.0, [adapters[0].name])
            other = clean(z[..., 3:], level, texts[1], 2.0, [adapters[1].name])
            return left * pad(one, (0, 3)) + (1 - left) * pad(other, (3, 0))

    with torch.no_grad():
        latents = denoise(ByHand(), make_scheduler(base, "dpm++", 3), noise[None], whole)
        theirs = base.decode(latents)[0].clamp(0, 1)
    set_active(base, [])
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_a_tile_of_two_is_drawn_beside_tiles_of_one(engine, small, concepts):
    """Whatever batch it is in; the others are what they are without it."""
    prompts, options = ("<eileen> with <sylvie>", "a <eileen>"), {"grid": "1x4", "steps": 2}

    def drawn(batch: int, *wanted: str) -> dict:
        settings = change(
            small, tile_lora=("sylvie", "eileen"), tile_prompt=wanted, guidance=False, **options
        )
        plan = plan_mosaic(settings, concepts_dir=concepts)
        job = make_job(engine, plan, torch.zeros(3, 21, 84))
        return {made.tile: made for made in draw(engine, replace(job, batch=batch), job.tiles)}

    pairs, singles, alone = drawn(2, *prompts), drawn(1, *prompts), drawn(2, prompts[1])
    assert {made.facts["concept"] for made in pairs.values()} == {"eileen + sylvie", "eileen"}
    for tile, made in pairs.items():
        assert torch.allclose(made.image, singles[tile].image, atol=1e-4)
        same = torch.allclose(made.image, alone[tile].image, atol=1e-4)
        assert same == (made.facts["concept"] == "eileen")


@pytest.mark.parametrize(
    ("grid", "size"), [("4x4", (8, 8)), ("4x8", (8, 16)), ("9x2", (24, 8)), ("6x5", (8, 8))]
)
def test_a_reference_of_several_has_the_grids_aspect(engine, small, concepts, grid, size):
    """In steps of 8 latent pixels, and at most three times as long; of one it is a square."""
    several = plan_mosaic(change(small, **PAIR, grid=grid), concepts_dir=concepts)
    assert planned_noise(engine.base, several).shape == (4, *size)
    one = plan_mosaic(change(small, grid=grid), concepts_dir=concepts)
    assert torch.equal(planned_noise(engine.base, one), reference_noise(engine.base, 0))
