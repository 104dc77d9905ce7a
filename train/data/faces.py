"""Faces in a photo, where OpenCV is installed: several are usually several people.

OpenCV's cascade (Viola and Jones 2001) also takes other things for faces. So it is asked to be
strict, small faces count for nothing beside a large one, and what is said of them is a warning.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 480
"""Pixels of the shorter side at which faces are looked for."""
LEAST = 10
"""A face's side is at least the shorter side divided by this."""
ALIKE = 0.5
"""Of the largest face's side, from which another is somebody, too."""
STEP, NEIGHBOURS = 1.1, 8  # from one size to the next; hits that must agree
CASCADE = "haarcascade_frontalface_default.xml"

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""
Finder = Callable[[Image.Image], list[Box]]
"""Finds the faces in a photo."""


def open_finder() -> Finder | None:
    """The cascade for faces from the front; None where OpenCV is not installed, or has none."""
    try:
        import cv2

        cascade = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / CASCADE))
    except (ImportError, AttributeError):  # OpenCV 5 has no cascades
        return None

    def find(photo: Image.Image) -> list[Box]:
        scale = min(1.0, SIDE / min(photo.size))
        width, height = (max(1, round(side * scale)) for side in photo.size)
        gray = np.asarray(photo.convert("L").resize((width, height), Image.Resampling.BOX))
        least = max(1, min(width, height) // LEAST)
        found = cascade.detectMultiScale(gray, STEP, NEIGHBOURS, minSize=(least, least))
        return [tuple(round(value / scale) for value in box) for box in found]

    return None if cascade.empty() else find


def count_faces(boxes: list[Box], mask: Image.Image | None = None) -> int:
    """Faces that are somebody: nearly as large as the largest, and within the mask, if any.

    mask: of the subject, as large as the photo.
    """
    if mask is not None:
        marked = mask.convert("L").point([255 * (value > 127) for value in range(256)])
        boxes = [(x, y, w, h) for x, y, w, h in boxes if marked.getpixel((x + w // 2, y + h // 2))]
    largest = max((box[2] for box in boxes), default=0)
    return sum(box[2] >= ALIKE * largest for box in boxes)
