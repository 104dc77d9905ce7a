"""Whole mosaics on the tiny model: restarts, batches, single tiles, switches, errors."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.configs.errors import InputError, SmaltiError
from smalti.configs.settings import MosaicSettings, Settings
from smalti.generate import mosaic, output, studio
from smalti.generate.grid import Grid
from smalti.generate.guidance.choice import make_guide
from smalti.generate.mosaic import plan_mosaic, plan_retile
from smalti.generate.plan import DECODER_COST, bytes_per_tile, unet_calls
from smalti.models.base import load_base
from smalti.models.edlora import load_adapter, save_adapter
from smalti.models.metrics import psnr, ssim
from smalti.models.pixels import to_image


def change(settings: Settings, **mosaic) -> Settings:
    return replace(settings, mosaic=replace(settings.mosaic, **mosaic))


def tiles_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "tiles").iterdir())}


def pixels_of(folder: Path) -> dict[str, np.ndarray]:
    paths = sorted((folder / "tiles").iterdir())
    return {path.name: np.asarray(Image.open(path)).astype(int) for path in paths}


def test_the_folder_a_user_keeps(finished, small):
    names = {str(p.relative_to(finished)) for p in finished.rglob("*") if p.is_file()}
    tiles = {f"tiles/r{r:02d}_c{c:02d}.png" for r in range(2) for c in range(3)}
    assert names == tiles | {"mosaic.png", "reference.png", "mosaic.json"}
    canvas = np.asarray(Image.open(finished / "mosaic.png"))
    assert canvas.shape == (128, 192, 3)
    tile = np.asarray(Image.open(finished / "tiles/r01_c02.png"))
    assert np.array_equal(canvas[64:, 128:], tile)


def test_mosaic_json_says_how_it_was_made(finished, small, tiny_base):
    record = json.loads((finished / "mosaic.json").read_text())
    assert record["state"] == "finished"
    assert record["base_fingerprint"] == tiny_base.fingerprint
    assert record["settings"]["mosaic"]["steps"] == 3
    assert record["tiles"]["r01_c02"]["seed"] == 0
    assert "torch" in record["versions"]
    assert record["latent_rgb_fit"] == pytest.approx(tiny_base.linear_decoder.fit, abs=1e-4)
    picture = to_image(np.asarray(Image.open(finished / "mosaic.png")))
    reference = to_image(np.asarray(Image.open(finished / "reference.png")))
    assert record["metrics"]["psnr_64"] == pytest.approx(psnr(picture, reference), abs=1e-3)
    assert record["metrics"]["ssim_64"] == pytest.approx(ssim(picture, reference), abs=1e-4)
    assert record["metrics"]["correction_energy"] == 0


def test_pngs_carry_parameters_and_the_ai_mark(finished, small):
    with Image.open(finished / "mosaic.png") as image:
        image.load()
        parameters, xmp = image.info["parameters"], image.info["XML:com.adobe.xmp"]
    first, facts = parameters.split("\n")
    assert "a dog" in first
    assert facts.startswith("Steps: 3, Sampler: DPM++ 2M, CFG scale: 7.5, Seed: 0, Size: 192x128")
    assert "digitalsourcetype/trainedAlgorithmicMedia" in xmp
    with Image.open(finished / "tiles/r00_c00.png") as image:
        assert "Seed: 0, Size: 64x64" in image.info["parameters"]


def test_a_photo_as_reference_makes_it_a_composite(small, make, tmp_path):
    Image.new("RGB", (300, 200), (200, 30, 40)).save(tmp_path / "photo.jpg")
    out = make(small, ref=str(tmp_path / "photo.jpg"), ref_prompt="", steps=1)
    with Image.open(out / "mosaic.png") as image:
        image.load()
        assert "compositeWithTrainedAlgorithmicMedia" in image.info["XML:com.adobe.xmp"]
    record = json.loads((out / "mosaic.json").read_text())
    prompts = Counter(tile["prompt"] for tile in record["tiles"].values())
    assert prompts == {"a cat on a red background": 3, "a dog": 3}


def test_batch_size_changes_rounding_only(finished, small, make):
    others = pixels_of(make(small, batch_size=1))
    for name, pixels in pixels_of(finished).items():
        assert abs(pixels - others[name]).max() <= 1


def test_a_killed_run_goes_on_to_the_same_bytes(finished, small, make, tmp_path, killed):
    calls = killed()
    with pytest.raises(KeyboardInterrupt):
        make(small, tmp_path / "m")
    assert len(tiles_of(tmp_path / "m")) == 3
    assert not (tmp_path / "m/mosaic.png").exists()
    make(small, tmp_path / "m")
    assert len(calls) == 3, "the first batch is not drawn again"
    assert tiles_of(tmp_path / "m") == tiles_of(finished)
    assert (tmp_path / "m/mosaic.png").read_bytes() == (finished / "mosaic.png").read_bytes()


def test_a_run_killed_inside_a_batch_goes_on_to_the_same_bytes(finished, small, make, tmp_path):
    out = make(small, tmp_path / "m")
    (out / "tiles/r00_c01.png").unlink()
    (out / "tiles/r01_c00.png").write_bytes(b"half a file")
    (out / "mosaic.png").unlink()
    make(small, out)
    assert tiles_of(out) == tiles_of(finished)


def test_a_finished_mosaic_is_left_alone(small, make, tmp_path, monkeypatch):
    out = make(small, tmp_path / "m")
    monkeypatch.setattr(mosaic, "open_studio", lambda *_: pytest.fail("nothing is left to draw"))
    before = (out / "mosaic.png").stat().st_mtime_ns
    make(small, out)
    assert (out / "mosaic.png").stat().st_mtime_ns == before


def test_other_settings_do_not_mix_into_a_folder(small, make, tmp_path):
    out = make(small, tmp_path / "m", steps=1)
    with pytest.raises(InputError, match="steps: 1, now 3"):
        make(small, out)
    make(small, out, steps=1, batch_size=2)  # no tile depends on it


def test_tiles_without_a_record_are_refused(small, make, tmp_path):
    out = make(small, tmp_path / "m", steps=1)
    (out / "mosaic.json").unlink()
    with pytest.raises(InputError, match="no readable mosaic.json"):
        make(small, out, steps=1)


def test_retile_touches_that_tile_only(finished, small, make, tmp_path):
    out = make(small, tmp_path / "m")
    before = {p: p.stat().st_mtime_ns for p in (out / "tiles").iterdir()}
    make(small, out, retile=[(1, 2)], seed=7)
    changed = [p.name for p, time in before.items() if p.stat().st_mtime_ns != time]
    assert changed == ["r01_c02.png"]
    assert tiles_of(out)["r01_c02.png"] != tiles_of(finished)["r01_c02.png"]
    record = json.loads((out / "mosaic.json").read_text())
    assert [n for n, t in record["tiles"].items() if t["seed"] == 7] == ["r01_c02"]
    canvas = np.asarray(Image.open(out / "mosaic.png"))
    assert np.array_equal(canvas[64:, 128:], np.asarray(Image.open(out / "tiles/r01_c02.png")))
    make(small, out)  # the original command leaves the new tile alone
    assert json.loads((out / "mosaic.json").read_text())["tiles"]["r01_c02"]["seed"] == 7


@pytest.mark.parametrize(
    ("tile", "seed", "message"), [((2, 0), 7, "outside the grid"), ((0, 0), 0, "very same")]
)
def test_bad_retiles_are_refused(finished, small, make, tile, seed, message):
    with pytest.raises(InputError, match=message):
        make(small, finished, retile=[tile], seed=seed)


def test_a_tile_goes_back_to_the_mosaics_own_seed(finished, small, make, tmp_path):
    out = make(small, tmp_path / "m")
    make(small, out, retile=[(0, 1)], seed=7)
    assert tiles_of(out) != tiles_of(finished)
    make(small, out, retile=[(0, 1)])
    assert tiles_of(out) == tiles_of(finished)


def test_retiling_that_was_stopped_goes_on(small, make, tmp_path, killed):
    """What was drawn stays; the mosaic shows it after the same command, or the first one."""
    tiles, two = [(0, 0), (0, 2), (1, 0), (1, 1)], {"batch_size": 2}  # so two batches
    whole = make(small, make(small, tmp_path / "whole", **two), retile=tiles, seed=7, **two)
    for again in ({"retile": tiles, "seed": 7}, {}):
        out = make(small, tmp_path / f"m{len(again)}", **two)
        calls = killed()
        calls.clear()
        with pytest.raises(KeyboardInterrupt):
            make(small, out, retile=tiles, seed=7, **two)
        assert json.loads((out / "mosaic.json").read_text())["state"] == "unfinished"
        first = {p: p.stat().st_mtime_ns for p in (out / "tiles").iterdir()}
        make(small, out, **two, **again)
        touched = {p.stem for p, time in first.items() if p.stat().st_mtime_ns != time}
        assert touched == ({"r01_c00", "r01_c01"} if again else set())
        assert (tiles_of(out) == tiles_of(whole)) == bool(again)
        record = json.loads((out / "mosaic.json").read_text())
        redrawn = {name for name, tile in record["tiles"].items() if tile["seed"] == 7}
        assert len(redrawn) == (4 if again else 2) and record["state"] == "finished"
        canvas = np.asarray(Image.open(out / "mosaic.png"))
        for name in redrawn:
            row, col = int(name[1:3]), int(name[5:7])
            shown = canvas[64 * row : 64 * row + 64, 64 * col : 64 * col + 64]
            assert np.array_equal(shown, np.asarray(Image.open(out / f"tiles/{name}.png")))


def test_retile_needs_no_photo_but_takes_no_other(small, make, tmp_path):
    for name, color in (("photo", "red"), ("other", "blue")):
        Image.new("RGB", (80, 70), color).save(tmp_path / f"{name}.png")
    photo = {"ref": str(tmp_path / "photo.png"), "ref_prompt": "", "steps": 1}
    out = make(small, tmp_path / "m", **photo)
    with pytest.raises(InputError, match="other settings .reference"):
        make(small, out, retile=[(0, 0)], seed=7, **{**photo, "ref": str(tmp_path / "other.png")})
    (tmp_path / "photo.png").rename(tmp_path / "moved.png")
    make(small, out, retile=[(0, 0)], seed=7, **photo)
    make(small, out, retile=[(0, 1)], seed=7, **{**photo, "ref": str(tmp_path / "moved.png")})
    tiles = json.loads((out / "mosaic.json").read_text())["tiles"]
    assert [tile["seed"] for tile in tiles.values()] == [7, 7, 0, 0, 0, 0]
    (out / "reference.png").unlink()  # the mosaic's own copy: now the photo itself is needed
    (tmp_path / "other.png").rename(tmp_path / "photo.png")
    with pytest.raises(InputError, match="other settings .reference"):
        make(small, out, retile=[(0, 0)], seed=8, **photo)


def test_a_plan_to_retile_says_what_is_drawn_and_refuses_what_the_run_would(small, finished):
    whole = plan_mosaic(small, concepts_dir=finished)
    plan = plan_retile(change(small, seed=7), finished, [(1, 2), (0, 0)], concepts_dir=finished)
    assert plan.facts()["drawn anew"] == "2 with seed 7" and plan.settings == whole.settings
    assert plan.identity == whole.identity
    assert plan.seconds == pytest.approx(whole.seconds / 3)
    with pytest.raises(InputError, match="outside the grid"):
        plan_retile(change(small, seed=7), finished, [(2, 0)], concepts_dir=finished)


def test_retiling_says_when_another_tile_is_missing(small, make, tmp_path):
    out = make(small, tmp_path / "m", steps=1)
    (out / "tiles/r00_c01.png").unlink()
    with pytest.raises(InputError, match="tile 0,1 is missing.*without --retile"):
        make(small, out, retile=[(1, 1)], seed=7, steps=1)


def test_a_refusal_leaves_a_finished_mosaic_finished(small, make, tmp_path):
    out = make(small, tmp_path / "m", steps=1)
    record = json.loads((out / "mosaic.json").read_text())
    (out / "mosaic.json").write_text(json.dumps({**record, "base_fingerprint": "another"}))
    with pytest.raises(InputError, match="other weights of the base"):
        make(small, out, retile=[(1, 1)], seed=7, steps=1)
    assert json.loads((out / "mosaic.json").read_text())["state"] == "finished"


def test_a_setting_that_an_older_smalti_did_not_have_counts_as_its_default(small, make, tmp_path):
    out = make(small, tmp_path / "m", steps=1)
    record = json.loads((out / "mosaic.json").read_text())
    del record["identity"]["tint"]
    (out / "mosaic.json").write_text(json.dumps(record))
    make(small, out, steps=1)
    with pytest.raises(InputError, match=r"tint: 0\.0, now 0\.1"):
        make(small, out, steps=1, tint=0.1)


def test_a_mosaic_stopped_before_its_metrics_is_finished_by_the_same_command(
    finished, small, make, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(output, "pyramid_errors", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make(small, tmp_path / "m")
    assert (tmp_path / "m/mosaic.png").exists()
    make(small, tmp_path / "m")
    records = (json.loads((f / "mosaic.json").read_text()) for f in (tmp_path / "m", finished))
    mine, theirs = ({k: r[k] for k in ("state", "metrics", "tiles")} for r in records)
    assert mine == theirs


def test_retile_needs_a_finished_mosaic(small, make, tmp_path):
    with pytest.raises(InputError, match="no finished mosaic"):
        make(small, tmp_path / "none", retile=[(0, 0)], seed=7)


def out_of_memory_above(limit: int, monkeypatch) -> list[int]:
    real, sizes = studio.sample, []

    def sample(base, text, negative, latents, *args, **options):
        sizes.append(len(latents))
        if len(latents) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(base, text, negative, latents, *args, **options)

    monkeypatch.setattr(studio, "sample", sample)
    return sizes


def test_out_of_memory_halves_the_batch_and_goes_on(finished, small, make, monkeypatch):
    sizes = out_of_memory_above(2, monkeypatch)
    out = make(small, batch_size=6)
    assert sizes == [1, 6, 3, 1, 1, 1, 1, 1, 1]  # the reference comes first
    for name, pixels in pixels_of(finished).items():
        assert abs(pixels - pixels_of(out)[name]).max() <= 1


def test_out_of_memory_with_one_tile_says_what_to_lower(small, make, monkeypatch):
    real = studio.draw_batch

    def draw_batch(*args):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(mosaic, "draw_batch", draw_batch)
    with pytest.raises(SmaltiError, match="--tile-size"):
        make(small)
    assert real is studio.draw_batch


def test_other_errors_are_not_taken_for_lack_of_memory(small, make, monkeypatch):
    def draw_batch(*args):
        raise RuntimeError("a bug")

    monkeypatch.setattr(mosaic, "draw_batch", draw_batch)
    with pytest.raises(RuntimeError, match="a bug"):
        make(small)


@pytest.mark.parametrize(
    "change",
    [
        {"noise": "random"},
        {"noise": "paper"},
        {"color": True},
        {"guidance": False},
        {"color": True, "color_space": "pixel"},
        {"guide": "filtered-difference"},
        {"guide": "x0-gradient", "guide_decoder": "linear"},
        {"guide": "exact"},
        {"guide": "ycbcr"},
        {"corrections": 0},
        {"guidance_start": 0.0},
        {"guidance_end": 0.8},
        {"low_pass_cells": 2},
        {"cfg_end": 0.5},
        {"tint": 0.1},
        {"cfg_scale": 1.0},
        {"scheduler": "lcm"},
        {"tile_size": 32},
        {"negative_prompt": "a black dog"},
        {"seed": 1},
    ],
    ids=str,
)
def test_every_switch_changes_the_tiles(finished, small, make, change):
    other = pixels_of(make(small, **change))
    same = pixels_of(finished)
    assert other.keys() == same.keys()
    assert any(not np.array_equal(other[name], same[name]) for name in same)


def test_tiles_alternate_between_concepts_and_show_them(small, make, concepts):
    options = {"tile_prompt": (), "ref_prompt": "", "steps": 2, "concepts": concepts}
    both = make(small, tile_lora=("sylvie", "eileen"), ref_lora="eileen", **options)
    record = json.loads((both / "mosaic.json").read_text())
    assert [adapter["name"] for adapter in record["adapters"]] == ["eileen", "sylvie"]
    assert all(len(adapter["sha256"]) == 64 for adapter in record["adapters"])
    shown = {name: tile["concept"] for name, tile in record["tiles"].items()}
    assert Counter(shown.values()) == {"sylvie": 3, "eileen": 3}
    alone = make(small, tile_lora=("sylvie",), ref_lora="eileen", **options)
    prompts = json.loads((alone / "mosaic.json").read_text())["tiles"]
    mixed, single = pixels_of(both), pixels_of(alone)
    for name, concept in shown.items():
        assert prompts[name]["prompt"] == record["tiles"][name]["prompt"]
        same = abs(mixed[f"{name}.png"] - single[f"{name}.png"]).max() <= 1
        assert same == (concept == "sylvie")


def test_adapter_scale_zero_leaves_the_words_only(small, make, concepts):
    options = {"tile_lora": ("sylvie",), "tile_prompt": (), "steps": 1, "concepts": concepts}
    full, none = (make(small, lora_scale=scale, **options) for scale in (1.0, 0.0))
    assert tiles_of(full) != tiles_of(none)


def test_a_concept_may_be_named_and_pointed_at(small, make, concepts):
    options = {"tile_prompt": (), "steps": 1, "concepts": concepts, "ref_lora": "sylvie"}
    named = make(small, tile_lora=("sylvie",), **options)
    pointed = make(small, tile_lora=(str(concepts / "sylvie"),), **options)
    for path in (named / "tiles").iterdir():
        assert np.array_equal(Image.open(path), Image.open(pointed / "tiles" / path.name))


def test_two_concepts_of_one_name_serve_together(small, make, concepts, tmp_path):
    """Folders of two people may both be called "girl"; each tile is what its own would draw."""
    other = tmp_path / "girls" / "sylvie"
    shutil.copytree(concepts / "eileen", other)
    base = load_base(small.base, device="cpu")
    adapter = load_adapter(base, other / "edlora.safetensors", "sylvie")
    save_adapter(base, adapter, other / "edlora.safetensors")
    options = {"tile_prompt": (), "ref_prompt": "a girl", "steps": 1, "concepts": concepts}
    both = make(small, tile_lora=("sylvie", str(other)), **options)
    ours, theirs = (make(small, tile_lora=(name,), **options) for name in ("sylvie", str(other)))
    record = json.loads((both / "mosaic.json").read_text())
    assert [adapter["trigger"] for adapter in record["adapters"]] == [
        "<sylvie-1> <sylvie-2>", "<sylvie-2-1> <sylvie-2-2>"
    ]  # fmt: skip
    for name, tile in record["tiles"].items():
        alone = pixels_of(ours if tile["concept"] == "sylvie" else theirs)[f"{name}.png"]
        assert abs(pixels_of(both)[f"{name}.png"] - alone).max() <= 1


@pytest.mark.parametrize(
    ("name", "message"),
    [("silvie", "Nearest: sylvie"), ("harry", "not trained yet; type: mosaic-train")],
)
def test_unknown_and_untrained_concepts(small, make, concepts, name, message):
    with pytest.raises(InputError, match=message):
        make(small, tile_lora=(name,), concepts=concepts)


def test_the_plan_says_what_would_be_done(small, concepts, tmp_path):
    settings = replace(small, mosaic=replace(small.mosaic, tile_lora=("sylvie",)))
    plan = plan_mosaic(settings, concepts_dir=concepts)
    facts = plan.facts()
    assert facts["grid"] == "2 x 3 = 6 tiles of 64 px"
    assert facts["mosaic"] == "192 x 128 px"
    assert "blocks of 21 px" in facts["reference"]
    assert facts["guide"] == "projection, 8 x 8 cells per tile"
    assert "with sylvie" in facts["tiles"]
    assert plan.seconds > 0


def test_plans_know_what_guides_cost(small):
    """In UNet calls of a tile: two a step; a backward pass costs twice its forward pass."""

    def calls(**changes):
        mosaic = replace(MosaicSettings(steps=10, guidance_start=0.0, corrections=2), **changes)
        return unet_calls(mosaic) - DECODER_COST

    assert calls(guidance=False) == 20
    assert calls(guidance=False, cfg_scale=1.0) == 10
    assert calls(guidance=False, cfg_end=0.5) == 15
    assert calls(guidance=False, cfg_start=0.2, cfg_end=0.5) == 13
    assert calls() == 20 + 2 * DECODER_COST
    assert calls(guide="filtered-difference") == 20
    assert calls(guide="x0-gradient", inner_steps=2) == 20 + 10 * 2 * 3 * DECODER_COST
    assert calls(guide="exact") == 20 + 10 * (4 + 3 * DECODER_COST)
    assert calls(guide="exact", guidance_start=0.5) == 20 + 5 * (4 + 3 * DECODER_COST)


def test_only_guides_with_a_backward_pass_take_its_memory(small, tiny_base):
    grid = plan_mosaic(small, concepts_dir=Path("none")).grid

    def needs(**changes):
        settings = replace(small, mosaic=replace(small.mosaic, **changes))
        return bytes_per_tile(tiny_base, settings, grid)

    plain = needs(guidance=False)
    assert needs() == plain == needs(guide="x0-gradient", guide_decoder="linear")
    assert needs(guide="exact") == needs(guide="lpips") == 4 * plain
    assert plain < needs(guide="x0-gradient") < needs(guide="exact")


def test_other_weights_of_the_base_are_noticed(small, make, tmp_path):
    out = make(small, tmp_path / "m", steps=1)
    record = json.loads((out / "mosaic.json").read_text())
    (out / "mosaic.json").write_text(json.dumps({**record, "base_fingerprint": "another"}))
    (out / "tiles/r00_c00.png").unlink()
    with pytest.raises(InputError, match="other weights of the base"):
        make(small, out, steps=1)


def test_a_users_own_pictures_are_not_overwritten(small, make, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "reference.png")
    with pytest.raises(InputError, match=r"holds reference\.png"):
        make(small, tmp_path)


def test_out_may_not_be_a_file(small, make, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        make(small, tmp_path / "file")


def test_a_full_disk_leaves_no_half_tile(small, make, tmp_path, monkeypatch):
    def save(self, target, **options):
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", save)
        with pytest.raises(SmaltiError, match="disk is full"):
            make(small, tmp_path / "m")
    assert not [p for p in (tmp_path / "m").rglob("*") if p.suffix in (".png", ".tmp")]
    make(small, tmp_path / "m", steps=3)


def test_progress_reaches_the_end(small, tmp_path):
    from smalti.generate.mosaic import generate_mosaic

    seen = []
    generate_mosaic(
        small, tmp_path / "m", concepts_dir=tmp_path, progress=lambda *told: seen.append(told)
    )
    done = [told[0] for told in seen if told[1] > 1]
    assert done == sorted(done)
    assert seen[-1][:2] == (18, 18)


def test_tinting_is_reported(finished, small, make):
    """Every tile says how much it was changed; the mosaic says the mean."""
    out = make(small, tint=0.05)
    record = json.loads((out / "mosaic.json").read_text())
    energies = [tile["correction_energy"] for tile in record["tiles"].values()]
    changes = [
        np.mean(((a - b) / 255) ** 2)
        for a, b in zip(pixels_of(out).values(), pixels_of(finished).values(), strict=True)
    ]
    assert min(energies) > 0 and max(energies) <= 0.05**2
    assert energies == pytest.approx(changes, rel=0.1)
    assert record["metrics"]["correction_energy"] == pytest.approx(np.mean(energies), abs=1e-6)


def test_a_drawn_reference_takes_its_own_steps(small, make):
    """More of them give another reference, and none fewer than the tiles have."""
    few, same, more = (
        (make(small, steps=2, reference_steps=n) / "reference.png").read_bytes() for n in (1, 2, 4)
    )
    assert few == same != more


def test_a_drawn_reference_takes_its_own_guidance_scale(small, make):
    """Zero is the tiles' own; another gives another reference, as it would if tiles had it too."""
    tiles, same, other, both = (
        (make(small, **scales) / "reference.png").read_bytes()
        for scales in (
            {"cfg_scale": 4.0},
            {"cfg_scale": 4.0, "reference_cfg_scale": 4.0},
            {"cfg_scale": 4.0, "reference_cfg_scale": 1.5},
            {"cfg_scale": 1.5},
        )
    )
    assert tiles == same != other == both


