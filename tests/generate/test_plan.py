"""The plan: what would be drawn, what it costs, and what a mosaic's identity rests on."""

import shutil

import pytest
from drawn import change
from PIL import Image

from smalti.configs.errors import InputError
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
