"""The pull that smalti chooses: against SSIM itself, computed on mixtures of random pictures."""

import numpy as np
import pytest
import torch
from drawn import change, pixels_of, record_of
from PIL import Image
from torch.nn.functional import interpolate

from smalti.generate.guidance.strength import (
    STRONGEST,
    WEAKEST,
    Fit,
    expected_ssim,
    least_strength,
    local_variance,
    with_strength,
)
from smalti.models.metrics import ssim
from smalti.models.pixels import to_image


def cloudy(contrast: float, seed: int = 0) -> torch.Tensor:
    """A picture [3, 64, 64] of soft shapes whose contrast grows from left to right."""
    coarse = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    shapes = interpolate(coarse, size=(64, 64), mode="bicubic")[0]
    return 0.5 + contrast * shapes * torch.linspace(0, 1, 64)


def test_local_variance_of_a_step_edge():
    """In a window centred on the edge, half of the weight is 1 but for the middle column."""
    picture = (torch.arange(64) >= 32).float().expand(1, 3, 64, 64)
    column = torch.exp(-0.5 * (torch.arange(-5, 6) / 1.5) ** 2)
    ones = float(column[5:].sum() / column.sum())
    found = local_variance(picture)
    assert found.shape == (1, 3, 54, 54)
    assert float(found[0, 0, 10, 27]) == pytest.approx(ones * (1 - ones), abs=1e-5)
    assert float(found[0, 0, 10, 0]) == 0


@pytest.mark.parametrize("share", [0.05, 0.15, 0.3])
@pytest.mark.parametrize("contrast", [0.03, 0.1, 0.25])
def test_expected_ssim_is_that_of_mixtures_with_independent_tiles(contrast, share):
    """Noise in the place of tiles; SSIM from torchmetrics. The means differ a little, too."""
    reference, noise = cloudy(contrast), torch.Generator().manual_seed(1)
    tiles = 0.5 + 0.2 * torch.randn(3, 64, 64, generator=noise)
    fit = Fit(pulls=4, tile_variance=float(local_variance(tiles[None]).mean()))
    mosaic = (1 - share) * reference + share * tiles
    expected = expected_ssim(local_variance(reference[None]), 1 - share**0.25, fit)
    assert expected == pytest.approx(ssim(mosaic, reference), abs=0.02)


def test_flat_references_are_pulled_more():
    pulls = [least_strength(cloudy(contrast), 0.72) for contrast in (0.005, 0.1, 0.14, 0.5, 2)]
    assert pulls == sorted(pulls, reverse=True)
    assert pulls[0] > 0.38 and pulls[-1] == WEAKEST
    assert len(set(pulls)) > 2


def test_a_higher_target_pulls_more_but_never_beyond_its_bounds():
    pulls = [least_strength(cloudy(0.12), target) for target in (0, 0.6, 0.7, 0.8, 1)]
    assert pulls == sorted(pulls)
    assert pulls[0] == WEAKEST and pulls[-1] == STRONGEST
    assert len(set(pulls)) > 2


@pytest.mark.parametrize(
    "options",
    [
        {"guidance_strength": 0.1},
        {"guidance": False},
        {"guide": "exact"},
        {"method": "adain"},
    ],
    ids=str,
)
def test_what_knows_its_pull_or_has_none_is_left_alone(small, options):
    given = change(small, **options)
    assert with_strength(given, cloudy(0.02)) is given


def test_a_mosaic_tells_the_pull_that_it_chose(finished, small, make):
    """It is that of its own reference, and giving the same number draws the same tiles."""
    with Image.open(finished / "reference.png") as image:
        reference = to_image(np.asarray(image.convert("RGB")))
    chosen = record_of(finished)["guidance_strength"]
    assert chosen == least_strength(reference, small.mosaic.guide.target_ssim)
    given = pixels_of(make(small, guidance_strength=chosen))
    for name, pixels in pixels_of(finished).items():
        assert np.array_equal(pixels, given[name])


def test_the_papers_guides_have_no_pull_to_tell(small, make):
    assert "guidance_strength" not in record_of(make(small, guide="exact", steps=1))
