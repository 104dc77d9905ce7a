"""The plan: what would be drawn, what it costs, and what a mosaic's identity rests on."""

import shutil
from dataclasses import replace

import pytest
from drawn import change
from PIL import Image

from smalti.configs.errors import InputError
from smalti.generate import footprint
from smalti.generate.grid import Grid
from smalti.generate.plan import MAX_LCM_STEPS, plan_mosaic


def test_the_plan_says_what_would_be_done(small, concepts):
    plan = plan_mosaic(change(small, tile_lora=("sylvie",)), concepts_dir=concepts)
    facts = plan.facts()
    for name, numbers in {
        "grid": ("2 x 3", "6", "64"), "mosaic": ("192 x 128",), "reference": ("63 x 42", "21"),
        "guide": ("projection", "8 x 8"), "tiles": ("a dog", "sylvie"), "method": ("smalti",),
        "base": ("tiny",), "batch": ("3",),
    }.items():  # fmt: skip
        assert all(number in facts[name] for number in numbers), facts[name]
    assert plan.adapters == {"sylvie": concepts / "sylvie/edlora.safetensors"}
    assert "drawn anew" not in facts


def test_what_takes_longer_is_estimated_longer(small, tmp_path):
    def seconds(**options) -> float:
        return plan_mosaic(change(small, **options), concepts_dir=tmp_path).seconds

    plain = seconds(guidance=False)
    assert 0 < plain < seconds() < seconds(guide="exact")
    assert seconds(guidance=False, grid="4x6") == pytest.approx(4 * plain)
    assert seconds(guidance=False, cfg_scale=1.0) < seconds(guidance=False, cfg_end=0.5) < plain


def identity_of(settings, concepts) -> dict:
    return plan_mosaic(settings, concepts_dir=concepts).identity


@pytest.mark.parametrize(
    "options", [{"batch_size": 1}, {"mixed_precision": "bf16"}, {"compile": True}], ids=str
)
def test_the_machine_is_no_part_of_the_identity(small, tmp_path, options):
    """But for the precision, which is resolved when the mosaic is begun."""
    assert identity_of(change(small, **options), tmp_path) == identity_of(small, tmp_path)


def test_files_count_by_content_and_not_by_place(small, concepts, photo, tmp_path):
    """A moved photo is the same; another photo, and an adapter trained anew, are not."""
    moved = shutil.copy(photo, tmp_path / "moved.png")
    Image.new("RGB", (80, 70)).save(tmp_path / "other.png")

    def identity(path, adapter=concepts):
        options = {"ref": str(path), "ref_prompt": "", "tile_lora": ("sylvie",)}
        return identity_of(change(small, **options), adapter)

    mine = shutil.copytree(concepts, tmp_path / "concepts")
    assert identity(photo) == identity(moved) == identity(photo, mine)
    assert identity(photo) != identity(tmp_path / "other.png")
    shutil.copy(concepts / "eileen/edlora.safetensors", mine / "sylvie/edlora.safetensors")
    assert identity(photo) != identity(photo, mine)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"scheduler": "lcm", "steps": MAX_LCM_STEPS + 1}, str(MAX_LCM_STEPS)),
        ({"guide": "lpips", "lpips": "nowhere"}, "nowhere"),
        ({"tile_lora": ("nobody",)}, "nobody"),
        ({"ref": "none.jpg", "ref_prompt": ""}, "none.jpg"),
        ({"grid": "0x3"}, "--grid"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_before_anything_is_loaded(small, concepts, options, named):
    with pytest.raises(InputError) as told:
        plan_mosaic(change(small, **options), concepts_dir=concepts)
    assert named in str(told.value)


def test_lpips_needs_no_weights_where_it_does_not_guide(small, tmp_path):
    plan_mosaic(change(small, guide="lpips", guidance=False), concepts_dir=tmp_path)


def test_what_no_memory_can_hold_is_refused_unless_it_is_asked_for(small, tmp_path, monkeypatch):
    """Activations grow with a tile's area; a mosaic's pixels are held twice, 3 bytes each."""
    auto = change(small, batch_size=None)

    def plan(**options):
        return plan_mosaic(change(auto, **options), concepts_dir=tmp_path)

    one, two = (footprint.expected_bytes(auto, Grid(1, 1, side, 8)) for side in (64, 128))
    assert two[0] == 4 * one[0] and two[1] == 2 * 3 * 128**2
    monkeypatch.setattr(footprint, "total_memory", lambda device: one[0])
    assert plan(grid="1x1").facts()["memory"]
    for options, named in (
        ({"grid": "1x1", "tile_size": 72}, "--tile-size"),
        ({"grid": "256x256"}, "16384 x 16384"),
    ):
        with pytest.raises(InputError) as told:
            plan(**options)
        assert named in str(told.value) and "--batch-size" in str(told.value)
        plan(**options, batch_size=1)


def test_a_base_is_as_wide_as_its_folder_says(small, tiny_base):
    widths = footprint.expected_widths(small)
    assert widths == (tiny_base.network_width, tiny_base.decoder_width, tiny_base.latent_factor)
    elsewhere = replace(small, base=replace(small.base, source="nobody/nothing"))
    assert footprint.expected_widths(elsewhere) == (320, 128, 8)  # Stable Diffusion's
