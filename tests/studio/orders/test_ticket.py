"""What a ticket may say, and how all of its faults are told."""

import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from customers import photo, photos, trained

from smalti.configs.errors import InputError
from smalti.studio.orders.ticket import BadTicket, Order, check_ticket

LEAST = {"reference": "A-1", "picture": "a.png", "tile_prompts": ["red"]}


@pytest.fixture
def where(tmp_path) -> Path:
    photo(tmp_path / "a.png")
    photos(tmp_path / "girl")
    trained(tmp_path / "concepts", "pim")
    photos(tmp_path / "concepts" / "bolt")
    return tmp_path


def told(where: Path, _inside: bool = True, **values) -> Order:
    concepts = where / "concepts"
    return check_ticket(LEAST | values, where, concepts_dir=concepts, inside=_inside)


def faults(where: Path, _inside: bool = True, **values) -> list[str]:
    with pytest.raises(BadTicket) as caught:
        told(where, _inside, **values)
    return caught.value.faults


def test_paths_become_absolute_and_names_proper(where):
    order = told(where, concept="girl", consent="yes", tile_concepts="PIM")
    assert (order.picture, order.concept) == (str(where / "a.png"), str(where / "girl"))
    assert order.photos == where / "girl" and order.tile_concepts == ("pim",)
    assert told(where, concept="Pim").photos is None


def test_every_fault_is_told_at_once(where):
    (where / "b.png").write_bytes(b"no picture")
    found = faults(
        where, reference="", duee="2026-12-24", copies=0, due="24th", consent="perhaps",
        picture="b.png", picture_prompt="a castle", product="postr-30x40", size="60x40",
        preset="drft", grid="8by8", concept="bolt", tile_concepts=["pam"], tile_lora="a.png",
        priority=10, class_word="dog",
    )  # fmt: skip
    text = "\n".join(found)
    for token in (
        "reference", '"due"', "copies", "24th", "perhaps", "b.png", "picture_prompt",
        '"poster-30x40"', "size contradict", "60x40", '"draft"', "8by8", "mosaic train", '"pim"',
        ".safetensors", "priority",
    ):  # fmt: skip
        assert token in text, token


@pytest.mark.parametrize(
    ("values", "token"),
    [
        ({"picture": "", "tile_prompts": ["x"]}, "picture"),
        ({"tile_prompts": []}, "tile_prompts"),
        ({"picture": "c.png"}, "c.png"),
        ({"picture": "/etc/hosts"}, "/etc/hosts"),
        ({"picture": "../a.png"}, "../a.png"),
        ({"picture": "..\\a.png"}, "..\\a.png"),
        ({"picture": "C:\\a.png"}, "C:\\a.png"),
        ({"picture": "~/a.png"}, "~/a.png"),
        ({"picture": "a\0.png"}, "picture"),
        ({"concept": "girl"}, "consent"),
        ({"concept": "girl", "consent": False}, "consent"),
        ({"concept": "a.png", "consent": True}, "a.png"),
        ({"concept": "girls/x", "consent": True}, "girls/x"),
        ({"consent": True}, "consent"),
        ({"picture": "", "picture_concept": "concept"}, "picture_concept"),
        ({"reference": "1.23457E+12"}, "reference"),
        ({"reference": "x" * 121}, "121"),
        ({"due": "3/4/2026"}, "3/4/2026"),
        ({"due": "31.2.2026"}, "due"),
        ({"copies": "two"}, "two"),
        ({"copies": True, "seed": -1}, "seed"),
        ({"tile_prompts": [1, {}]}, "tile_prompts"),
        ({"grid": "300x300"}, "300x300"),
    ],
)
def test_one_fault_names_its_field(where, values, token):
    assert any(token in fault for fault in faults(where, **values))


def test_few_and_broken_photos_are_each_named(where):
    (where / "girl" / "p1.png").write_bytes((where / "girl" / "p1.png").read_bytes()[:60])
    photo(where / "girl" / "tiny.png", side=20)
    found = faults(where, concept="girl", consent=True)
    assert len(found) == 2
    assert "p1.png" in found[0] and "tiny.png" in found[1]
    (where / "girl" / "p1.png").unlink()
    (where / "girl" / "tiny.png").unlink()
    assert "3" in faults(where, concept="girl", consent=True)[0]


def test_what_training_would_refuse_is_a_fault(where):
    photo(where / "girl" / "p1.mask.png", side=65)
    assert "p1.mask.png" in faults(where, concept="girl", consent=True)[0]


