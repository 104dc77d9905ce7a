"""Composed samples against what they promise."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from smalti.starter import subjects
from smalti.starter.composer import compose
from smalti.starter.compositions import Compositions
from smalti.starter.corpus import Corpus, load_corpus
from smalti.starter.recipe_settings import CorpusSettings, RecipeSettings
from smalti.starter.recoloring import OWN_COLORS


@pytest.fixture(scope="module")
def corpus(recipe: RecipeSettings, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return load_corpus(recipe.corpus, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def composed(corpus: Corpus) -> tuple[Compositions, list[str]]:
    return compose(corpus, CorpusSettings(), 1500, seed=4)


def test_the_same_seed_plans_the_same(corpus: Corpus, composed) -> None:
    again, captions = compose(corpus, CorpusSettings(), 1500, seed=4)
    assert captions == composed[1]
    for field in fields(Compositions):
        assert np.array_equal(getattr(again, field.name), getattr(composed[0], field.name))


def test_a_seed_of_its_own_plans_something_else(corpus: Corpus, composed) -> None:
    assert compose(corpus, CorpusSettings(), 1500, seed=5)[1] != composed[1]


def test_full_pictures_fill_the_frame_and_have_nothing_behind(corpus: Corpus, composed) -> None:
    samples = composed[0].select(np.flatnonzero(corpus.opaque[composed[0].front]))
    assert (samples.back == -1).all()
    reach = np.abs(samples.front_place[:, 2:]) + 1
    assert (reach <= samples.front_place[:, 1:2] + 1e-6).all()


def test_every_kind_of_background_comes_up(corpus: Corpus, composed) -> None:
    samples, captions = composed
    behind = corpus.opaque[np.maximum(samples.back, 0)] & (samples.back >= 0)
    ramps = (samples.colors[:, 0] != samples.colors[:, 1]).any(1)
    pairs = (samples.back >= 0) & ~samples.wrap & ~behind
    for share in (behind.mean(), samples.wrap.mean(), ramps.mean(), pairs.mean()):
        assert 0.01 < share < 0.35
    assert any(" on a red background" in caption for caption in captions)
    assert (samples.front_place[:, 0] < 0).mean() == pytest.approx(0.5, abs=0.06)


def test_subjects_are_drawn_evenly(corpus: Corpus) -> None:
    settings = replace(CorpusSettings(), subject_share=1.0, subjects=("common",))
    samples, _ = compose(corpus, settings, 2000, seed=0)
    shown = np.array([corpus.texts["caption"][i] for i in samples.front])
    names = sorted(set(shown))
    assert "mountain" not in names
    shares = np.array([(shown == name).mean() for name in names])
    np.testing.assert_allclose(shares, 1 / len(names), atol=0.035)


def test_compositions_survive_a_file(composed, tmp_path: Path) -> None:
    composed[0].save(tmp_path / "compositions.npz")
    loaded = Compositions.load(tmp_path / "compositions.npz")
    assert np.array_equal(loaded.colors, composed[0].colors)
    assert len(loaded) == 1500


def test_a_subject_table_says_how_often_it_is_seen_close_up(corpus: Corpus, monkeypatch) -> None:
    """Close-ups say so and are larger than the picture; the rest are not."""
    table = {"weight": 1.0, "picture_limit": 3, "subjects": [["cat"]], "close_up_share": 0.4}
    tables = subjects.subjects_toml() | {"common": table}
    monkeypatch.setattr(subjects, "subjects_toml", lambda: tables)
    settings = replace(CorpusSettings(), subject_share=1.0, subjects=("common",))
    samples, captions = compose(corpus, settings, 2000, seed=0)
    close_up = np.array(["close-up" in caption for caption in captions])
    assert close_up.mean() == pytest.approx(0.4, abs=0.04)
    assert (samples.front_place[close_up, 1] > 1.1).all()
    assert (samples.front_place[~close_up, 1] < 1.1).all()


def test_every_caption_of_a_table_with_styles_names_a_style_or_a_colour(
    corpus: Corpus, monkeypatch
) -> None:
    """What it tells is what it shows; half and half, pictures of other styles never."""
    table = {"weight": 1.0, "picture_limit": 9, "subjects": [["cat"], ["dog"], ["mountain"]],
             "styles": ["clipart", "ink drawing"], "colors": ["red", "blue"]}
    tables = subjects.subjects_toml() | {"styles_and_colors": table}
    monkeypatch.setattr(subjects, "subjects_toml", lambda: tables)
    settings = replace(CorpusSettings(), subject_share=1.0, subjects=("styles_and_colors",))
    samples, captions = compose(corpus, settings, 600, seed=0)
    assert {corpus.texts["style"][i] for i in samples.front} == {"clipart"}  # mountains are photos
    recolored = (samples.recolor >= 0).all(1)
    assert (samples.recolor[~recolored] == OWN_COLORS).all()
    assert recolored.mean() == pytest.approx(0.5, abs=0.07)
    for caption, color_value, has_color in zip(captions, samples.recolor, recolored, strict=True):
        if not has_color:
            assert "clipart" in caption
            continue
        (color,) = {c for c in ("red", "blue") if f"{c} cat" in caption or f"{c} dog" in caption}
        shades = np.array(tables["colors"][color]) / 255
        assert np.abs(shades - color_value).max(1).min() <= 10 / 255 + 1e-6


def test_other_tables_leave_pictures_their_colours(composed) -> None:
    assert (composed[0].recolor == OWN_COLORS).all()
