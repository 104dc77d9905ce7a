"""Names of folders that every file system takes."""

import os
import re
import unicodedata
from datetime import date
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refusals import refused

from smalti.studio.orders.naming import (
    DEFAULT,
    KEYS,
    check_template,
    folded,
    order_facts,
    output_path,
    safe_part,
)
from smalti.studio.orders.ticket import Order

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file, what it forbids.
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
DEVICES = {
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{n}{d}" for n in ("COM", "LPT") for d in "0123456789¹²³"),
}


def acceptable(part: str) -> bool:
    """Whether Windows, macOS and Linux take a part of a path, and nobody is fooled by it."""
    return (
        0 < len(part.encode()) <= 255
        and len(part.encode("utf-16-le")) <= 2 * 255
        and not FORBIDDEN.search(part)
        and part[-1] not in " ."
        and part[0] not in " .~-"
        and part.split(".")[0].rstrip().upper() not in DEVICES
        and not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in part)
        and unicodedata.is_normalized("NFC", part)
    )


hard = st.one_of(
    st.text(max_size=400),
    st.sampled_from(sorted(DEVICES)).flatmap(
        lambda name: st.sampled_from(
            [name, name.lower(), f"{name}.txt", f"{name} .x", f" {name}. "]
        )
    ),
    st.sampled_from(
        ["", ".", "..", "...", "~$x", "a\u202egpj", "é" * 300, "-rf", "/", "\\", "\ud800"]
    ),
)


@settings(max_examples=120, deadline=None)
@given(hard)
def test_any_text_becomes_a_part_that_is_accepted(text):
    part = safe_part(text)
    assert acceptable(part), ascii(part)
    assert safe_part(part) == part


@pytest.mark.parametrize(
    "name", ["Zoë Müller", "王小明", "Дмитрий", "محمد", "राम", "O'Neil & Sons", "김철수"]
)
def test_names_of_any_script_stay(name):
    assert safe_part(name) == unicodedata.normalize("NFC", name)


def test_a_file_system_takes_them(tmp_path):
    for text in ("王" * 300, "a\udce9b", "x." * 200, "CON", "é" * 79):
        folder = tmp_path / safe_part(text)
        folder.mkdir()
        assert folder.name in os.listdir(tmp_path)


def facts(**values) -> dict[str, str]:
    order = Order(**{"reference": "A-1", "customer": "Ann", "size": "20x20cm"} | values)
    return order_facts(order, date(2026, 11, 29), "delivered")


def test_the_usual_template():
    assert str(output_path(DEFAULT, facts())) == "2026-11-29/Ann/A-1_20x20cm"
    assert str(output_path(DEFAULT, facts(customer="", size=""))) == "2026-11-29/A-1"
    assert str(output_path(DEFAULT, facts(customer="../..", size=""))) == "2026-11-29/A-1"


def test_every_key_is_known_of_an_order():
    template = "/".join(f"{{{key}}}" for key in KEYS)
    path = output_path(template, facts(due=date(2026, 12, 24), grid="8x8", preset="draft"))
    assert PurePosixPath("2026-11-29", "Ann", "A-1") == PurePosixPath(*path.parts[:3])
    assert "2026-12-24" in path.parts and "delivered" in path.parts


def test_references_that_look_alike_stay_apart():
    names = ["A/1", "A-1", "A\\1", "A:1", "A 1.", "A 1"]
    paths = {output_path("{reference}", facts(reference=name)) for name in names}
    assert len(paths) == len(names)


def test_case_is_no_difference_on_some_file_systems():
    one = output_path(DEFAULT, facts(reference="ab"))
    other = output_path(DEFAULT, facts(reference="AB"), taken={folded(one)})
    assert folded(one) != folded(other) and other.name.startswith("AB_20x20cm")


@settings(max_examples=50, deadline=None)
@given(hard.filter(bool), hard, hard)
def test_values_never_lead_elsewhere(reference, customer, product):
    told = dict.fromkeys(KEYS, "") | {"reference": reference, "customer": customer}
    path = output_path("{customer}/{reference}_{product}", told | {"product": product})
    assert 1 <= len(path.parts) <= 2 and not path.is_absolute()
    assert all(map(acceptable, path.parts))


@pytest.mark.parametrize(
    ("template", "token"),
    [
        ("{refrence}", "reference"),
        ("{customer}", "{reference}"),
        ("/out/{reference}", "down"),
        ("../{reference}", "down"),
        ("C:/{reference}", "down"),
        ("a//{reference}", "down"),
        ("", "{reference}"),
        ("{reference", "{reference"),
        ("{reference!r}", "alone"),
        ("{reference:>9}", "alone"),
        ("{}{reference}", "Known"),
        ("{reference.customer}", "Known"),
    ],
)
def test_templates_that_are_refused(template, token):
    with refused("--name", token):
        check_template(template)
