"""The reference picture: a photo, or drawn from a prompt or with a concept."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..configs.errors import InputError
from ..models.pixels import flatten, to_image

MIN_SIDE = 64


def load_photo(path: Path) -> Tensor:
    """Read a photo as [3, H, W] in [0, 1]: upright, in sRGB, transparency over white.

    Raises InputError when the file is missing, no image, damaged, animated, tiny or enormous.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"The reference {path} {what}; give --ref the path of an image.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _check(image, path)
                return to_image(np.asarray(_as_rgb(image)))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"The reference {path} is too large; scale it to 8000 px.") from error
    except UnidentifiedImageError as error:
        raise InputError(f"The reference {path} is not an image that can be read.") from error
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's ways to report damaged files
        raise InputError(f"The reference {path} is damaged or cut short ({error}).") from error


def _check(image: Image.Image, path: Path) -> None:
    if getattr(image, "n_frames", 1) > 1:
        raise InputError(f"The reference {path} is animated; save one frame as PNG or JPEG.")
    if min(image.size) < MIN_SIDE:
        width, height = image.size
        raise InputError(
            f"The reference {path} is only {width}x{height} px; it needs {MIN_SIDE} px a side."
        )


def _as_rgb(image: Image.Image) -> Image.Image:
    """Turn upright, convert an embedded colour profile to sRGB, put transparency over white."""
    upright = ImageOps.exif_transpose(image)
    profile = image.info.get("icc_profile")
    if profile and not upright.has_transparency_data and not upright.mode.startswith("I"):
        upright = _to_srgb(upright, profile)
    return flatten(upright)[0]


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):  # a broken profile is no reason to refuse the photo
        return image
    return converted or image
