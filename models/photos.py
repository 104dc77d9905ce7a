"""The one reader of photos: references, pool pictures, a concept's images and masks.

Whatever is wrong with a file, and whatever a decoder throws at it, is said of that file. Garbage in
its EXIF data or colour profile keeps no readable picture out.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from ..configs.errors import InputError
from ..configs.files import user_path
from .pixels import Unusable, eight_bit, flatten, is_animated, to_image

if TYPE_CHECKING:
    from torch import Tensor

MIN_SIDE = 64
MAX_PIXELS = 10**9
# Pillow's own limit is the size up to which nothing is scaled down.
FULL_PIXELS = Image.MAX_IMAGE_PIXELS or 2**30 // 12
POSTSCRIPT = (b"%!PS", b"\xc5\xd0\xd3\xc6")
SHRINKS = (1, 2, 4, 8)  # what JPEG decoders do by themselves
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation."""


def read_photo(path: Path, smallest: int = MIN_SIDE) -> Image.Image:
    """Read a picture: decoded, upright, of 8 bits, in its own mode and colours.

    Above 89 megapixels it comes in a half, a quarter or an eighth of its size. smallest: the
    shortest side it may have. Raises Unusable for a file that cannot serve.
    """
    with _opened(path, smallest) as image:
        width, height = image.size
        factor = next(f for f in SHRINKS if width * height <= FULL_PIXELS * f * f)
        if factor > 1:
            image.draft(None, (width // factor, height // factor))
        _check_memory(image, width * height)
        image.load()
        left = round(factor * max(image.size) / max(width, height))
        decoded = eight_bit(image)
        return _upright(_reduced(decoded, left) if left > 1 else decoded, _turn_of(image))


def load_photo(path: Path, what: str = "reference", smallest: int = MIN_SIDE) -> "Tensor":
    """Read a photo as [3, H, W] in [0, 1]: upright, in sRGB, transparency over white.

    what: its part in the mosaic, for messages. smallest: the shortest side it may have.
    Raises InputError when the file is missing, no image, damaged, animated, tiny or enormous.
    """
    with naming(path, what):
        return to_image(np.asarray(flatten(read_photo(path, smallest))[0]))


def check_photo(path: Path, what: str = "reference") -> None:
    """Decode a photo once; raises as `load_photo` does."""
    with naming(path, what):
        read_photo(path)


def check_header(path: Path, what: str, smallest: int) -> None:
    """Look at a photo's header only; raises as `load_photo` does."""
    with naming(path, what), _opened(path, smallest):
        pass


def photo_path(given: str) -> Path:
    """The path of a photo as a user gave it; raises InputError for an address or a stream."""
    if given == "-" or re.match(r"[a-z][a-z0-9+.-]+://", given, re.IGNORECASE):
        raise InputError(
            f"The reference {given} is no file; save the photo on this machine and give --ref its "
            "path."
        )
    return user_path(given)


@contextmanager
def naming(path: Path, what: str) -> Iterator[None]:
    """Make an Unusable file the user's mistake, named; so too when there is none."""
    if not path.is_file():
        fault = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"The {what} {path} {fault}; give the path of an image.")
    try:
        yield
    except Unusable as error:
        raise InputError(f"The {what} {path} {error}.") from error


@contextmanager
def _opened(path: Path, smallest: int) -> Iterator[Image.Image]:
    """Open a picture, its header checked; raises Unusable, also for what goes wrong inside."""
    try:
        with _gigapixels(), Image.open(_known(path)) as image:
            _check(image, smallest)
            yield image
    except Unusable:
        raise
    except UnidentifiedImageError as error:
        fault = "is not an image that can be read (save it as JPEG or PNG)"
        raise Unusable(fault) from error
    except Image.DecompressionBombError as error:
        raise Unusable(f"is larger than {MAX_PIXELS // 10**6} megapixels") from error
    except PermissionError as error:
        raise Unusable("may not be read (check its permissions)") from error
    except Exception as error:  # decoders throw all there is at damaged files
        raise Unusable(f"is damaged or cut short ({_in_short(error)})") from error


@contextmanager
def _gigapixels() -> Iterator[None]:
    """Let Pillow open pictures of up to 1 gigapixel, and keep its remarks to itself."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _known(path: Path) -> Path:
    """Teach Pillow what a phone's HEIC is, when one comes: the import is not free.

    Raises Unusable for PostScript, which Pillow would have another program run.
    """
    with path.open("rb") as file:
        start = file.read(12)
    if start.startswith(POSTSCRIPT):
        raise Unusable("is PostScript; save it as JPEG or PNG")
    if start[4:8] == b"ftyp" and "HEIF" not in Image.OPEN:
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return path


def _check(image: Image.Image, smallest: int) -> None:
    if is_animated(image):
        raise Unusable("is animated; save one frame as PNG or JPEG")
    width, height = image.size
    if min(width, height) < smallest:
        raise Unusable(f"is only {width}x{height} px; it needs {smallest} px a side")
    if width * height > MAX_PIXELS:
        raise Unusable(
            f"is of {width * height / 1e6:.0f} megapixels; scale it to {MAX_PIXELS // 10**6}"
        )


def _check_memory(image: Image.Image, pixels: int) -> None:
    """Refuse what does not fit into memory. pixels: of the file, before it is scaled down."""
    needed = 4 * image.width * image.height
    if image.info.get("progressive"):  # its coefficients are held for the whole picture
        needed += 6 * pixels
    if needed < 2**29:
        return
    import psutil

    if needed > psutil.virtual_memory().available:
        raise Unusable(f"needs {needed / 2**30:.0f} GiB of memory to be read; scale it down")


def _turn_of(image: Image.Image) -> Image.Transpose | None:
    """What makes a decoded picture upright, as far as its EXIF data can be read."""
    try:
        return TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # garbage has many ways to be garbage
        return None


def _upright(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return image.copy() if turn is None else image.transpose(turn)


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """The picture with each `factor` x `factor` pixels averaged."""
    if image.mode in ("P", "PA", "1"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.reduce(factor)


def _in_short(error: Exception) -> str:
    lines = str(error).splitlines() or [""]
    return lines[0][:100].strip() or type(error).__name__
