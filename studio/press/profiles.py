"""Colour profiles: the named ones, and the file of a lab's own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...configs.errors import InputError
from ...configs.files import user_path

FOLDER = Path(__file__).parent / "profiles"
NAMED = ("srgb", "adobe-rgb", "display-p3")
SRGB = FOLDER / "srgb.icc"
SPACES = {"RGB ": "RGB", "CMYK": "CMYK"}
DEVICES = ("mntr", "prtr", "spac")  # screens, printers, colour spaces; no cameras, no links
P3 = "p3"  # as libvips calls the one that it has built in


@dataclass(frozen=True)
class Profile:
    """A colour profile that a file can be written in."""

    name: str
    source: str
    """What libvips loads: a path, or a name of its own."""
    space: str
    """"RGB" or "CMYK"."""

    @property
    def is_srgb(self) -> bool:
        """Whether pixels stay as they are."""
        return self.source == str(SRGB)


def find_profile(name: str) -> Profile:
    """A profile by its name or path.

    Raises InputError for a file that is none, or one that no print file can be in.
    """
    if name == "display-p3":
        return Profile(name, P3, "RGB")
    if name in NAMED:
        return Profile(name, str(FOLDER / f"{name}.icc"), "RGB")
    path = user_path(name)
    if not path.is_file():
        raise InputError(
            f'"{name}" is no colour profile; take {", ".join(NAMED)} or the path of an ICC file.'
        )
    return Profile(path.name, str(path), _space_of(path))


def _space_of(path: Path) -> str:
    from io import BytesIO

    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(path.read_bytes())).profile
        space, device = profile.xcolor_space, profile.device_class
    except (OSError, ImageCms.PyCMSError, ValueError, TypeError) as error:
        raise InputError(f"{path} is no ICC profile; ask the lab for its .icc file.") from error
    if space not in SPACES or device not in DEVICES:
        raise InputError(
            f"{path} is a profile of {space.strip()} ({device}); a print needs one of RGB or CMYK "
            "for a printer or a colour space."
        )
    return SPACES[space]


def in_profile(image: Any, profile: Profile, intent: str) -> Any:
    """An sRGB image of libvips' in a profile, which is embedded; black stays black."""
    if profile.is_srgb:
        tagged = image.copy()
        tagged.set_type(_blob(), "icc-profile-data", SRGB.read_bytes())
        return tagged
    return image.icc_transform(
        profile.source,
        input_profile=str(SRGB),
        intent=intent,
        black_point_compensation=True,
        embedded=False,
    )


def _blob() -> Any:
    import pyvips

    return pyvips.GValue.blob_type
