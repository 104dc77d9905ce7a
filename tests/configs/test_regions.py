"""Regions as a user writes them."""

import pytest
from refusals import refused

from smalti.configs.regions import read_regions, side_by_side


def test_regions_are_read():
    found = read_regions(["harry=0,0,0.5,1", " <hermione> = .5, 0, 1, 1 "])
    assert found == {"harry": (0, 0, 0.5, 1), "hermione": (0.5, 0, 1, 1)}


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (["harry"], "harry"),
        (["harry=0,0,1"], "harry needs X0"),
        (["harry=0,0,50,100"], "0 to 1"),
        (["harry=-0.1,0,0.5,1"], "harry needs X0"),
        (["harry=0.5,0,0.5,1"], "empty"),
        (["a=0,0,0.5,1", "a=0.5,0,1,1"], "two"),
        (["a=0,0,0.6,1", "b=0.5,0.2,1,0.8"], "overlap"),
    ],
)
def test_what_is_no_region_is_refused(texts, named):
    with refused("--region", named):
        read_regions(texts)


def test_side_by_side_covers_the_picture():
    boxes = side_by_side(3)
    assert boxes[0][0] == 0 and boxes[-1][2] == 1
    assert all(a[2] == b[0] for a, b in zip(boxes, boxes[1:], strict=False))
