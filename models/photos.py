"""Photos of the user's: opened, checked, and read upright in sRGB."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..configs.errors import InputError
from .pixels import flatten, is_animated, to_image

if TYPE_CHECKING:
    from torch import Tensor

MIN_SIDE = 64


def load_photo(path: Path, what: str = "reference", smallest: int = MIN_SIDE) -> "Tensor":
    """Read a photo as [3, H, W] in [0, 1]: upright, in sRGB, transparency over white.

    what: its part in the mosaic, for messages. smallest: the shortest side it may have.
    Raises InputError when the file is missing, no image, damaged, animated, tiny or enormous.
    """
    with opened(path, what, smallest) as image:
        return to_image(np.asarray(flatten(ImageOps.exif_transpose(image))[0]))


def check_photo(path: Path, what: str = "reference") -> None:
    """Decode a photo once; raises as `load_photo` does."""
    with opened(path, what, MIN_SIDE) as image:
        image.load()


@contextmanager
def opened(path: Path, what: str, smallest: int) -> Iterator[Image.Image]:
    """Open a photo, its header checked and not decoded yet; raises as `load_photo` does.

    What goes wrong while the caller decodes it becomes the same messages.
    """
    if not path.is_file():
        fault = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"The {what} {path} {fault}; give --ref the path of an image.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _check(image, f"The {what} {path}", smallest)
                yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"The {what} {path} is too large; scale it to 8000 px.") from error
    except UnidentifiedImageError as error:
        raise InputError(f"The {what} {path} is not an image that can be read.") from error
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's ways to report damaged files
        raise InputError(f"The {what} {path} is damaged or cut short ({error}).") from error


def _check(image: Image.Image, name: str, smallest: int) -> None:
    if is_animated(image):
        raise InputError(f"{name} is animated; save one frame as PNG or JPEG.")
    if min(image.size) < smallest:
        width, height = image.size
        raise InputError(f"{name} is only {width}x{height} px; it needs {smallest} px a side.")
