"""The curve of judged checkpoints as a picture: score, likeness and obedience by step."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..configs.files import replacing
from .judged import Judged, ranked

SIZE = (640, 400)
MARGIN = 48  # px for the labels
LINES: dict[str, tuple[str, Callable[[Judged], float]]] = {
    "score": ("black", lambda one: one.score),
    "likeness": ("royalblue", lambda one: one.likeness),
    "obedience": ("darkorange", lambda one: one.obedience),
}


def draw_curve(judged: Sequence[Judged], path: Path) -> None:
    """Write a PNG: every line from 0 to 1, the best step marked."""
    image = Image.new("RGB", SIZE, "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    width, height = SIZE[0] - 2 * MARGIN, SIZE[1] - 2 * MARGIN
    last = max(one.step for one in judged)

    def place(step: int, value: float) -> tuple[float, float]:
        return MARGIN + width * step / last, MARGIN + height * (1 - value)

    for tenth in range(0, 11, 2):
        left, right = place(0, tenth / 10), place(last, tenth / 10)
        pen.line([left, right], "lightgray")
        pen.text((8, left[1] - 7), f"{tenth / 10:g}", "black", font)
    for number, (name, (color, value)) in enumerate(LINES.items()):
        points = [place(one.step, value(one)) for one in judged]
        pen.line(points, color, 2)
        for x, y in points:
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), color)
        pen.text((MARGIN + 120 * number, 16), name, color, font)
    best = ranked(judged)[0].step
    pen.line([place(best, 0), place(best, 1)], "gray")
    pen.text((place(best, 0)[0] - 30, SIZE[1] - 36), f"best: {best}", "black", font)
    pen.text((SIZE[0] - 96, SIZE[1] - 20), f"step {last}", "black", font)
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")