def test_a_link_out_of_the_folder_is_refused(where, tmp_path_factory):
    outside = photos(tmp_path_factory.mktemp("outside"))
    (where / "link.png").symlink_to(outside / "p0.png")
    (where / "linked").symlink_to(outside)
    assert "link.png" in faults(where, picture="link.png")[0]
    assert "linked" in faults(where, concept="linked", consent=True)[0]
    (where / "girl" / "q.png").symlink_to(outside / "p0.png")
    assert "q.png" in faults(where, concept="girl", consent=True)[0]
    assert told(where, False, picture="link.png").picture == str(outside / "p0.png")


def test_a_csv_of_the_users_may_name_any_file(where, tmp_path_factory):
    path = photo(tmp_path_factory.mktemp("elsewhere") / "b.png")
    assert told(where, False, picture=str(path)).picture == str(path)
    assert told(where / "girl", False, picture="../a.png").picture == str(where / "a.png")


@pytest.mark.parametrize("name", ["A.PNG", "girl\\p0.png", "girl/P0.png", "Girl/p0.PNG"])
def test_names_of_other_systems_find_their_file(where, name):
    assert Path(told(where, picture=name).picture).is_file()


def test_unicode_forms_of_a_name_are_one(where):
    photo(where / "Mu\u0308ller.png")
    assert Path(told(where, picture="M\u00fcller.png").picture).is_file()


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-12-04", date(2026, 12, 4)),
        ("04.12.2026", date(2026, 12, 4)),
        ("12/24/2026", date(2026, 12, 24)),
        ("24/12/2026", date(2026, 12, 24)),
        ("5/5/2026", date(2026, 5, 5)),
        ("2026-12-04 00:00:00", date(2026, 12, 4)),
        (date(2026, 12, 4), date(2026, 12, 4)),
    ],
)
def test_days_as_spreadsheets_write_them(where, text, day):
    assert told(where, due=text).due == day


@pytest.mark.parametrize("word", ["yes", "WAHR", "x", "1", True, "Vrai", "TRUE", "ja"])
def test_consent_in_other_words(where, word):
    assert told(where, concept="girl", consent=word).consent is True


def test_numbers_of_spreadsheets(where):
    order = told(where, reference=1001, copies="3", seed="7", priority=0)
    assert (order.reference, order.copies, order.seed, order.priority) == ("1001", 3, 7, 0)
    assert told(where, copies="3.0").copies == 3


def test_the_past_is_a_warning(where):
    order = told(where, due="2026-12-24")
    assert order.warnings(date(2026, 12, 24)) == []
    assert "2026-12-24" in order.warnings(date(2026, 12, 25))[0]


def test_a_class_word_may_stand_in_the_folder(where):
    order = told(where, concept="girl", consent=True)
    assert len(order.warnings(date(2026, 1, 1))) == 1
    (where / "girl" / "concept.toml").write_text('class_word = "girl"')
    assert order.warnings(date(2026, 1, 1)) == []


def test_the_digest_is_of_contents_not_of_places(where, tmp_path_factory):
    order = told(where, concept="girl", consent=True)
    other = tmp_path_factory.mktemp("moved") / "there"
    shutil.copytree(where, other)
    assert told(other, concept="girl", consent=True).digest() == order.digest()
    (where / "girl" / "edlora.safetensors").write_bytes(b"trained")
    (where / "girl" / ".training").mkdir()
    (where / "girl" / ".DS_Store").write_bytes(b"x")
    assert order.digest() == told(other, concept="girl", consent=True).digest()


@pytest.mark.parametrize("change", ["picture", "photo", "caption", "notes", "copies"])
def test_the_digest_tells_every_change(where, change):
    order = told(where, concept="girl", consent=True)
    before = order.digest()
    if change == "picture":
        photo(where / "a.png", 9)
    elif change == "photo":
        photo(where / "girl" / "p3.png", 9)
    elif change == "caption":
        (where / "girl" / "p0.txt").write_text("a <concept>")
    else:
        values = {"notes": "soon"} if change == "notes" else {"copies": 2}
        order = told(where, concept="girl", consent=True, **values)
    assert order.digest() != before


def test_a_file_that_is_gone_has_no_digest(where):
    order = told(where)
    (where / "a.png").unlink()
    with pytest.raises(InputError, match=r"a\.png"):
        order.digest()


def test_orders_survive_json(where):
    order = told(where, concept="girl", consent=True, due="2026-12-24")
    assert Order.model_validate(json.loads(order.model_dump_json())) == order


def test_intake_imports_no_torch():
    names = ("ticket", "reading", "naming", "inbox", "report", "template")
    code = "; ".join(f"import smalti.studio.orders.{name}" for name in names)
    code = f"import sys; {code}; import smalti.cli.intake; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
