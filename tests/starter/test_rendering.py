"""Rendering against a loop over pixels."""

import math
from dataclasses import fields

import numpy as np
import pytest
import torch

from smalti.starter.compositions import Compositions
from smalti.starter.corpus import Corpus, _halved
from smalti.starter.recoloring import OWN_COLORS
from smalti.starter.rendering import on_random_colors, render

SIDE = 16


@pytest.fixture(scope="module")
def noise_corpus() -> Corpus:
    """Three pictures of premultiplied noise."""
    g = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (3, 4, SIDE, SIDE), generator=g).byte()
    images[:, :3] = torch.minimum(images[:, :3], images[:, 3:])
    return Corpus(images, _halved(images), {}, np.zeros(3, bool), np.array([0]))


def one(**changes) -> Compositions:
    """A single sample: picture 0 at full size on mid grey, but for `changes`."""
    values = {
        "front": 0, "front_place": (1, 1, 0, 0), "recolor": OWN_COLORS, "back": -1,
        "back_place": (1, 1, 0, 0), "wrap": False, "colors": ((0.5, 0.5, 0.5),) * 2,
        "angle": 0.0, "tint": (1, 1, 1), **changes,
    }
    kinds = {"front": np.int32, "back": np.int32, "wrap": np.bool_}
    return Compositions(
        *(np.array([values[f.name]], kinds.get(f.name, np.float32)) for f in fields(Compositions))
    )


def bilinear(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    """Colour [4] at (x, y) in [-1, 1]; nothing outside."""
    side = picture.shape[-1]
    column, row = ((x + 1) * side - 1) / 2, ((y + 1) * side - 1) / 2
    total = np.zeros(4)
    for r in (math.floor(row), math.floor(row) + 1):
        for c in (math.floor(column), math.floor(column) + 1):
            if 0 <= r < side and 0 <= c < side:
                total += picture[:, r, c] * (1 - abs(row - r)) * (1 - abs(column - c))
    return total


def layer_at(corpus: Corpus, index: int, place, wrap: bool, x: float, y: float) -> np.ndarray:
    if index < 0:
        return np.zeros(4)
    source = corpus.small if place[1] < 0.6 else corpus.images
    u, v = (x - place[2]) / place[0], (y - place[3]) / place[1]
    if wrap:
        u, v = (u + 1) % 2 - 1, (v + 1) % 2 - 1
    return bilinear(source[index].numpy() / 255, u, v)


def brute_force(corpus: Corpus, sample: Compositions) -> np.ndarray:
    """The sample pixel by pixel: ramp, back over it, front over both, tint."""
    picture = np.zeros((3, SIDE, SIDE))
    for row in range(SIDE):
        for column in range(SIDE):
            x, y = (2 * column + 1) / SIDE - 1, (2 * row + 1) / SIDE - 1
            angle = sample.angle[0]
            share = min(1, max(0, (x * math.cos(angle) + y * math.sin(angle)) / 2 + 0.5))
            color = sample.colors[0, 0] * (1 - share) + sample.colors[0, 1] * share
            back = (sample.back[0], sample.back_place[0], sample.wrap[0])
            for which in (back, (sample.front[0], sample.front_place[0], False)):
                over = layer_at(corpus, *which, x, y)
                color = over[:3] + color * (1 - over[3])
            picture[:, row, column] = np.clip(color * sample.tint[0], 0, 1)
    return picture


SAMPLES = {
    "cut-out on a colour": one(front_place=(0.8, 0.8, 0.13, -0.21)),
    "mirrored": one(front_place=(-0.9, 0.9, -0.05, 0.1)),
    "enlarged": one(front_place=(1.4, 1.4, 0.3, 0.37)),
    "ramp": one(front_place=(0.7, 0.7, 0, 0), colors=((1, 0, 0.2), (0, 0.9, 0.4)), angle=2.5),
    "scene behind": one(back=1, back_place=(-1.3, 1.3, 0.2, -0.1), front_place=(0.7, 0.7, 0, 0)),
    "pattern behind": one(back=2, back_place=(0.3, 0.3, 0.41, -0.77), wrap=True),
    "pair": one(back=1, back_place=(0.5, 0.5, 0.47, 0.1), front_place=(0.5, 0.5, -0.47, -0.1)),
    "tinted": one(tint=(0.5, 0.9, 0.7)),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_render_against_a_loop_over_pixels(noise_corpus: Corpus, name: str) -> None:
    drawn = render(noise_corpus, SAMPLES[name])[0].numpy()
    np.testing.assert_allclose(drawn, brute_force(noise_corpus, SAMPLES[name]), atol=2e-4)


def test_a_sample_does_not_depend_on_its_batch(noise_corpus: Corpus) -> None:
    together = render(noise_corpus, Compositions.joined(list(SAMPLES.values())))
    alone = torch.cat([render(noise_corpus, sample) for sample in SAMPLES.values()])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


def test_on_random_colors_shows_the_picture_on_one_colour(noise_corpus: Corpus) -> None:
    picture = on_random_colors(noise_corpus, np.array([1]), seed=3)[0]
    color = np.random.default_rng(3).random((1, 3), np.float32)[0]
    source = noise_corpus.images[1].numpy() / 255
    expected = source[:3] + color[:, None, None] * (1 - source[3:])
    np.testing.assert_allclose(picture.numpy(), expected, atol=1e-6)
