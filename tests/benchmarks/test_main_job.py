"""The main job's arithmetic against numbers worked out by hand, and its runs on the tiny model."""

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import create_autospec

import main_job
import numpy as np
import pytest
import torch
from main_job import parse_pair
from PIL import Image
from summary import Score, check_rows, checks, clear_gap, summarise, summary_rows
from variants import VARIANTS, file_sizes, variant_settings

from smalti.configs.errors import InputError
from smalti.configs.mosaic import changed, mosaic_settings
from smalti.configs.settings import Settings, TrainSettings
from smalti.evaluate.likeness import (
    Landmarks,
    fidelity_and_likeness,
    landmarks,
    photo_features,
)
from smalti.generate import mosaic as mosaic_module
from smalti.models.bases import load_base
from smalti.models.edlora import attach_new, detach, save_adapter

SIZES = {"sylvie": {"adapter": 4_000_000, "base": 45_000_000}}


def score(variant: str, seed: int, psnr: float, likeness: float, pair: str = "s/e") -> Score:
    return Score(pair, variant, seed, psnr, psnr / 40, likeness)


@pytest.fixture
def scores() -> list[Score]:
    return [
        score("full", 0, 20.0, 0.72),
        score("full", 1, 24.0, 0.78),
        score("no-noise", 0, 19.5, 0.72),
        score("both", 0, 22.0, 0.70),
        score("no-color", 0, 18.0, 0.74),
        score("no-guidance", 0, 14.0, 0.76),
        score("unguided", 0, 12.0, 0.80),
        score("unguided", 1, 12.0, 0.80),
        score("class-word", 0, 20.0, 0.50),
        score("class-word", 1, 20.0, 0.60),
    ]


def test_means_ratios_and_differences(scores):
    full = summarise(scores)["full"]
    assert (full.count, full.psnr) == (2, 22.0)
    assert full.psnr_spread == pytest.approx(8**0.5)  # two values four apart
    assert full.ssim == pytest.approx(0.55)
    assert full.likeness == pytest.approx(0.75)
    assert full.of_unguided == pytest.approx(0.75 / 0.80)
    assert full.above_class_word == pytest.approx((0.22 + 0.18) / 2)


def test_partners_share_pair_and_seed(scores):
    # Seed 1 of another pair has no partner, and seed 0's must not be taken for it.
    alone = [*scores, score("full", 1, 20.0, 0.10, pair="e/s")]
    assert summarise(alone)["full"].of_unguided == pytest.approx(0.75 / 0.80)
    assert summarise(scores)["no-color"].of_unguided == pytest.approx(0.74 / 0.80)
    lonely = summarise([score("full", 0, 20.0, 0.7)])["full"]
    assert (lonely.of_unguided, lonely.above_class_word, lonely.psnr_spread) == (None, None, 0.0)


def test_what_must_be_reached(scores):
    found = {
        check.what.partition(":")[0].partition(",")[0]: check for check in checks(scores, {}, {})
    }
    assert all(check.reached for check in found.values())
    assert found["PSNR@64 that colour alignment brings"].value == pytest.approx(4.0)
    assert found["PSNR@64 that guidance brings"].value == pytest.approx(8.0)
    assert found["PSNR@64 that guidance brings"].target == pytest.approx(4.0)


def test_guidance_must_bring_most(scores):
    weak = [replace(s, psnr=18.5) if s.variant == "no-guidance" else s for s in scores]
    brings = [check for check in checks(weak, {}, {}) if "guidance brings" in check.what]
    assert [check.reached for check in brings] == [False]


def test_clearly_above_means_no_overlap_in_any_pair(scores):
    assert clear_gap(scores) == pytest.approx(0.72 - 0.60)
    other = [score("full", 0, 20, 0.90, "e/s"), score("class-word", 0, 20, 0.91, "e/s")]
    assert clear_gap([*scores, *other]) == pytest.approx(-0.01)


def test_blobs_of_colour_do_not_pass(scores):
    # Full tiles of pair s/e score 0.75 on average; noise that scores more makes that worthless.
    for noise, passed in ((0.74, True), (0.76, False)):
        found = checks(scores, {}, {"s": Landmarks(noise, 0.9), "e": Landmarks(0.99, 0.99)})
        assert [check.reached for check in found if "noise" in check.what] == [passed]


@pytest.mark.parametrize(
    ("adapter", "base", "reached"),
    [
        (5_000_000, 45_000_000, True),
        (5_000_001, 45_000_000, False),
        (6_000_000, 600_000_000, True),
        (6_000_001, 600_000_000, False),
    ],
)
def test_the_adapter_may_take_5_mb_or_1_percent(adapter, base, reached):
    (check,) = checks([], {"sylvie": {"adapter": adapter, "base": base}}, {})
    assert check.reached is reached


def test_table_rows(scores):
    rows = summary_rows(summarise(scores), {"full": "the paper's method"})
    assert rows[0] == ["full", "the paper's method", "2", "22.00 ± 2.83", "0.550", "0.750",
                       "93.8 %", "+0.200"]  # fmt: skip
    lonely = summary_rows(summarise([score("full", 0, 20.0, 0.7)]), {})
    assert lonely[0][-2:] == ["", ""]
    assert check_rows(checks([], SIZES, {}))[0][1:3] == ["4.000", "5.000"]


