"""From settings to a guide."""

from pathlib import Path

from torch import Tensor

from ...configs.settings import MosaicSettings
from ...models.base import BaseModel
from ..grid import Grid
from .band import LowPass, blur_sigma
from .base import Guide
from .exact import YCBCR, ExactGuide
from .filtered import FilteredDifferenceGuide
from .lpips import LpipsGuide
from .projection import ProjectionGuide
from .x0_gradient import X0GradientGuide

KINDS: dict[str, type[Guide]] = {
    "projection": ProjectionGuide,
    "filtered-difference": FilteredDifferenceGuide,
    "x0-gradient": X0GradientGuide,
    "exact": ExactGuide,
    "ycbcr": ExactGuide,
    "lpips": LpipsGuide,
}


def goes_through_unet(mosaic: MosaicSettings) -> bool:
    """Whether the guide that the settings ask for needs the UNet's gradient."""
    return mosaic.guidance and KINDS[mosaic.guide].through_unet


def band_cells(base: BaseModel, mosaic: MosaicSettings, grid: Grid) -> int:
    """Cells of the band per tile and axis, never more than a tile has latent pixels."""
    return min(mosaic.low_pass_cells, grid.tile // base.latent_factor)


def make_guide(base: BaseModel, mosaic: MosaicSettings, grid: Grid, blocks: Tensor) -> Guide | None:
    """The guide of K tiles that the settings ask for, None when guidance is off.

    blocks: [K, 3, b, b] in [0, 1]. Raises InputError when a guide needs weights that are not there.
    """
    if not mosaic.guidance:
        return None
    cells = band_cells(base, mosaic, grid)
    size = min(mosaic.guidance_size or grid.block, grid.tile)
    low_pass = LowPass(size, blur_sigma(size, cells))
    strength = mosaic.guidance_strength
    paper = {"weight": mosaic.guidance_weight, "decay": mosaic.guidance_decay}
    match mosaic.guide:
        case "projection":
            decode, corrections = base.tile_decoder(proof=mosaic.proof), mosaic.corrections
            return ProjectionGuide(
                base.linear_decoder, decode, blocks,
                cells=cells, strength=strength, corrections=corrections,
            )  # fmt: skip
        case "filtered-difference":
            return FilteredDifferenceGuide(base, blocks, grid.tile, cells=cells, strength=strength)
        case "x0-gradient":
            decode = base.decoder(mosaic.guide_decoder)
            steps = mosaic.inner_steps
            return X0GradientGuide(
                decode, blocks, low_pass=low_pass, strength=strength, inner_steps=steps
            )
        case "lpips":
            file = Path(mosaic.lpips).expanduser()
            return LpipsGuide(base, blocks, grid.tile, weights_file=file, **paper)
        case "ycbcr":
            return ExactGuide(base, blocks, low_pass=low_pass, space=YCBCR, **paper)
    return ExactGuide(base, blocks, low_pass=low_pass, **paper)
