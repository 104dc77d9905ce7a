"""The reference that smalti draws: its own steps and scale, and the mosaic's kernel."""

from dataclasses import replace

import pytest
import torch
from drawn import change

from smalti.generate.plan import plan_mosaic
from smalti.generate.reference import reference_noise, reference_picture
from smalti.models.denoising import denoise, draw_pictures, make_scheduler
from smalti.models.edlora import set_active


@pytest.fixture
def drawn(engine, small, concepts):
    """The reference of the small mosaic with some settings changed."""

    def draw(**options) -> torch.Tensor:
        plan = plan_mosaic(change(small, **options), concepts_dir=concepts)
        noise = reference_noise(engine.base, plan.settings.mosaic.picture.seed)
        return reference_picture(engine, plan, noise)

    return draw


def test_it_takes_its_own_steps_and_no_fewer_than_tiles(drawn):
    few, same, more = (drawn(steps=2, reference_steps=n) for n in (1, 2, 4))
    assert torch.equal(few, same) and not torch.equal(same, more)


def test_it_takes_its_own_guidance_scale(drawn):
    """Without one it is the tiles' own; another gives what it would give if tiles had it too."""
    tiles, same, other, both = (
        drawn(cfg_scale=4.0),
        drawn(cfg_scale=4.0, reference_cfg_scale=4.0),
        drawn(cfg_scale=4.0, reference_cfg_scale=1.5),
        drawn(cfg_scale=1.5),
    )
    assert torch.equal(tiles, same) and torch.equal(other, both)
    assert not torch.equal(same, other)


def test_it_shows_its_concept_as_training_previews_do(drawn, engine, concepts, monkeypatch):
    """Against the plain drawing of pictures that training uses, from the same noise."""
    path = concepts / "sylvie/edlora.safetensors"
    ours = drawn(ref_lora="sylvie", ref_prompt="a photo of a <concept>", seed=3)
    adapter, noise = engine.adapter(path), reference_noise(engine.base, 3)
    monkeypatch.setattr("smalti.models.denoising.normal", lambda *_: noise)
    engine.activate(None, 1.0)
    set_active(engine.base, [adapter.name])
    prompt = f"a photo of a {adapter.trigger}"
    (theirs,) = draw_pictures(engine.base, [prompt], [adapter], [0], 3, 7.5, scheduler="dpm++")
    set_active(engine.base, [])
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_concept_leaves_the_base_without_it(drawn, engine, concepts):
    """Its scale mixes what base and adapter put out, each by a pass of its own."""
    path = concepts / "sylvie/edlora.safetensors"
    options = {"ref_lora": "sylvie", "ref_prompt": "a <concept>", "seed": 3}
    ours = drawn(**options, concept_cfg_scale=2.5)
    assert not torch.equal(ours, drawn(**options, cfg_scale=2.5))
    assert torch.equal(drawn(concept_cfg_scale=2.5), drawn())  # shows no concept
    base, adapter = engine.base, engine.adapter(path)
    engine.activate(None, 1.0)
    negative = base.encode_text([""])
    shown = engine.encode([f"a {adapter.trigger}"], path, 1.0)[f"a {adapter.trigger}"]

    def network(z, timestep, conditioning):
        set_active(base, [])
        without = base.network(z, timestep, negative)
        set_active(base, [adapter.name])
        return without + 2.5 * (base.network(z, timestep, conditioning) - without)

    by_hand = replace(base.denoiser, network=network)
    noise = reference_noise(base, 3)[None]
    with torch.no_grad():
        clean = denoise(by_hand, make_scheduler(base, "dpm++", 3), noise, shown)
        theirs = base.decode(clean)[0].clamp(0, 1)
    set_active(base, [])  # as the engine has it, which was not asked above
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_it_takes_the_kernel_of_its_mosaic_whatever_was_drawn_before(drawn, engine, small):
    def kinds() -> set[type]:
        return {type(processor) for processor in engine.base.unet.attn_processors.values()}

    engine.choose_attention(change(small, guide="exact").mosaic)
    with_gradients = kinds()
    drawn()
    plain = kinds()
    drawn(guide="exact")
    assert kinds() == with_gradients != plain


def test_a_photo_is_read(engine, small, photo, tmp_path):
    plan = plan_mosaic(change(small, ref=str(photo), ref_prompt=""), concepts_dir=tmp_path)
    picture = reference_picture(engine, plan, None)
    assert picture.shape == (3, 96, 96)
    assert torch.allclose(picture[0, 0], torch.linspace(0, 1, 96), atol=1 / 255)
