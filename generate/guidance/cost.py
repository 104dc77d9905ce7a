"""What a guide costs; a new guide says so here. Nothing here loads torch."""

from ...configs.guides import ProjectionSettings, X0GradientSettings
from ...configs.mosaic import MosaicSettings

FEW_STEPS = 4  # up to so many, every step of "projection" looks at the decoded tile


def guide_calls(mosaic: MosaicSettings, plain: float, decoding: float) -> float:
    """What guiding one tile costs, in UNet calls; a backward pass counts twice its forward pass.

    plain: calls of denoising it, decoding: the cost of decoding it.
    """
    guide, steps = mosaic.guide, mosaic.sampler.steps
    guided = steps * max(0.0, guide.guidance_end - guide.guidance_start)
    if not guide.guidance:
        return 0.0
    if guide.through_unet:
        return guided * (2 * plain / steps + 3 * decoding)
    if isinstance(guide, X0GradientSettings) and guide.guide_decoder == "full":
        return guided * guide.inner_steps * 3 * decoding
    return looks(mosaic) * decoding


def looks(mosaic: MosaicSettings) -> float:
    """How often "projection" decodes a tile while it is drawn."""
    guide, steps = mosaic.guide, mosaic.sampler.steps
    if not isinstance(guide, ProjectionSettings):
        return 0.0
    share = max(0.0, guide.guidance_end - guide.guidance_start)
    return guide.corrections * (steps * share if steps <= FEW_STEPS else 1)


def needs_gradients(mosaic: MosaicSettings) -> bool:
    """Whether drawing needs the UNet's gradient."""
    return mosaic.method.guided and mosaic.guide.guidance and mosaic.guide.through_unet


def differentiates_decoder(mosaic: MosaicSettings) -> bool:
    """Whether drawing needs the full decoder's gradient."""
    guide = mosaic.guide
    half = isinstance(guide, X0GradientSettings) and guide.guide_decoder == "full"
    return needs_gradients(mosaic) or (mosaic.method.guided and guide.guidance and half)
