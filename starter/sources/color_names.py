"""Names of colours, for captions."""

from collections.abc import Iterable, Sequence

COLORS = {
    "black": (20, 18, 20),
    "dark brown": (62, 40, 28),
    "brown": (115, 75, 50),
    "light brown": (165, 115, 70),
    "auburn": (160, 75, 30),
    "orange": (220, 115, 40),
    "red": (190, 45, 30),
    "blonde": (230, 205, 140),
    "yellow": (245, 210, 70),
    "gray": (160, 160, 160),
    "white": (240, 240, 240),
    "pink": (245, 150, 180),
    "blue": (65, 120, 215),
    "light blue": (170, 215, 240),
    "purple": (130, 85, 200),
    "lavender": (215, 210, 250),
    "green": (60, 165, 115),
    "teal": (40, 140, 130),
}
"""A typical colour for each name, sRGB 0-255, as artists use it for hair, skin and paint."""

HAIR_COLORS = tuple(COLORS)
PAINT_COLORS = (
    *("red", "orange", "yellow", "green", "teal", "blue", "light blue", "purple", "pink"),
    *("brown", "gray", "white"),
)

_WEIGHTS = (0.3, 0.5, 0.2)
"""The eye is most sensitive to green, least to blue."""


def color_name(color: str | Sequence[int], allowed: Iterable[str]) -> str:
    """The allowed name nearest to a colour, given as "#rrggbb" or as (r, g, b) 0-255."""
    if isinstance(color, str):
        color = tuple(bytes.fromhex(color.lstrip("#")))

    def distance(name: str) -> float:
        differences = zip(_WEIGHTS, color, COLORS[name], strict=True)
        return sum(weight * (int(a) - b) ** 2 for weight, a, b in differences)

    return min(sorted(allowed), key=distance)
