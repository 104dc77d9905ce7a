"""The recipe's stages on 20 pictures: each runs, resumes bit for bit, and the folder loads."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from transformers import CLIPModel, CLIPTokenizer

from smalti.configs.errors import InputError
from smalti.starter import prepare as prepare_module
from smalti.starter.composer import compose
from smalti.starter.corpus import Corpus
from smalti.starter.prepare import Prepared, prepare
from smalti.starter.recipe_settings import RecipeSettings
from smalti.starter.stages import run_stage
from smalti.starter.subjects import subjects_toml
from smalti.starter.tokenizer import encode, load_tokenizer
from smalti.starter.unet import _kept_latents, draw, encode_latents
from smalti.starter.vae import new_vae

pytestmark = pytest.mark.slow
STAGES = ("vae", "clip", "unet", "color")


@pytest.fixture(scope="module")
def prepared(recipe: RecipeSettings, finished: Path) -> Prepared:
    return prepare(recipe, finished / "work", torch.device("cpu"))


@pytest.fixture(scope="module")
def pipeline(finished: Path) -> StableDiffusionPipeline:
    loaded = StableDiffusionPipeline.from_pretrained(finished / "out")
    loaded.set_progress_bar_config(disable=True)
    return loaded


def assert_same(left: object, right: object) -> None:
    """Equal bit for bit, at any depth."""
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, list):
        for a, b in zip(left, right, strict=True):
            assert_same(a, b)
    else:
        assert left == right


def test_colours_want_a_finished_unet(
    recipe: RecipeSettings, finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match='"unet"'):
        run_stage("color", recipe, finished / "work", tmp_path / "nothing")


def test_a_clip_without_its_text_half_is_an_input_error(
    recipe: RecipeSettings, finished: Path, tmp_path: Path
) -> None:
    """The shipped CLIP's text half lies beside it, as the pipeline's text encoder."""
    work = tmp_path / "two words"
    shutil.copytree(finished / "work", work)
    shutil.rmtree(work / "clip")
    shutil.copytree(finished / "out" / "clip", work / "clip")
    with pytest.raises(InputError, match="text_encoder/model.safetensors") as told:
        run_stage("unet", recipe, work, tmp_path / "out")
    assert str(told.value).count(str(work)) == 2  # spaces and all


@pytest.mark.parametrize("stage", STAGES)
def test_a_stopped_stage_ends_as_an_unbroken_one(
    stage: str, recipe: RecipeSettings, finished: Path, copied: Path, stopped_before: Callable
) -> None:
    work, out = copied / "work", copied / "out"
    (work / f"{stage}.pt").unlink()
    with stopped_before(3):
        run_stage(stage, recipe, work, out)
    assert torch.load(work / f"{stage}.pt")["step"] == 2
    run_stage(stage, recipe, work, out)
    resumed, expected = (torch.load(f / f"{stage}.pt") for f in (work, finished / "work"))
    assert expected["step"] == 4 and resumed.pop("seconds") > 0 and expected.pop("seconds") > 0
    assert_same(resumed, expected)
    for path in finished.rglob("*.safetensors"):
        assert (copied / path.relative_to(finished)).read_bytes() == path.read_bytes()


def test_a_stage_leaves_a_log_and_a_sample(finished: Path) -> None:
    work = finished / "work"
    rows = [json.loads(line) for line in (work / "vae.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 4
    assert rows[-1]["samples"] == 8
    assert {"l1", "lpips", "kl"} <= rows[-1].keys()
    assert Image.open(work / "vae_000004.png").size == (16 * 64, 64 * 1)
    assert Image.open(work / "unet_000004.png").size == (12 * 64, 64)
    assert "found among 2" in (work / "clip_000004.txt").read_text()
    assert list((work / "tensorboard" / "unet").iterdir())


def test_the_folder_draws_in_the_stock_pipeline(pipeline: StableDiffusionPipeline) -> None:
    pictures = draw(pipeline, ["a cat", "an owl"], each=2, steps=2)
    assert pictures.shape == (4, 3, 64, 64)
    assert pictures.isfinite().all()
    alone = draw(pipeline, ["an owl"], each=1, steps=2, seed=2)
    torch.testing.assert_close(alone[0], pictures[2], atol=1e-4, rtol=0)


def test_text_weights_are_stored_once(finished: Path, pipeline: StableDiffusionPipeline) -> None:
    clip = CLIPModel.from_pretrained(finished / "out" / "clip")
    own = pipeline.text_encoder.state_dict()
    shared = clip.text_model.state_dict()
    assert len(own) == len(shared)
    for key, value in shared.items():
        match = own[key] if key in own else own[f"text_model.{key}"]
        assert torch.equal(match.float(), value.float())
    assert {p.name for p in (finished / "out" / "clip").glob("*.safetensors")} == {
        "image.safetensors"
    }
    tokens = CLIPTokenizer.from_pretrained(finished / "out" / "clip")
    assert tokens("a cat").input_ids == pipeline.tokenizer("a cat").input_ids


def test_the_folder_is_half_precision_and_names_no_folder(finished: Path) -> None:
    for path in (finished / "out").rglob("*.json"):
        assert str(finished) not in path.read_text(encoding="utf-8")
    header = (finished / "out" / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    length = int.from_bytes(header[:8], "little")
    kinds = {v["dtype"] for k, v in json.loads(header[8 : 8 + length]).items() if k[0] != "_"}
    assert kinds == {"F16"}


def test_a_card_survives_a_new_model(copied: Path, recipe: RecipeSettings) -> None:
    (copied / "out" / "README.md").write_text("card")
    run_stage("unet", recipe, copied / "work", copied / "out")
    assert (copied / "out" / "README.md").read_text() == "card"


def test_held_out_pictures_are_never_seen_by_the_vae(prepared: Prepared) -> None:
    seen, samples = prepared.seen_by_vae(), prepared.compositions
    shown = {*samples.front[seen].tolist(), *samples.back[seen].tolist()}
    assert not shown & set(prepared.corpus.held_out.tolist())
    for row in set(range(len(samples))) - set(seen.tolist()):
        pictures = {int(samples.front[row]), int(samples.back[row])}
        assert pictures & set(prepared.corpus.held_out.tolist())


def test_preparing_again_reads_the_same(prepared: Prepared, recipe, tmp_path: Path) -> None:
    again = prepare(recipe, tmp_path, torch.device("cpu"))
    assert np.array_equal(again.tokens, prepared.tokens)
    assert np.array_equal(again.compositions.front_place, prepared.compositions.front_place)
    files = [(tmp_path / "tokenizer" / name).read_text() for name in ("vocab.json", "merges.txt")]
    folder = prepared.tokenizer_folder
    assert files == [(folder / name).read_text() for name in ("vocab.json", "merges.txt")]


def test_chunks_composed_by_processes_are_joined_in_order(
    prepared: Prepared, recipe: RecipeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each chunk has a seed of its own, whoever composes it."""
    monkeypatch.setattr(prepare_module, "CHUNK", 30)
    folder, corpus = prepared.tokenizer_folder, prepared.corpus
    samples, tokens = prepare_module._compositions(corpus, recipe, folder)
    first, captions = compose(corpus, recipe.corpus, 30, seed=2)
    second, more = compose(corpus, recipe.corpus, 30, seed=3)
    joined = np.concatenate([first.front_place, second.front_place])
    assert np.array_equal(samples.front_place, joined)
    assert np.array_equal(tokens, encode(load_tokenizer(folder), [*captions, *more]))


