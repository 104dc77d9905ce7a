"""Colour alignment alone: what it ends at, and that smalti's own switch is the same."""

from unittest.mock import create_autospec

import numpy as np
from drawn import pixels_of

from smalti.generate import denoised
from smalti.generate.blocks import enlarge
from smalti.generate.grid import Grid
from smalti.generate.store import Store


def test_adain_gives_latents_the_mean_and_deviation_of_the_blocks(
    by_method, tiny_base, monkeypatch
):
    """Of the last prediction, at which DPM++ ends."""
    real, ends = denoised.denoise, []
    spy = create_autospec(real, side_effect=lambda *a, **k: ends.append(real(*a, **k)) or ends[-1])
    monkeypatch.setattr(denoised, "denoise", spy)
    out = by_method("adain", batch_size=6)
    reference = Store(out, Grid(2, 3, 64, 21)).reference()
    blocks = reference.reshape(3, 2, 21, 3, 21).permute(1, 3, 0, 2, 4).flatten(0, 1)
    wanted, made = tiny_base.encode(enlarge(blocks, 64)).numpy(), ends[0].numpy()
    assert np.allclose(made.mean((2, 3)), wanted.mean((2, 3)), atol=1e-4)
    assert np.allclose(made.std((2, 3)), wanted.std((2, 3)), atol=1e-4)


def test_adain_is_colour_alignment_alone(small, by_method, make, photo):
    switches = {"color": True, "guidance": False, "noise": "random"}
    plain = pixels_of(make(small, ref=str(photo), ref_prompt="", **switches))
    for name, pixels in pixels_of(by_method("adain")).items():
        assert np.array_equal(pixels, plain[name])