def test_proofs_take_the_tiny_decoder_where_the_base_has_one(small, make, tmp_path):
    from tiny import make_vae

    torch.manual_seed(0)
    make_vae("tiny").save_pretrained(tmp_path / "taesd")
    with_tiny = replace(small, base=replace(small.base, tiny_vae=str(tmp_path / "taesd")))
    full, proof = pixels_of(make(with_tiny)), pixels_of(make(with_tiny, proof=True))
    assert not np.array_equal(full["r00_c00.png"], proof["r00_c00.png"])
    alike = pixels_of(make(small, proof=True))
    assert np.array_equal(full["r00_c00.png"], alike["r00_c00.png"])


@pytest.mark.parametrize("proof", [False, True])
def test_looks_go_through_the_decoder_that_draws_the_tiles(small, tmp_path, proof):
    from tiny import make_vae

    make_vae("tiny").save_pretrained(tmp_path / "taesd")
    base = load_base(replace(small.base, tiny_vae=str(tmp_path / "taesd")), device="cpu")
    mosaic = replace(small.mosaic, guide="projection", proof=proof)
    guide = make_guide(base, mosaic, Grid(1, 1, 64, 8), torch.zeros(1, 3, 8, 8))
    latents = torch.randn(1, 4, 8, 8)
    expected = base.tiny_decoder(latents) if proof else base.decode(latents)
    assert torch.equal(guide.decode(latents), expected)


def test_a_missing_tiny_decoder_is_named(small, make):
    with pytest.raises(InputError, match="base.tiny_vae"):
        make(small, guide="x0-gradient", guide_decoder="tiny")


def test_compiling_concerns_the_unet_alone(small, make, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    make(small, compile=True, steps=1)
    assert [type(module).__name__ for module in compiled] == ["UNet2DConditionModel"]
