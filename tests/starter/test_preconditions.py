"""What the stages refuse before anything is read or made."""

from dataclasses import replace
from pathlib import Path

import pytest

from smalti.configs.errors import InputError
from smalti.starter.corpus import load_corpus
from smalti.starter.recipe_settings import RecipeSettings
from smalti.starter.stages import run_stage


@pytest.mark.parametrize("missing", ["vae", "clip"])
def test_a_stage_says_which_one_comes_first(
    missing: str, recipe: RecipeSettings, tmp_path: Path
) -> None:
    """Before the corpus is read and samples are composed, which takes minutes."""
    work = tmp_path / "work"
    for stage in {"vae", "clip"} - {missing}:
        (work / stage).mkdir(parents=True)
    with pytest.raises(InputError, match=f'"{missing}"'):
        run_stage("unet", recipe, work, tmp_path / "out")
    assert not (work / "compositions").exists()


@pytest.mark.parametrize("section", ["corpus", "unet"])
def test_a_misspelt_table_is_named_before_anything_is_made(
    section: str, recipe: RecipeSettings, tmp_path: Path
) -> None:
    corpus, unet = recipe.corpus, recipe.unet
    wrong = {
        "corpus": replace(recipe, corpus=replace(corpus, subjects=("comon",))),
        "unet": replace(recipe, unet=replace(unet, start="finished", finetune_table="comon")),
    }
    with pytest.raises(InputError, match='"comon"'):
        run_stage("all", wrong[section], tmp_path / "work", tmp_path / "out")
    assert not (tmp_path / "work").exists()


def test_a_missing_corpus(recipe: RecipeSettings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="smalti.starter.sources"):
        load_corpus(replace(recipe.corpus, parquet=str(tmp_path / "no.parquet")), tmp_path)
