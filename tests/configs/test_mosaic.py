"""Mosaic settings in groups: built by name, refused where nothing reads them, identified."""

from collections import Counter
from dataclasses import fields

import pytest
from refusals import refused

from smalti.configs.guides import GUIDES, ExactSettings
from smalti.configs.methods import METHODS
from smalti.configs.mosaic import (
    MosaicSettings,
    build_mosaic,
    changed,
    group_classes,
    group_names,
    mosaic_settings,
    setting_facts,
    setting_groups,
    setting_types,
)


def test_no_two_groups_have_a_setting_of_the_same_name():
    """That is why a setting may be written without its group."""
    owners = {
        (group, entry.name)
        for group in group_names() for cls in group_classes(group) for entry in fields(cls)
    }  # fmt: skip
    assert [n for n, count in Counter(name for _, name in owners).items() if count > 1] == []
    assert {(group, name) for name, group in setting_groups().items() if name != group} == owners
    assert setting_types().keys() == setting_facts().keys() == setting_groups().keys()


def test_settings_by_name_find_their_groups():
    mosaic = mosaic_settings(
        steps=9, grid="2x3", guide="exact", guidance_weight=7.0, method="smalti", color=True,
        batch_size=4,
    )  # fmt: skip
    assert (mosaic.sampler.steps, mosaic.picture.grid, mosaic.machine.batch_size) == (9, "2x3", 4)
    assert mosaic.guide == ExactSettings(guidance_weight=7.0)
    assert mosaic.method.color is True
    assert build_mosaic(mosaic.flat()) == mosaic, "all of them by name are the same settings"


@pytest.mark.parametrize(("name", "chosen"), [
    *(("guide", name) for name in GUIDES), *(("method", name) for name in METHODS),
])  # fmt: skip
def test_every_guide_and_method_is_built_by_its_name(name, chosen):
    mosaic = mosaic_settings(**{name: chosen})
    assert mosaic.flat()[name] == chosen
    assert build_mosaic(mosaic.flat()) == mosaic


@pytest.mark.parametrize(("values", "named"), [
    ({"guidance_weight": 3.0}, ["mosaic.guidance_weight", "exact", "projection"]),
    ({"guide": "exact", "corrections": 2}, ["mosaic.corrections", "projection", "exact"]),
    ({"blend": 0.3}, ["mosaic.blend", "noise-blend", "smalti"]),
    ({"method": "tone", "repeat_distance": 1}, ["mosaic.repeat_distance", "match", "tone"]),
    ({"guide": "exakt"}, ["mosaic.guide", "exakt", "exact"]),
    ({"method": "mosaic"}, ["mosaic.method", "mosaic", "smalti", "match"]),
])  # fmt: skip
def test_what_the_chosen_guide_or_method_does_not_read_is_refused(values, named):
    with refused(*named):
        mosaic_settings(**values)


def test_what_nobody_asked_for_is_left_out_quietly():
    """A preset of one guide, and another guide chosen over it."""
    built = build_mosaic({"guide": "exact", "corrections": 2, "blend": 0.3}, frozenset({"guide"}))
    assert built == mosaic_settings(guide="exact")


def test_a_change_keeps_what_was_set_and_still_is_read():
    mosaic = mosaic_settings(guide="x0-gradient", guidance_strength=0.3, inner_steps=2, steps=9)
    other = changed(mosaic, guide="projection")
    assert other == mosaic_settings(guide="projection", guidance_strength=0.3, steps=9)
    with refused("mosaic.inner_steps"):
        changed(other, inner_steps=3)


# --- identity ---------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [
    {"batch_size": 3}, {"compile": True}, {"attention": "xformers"}, {"mixed_precision": "no"},
    {"ref": "moved.jpg"},
])  # fmt: skip
def test_how_tiles_are_computed_is_no_part_of_the_identity(change):
    assert mosaic_settings(**change).identity() == MosaicSettings().identity()


@pytest.mark.parametrize("change", [
    {"steps": 7}, {"seed": 1}, {"grid": "2x2"}, {"tile_prompt": ("a cat",)}, {"noise": "random"},
    {"guidance_strength": 0.3}, {"guide": "exact"}, {"method": "adain"}, {"cfg_scale": 3.0},
    {"tint": 0.1}, {"guidance": False},
])  # fmt: skip
def test_what_a_tile_depends_on_is(change):
    assert mosaic_settings(**change).identity() != MosaicSettings().identity()


def test_settings_of_other_methods_and_of_a_guide_that_is_off_leave_no_trace():
    """As a preset or a file may have them."""
    off = build_mosaic({"guidance": False, "guidance_strength": 0.3, "guidance_start": 0.5})
    assert off.identity() == mosaic_settings(guidance=False).identity()
    for method in (name for name, kind in METHODS.items() if not kind.guided):
        exact = build_mosaic({"method": method, "guide": "exact"})
        assert exact.identity() == mosaic_settings(method=method).identity()


UNGUIDED = sorted(name for name, kind in METHODS.items() if not kind.guided)


@pytest.mark.parametrize("method", UNGUIDED)
def test_a_guide_that_nothing_follows_is_refused_when_it_is_asked_for(method):
    for asked in (
        {"guide": "exact"}, {"guidance_strength": 0.3}, {"target_ssim": 0.9}, {"guidance": True},
        {"guidance_end": 0.5}, {"guidance": False, "corrections": 2},
    ):  # fmt: skip
        named = min(asked.keys() - {"guidance"}, default="guidance")
        with refused(f"mosaic.{named}", method):
            mosaic_settings(method=method, **asked)
    mosaic_settings(method=method, guidance=False)
    # A preset's and a file's settings only wait for a method that reads them.
    build_mosaic({"method": method, "guide": "exact"}, frozenset({"method"}))


def test_settings_of_a_guide_that_is_off_are_refused_when_they_are_asked_for():
    with refused("mosaic.guidance_strength"):
        mosaic_settings(guidance=False, guidance_strength=0.3)
    mosaic_settings(guidance=False, guide="exact")
    assert changed(mosaic_settings(guidance=False), guidance=True, guidance_strength=0.3)
