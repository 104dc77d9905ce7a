"""From a job to the guide of a batch of its tiles."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from ...configs import guides as settings
from ...configs.files import user_path
from ...models.band import LowPass, blur_sigma
from ...models.denoising import Guide
from .exact import LUMA, ExactGuide
from .filtered import FilteredDifferenceGuide
from .lpips import LpipsGuide
from .projection import ProjectionGuide
from .x0_gradient import X0GradientGuide

if TYPE_CHECKING:
    from ..engine import Engine
    from ..job import Job

Make = Callable[["Engine", "Job", Tensor], Guide]


def make_guide(engine: "Engine", job: "Job", blocks: Tensor) -> Guide | None:
    """The guide of K tiles that the job asks for, None when guidance is off.

    blocks: [K, 3, b, b] in [0, 1]. Raises InputError when a guide needs weights that are not there.
    """
    guide = job.mosaic.guide
    return _MAKERS[type(guide)](engine, job, blocks) if guide.guidance else None


def low_pass(job: "Job") -> LowPass:
    """The operator G of Eq. 7, as wide as a cell of the band."""
    size = min(job.mosaic.picture.guidance_size or job.grid.block, job.grid.tile)
    return LowPass(size, blur_sigma(size, job.band_cells))


def _projection(engine: "Engine", job: "Job", blocks: Tensor) -> Guide:
    own = job.mosaic.guide
    return ProjectionGuide(
        engine.base.linear_decoder,
        engine.base.tile_decoder(proof=job.mosaic.sampler.proof),
        blocks,
        cells=job.band_cells,
        strength=own.guidance_strength,
        corrections=own.corrections,
    )


def _filtered(engine: "Engine", job: "Job", blocks: Tensor) -> Guide:
    strength = job.mosaic.guide.guidance_strength
    return FilteredDifferenceGuide(
        engine.base, blocks, job.grid.tile, cells=job.band_cells, strength=strength
    )


def _x0_gradient(engine: "Engine", job: "Job", blocks: Tensor) -> Guide:
    own = job.mosaic.guide
    return X0GradientGuide(
        engine.base.decoder(own.guide_decoder),
        blocks,
        low_pass=low_pass(job),
        strength=own.guidance_strength,
        inner_steps=own.inner_steps,
    )


def _descent(job: "Job") -> dict[str, float]:
    """W and gamma of Eq. 8."""
    own = job.mosaic.guide
    return {"weight": own.guidance_weight, "decay": own.guidance_decay}


def _exact(engine: "Engine", job: "Job", blocks: Tensor, space: Tensor | None = None) -> Guide:
    return ExactGuide(engine.base, blocks, low_pass=low_pass(job), space=space, **_descent(job))


def _ycbcr(engine: "Engine", job: "Job", blocks: Tensor) -> Guide:
    return _exact(engine, job, blocks, LUMA)


def _lpips(engine: "Engine", job: "Job", blocks: Tensor) -> Guide:
    network = engine.lpips(user_path(job.mosaic.guide.lpips))
    return LpipsGuide(engine.base, blocks, job.grid.tile, lpips=network, **_descent(job))


_MAKERS: dict[type[settings.GuideSettings], Make] = {
    settings.ProjectionSettings: _projection,
    settings.FilteredDifferenceSettings: _filtered,
    settings.X0GradientSettings: _x0_gradient,
    settings.ExactSettings: _exact,
    settings.YcbcrSettings: _ycbcr,
    settings.LpipsSettings: _lpips,
}
