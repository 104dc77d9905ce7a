"""What guides cost, counted by hand, and what a batch of them takes in memory."""

from smalti.configs.mosaic import build_mosaic, mosaic_settings
from smalti.generate.guidance.cost import differentiates_decoder, guide_calls, needs_gradients

PLAIN, DECODING = 20.0, 3.0  # ten steps of two calls each


def calls(**options) -> float:
    given = {"steps": 10, "guidance_start": 0.0, **options}
    return guide_calls(build_mosaic(given), PLAIN, DECODING)


def test_guides_cost_what_they_call():
    """In UNet calls of a tile; a backward pass costs twice its forward pass."""
    assert calls(guidance=False) == 0
    assert calls(corrections=2) == 2 * DECODING
    assert calls(guide="filtered-difference") == 0
    assert calls(guide="x0-gradient", inner_steps=2) == 10 * 2 * 3 * DECODING
    assert calls(guide="x0-gradient", guide_decoder="linear") == 0
    assert calls(guide="exact") == 10 * (4 + 3 * DECODING)
    assert calls(guide="exact", guidance_start=0.5) == 5 * (4 + 3 * DECODING)
    assert calls(guide="lpips", guidance_start=0.5, guidance_end=0.2) == 0


def test_which_gradients_are_needed():
    def needs(**options):
        mosaic = mosaic_settings(**options)
        return needs_gradients(mosaic), differentiates_decoder(mosaic)

    assert needs() == needs(guide="exact", guidance=False) == needs(method="adain") == (0, 0)
    assert needs(guide="exact") == needs(guide="ycbcr") == needs(guide="lpips") == (1, 1)
    assert needs(guide="x0-gradient") == (0, 1)
    assert needs(guide="x0-gradient", guide_decoder="linear") == (0, 0)
