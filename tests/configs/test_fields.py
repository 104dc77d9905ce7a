"""A setting's facts: which values it takes, and whether a result depends on it."""

import math
from dataclasses import dataclass, fields
from typing import ClassVar, get_args, get_type_hints

import pytest
from refusals import refused

from smalti.configs.base import BaseSettings
from smalti.configs.errors import InputError
from smalti.configs.fields import Group, facts_of, setting
from smalti.configs.mosaic import group_classes, group_names
from smalti.configs.train import TrainSettings

CLASSES = [
    BaseSettings, TrainSettings, *(cls for group in group_names() for cls in group_classes(group)),
]  # fmt: skip


def of_type(*kinds: type) -> list[tuple[type, str]]:
    """Class and name of every setting of these types, or of a list or None beside."""
    hints = {cls: get_type_hints(cls) for cls in CLASSES}
    return [
        (cls, entry.name) for cls in CLASSES for entry in fields(cls)
        if set(kinds) & {hints[cls][entry.name], *get_args(hints[cls][entry.name])}
    ]  # fmt: skip


FLOATS, NUMBERS, TEXTS = of_type(float), of_type(float, int), of_type(str)


@dataclass(frozen=True)
class Oven(Group):
    """Settings of nothing that smalti has."""

    section: ClassVar[str] = "kitchen.oven"

    heat: float = setting(180.0, above=0, at_most=300)
    rack: int = setting(2, at_least=1, at_most=4)
    fan: str = setting("slow", choices=("slow", "fast"))
    timer: float | None = setting(None, above=0, none="off")
    light: bool = setting(False, identity=False)
    label: str = ""


@pytest.mark.parametrize("values", [
    {"heat": 0.1}, {"heat": 300}, {"rack": 1}, {"rack": 4}, {"fan": "fast"}, {"timer": None},
    {"timer": 1e-9}, {"light": True}, {"label": "anything"},
])  # fmt: skip
def test_bounds_are_where_they_are_said_to_be(values):
    oven = Oven(**values)
    assert {name: getattr(oven, name) for name in values} == values


@pytest.mark.parametrize(("values", "named"), [
    ({"heat": 0}, ["kitchen.oven.heat", "0"]),
    ({"heat": 300.5}, ["kitchen.oven.heat", "300", "300.5"]),
    ({"rack": 0}, ["kitchen.oven.rack", "1", "0"]),
    ({"rack": 5}, ["kitchen.oven.rack", "4", "5"]),
    ({"fan": "medium"}, ["kitchen.oven.fan", "slow", "fast", "medium"]),
    ({"timer": 0}, ["kitchen.oven.timer", "0", '"off"']),
    ({"timer": math.nan}, ["kitchen.oven.timer", "nan", '"off"']),
    ({"heat": -math.inf}, ["kitchen.oven.heat", "inf"]),
])  # fmt: skip
def test_what_lies_outside_is_refused_by_its_full_name(values, named):
    with refused(*named):
        Oven(**values)


def test_the_identity_leaves_out_what_no_result_depends_on():
    assert Oven(rack=3).identity() == {
        "heat": 180.0, "rack": 3, "fan": "slow", "timer": None, "label": "",
    }  # fmt: skip


def test_a_plain_field_has_no_side_facts():
    label = next(entry for entry in fields(Oven) if entry.name == "label")
    assert facts_of(label).identity and not facts_of(label).choices and not facts_of(label).none


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_every_number_of_smalti_must_be_finite(value):
    assert len(FLOATS) > 20
    for cls, name in FLOATS:
        with pytest.raises(InputError) as caught:
            cls(**{name: value})
        assert f"{cls.section}.{name}" in str(caught.value)


@pytest.mark.parametrize("value", [1e30, -1e30, 10**5000], ids=["high", "low", "digits"])
def test_every_number_of_smalti_has_a_sane_range(value):
    assert len(NUMBERS) > 40
    for cls, name in NUMBERS:
        with pytest.raises(InputError) as caught:
            cls(**{name: value})
        assert f"{cls.section}.{name}" in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["caf\udce9", "null\0", "\ud800"], ids=ascii)
def test_every_text_of_smalti_is_text_and_only_names_of_files_may_be_bytes(text):
    assert len(TEXTS) > 10
    for cls, name in TEXTS:
        entry = next(e for e in fields(cls) if e.name == name)
        value = (text,) if isinstance(entry.default, tuple) else text
        if text == "caf\udce9" and facts_of(entry).path:
            assert getattr(cls(**{name: value}), name) == value
            continue
        with pytest.raises(InputError) as caught:
            cls(**{name: value})
        assert f"{cls.section}.{name}" in str(caught.value)
        str(caught.value).encode()


def test_a_list_that_must_be_filled_is():
    with refused("train.validation_prompts"):
        TrainSettings(validation_prompts=())


@pytest.mark.parametrize("cls", CLASSES)
def test_what_may_be_none_has_a_word_for_it_and_nothing_else_has(cls):
    hints = get_type_hints(cls)
    optional = {entry.name for entry in fields(cls) if type(None) in get_args(hints[entry.name])}
    assert {entry.name for entry in fields(cls) if facts_of(entry).none} == optional
