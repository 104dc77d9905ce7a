"""The linear latent->RGB map: what it fits, how it is kept, what it says of itself."""

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
import torch
from safetensors.torch import load_file

from smalti.models import linear_decoder as module
from smalti.models.linear_decoder import (
    LinearDecoder,
    fit_linear_decoder,
    linear_decoder,
    random_pictures,
)

MATRIX = torch.tensor([[0.2, 0.1, 0.0, -0.1], [0.0, 0.3, 0.1, 0.0], [0.1, 0.0, 0.2, 0.1]])

COVARIANCE = torch.tensor(
    [[1.2, 1.1, -0.6, 0.0], [1.1, 1.8, -0.2, 0.4], [-0.6, -0.2, 0.9, 0.1], [0.0, 0.4, 0.1, 2.5]]
)


def linear_base(noise: float = 0.0):
    """An autoencoder that is linear per cell of 8 x 8 pixels; a fourth channel says nothing."""
    inverse = torch.linalg.pinv(MATRIX)

    def encode(images):
        means = torch.nn.functional.avg_pool2d(images, 8)
        return torch.einsum("cr,krhw->kchw", inverse, means - 0.5)

    def decode(latents):
        g = torch.Generator().manual_seed(1)
        rgb = torch.einsum("rc,kchw->krhw", MATRIX, latents) + 0.5
        rgb = rgb + noise * torch.randn(rgb.shape, generator=g)
        return rgb.repeat_interleave(8, 2).repeat_interleave(8, 3)

    return SimpleNamespace(encode=encode, decode=decode, latent_factor=8)


def test_a_linear_autoencoder_is_recovered():
    fitted = fit_linear_decoder(linear_base())
    latents = linear_base().encode(random_pictures(4))
    expected = torch.einsum("rc,kchw->krhw", MATRIX, latents) + 0.5
    assert torch.allclose(fitted(latents), expected, atol=1e-4)
    assert fitted.fit == pytest.approx(1.0, abs=1e-6)


def test_the_fit_is_the_share_of_variance_explained():
    """Noise of deviation s on colours of deviation d leaves 1 - s^2 / (d^2 + s^2)."""
    base = linear_base(noise=0.05)
    clean = base.encode(random_pictures(module.PICTURES))
    variance = (torch.einsum("rc,kchw->krhw", MATRIX, clean)).var(dim=(0, 2, 3)).mean().item()
    fitted = fit_linear_decoder(base)
    assert fitted.fit == pytest.approx(1 - 0.0025 / (variance + 0.0025), abs=0.01)


def test_a_lift_gives_the_colour():
    decoder = LinearDecoder(MATRIX, torch.zeros(3), COVARIANCE, 1.0)
    rgb = torch.randn(2, 3, 4, 4)
    assert torch.allclose(decoder(decoder.lift(rgb)), rgb, atol=1e-5)


def test_a_lift_is_what_latents_of_that_colour_are_like():
    """Regression of drawn latents on their colours says the same."""
    g = torch.Generator().manual_seed(0)
    latents = torch.randn(200_000, 4, generator=g) @ torch.linalg.cholesky(COVARIANCE).T
    slope = torch.linalg.lstsq(latents @ MATRIX.T, latents).solution.T
    decoder = LinearDecoder(MATRIX, torch.zeros(3), COVARIANCE, 1.0)
    lifted = decoder.lift(torch.eye(3)[:, :, None, None])[:, :, 0, 0].T
    assert torch.allclose(lifted, slope, atol=0.05)
    assert not torch.allclose(lifted, torch.linalg.pinv(MATRIX), atol=0.5)


def test_without_correlations_a_lift_is_the_smallest_change():
    decoder = LinearDecoder(MATRIX, torch.zeros(3), torch.eye(4), 1.0)
    rgb = torch.randn(2, 3, 4, 4)
    expected = torch.linalg.lstsq(MATRIX, rgb.movedim(1, 0).flatten(1), driver="gelsd").solution
    assert torch.allclose(decoder.lift(rgb).movedim(1, 0).flatten(1), expected, atol=1e-5)


def test_a_direction_that_no_picture_uses_stays_where_it_is():
    unused = torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0]))
    lifted = LinearDecoder(MATRIX, torch.zeros(3), unused, 1.0).lift(torch.ones(1, 3, 2, 2))
    assert lifted[:, :3].abs().min() > 0.1 and lifted[:, 3].abs().max() < 1e-3


def test_it_is_fitted_once_per_autoencoder(tiny_base, tmp_path, monkeypatch):
    fits = []
    monkeypatch.setattr(module, "PICTURES", 2)
    monkeypatch.setattr(
        module, "fit_linear_decoder", lambda b: fits.append(b) or fit_linear_decoder(b)
    )
    first, second = (linear_decoder(tiny_base, tmp_path) for _ in range(2))
    assert len(fits) == 1
    assert torch.equal(first.matrix, second.matrix) and first.fit == pytest.approx(second.fit)
    (file,) = tmp_path.iterdir()
    assert set(load_file(file)) == {"matrix", "bias", "covariance", "fit"}
    file.write_bytes(b"damaged")
    assert torch.equal(linear_decoder(tiny_base, tmp_path).matrix, first.matrix) and len(fits) == 2


def test_an_unwritable_cache_is_done_without(tiny_base, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PICTURES", 2)
    (tmp_path / "file").write_text("not a folder")
    assert linear_decoder(tiny_base, tmp_path / "file" / "cache").matrix.shape == (3, 4)


def test_pictures_for_the_fit_are_always_the_same_and_cover_the_range():
    pictures = random_pictures(32)
    assert torch.equal(pictures, random_pictures(32))
    assert pictures.min() < 0.05 and pictures.max() > 0.95


def test_maps_are_kept_in_the_users_cache_wherever_that_is(monkeypatch, tmp_path):
    """Also of a user who is a number without a name, as in a container: there is no home."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert module.cache_folder() == tmp_path / "smalti"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert module.cache_folder() == tmp_path / ".cache" / "smalti"
    monkeypatch.setattr(Path, "home", create_autospec(Path.home, side_effect=RuntimeError))
    assert module.cache_folder().name == "smalti"
