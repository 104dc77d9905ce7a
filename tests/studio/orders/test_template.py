"""The examples that a user begins with."""

import tomllib

import pytest
from customers import photos
from refusals import refused

from smalti.studio.orders.reading import read_orders
from smalti.studio.orders.template import write_template
from smalti.studio.orders.ticket import Order, check_ticket


@pytest.fixture
def written(tmp_path):
    photos(tmp_path / "concepts" / "bolt")
    return write_template(tmp_path / "mine", tmp_path / "concepts")


def test_what_it_names_is_there_and_works(written, tmp_path):
    found = [told for told, _ in read_orders(tmp_path / "mine")]
    assert len(found) == 4 and all(isinstance(told, Order) for told in found)
    assert {order.photos and order.photos.name for order in found} == {"ball", "bolt", None}


def test_every_field_is_explained(written):
    table, folder = written
    text = table.read_text(encoding="utf-8-sig")
    ticket = (folder / "order.toml").read_text(encoding="utf-8")
    for name in Order.model_fields:
        assert f"# {name}: " in text and f"{name} =" in ticket


def test_commented_fields_are_right_once_they_are_not(written):
    folder = written[1]
    lines = (folder / "order.toml").read_text(encoding="utf-8").splitlines()
    names = tuple(f"# {name} = " for name in Order.model_fields)
    values = tomllib.loads(
        "\n".join(line[2:] if line.startswith(names) else line for line in lines)
    )
    assert set(values) == set(Order.model_fields)
    assert check_ticket(values, folder).reference == folder.name


def test_nothing_is_overwritten(written, tmp_path):
    with refused("orders.csv"):
        write_template(tmp_path / "mine", tmp_path / "none")


def test_without_concepts_the_examples_work_too(tmp_path):
    write_template(tmp_path / "b", tmp_path / "none")
    assert all(isinstance(told, Order) for told, _ in read_orders(tmp_path / "b"))
