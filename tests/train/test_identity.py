"""What a run may not change while it goes on, and what it may."""

from dataclasses import Field, fields, replace
from pathlib import Path

import pytest
from training import with_train

from smalti.configs.errors import InputError
from smalti.configs.fields import facts_of
from smalti.configs.settings import Settings, TrainSettings
from smalti.train.concept import load_concept
from smalti.train.earlier import EarlierWork
from smalti.train.identity import check_goes_on, data_digest, identity_of

WORK = Path("concepts/mug/.training")
# How a run is computed and watched; everything else makes another adapter.
FREE = {
    "steps", "gradient_checkpointing", "attention", "checkpoint_every", "keep_checkpoints",
    "validate_every", "validation_steps", "validation_prompts", "judge_every", "patience",
    "keep_judged",
}  # fmt: skip


def other(entry: Field, value: object) -> object:
    """Another value that the setting can take."""
    if choices := facts_of(entry).choices:
        return next(choice for choice in choices if choice not in (value, "auto"))
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (*value, "a {class_word}")
    if isinstance(value, str):
        return "cup"
    if isinstance(value, float):
        return value / 2 or 0.5
    return 1 if value is None else 3


@pytest.mark.parametrize("entry", fields(TrainSettings), ids=lambda entry: entry.name)
def test_what_changes_the_adapter_is_part_of_the_identity(folder, settings, entry: Field):
    concept = load_concept(folder)
    value = other(entry, getattr(settings.train, entry.name))
    changed = with_train(settings, **{entry.name: value})
    assert changed != settings
    identities = [identity_of(concept, s, "abc", 1) for s in (settings, changed)]
    assert (identities[0] == identities[1]) == (entry.name in FREE)


def test_base_resolution_processes_and_images_are_part_of_it_too(folder, settings: Settings):
    concept = load_concept(folder)
    begun = identity_of(concept, settings, "abc", 1)
    check_goes_on(WORK, begun, identity_of(load_concept(folder), settings, "abc", 1))
    larger = replace(settings, base=replace(settings.base, resolution=128))
    (folder / "p0.txt").write_text("a blue <concept>")
    for name, now in {
        "base": identity_of(concept, settings, "def", 1),
        "resolution": identity_of(concept, larger, "abc", 1),
        "processes": identity_of(concept, settings, "abc", 2),
        "images": identity_of(load_concept(folder), settings, "abc", 1),
    }.items():
        with pytest.raises(InputError) as caught:
            check_goes_on(WORK, begun, now)
        assert name in str(caught.value) and "--restart" in str(caught.value)


def test_the_data_are_images_captions_and_the_masks_that_are_used(folder, settings: Settings):
    def key(use_masks: bool = True) -> str:
        return data_digest(load_concept(folder), replace(settings.train, use_masks=use_masks))

    with_masks, without = key(), key(use_masks=False)
    (folder / "p1.mask.png").unlink()
    assert key() != with_masks and key(use_masks=False) == without
    (folder / "p0.txt").unlink()
    assert key(use_masks=False) != without


def test_a_run_of_an_earlier_smalti_is_refused_in_one_line(folder, settings: Settings):
    now = identity_of(load_concept(folder), settings, "abc", 1)
    before = {key: value for key, value in now.items() if key != "randomness"}
    with pytest.raises(InputError) as caught:
        check_goes_on(WORK, before, now)
    said = str(caught.value)
    assert "--restart" in said and str(WORK) in said and "\n" not in said


@pytest.mark.parametrize(
    ("asked", "begun", "taken"), [("auto", "bf16", "bf16"), ("no", "bf16", "no")]
)
def test_auto_goes_on_as_the_run_began(asked: str, begun: str, taken: str):
    earlier = EarlierWork(2, {"mixed_precision": begun}, 0.0)
    assert earlier.precision(asked) == taken
