"""Settings of the guides: what pulls a tile towards its block. One class per guide."""

from dataclasses import dataclass
from typing import Any, ClassVar

from .fields import Group, setting

GUIDE_DECODERS = ("full", "tiny", "linear")


@dataclass(frozen=True)
class GuideSettings(Group):
    """What every guide reads."""

    section: ClassVar[str] = "mosaic.guide"
    name: ClassVar[str]
    through_unet: ClassVar[bool] = False
    """Whether it differentiates through the UNet."""

    @property
    def reads_linear_map(self) -> bool:
        """Whether it rests on the linear map from latents to colours."""
        return False

    guidance: bool = True
    """Low-frequency guidance: what makes the tiles the reference from afar."""
    guidance_start: float = setting(0.3, at_least=0, at_most=1)
    """Share of the steps after which guidance begins; the prompt lays the tile out before."""
    guidance_end: float = setting(1.0, at_least=0, at_most=1)
    """Share of the steps after which guidance ends."""

    def identity(self) -> dict[str, Any]:
        """A guide that is off leaves no trace but that."""
        return super().identity() if self.guidance else {"guidance": False}


@dataclass(frozen=True)
class PullSettings(GuideSettings):
    """What guides read that take a share of the error at every step."""

    guidance_strength: float | None = setting(None, above=0, at_most=1, none="auto")
    """Share of the low-frequency error that "projection", "filtered-difference" and "x0-gradient"
    remove at a step: more comes nearer to the reference, less leaves the tile more of its own.
    "auto" measures on a few of the mosaic's own tiles how little reaches `target_ssim`."""
    target_ssim: float = setting(0.7, at_least=0, at_most=1)
    """SSIM@64 that a mosaic should about reach where no guidance_strength is given."""


@dataclass(frozen=True)
class ProjectionSettings(PullSettings):
    """The reference's low band put into the prediction in closed form."""

    name: ClassVar[str] = "projection"

    @property
    def reads_linear_map(self) -> bool:
        """Its way from colours to latents is the map's."""
        return True

    corrections: int = setting(1, at_least=0, at_most=100)
    """How often "projection" looks at the decoded tile at the last step, or after each of up to
    four; a look counts for three pulls."""


@dataclass(frozen=True)
class FilteredDifferenceSettings(PullSettings):
    """The filtered difference of latents added to the prediction."""

    name: ClassVar[str] = "filtered-difference"


@dataclass(frozen=True)
class X0GradientSettings(PullSettings):
    """Gradient steps on the prediction, through a decoder of choice."""

    name: ClassVar[str] = "x0-gradient"

    guide_decoder: str = setting("full", choices=GUIDE_DECODERS)
    """What "x0-gradient" differentiates: the "full" decoder, the "tiny" one or the "linear" map."""
    inner_steps: int = setting(1, at_least=1, at_most=100)
    """Gradient steps of "x0-gradient" per denoising step."""

    @property
    def reads_linear_map(self) -> bool:
        """Only where the map stands for the decoder."""
        return self.guide_decoder == "linear"


@dataclass(frozen=True)
class ExactSettings(GuideSettings):
    """The paper's gradient descent on z_t through decoder and UNet (Eq. 6-8)."""

    name: ClassVar[str] = "exact"
    through_unet: ClassVar[bool] = True

    guidance_weight: float = setting(5000.0, at_least=0, at_most=1e9)
    """w of Eq. 8, of "exact", "ycbcr" and "lpips"."""
    guidance_decay: float = setting(0.95, above=0, at_most=1)
    """gamma of Eq. 8: w is multiplied by it after every step."""


@dataclass(frozen=True)
class YcbcrSettings(ExactSettings):
    """As "exact", with errors in Y of YCbCr alone (Eq. 9-10): rejected by the paper (Table 4)."""

    name: ClassVar[str] = "ycbcr"


@dataclass(frozen=True)
class LpipsSettings(ExactSettings):
    """As "exact", with perceptual distance: rejected by the paper (its Table 4)."""

    name: ClassVar[str] = "lpips"

    lpips: str = ""
    """Weights of LPIPS (AlexNet, safetensors), which the guide "lpips" needs."""


GUIDES: dict[str, type[GuideSettings]] = {
    kind.name: kind
    for kind in (
        ProjectionSettings, FilteredDifferenceSettings, X0GradientSettings, ExactSettings,
        YcbcrSettings, LpipsSettings,
    )
}  # fmt: skip
