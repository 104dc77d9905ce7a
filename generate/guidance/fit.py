"""Whether a base's linear latent-to-RGB map carries the guide that rests on it."""

from typing import TYPE_CHECKING

from ...configs.guides import X0GradientSettings
from ...configs.mosaic import MosaicSettings
from ...models.linear_decoder import POOR_FIT

if TYPE_CHECKING:
    from ...models.base import BaseModel


def rests_on_map(mosaic: MosaicSettings) -> bool:
    """Whether tiles are guided through the map."""
    return mosaic.method.guided and mosaic.guide.guidance and mosaic.guide.reads_linear_map


def poor_fit(mosaic: MosaicSettings, base: "BaseModel") -> str:
    """What to tell a user whose guide rests on a map that fits badly; nothing where it does not.

    A map that explains the share R^2 of the colours' variance promises changes of which the decoder
    shows that share.
    """
    if not rests_on_map(mosaic) or base.linear_decoder.fit >= POOR_FIT:
        return ""
    remedy = "--set mosaic.guide_decoder=full"
    if not isinstance(mosaic.guide, X0GradientSettings):
        remedy = "--guide x0-gradient, or --guide exact"
    return (
        f"The latents of {base.settings.name} say little of its colours (linear map: R² "
        f"{base.linear_decoder.fit:.2f}, usually above {POOR_FIT}), so tiles will hardly follow "
        f"the reference. Take {remedy}: slower, through the decoder itself."
    )
