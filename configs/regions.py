"""Regions of pictures: X0,Y0,X1,Y1 as shares of width and height, by name for concepts."""

import re
from collections.abc import Sequence
from itertools import combinations

from .errors import InputError

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as shares of a picture's width and height."""

SEAM = 0.125
"""Share of a picture's side over which one region passes into the next."""
REACH = 0.125
"""How far beyond its region what draws it looks, as a share of a side; half a seam at least."""

_NUMBER = r"\s*([0-9]*\.?[0-9]+)\s*"
_BOX = re.compile(",".join([_NUMBER] * 4))
_REGION = re.compile(r"\s*<?([^=<>]+?)>?\s*=(.*)")


def read_regions(texts: Sequence[str]) -> dict[str, Box]:
    """Regions by the names that a user wrote.

    Raises InputError for what is no region, reaches out of the picture, is empty, stands there
    twice or overlaps another one.
    """
    found: dict[str, Box] = {}
    for text in texts:
        name, box = _read(text)
        if name in found:
            raise InputError(f"--region gives {name} two places; give one for each concept.")
        found[name] = box
    for (one, a), (other, b) in combinations(found.items(), 2):
        if _overlap(a, b):
            raise InputError(
                f"--region {one} and --region {other} overlap; give each a place of its own."
            )
    return found


def _read(text: str) -> tuple[str, Box]:
    match = _REGION.fullmatch(text)
    if match is None:
        raise InputError(
            f'--region needs NAME=X0,Y0,X1,Y1 as shares, such as pim=0,0,0.5,1, not "{text}".'
        )
    return match[1], read_box(match[2], f"--region {match[1]}")


def read_box(text: str, option: str) -> Box:
    """A region that a user wrote as `option`.

    Raises InputError for what is no region, reaches out of the picture or is empty.
    """
    match = _BOX.fullmatch(text)
    if match is None:
        raise InputError(
            f"{option} needs X0,Y0,X1,Y1, left, top, right and bottom as shares of width and "
            f'height, such as 0.2,0.2,0.8,0.8, not "{text}".'
        )
    left, top, right, bottom = map(float, match.groups())
    if max(left, top, right, bottom) > 1:
        raise InputError(f'{option} "{text}" reaches out of the picture; shares run from 0 to 1.')
    if not (left < right and top < bottom):
        raise InputError(f'{option} "{text}" is empty; X0 and Y0 must be below X1 and Y1.')
    return left, top, right, bottom


def _overlap(a: Box, b: Box) -> bool:
    return max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3])


def side_by_side(count: int) -> list[Box]:
    """Regions of equal width, from left to right."""
    return [(i / count, 0.0, (i + 1) / count, 1.0) for i in range(count)]


def window(box: Box) -> Box:
    """What is seen by the pass that draws a region: it, and REACH around it."""
    left, top, right, bottom = box
    near, far = (max(0.0, at - REACH) for at in (left, top)), (right + REACH, bottom + REACH)
    return (*near, *(min(1.0, at) for at in far))


def area(box: Box) -> float:
    """Share of the picture that a box takes."""
    left, top, right, bottom = box
    return (right - left) * (bottom - top)
