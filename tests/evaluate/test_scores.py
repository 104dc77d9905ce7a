"""Scores of a mosaic against formulas written out; what is not here is said to be missing."""

import shutil
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest
import torch
from evaluating import noisy_mosaic
from published import hub_cache, make_blip, reward_weights, snapshot
from torch.nn.functional import interpolate
from transformers import BlipForImageTextRetrieval, CLIPModel

from smalti.configs.errors import InputError
from smalti.evaluate.image_reward import ImageReward
from smalti.evaluate.judge import STARTER_CLIP, Judge
from smalti.evaluate.networks import BLIP, CLIP, HPS, REWARD
from smalti.evaluate.pretrained import Blip, Judges, clip_iqa, clip_score, find_judges
from smalti.evaluate.protocol import PAIRS
from smalti.evaluate.results import SCORES
from smalti.evaluate.scores import fidelity, measure, tile_similarity
from smalti.evaluate.table import MISSING
from smalti.generate.grid import Grid
from smalti.generate.store import Store
from smalti.models.lpips import Lpips
from smalti.models.metrics import RESOLUTIONS, lpips

CAT = PAIRS[0]


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


@pytest.fixture(scope="module")
def pair():
    """A mosaic of 256 px and its reference of 128 px, which it is not quite."""
    g = torch.Generator().manual_seed(0)
    reference = interpolate(torch.rand(1, 3, 8, 8, generator=g), 128, mode="bicubic").clamp(0, 1)
    mosaic = interpolate(reference, 256) + 0.2 * torch.randn(1, 3, 256, 256, generator=g)
    return mosaic[0].clamp(0, 1), reference[0]


def test_lpips_at_every_resolution(pair, lpips_weights: Path):
    network = Lpips(lpips_weights)
    found = fidelity(*pair, network)
    for side in RESOLUTIONS:
        sized = [interpolate(x[None], side, mode="bilinear", antialias=True) for x in pair]
        assert found[f"lpips_{side}"] == pytest.approx(float(network(*sized)), rel=1e-5)
        assert lpips(pair[1], pair[1], network, side) == 0
    assert len({found[f"lpips_{side}"] for side in RESOLUTIONS}) == 4
    without = fidelity(*pair, None)
    assert [without[f"lpips_{side}"] for side in RESOLUTIONS] == [MISSING] * 4
    assert without["psnr_64"] == found["psnr_64"]


def test_tile_similarity_by_hand():
    """Angles of 0, 10, 60 and 240 degrees: six pairs."""
    angles = torch.deg2rad(torch.tensor([0.0, 10.0, 60.0, 240.0]))
    found = tile_similarity(torch.stack([angles.cos(), angles.sin()], 1))
    between = torch.deg2rad(torch.tensor([10.0, 60.0, 120.0, 50.0, 130.0, 180.0]))
    assert found == pytest.approx(float(between.cos().mean()), abs=1e-6)
    assert tile_similarity(torch.ones(1, 1)) is None


def test_clip_scores_are_their_formulas(judge: Judge):
    images = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    cosine = judge.image_features(images) @ judge.text_features(["A cat"]).T
    expected = [max(0.0, 2.5 * float(value)) for value in cosine]
    assert clip_score(judge, images, "A cat").tolist() == pytest.approx(expected, abs=1e-5)
    good, bad = (judge.image_features(images) @ judge.text_features([text]).T
                 for text in ("Good photo.", "Bad photo."))  # fmt: skip
    expected = torch.sigmoid(judge.clip.logit_scale.exp() * (good - bad))[:, 0]
    torch.testing.assert_close(clip_iqa(judge, images), expected, atol=1e-4, rtol=0)


