"""Rendering against a loop over pixels, and planned samples against what they promise."""

import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from smalti.starter import captions as words
from smalti.starter.compose import Compositions, compose, plain, render
from smalti.starter.corpus import Corpus, _halved, load_corpus
from smalti.starter.paint import OWN_COLORS
from smalti.starter.recipe_settings import CorpusSettings, RecipeSettings

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
        "front": 0, "front_place": (1, 1, 0, 0), "paint": OWN_COLORS, "back": -1,
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


def brute_force(corpus: Corpus, plan: Compositions) -> np.ndarray:
    """The sample pixel by pixel: ramp, back over it, front over both, tint."""
    picture = np.zeros((3, SIDE, SIDE))
    for row in range(SIDE):
        for column in range(SIDE):
            x, y = (2 * column + 1) / SIDE - 1, (2 * row + 1) / SIDE - 1
            angle = plan.angle[0]
            share = min(1, max(0, (x * math.cos(angle) + y * math.sin(angle)) / 2 + 0.5))
            color = plan.colors[0, 0] * (1 - share) + plan.colors[0, 1] * share
            back = (plan.back[0], plan.back_place[0], plan.wrap[0])
            for which in (back, (plan.front[0], plan.front_place[0], False)):
                over = layer_at(corpus, *which, x, y)
                color = over[:3] + color * (1 - over[3])
            picture[:, row, column] = np.clip(color * plan.tint[0], 0, 1)
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
    alone = torch.cat([render(noise_corpus, plan) for plan in SAMPLES.values()])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


def test_plain_shows_the_picture_on_one_colour(noise_corpus: Corpus) -> None:
    picture = plain(noise_corpus, np.array([1]), seed=3)[0]
    color = np.random.default_rng(3).random((1, 3), np.float32)[0]
    source = noise_corpus.images[1].numpy() / 255
    expected = source[:3] + color[:, None, None] * (1 - source[3:])
    np.testing.assert_allclose(picture.numpy(), expected, atol=1e-6)


@pytest.fixture(scope="module")
def corpus(recipe: RecipeSettings, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return load_corpus(recipe.corpus, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def planned(corpus: Corpus) -> tuple[Compositions, list[str]]:
    return compose(corpus, CorpusSettings(), 1500, seed=4)


def test_the_same_seed_plans_the_same(corpus: Corpus, planned) -> None:
    again, captions = compose(corpus, CorpusSettings(), 1500, seed=4)
    assert captions == planned[1]
    for field in fields(Compositions):
        assert np.array_equal(getattr(again, field.name), getattr(planned[0], field.name))


def test_a_seed_of_its_own_plans_something_else(corpus: Corpus, planned) -> None:
    assert compose(corpus, CorpusSettings(), 1500, seed=5)[1] != planned[1]


def test_full_pictures_fill_the_frame_and_have_nothing_behind(corpus: Corpus, planned) -> None:
    plan = planned[0].select(np.flatnonzero(corpus.opaque[planned[0].front]))
    assert (plan.back == -1).all()
    reach = np.abs(plan.front_place[:, 2:]) + 1
    assert (reach <= plan.front_place[:, 1:2] + 1e-6).all()


def test_every_kind_of_background_comes_up(corpus: Corpus, planned) -> None:
    plan, captions = planned
    behind = corpus.opaque[np.maximum(plan.back, 0)] & (plan.back >= 0)
    ramps = (plan.colors[:, 0] != plan.colors[:, 1]).any(1)
    pairs = (plan.back >= 0) & ~plan.wrap & ~behind
    for share in (behind.mean(), plan.wrap.mean(), ramps.mean(), pairs.mean()):
        assert 0.01 < share < 0.35
    assert any(" on a red background" in caption for caption in captions)
    assert (plan.front_place[:, 0] < 0).mean() == pytest.approx(0.5, abs=0.06)


def test_subjects_are_drawn_evenly(corpus: Corpus) -> None:
    settings = replace(CorpusSettings(), subject_share=1.0, subjects=("often",))
    plan, _ = compose(corpus, settings, 2000, seed=0)
    shown = np.array([corpus.texts["caption"][i] for i in plan.front])
    names = sorted(set(shown))
    assert "mountain" not in names
    shares = np.array([(shown == name).mean() for name in names])
    np.testing.assert_allclose(shares, 1 / len(names), atol=0.035)


def test_compositions_survive_a_file(planned, tmp_path: Path) -> None:
    planned[0].save(tmp_path / "plan.npz")
    loaded = Compositions.load(tmp_path / "plan.npz")
    assert np.array_equal(loaded.colors, planned[0].colors)
    assert len(loaded) == 1500


def test_a_subject_table_says_how_often_it_is_seen_close_up(corpus: Corpus, monkeypatch) -> None:
    """Close-ups say so and are larger than the picture; the rest are not."""
    table = {"weight": 1.0, "few": 3, "subjects": [["cat"]], "near": 0.4}
    facts = words.facts() | {"often": table}
    monkeypatch.setattr(words, "facts", lambda: facts)
    settings = replace(CorpusSettings(), subject_share=1.0, subjects=("often",))
    plan, captions = compose(corpus, settings, 2000, seed=0)
    near = np.array(["close-up" in caption for caption in captions])
    assert near.mean() == pytest.approx(0.4, abs=0.04)
    assert (plan.front_place[near, 1] > 1.1).all()
    assert (plan.front_place[~near, 1] < 1.1).all()


def test_every_sample_of_a_table_with_styles_tells_a_style_or_a_colour(
    corpus: Corpus, monkeypatch
) -> None:
    """What it tells is what it shows; half and half, pictures of other styles never."""
    table = {"weight": 1.0, "few": 9, "subjects": [["cat"], ["dog"], ["mountain"]],
             "styles": ["clipart", "ink drawing"], "colors": ["red", "blue"]}
    facts = words.facts() | {"manners": table}
    monkeypatch.setattr(words, "facts", lambda: facts)
    settings = replace(CorpusSettings(), subject_share=1.0, subjects=("manners",))
    plan, captions = compose(corpus, settings, 600, seed=0)
    assert {corpus.texts["style"][i] for i in plan.front} == {"clipart"}  # mountains are photos
    painted = (plan.paint >= 0).all(1)
    assert (plan.paint[~painted] == OWN_COLORS).all()
    assert painted.mean() == pytest.approx(0.5, abs=0.07)
    for caption, paint, has_paint in zip(captions, plan.paint, painted, strict=True):
        if not has_paint:
            assert "clipart" in caption
            continue
        (color,) = {c for c in ("red", "blue") if f"{c} cat" in caption or f"{c} dog" in caption}
        shades = np.array(facts["colors"][color]) / 255
        assert np.abs(shades - paint).max(1).min() <= 10 / 255 + 1e-6


def test_other_tables_leave_pictures_their_colours(planned) -> None:
    assert (planned[0].paint == OWN_COLORS).all()
