"""Orders as spreadsheets and folders tell them."""

import csv
import io
import json
from pathlib import Path

import pytest
from customers import order_folder, photo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import refused

from smalti.studio.orders.reading import csv_values, read_csv, read_orders
from smalti.studio.orders.ticket import BadTicket, Order

HEADER = "reference,customer,picture,tile_prompts,copies\n"


@pytest.fixture
def table(tmp_path) -> Path:
    photo(tmp_path / "a.png")
    return tmp_path / "orders.csv"


def tolds(path: Path) -> list[Order | BadTicket]:
    return [read.told for read in read_orders(path)]


def test_one_bad_row_hides_no_other(table):
    table.write_text(
        HEADER + "1,Ann,a.png,red,1\n2,Bo,b.png,red,1\n3,Cy,a.png,red,0\n4,,a.png,x,\n"
    )
    good, missing, zero, last = tolds(table)
    assert (good.reference, last.reference, last.copies) == ("1", "4", 1)
    assert (
        missing.reference == "2" and "b.png" in missing.faults[0] and "line 3" in missing.faults[0]
    )
    assert "copies" in zero.faults[0]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_what_spreadsheets_save(table, separator, encoding, ending):
    rows = [
        "Reference;Customer ;PICTURE;Tile prompts",
        "",
        '1;"Zoë; ""Z""";a.png;red | blue',
        ";;;",
    ]
    text = ending.join(rows)
    if separator != ";":
        text = text.replace('"Zoë; ""Z"""', "\0").replace(";", separator)
        text = text.replace("\0", f'"Zoë{separator} ""Z"""')
    table.write_bytes(text.encode(encoding))
    (order,) = tolds(table)
    assert order.tile_prompts == ("red", "blue")
    assert order.customer.split() == [f"Zoë{separator.strip()}", '"Z"'], "a tab is a space"


def test_excels_first_line_and_comments(table):
    table.write_text(f"sep=,\n# how to fill this\n{HEADER}#1001,,a.png,red,\n# the end,,,,\n")
    (order,) = tolds(table)
    assert order.reference == "#1001"


def test_lines_are_counted_as_editors_do(table):
    table.write_text(f'sep=,\n{HEADER}\n1,"two\nlines",a.png,red,\n2,,none.png,red,\n')
    good, bad = tolds(table)
    assert good.customer == "two lines" and "line 6" in bad.faults[0]


def test_wrong_columns_are_all_named(table):
    table.write_text("refrence,custommer,picture,picture\n1,2,3,4\n")
    with refused("refrence", '"customer"', '"picture" twice', '"reference"'):
        tolds(table)


@pytest.mark.parametrize(
    ("content", "token"),
    [(b"", "empty"), (b"\n\n", "empty"), (b"reference\n\xe9\xe8", "UTF-8"),
     (b'reference,notes\n1,"open', "line"), (b"reference\n" + b'"a"b\n', "line 2")],
)  # fmt: skip
def test_what_is_no_csv(table, content, token):
    table.write_bytes(content)
    with refused(token):
        tolds(table)


def test_the_same_twice_is_one_order_and_another_is_refused(table):
    table.write_text(HEADER + "1,,a.png,red,1\n1,,a.png,red,\n1,,a.png,blue,1\n")
    first, same, other = tolds(table)
    assert first.digest() == same.digest()
    assert isinstance(other, BadTicket) and other.reference != "1" and "line 2" in other.faults[0]


def test_cells_that_cannot_be_meant(table):
    table.write_text(HEADER + "1,,a.png,red,#REF!\n2,,a.png,red,1,and more\n,,a.png,red,1\n")
    error, more, nameless = tolds(table)
    assert "#REF!" in error.faults[0] and more.reference == "2" and "quotes" in more.faults[0]
    assert nameless.reference == "orders.csv line 4"


cells = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12).map(str.strip)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=4),
    separator=st.sampled_from(",;\t"),
)
def test_what_another_writer_writes_is_read_as_it_was(table, rows, separator):
    """Python's own writer quotes; whatever people type comes back."""
    rows = [row for row in rows if any(row) and not row[0].startswith("# ")]
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows([("reference", "customer", "notes"), *rows])
    table.write_bytes(out.getvalue().encode("utf-8-sig"))
    if not rows:
        return
    found = [values for _, values in csv_values(table)]
    for row, values in zip(rows, found, strict=True):
        if isinstance(values, BadTicket):
            assert any(cell.startswith("#") for cell in row)
        else:
            assert tuple(values.values()) == row


def test_a_folder_of_folders_tells_each(tmp_path):
    order_folder(tmp_path / "good")
    order_folder(tmp_path / "bad", "copies = 0\nsize = 1")
    (tmp_path / "none").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".DS_Store").write_bytes(b"x")
    bad, good, none = tolds(tmp_path)
    assert good.reference == "good" and good.picture == str(tmp_path / "good" / "a.png")
    assert bad.reference == "bad" and len(bad.faults) == 2
    assert none.reference == "none" and "order.toml" in none.faults[0]


def test_a_ticket_in_json(tmp_path):
    folder = order_folder(tmp_path / "one")
    (folder / "order.toml").unlink()
    values = {"reference": "J", "picture": "a.png", "tile_prompts": "red", "due": None}
    (folder / "Order.JSON").write_text(json.dumps(values), encoding="utf-8-sig")
    (order,) = tolds(folder)
    assert order.reference == "J"


@pytest.mark.parametrize(
    ("name", "content", "token"),
    [
        ("order.toml", b"reference = ", "order.toml"),
        ("order.toml", b"reference = 1\nreference = 2", "order.toml"),
        ("order.toml", b"\xff\xfe", "order.toml"),
        ("order.json", b'{"reference": 1, "reference": 2}', "twice"),
        ("order.json", b"[1]", "object"),
        ("order.json", b"[" * 100_000, "order.json"),
        ("order.json", b"{", "order.json"),
    ],
)
def test_tickets_that_cannot_be_read(tmp_path, name, content, token):
    (tmp_path / "A-7").mkdir()
    (tmp_path / "A-7" / name).write_bytes(content)
    (bad,) = tolds(tmp_path / "A-7")
    assert bad.reference == "A-7" and token in bad.faults[0]


def test_two_tickets_are_no_order(tmp_path):
    folder = order_folder(tmp_path / "A")
    (folder / "order.json").write_text("{}")
    (bad,) = tolds(folder)
    assert "order.json" in bad.faults[0]


def test_a_csv_in_a_folder_with_its_photos(table):
    table.write_text(HEADER + "1,,a.png,red,1\n")
    photo(table.parent / "photos" / "b.png")
    order_folder(table.parent / "X")
    assert [told.reference for told in tolds(table.parent)] == ["1", "X"]


def test_nothing_to_read(tmp_path):
    with refused("none"):
        tolds(tmp_path / "none")
    with refused(str(tmp_path), "order.toml"):
        tolds(tmp_path)


def test_a_hot_folders_csv_stays_inside(table, tmp_path_factory):
    far = photo(tmp_path_factory.mktemp("far") / "b.png")
    table.write_text(HEADER + f"1,,{far},red,1\n")
    assert isinstance(next(read_csv(table)).told, Order)
    assert isinstance(next(read_csv(table, inside=True)).told, BadTicket)