def test_blip_matches_are_the_models_own(tmp_path: Path):
    folder = make_blip(tmp_path / "blip")
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    model = BlipForImageTextRetrieval.from_pretrained(folder).eval()
    mean, deviation = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.4])
    pixels = (images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    with torch.no_grad():
        logits = [model(input_ids=torch.tensor([[2, 5, 6, 3]]), pixel_values=one[None]).itm_score
                  for one in pixels]  # fmt: skip
    expected = torch.stack([torch.sigmoid(one[0, 1] - one[0, 0]) for one in logits])
    torch.testing.assert_close(Blip(folder).matches(images, "a cat"), expected, atol=1e-5, rtol=0)
    larger = interpolate(images, 64, mode="nearest")
    assert Blip(folder).matches(larger, "a cat").shape == (3,)


def test_networks_are_found_in_the_hubs_cache_only_when_complete(tmp_path: Path, monkeypatch):
    hub_cache(tmp_path, monkeypatch)
    assert BLIP.folder() is None
    place = snapshot(tmp_path, BLIP.hub_id)
    make_blip(place)
    assert BLIP.folder() == place
    found = find_judges(None)
    assert isinstance(found.blip, Blip) and found.clip is None
    assert found.measurable() == {"blip"}
    (place / "model.safetensors").unlink()
    assert BLIP.folder() is None and CLIP.folder() is None


def test_hpsv2_reads_with_the_tokenizer_and_preprocessor_of_clip(tmp_path: Path, monkeypatch):
    """Its folder in the hub has weights only."""
    hub_cache(tmp_path, monkeypatch)
    clip, hps = snapshot(tmp_path, CLIP.hub_id), snapshot(tmp_path, HPS.hub_id)
    shutil.copytree(STARTER_CLIP, clip, dirs_exist_ok=True)
    own = CLIPModel.from_pretrained(STARTER_CLIP)
    own.save_pretrained(hps)
    assert HPS.folder() is None, "CLIP is not completely there"
    own.save_pretrained(clip)
    found = find_judges(None)
    assert found.hps is not None and {"hpsv2", "mosaic_hpsv2", "clip"} <= found.measurable()
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    expected = Judge().similarity(images, ["a cat"])
    torch.testing.assert_close(found.hps.similarity(images, ["a cat"]), expected)


def test_image_reward_is_one_file_and_reads_with_the_tokenizer_of_blip(tmp_path: Path, monkeypatch):
    hub_cache(tmp_path, monkeypatch)
    place = snapshot(tmp_path, REWARD.hub_id)
    place.mkdir(parents=True)
    torch.save(reward_weights(), place / "ImageReward.pt")
    assert REWARD.folder() is None, "BLIP is not there"
    make_blip(snapshot(tmp_path, BLIP.hub_id))
    found = find_judges(None)
    assert found.reward is not None and found.measurable() == {
        "blip", "image_reward", "mosaic_image_reward",
    }  # fmt: skip
    assert REWARD.downloads() == [
        "hf download THUDM/ImageReward ImageReward.pt",
        "hf download Salesforce/blip-itm-base-coco --exclude '*.h5' --exclude '*.msgpack'",
    ]


def test_a_missing_lpips_file_is_named(tmp_path: Path):
    with pytest.raises(InputError) as raised:
        find_judges(tmp_path / "no.safetensors")
    assert "--lpips" in str(raised.value)


@pytest.fixture
def drawn(tmp_path: Path) -> Store:
    """A small mosaic as the evaluation leaves it."""
    store = noisy_mosaic(tmp_path / "drawn", Grid(2, 3, 64, 21))
    store.update(evaluation={"seconds": 1.5, "peak_bytes": 2**29})
    return store


def test_all_scores_of_a_mosaic(
    drawn: Store, judge: Judge, lpips_weights: Path, tmp_path: Path
):
    found = measure(drawn, CAT, Judges(judge))
    assert set(found) == set(SCORES)
    record = drawn.recorded("metrics")
    assert found["psnr_64"] == pytest.approx(record["psnr_64"], abs=1e-3)
    assert found["near_repeats"] == record["near_repeats"]
    assert found["ssim_64"] == pytest.approx(record["ssim_64"], abs=1e-4)
    assert (found["seconds"], found["peak_gib"], found["correction_energy"]) == (1.5, 0.5, 0)
    names = ("lpips_64", "mosaic_hpsv2", "mosaic_image_reward", "clip", "clip_iqa", "blip", "hpsv2",
             "image_reward")  # fmt: skip
    assert [found[name] for name in names] == [MISSING] * 8
    torch.save(reward_weights(), tmp_path / "ImageReward.pt")
    reward = ImageReward(tmp_path / "ImageReward.pt", make_blip(tmp_path / "blip"))
    judges = Judges(judge, Lpips(lpips_weights), clip=judge, hps=judge, reward=reward)
    whole = measure(drawn, CAT, judges)
    changed = {name for name in found if found[name] != whole[name]}
    assert changed == judges.measurable()
    assert whole["hpsv2"] == pytest.approx(whole["clip"] / 2.5, abs=1e-5)  # cosines above 0 here
    rewards = [float(reward.rewards(image[None], "A cat")) for image in images_of(drawn)]
    assert whole["image_reward"] == pytest.approx(mean(rewards), abs=1e-5)
    small = seen_from_afar(drawn, 128)
    assert whole["mosaic_hpsv2"] == pytest.approx(
        float(torch.cosine_similarity(judge.image_features(small),
                                      judge.text_features([CAT.reference]))), abs=1e-5)  # fmt: skip
    assert whole["mosaic_image_reward"] == pytest.approx(
        float(reward.rewards(small, CAT.reference)), abs=1e-5
    )
    assert whole["mosaic_image_reward"] != whole["image_reward"]


def seen_from_afar(store: Store, side: int) -> torch.Tensor:
    """The mosaic [1, 3, side, side * 3 / 2] in [0, 1], as the paper measures it (section 4.2)."""
    mosaic = torch.from_numpy(store.canvas().copy()).permute(2, 0, 1)[None] / 255
    return interpolate(mosaic, (side, side * 3 // 2), mode="bilinear", antialias=True)


def images_of(store: Store) -> torch.Tensor:
    """The 2 x 3 tiles of 64 px cut out of the mosaic, [6, 3, 64, 64] in [0, 1]."""
    tiles = store.canvas().reshape(2, 64, 3, 64, 3).swapaxes(1, 2).reshape(6, 64, 64, 3)
    return torch.from_numpy(tiles.copy()).permute(0, 3, 1, 2) / 255


def test_the_tile_score_is_the_mean_over_tiles(drawn: Store, judge: Judge, monkeypatch):
    monkeypatch.setattr("smalti.evaluate.scores.BATCH", 4)  # 6 tiles, two batches
    expected = judge.image_features(images_of(drawn)) @ judge.class_features(["A cat"]).T
    found = measure(drawn, CAT, replace(Judges(judge)))
    assert found["starter_clip"] == pytest.approx(float(expected.mean()), abs=1e-5)