def test_compositions_of_another_subject_list_are_not_taken(
    finished, recipe, tmp_path, monkeypatch
) -> None:
    shutil.copytree(finished / "work", tmp_path / "work")
    edited = {**subjects_toml(), "common": {"subjects": [["cat"]], "weight": 2}}
    monkeypatch.setattr(prepare_module, "subjects_toml", lambda: edited)
    with pytest.raises(InputError, match=r"subjects\.toml"):
        prepare(recipe, tmp_path / "work", torch.device("cpu"))


def test_latents_of_other_compositions_are_not_taken(prepared: Prepared, recipe, tmp_path) -> None:
    vae = new_vae(recipe.vae, recipe.corpus.resolution)
    first = _kept_latents(prepared, vae, 4, tmp_path)
    turned = replace(prepared, compositions=prepared.compositions.select(np.arange(8)[::-1]))
    other = _kept_latents(turned, vae, 4, tmp_path)
    assert not torch.equal(other, first)
    assert torch.equal(other, encode_latents(turned, vae, 4))
    assert torch.equal(_kept_latents(prepared, vae, 4, tmp_path), first)


def test_the_corpus_in_memory(prepared: Prepared) -> None:
    corpus: Corpus = prepared.corpus
    assert corpus.images.shape == (20, 4, 64, 64)
    assert corpus.opaque.tolist() == [False] * 15 + [True] * 5
    assert corpus.names(1) == ["dog", "green dog", "dog with a hat"]
    assert (corpus.images[:, :3] <= corpus.images[:, 3:]).all(), "colours are premultiplied"
    expected = corpus.images[3].float().reshape(4, 32, 2, 32, 2).mean((2, 4)).round()
    assert torch.equal(corpus.small[3].float(), expected)
