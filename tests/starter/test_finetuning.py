"""A finished UNet fine-tuned on some words: what is trained, what each caption is asked for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from smalti.configs.errors import InputError
from smalti.starter.finetuning import Teacher, contains_any_word, train_text_layers_only
from smalti.starter.recipe_settings import RecipeSettings
from smalti.starter.stages import run_stage
from smalti.starter.subjects import distinctive_words
from smalti.starter.unet import Batch, new_unet


def test_a_caption_names_a_word_only_as_a_whole() -> None:
    captions = ["a flower", "a sunflower", "flowers", "rose, clipart", "a primrose", "",
                "a palm tree"]
    found = contains_any_word(captions, ["flower", "rose", "palm tree"])
    assert found.tolist() == [True, False, False, True, False, False, True]


def test_all_words_of_a_table() -> None:
    words = distinctive_words("relearned")
    assert {"flower", "blossom", "hamburger", "cheeseburger"} <= set(words)
    with pytest.raises(InputError, match='"relerned"'):
        distinctive_words("relerned")


def test_a_table_of_styles_and_colours_says_those() -> None:
    """A red background and a bare cat keep what they were."""
    captions = ["clipart of a cat", "a red cat", "a cat, 3d render", "a photo of a blue kitten",
                "a cat", "a cat on a red background", "a red castle", "red"]
    found = contains_any_word(captions, distinctive_words("styles_and_colors"))
    assert found.tolist() == [True] * 4 + [False] * 4


@pytest.fixture
def unet(recipe: RecipeSettings) -> UNet2DConditionModel:
    torch.manual_seed(0)
    return new_unet(recipe.unet, 16, 64)


def test_only_what_reads_the_text_is_trained(unet: UNet2DConditionModel) -> None:
    train_text_layers_only(unet)
    trained = {name for name, weight in unet.named_parameters() if weight.requires_grad}
    assert len(trained) == 2 * 16
    # Text is 16 wide here, and nothing else is.
    reading = {f"{name}.weight" for name, layer in unet.named_modules()
               if isinstance(layer, torch.nn.Linear) and layer.in_features == 16}
    assert trained == reading


def test_all_captions_but_the_words_keep_the_former_answer(unet: UNet2DConditionModel) -> None:
    captions = ["a cat", "a flower", "a dog", "a red flower"]
    g = torch.Generator().manual_seed(0)
    batch = Batch(
        noisy=torch.randn(5, 4, 8, 8, generator=g), times=torch.tensor([1, 250, 500, 750, 999]),
        context=torch.randn(5, 77, 16, generator=g), target=torch.randn(5, 4, 8, 8, generator=g),
        chosen=torch.tensor([3, 0, 1, 2, 1]),
        has_caption=torch.tensor([True, True, True, True, False]),
    )
    teacher = Teacher(unet, captions, ["flower"])
    with torch.no_grad():
        answers = torch.cat([
            unet(batch.noisy[i : i + 1], batch.times[i], batch.context[i : i + 1]).sample
            for i in range(5)
        ])
        for weight in unet.parameters():  # what is trained on must not be the teacher
            weight.add_(1)
    expected = batch.target.clone()
    for i in (1, 3, 4):  # a cat, a dog, and a flower whose caption was dropped
        expected[i] = answers[i]
    torch.testing.assert_close(teacher.target(batch), expected, atol=1e-5, rtol=1e-4)


def test_a_batch_of_nothing_but_the_words_is_left_alone(unet: UNet2DConditionModel) -> None:
    target = torch.randn(1, 4, 8, 8)
    batch = Batch(target, torch.tensor([9]), torch.zeros(1, 77, 16), target, torch.tensor([0]),
                  torch.tensor([True]))
    assert torch.equal(Teacher(unet, ["a flower"], ["flower"]).target(batch), target)


@pytest.mark.slow
def test_the_stage_changes_no_other_weight_and_can_be_stopped(
    recipe: RecipeSettings, copied: Path, stopped_before: Callable
) -> None:
    work, start = copied / "work", copied / "out" / "unet"
    tuned = replace(recipe, unet=replace(recipe.unet, start=str(start), finetune_table="common"))
    (work / "unet.pt").unlink()
    with stopped_before(3):
        run_stage("unet", tuned, work, copied / "stopped")
    run_stage("unet", tuned, work, copied / "stopped")
    (work / "unet.pt").unlink()
    run_stage("unet", tuned, work, copied / "unbroken")
    before, stopped, unbroken = (
        UNet2DConditionModel.from_pretrained(folder).state_dict()
        for folder in (start, copied / "stopped" / "unet", copied / "unbroken" / "unet")
    )
    changed = {name for name in before if not torch.equal(before[name], unbroken[name])}
    assert changed
    assert all(name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")) for name in changed)
    assert all(torch.equal(stopped[name], unbroken[name]) for name in before)


@pytest.mark.slow
def test_a_start_that_is_none_or_of_another_shape(recipe: RecipeSettings, copied: Path) -> None:
    narrow = replace(recipe.unet, channels=(16, 16, 16, 16))
    new_unet(narrow, 16, 64).save_pretrained(copied / "narrow")
    for wrong in ("nowhere", "narrow"):
        settings = replace(recipe, unet=replace(recipe.unet, start=str(copied / wrong)))
        with pytest.raises(InputError, match=rf"unet\.start: .*{wrong}"):
            run_stage("unet", settings, copied / "work", copied / "again")
