"""Verdicts: which measurements of a photo, or of a set of them, are faults or worth a warning.

Limits stand between the sample concepts, none of which has a fault, and spoiled copies of them:
docs/files.md has the numbers.
"""

from dataclasses import dataclass
from statistics import median

from .looks import Looks, Place

BAD, WARN = "bad", "warning"
BLURRED, SOFT = 40, 100  # variance of the Laplacian; samples have 390 and more
CLIPPED, MUCH_CLIPPED = 0.25, 0.5  # shares of the subject
DARK, VERY_DARK, LIGHT, VERY_LIGHT = 45, 25, 212, 230  # its mean of 255
FILLED, EMPTY = 0.98, 0.005  # shares of the picture that no subject has
ALL_ROUND = 0.5  # of each edge but the bottom, and not the middle: it marks the background
CUT = {"top": 0.05, "left": 0.15, "right": 0.15}  # a portrait ends at the bottom
MUCH_CUT = {"top": 0.25, "left": 0.4, "right": 0.4}
FRAMING = 1.6  # times the size of the median subject
APART = 0.2  # of the picture, from the median subject's middle
FEWEST, FEW = 3, 8


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or may be."""

    level: str
    """BAD or WARN."""
    text: str
    """What, in a few words."""


def of_photo(looks: Looks, resolution: int) -> list[Finding]:
    """What is wrong with a photo by itself; resolution: of the base, in pixels."""
    found = _size(looks, resolution)
    if not any(finding.level == BAD for finding in found):  # what is tiny is blurred, too
        found += _sharpness(looks)
    found += _light(looks)
    return found + (_cut(looks.place) if looks.place else [])


def _size(looks: Looks, resolution: int) -> list[Finding]:
    width, height = looks.size
    shorter = min(looks.size)
    if shorter >= resolution:
        return []
    level = BAD if 2 * shorter < resolution else WARN
    return [Finding(level, f"too small: {width} x {height} px, the base has {resolution}")]


def _sharpness(looks: Looks) -> list[Finding]:
    if looks.sharpness >= SOFT:
        return []
    level = BAD if looks.sharpness < BLURRED else WARN
    return [Finding(level, f"blurred: sharpness {looks.sharpness:.0f}")]


def _light(looks: Looks) -> list[Finding]:
    found = []
    for what, share in (("black", looks.black), ("white", looks.white)):
        if share > CLIPPED:
            level = BAD if share > MUCH_CLIPPED else WARN
            found.append(Finding(level, f"light: {share:.0%} are plain {what}"))
    if found:
        return found
    for what, much, some in (
        ("dark", looks.brightness < VERY_DARK, looks.brightness < DARK),
        ("light", looks.brightness > VERY_LIGHT, looks.brightness > LIGHT),
    ):
        if some:
            text = f"light: {what}, {looks.brightness:.0f} of 255 on average"
            found.append(Finding(BAD if much else WARN, text))
    return found


def _cut(place: Place) -> list[Finding]:
    cut = {edge: share for edge, limit in CUT.items() if (share := place.touched[edge]) > limit}
    if not cut:
        return []
    level = BAD if any(share > MUCH_CUT[edge] for edge, share in cut.items()) else WARN
    return [Finding(level, f"subject cut off: {', '.join(cut)}")]


def of_mask(place: Place | None) -> list[Finding]:
    """What is wrong with a mask; place: what it marks, None where that is nothing."""
    if place is None or place.share < EMPTY:
        return [Finding(BAD, "mask empty: white must mark the subject")]
    if place.share > FILLED:
        return [Finding(BAD, f"mask covers all: {place.share:.0%} are white")]
    round_it = min(place.touched[edge] for edge in CUT)
    if round_it > ALL_ROUND and place.middle < ALL_ROUND:
        return [Finding(BAD, "mask inverted: white all round, black inside")]
    return []


def of_faces(count: int) -> list[Finding]:
    """What is said of so many faces, that may not be faces."""
    if count < 2:
        return []
    return [Finding(WARN, f"{count} faces may be in it: crop to one, or ignore this")]


def of_framing(places: list[Place | None]) -> list[list[Finding]]:
    """For each photo, how its subject stands otherwise than most of the set's do."""
    known = [place for place in places if place]
    if len(known) < FEWEST:
        return [[] for _ in places]
    size = median(place.share for place in known) ** 0.5
    middle = (median(p.x for p in known), median(p.y for p in known))
    return [_framed(place, size, middle) if place else [] for place in places]


def _framed(place: Place, size: float, middle: tuple[float, float]) -> list[Finding]:
    ratio = place.share**0.5 / size
    if not 1 / FRAMING < ratio < FRAMING:
        what = "larger" if ratio > 1 else "smaller"
        return [Finding(WARN, f"framed otherwise: {what} than most, {place.share:.0%} of it")]
    if max(abs(place.x - middle[0]), abs(place.y - middle[1])) > APART:
        return [Finding(WARN, "framed otherwise: it stands aside")]
    return []


def of_count(usable: int) -> list[Finding]:
    """What is wrong with the number of photos that can be used."""
    if usable < FEWEST:
        return [Finding(BAD, f"{usable} usable photos; at least {FEWEST} are needed")]
    if usable < FEW:
        return [Finding(WARN, f"only {usable} photos; about 15 are best")]
    return []