@pytest.mark.parametrize("text", ["sylvie", "sylvie/", "/eileen", "a/b/c"])
def test_bad_pairs_are_refused(text):
    with pytest.raises(InputError) as raised:
        parse_pair(text)
    assert "--pair" in str(raised.value)


def test_a_pair_is_tiles_and_reference():
    assert parse_pair("sylvie/eileen") == ("sylvie", "eileen")


def test_variants_change_what_they_say():
    settings = Settings(mosaic=mosaic_settings(tile_lora=("sylvie",), ref_lora="eileen"))
    made = {name: variant_settings(settings, one, "girl").mosaic for name, one in VARIANTS.items()}
    assert made["no-noise"] == changed(made["full"], noise="random")
    assert made["both"] == changed(made["full"], color=True)
    assert made["no-color"] == made["full"], "the default preset has no colour alignment"
    assert made["no-guidance"] == changed(made["both"], guidance=False)
    assert made["unguided"] == changed(made["no-guidance"], color=False)
    plain, full = made["class-word"], made["full"].picture
    assert (plain.picture.tile_lora, plain.picture.ref_lora) == ((), ("eileen",))
    assert plain.picture.tile_prompt == tuple(
        prompt.replace("<concept>", "girl") for prompt in full.tile_prompt
    )
    back = changed(plain, tile_lora=("sylvie",), tile_prompt=full.tile_prompt)
    assert back == made["full"]


class ColorJudge:
    """Sees nothing but an image's mean colour."""

    def image_features(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(images.mean(dim=(2, 3)), dim=-1)


@pytest.fixture(scope="module")
def concepts(tiny_settings, tmp_path_factory) -> Path:
    """Two concepts of three photos each, with adapters as fresh as training begins."""
    folder = tmp_path_factory.mktemp("concepts")
    base = load_base(tiny_settings, device="cpu")
    for name, color in (("sylvie", (200, 40, 40)), ("eileen", (40, 40, 200))):
        (folder / name).mkdir()
        for number in range(3):
            Image.new("RGB", (80, 64), color).save(folder / name / f"{number}.png")
        adapter = attach_new(base, name, "girl", TrainSettings(rank=2))
        save_adapter(base, adapter, folder / name / "edlora.safetensors")
        detach(base, adapter)
    return folder


@pytest.fixture(scope="module")
def settings(tiny_settings) -> Settings:
    quick = {"grid": "1x2", "steps": 3, "reference_steps": 2, "batch_size": 4}
    return Settings(tiny_settings, mosaic=mosaic_settings(**quick))


def draw(settings: Settings, out: Path, concepts: Path, *names: str) -> dict:
    return main_job.draw_all(settings, [("sylvie", "eileen")], names, [0], out, concepts)


@pytest.mark.slow
def test_finished_mosaics_are_not_drawn_again(settings, concepts, tmp_path, monkeypatch):
    first = draw(settings, tmp_path, concepts, "full", "class-word")
    drawing = create_autospec(mosaic_module.make_tiles, side_effect=KeyboardInterrupt)
    monkeypatch.setattr(mosaic_module, "make_tiles", drawing)
    assert draw(settings, tmp_path, concepts, "full", "class-word") == first
    other = replace(settings, mosaic=changed(settings.mosaic, steps=2))
    with pytest.raises(KeyboardInterrupt):
        draw(other, tmp_path, concepts, "full")


@pytest.mark.slow
def test_scores_sheet_and_report(settings, concepts, tmp_path):
    folders = draw(settings, tmp_path, concepts, "full")
    (folder,) = folders.values()
    judge = ColorJudge()
    photos = photo_features(judge, sorted((concepts / "sylvie").glob("*.png")))
    found = Score("sylvie/eileen", "full", 0, **fidelity_and_likeness(folder, judge, photos))
    recorded = json.loads((folder / "mosaic.json").read_text())["metrics"]
    assert found.psnr == pytest.approx(recorded["psnr_64"], abs=1e-3)
    assert found.ssim == pytest.approx(recorded["ssim_64"], abs=1e-4)
    tiles = [np.asarray(Image.open(path)) / 255 for path in (folder / "tiles").iterdir()]
    colors = np.stack([tile.mean((0, 1)) for tile in tiles])
    cosine = colors @ (200, 40, 40) / np.linalg.norm(colors, axis=1) / np.hypot(200, 40 * 2**0.5)
    assert found.likeness == pytest.approx(cosine.mean(), abs=1e-5)
    sizes = {"sylvie": file_sizes(settings, "sylvie", concepts)}
    assert sizes["sylvie"]["base"] > sizes["sylvie"]["adapter"] > 0
    marks = {"sylvie": landmarks(judge, photos)}
    written = json.loads(json.dumps(
        main_job.report(settings, [found], checks([found], sizes, marks), sizes, marks)
    ))  # fmt: skip
    assert written["mosaics"][0]["psnr"] == found.psnr
    main_job.write_sheet(folders, ["full"], tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").width > 640  # two pictures of 320 px
