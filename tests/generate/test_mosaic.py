"""Whole mosaics on the tiny model: restarts, batches, switches, concepts, precision."""

import shutil
from collections import Counter
from dataclasses import replace
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from drawn import change, edit_record, pixels_of, record_of, tiles_of
from PIL import Image

from smalti.configs.errors import InputError
from smalti.generate import finish as finish_module
from smalti.generate import mosaic as mosaic_module
from smalti.generate.engine import Engine, open_engine
from smalti.generate.mosaic import generate_mosaic

pytestmark = pytest.mark.slow  # each test draws or trains on the tiny model

TWO_TILES = {"grid": "1x2", "steps": 1, "reference_steps": 1}


@pytest.fixture
def copy(finished, tmp_path):
    """A finished mosaic that may be written to."""
    return shutil.copytree(finished, tmp_path / "m")


def test_batch_size_changes_rounding_only(finished, small, make):
    others = pixels_of(make(small, batch_size=1))
    for name, pixels in pixels_of(finished).items():
        assert abs(pixels - others[name]).max() <= 1


def test_a_killed_run_goes_on_to_the_same_bytes(finished, small, make, tmp_path, killed):
    batches = killed()
    with pytest.raises(KeyboardInterrupt):
        make(small, tmp_path / "m")
    assert len(tiles_of(tmp_path / "m")) == 3
    assert not (tmp_path / "m/mosaic.png").exists()
    make(small, tmp_path / "m")
    assert batches.call_count == 3, "the first batch is not drawn again"
    assert tiles_of(tmp_path / "m") == tiles_of(finished)
    assert (tmp_path / "m/mosaic.png").read_bytes() == (finished / "mosaic.png").read_bytes()
    assert record_of(tmp_path / "m") == record_of(finished)


def test_a_run_killed_inside_a_batch_goes_on_to_the_same_bytes(finished, small, make, copy):
    (copy / "tiles/r00_c01.png").unlink()
    (copy / "tiles/r01_c00.png").write_bytes(b"half a file")
    (copy / "mosaic.png").unlink()
    make(small, copy)
    assert tiles_of(copy) == tiles_of(finished)


def test_a_mosaic_stopped_before_its_metrics_is_finished_by_the_same_command(
    finished, small, make, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        stopped = create_autospec(finish_module.pyramid_errors, side_effect=KeyboardInterrupt)
        patch.setattr(finish_module, "pyramid_errors", stopped)
        with pytest.raises(KeyboardInterrupt):
            make(small, tmp_path / "m")
    assert (tmp_path / "m/mosaic.png").exists()
    make(small, tmp_path / "m")
    assert record_of(tmp_path / "m") == record_of(finished)


def test_a_finished_mosaic_is_left_alone_and_needs_no_engine(small, copy, monkeypatch):
    opened = create_autospec(open_engine)
    monkeypatch.setattr(mosaic_module, "open_engine", opened)
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*.png")}
    generate_mosaic(small, copy, concepts_dir=copy)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*.png")} == before
    assert opened.call_count == 0


def test_other_settings_do_not_mix_into_a_folder(small, make, copy):
    with pytest.raises(InputError) as told:
        make(small, copy, steps=1)
    assert "steps: 3, now 1" in str(told.value)
    make(small, copy, batch_size=2)  # no tile depends on it


def test_other_weights_of_the_base_are_noticed(small, make, copy):
    edit_record(copy, base_fingerprint="another")
    (copy / "tiles/r00_c00.png").unlink()
    with pytest.raises(InputError) as told:
        make(small, copy)
    assert "another" in str(told.value)


SWITCHES = [
    {"noise": "random"},
    {"noise": "paper"},
    {"color": True},
    {"color": True, "color_space": "pixel"},
    {"guidance": False},
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
    {"negative_prompt": "a black dog"},
    {"seed": 1},
]


@pytest.fixture(scope="module")
def by_switch(small, make):
    """One mosaic of two tiles for every switch, and one with none."""
    tiny = {"grid": "1x2", "reference_steps": 1}
    return [tiles_of(make(small, **tiny, **switch)) for switch in ({}, *SWITCHES)]


@pytest.mark.slow
def test_every_switch_changes_the_tiles_in_its_own_way(by_switch):
    for number, tiles in enumerate(by_switch):
        alike = [i for i, others in enumerate(by_switch) if others == tiles]
        assert alike == [number], [({}, *SWITCHES)[i] for i in alike]


def test_tiles_alternate_between_concepts_and_show_them(small, make, concepts):
    one = ("a <concept>",)  # concept and prompt are spread together
    options = {"tile_prompt": one, "ref_prompt": "", "steps": 1, "concepts": concepts}
    both = make(small, tile_lora=("sylvie", "eileen"), ref_lora="eileen", **options)
    record = record_of(both)
    assert [adapter["name"] for adapter in record["adapters"]] == ["eileen", "sylvie"]
    assert all(len(adapter["sha256"]) == 64 for adapter in record["adapters"])
    shown = {name: tile["concept"] for name, tile in record["tiles"].items()}
    assert Counter(shown.values()) == {"sylvie": 3, "eileen": 3}
    alone = make(small, tile_lora=("sylvie",), ref_lora="eileen", **options)
    prompts = record_of(alone)["tiles"]
    mixed, single = pixels_of(both), pixels_of(alone)
    for name, concept in shown.items():
        assert prompts[name]["prompt"] == record["tiles"][name]["prompt"]
        same = abs(mixed[f"{name}.png"] - single[f"{name}.png"]).max() <= 1
        assert same == (concept == "sylvie")


def test_adapter_scale_zero_leaves_the_words_only(small, make, concepts):
    options = {"tile_lora": ("sylvie",), "tile_prompt": (), "concepts": concepts, **TWO_TILES}
    full, none = (make(small, lora_scale=scale, **options) for scale in (1.0, 0.0))
    assert tiles_of(full) != tiles_of(none)


def test_a_concept_may_be_named_and_pointed_at(small, make, concepts):
    options = {"tile_prompt": (), "concepts": concepts, "ref_lora": "sylvie", **TWO_TILES}
    named = pixels_of(make(small, tile_lora=("sylvie",), **options))
    pointed = pixels_of(make(small, tile_lora=(str(concepts / "sylvie"),), **options))
    assert all(np.array_equal(named[name], pointed[name]) for name in named)


def test_two_concepts_of_one_name_serve_together(small, make, concepts):
    """Folders of two people may both be called "sylvie"; each tile is what its own would draw."""
    other = str(concepts / "girls/sylvie")
    one = ("a <concept>",)  # concept and prompt are spread together
    options = {"tile_prompt": one, "ref_prompt": "a girl", "concepts": concepts, **TWO_TILES}
    both = make(small, tile_lora=("sylvie", other), **options)
    ours, theirs = (pixels_of(make(small, tile_lora=(n,), **options)) for n in ("sylvie", other))
    shown = {name: tile["concept"] for name, tile in record_of(both)["tiles"].items()}
    assert set(shown.values()) == {"sylvie", other}
    for name, pixels in pixels_of(both).items():
        alone = theirs if shown[name.removesuffix(".png")] == other else ours
        assert abs(alone[name] - pixels).max() <= 1
        assert not np.array_equal(ours[name], theirs[name])


@pytest.mark.parametrize(("name", "named"), [("silvie", "sylvie"), ("harry", "mosaic-train")])
def test_unknown_and_untrained_concepts(small, make, concepts, name, named):
    with pytest.raises(InputError) as told:
        make(small, tile_lora=(name,), concepts=concepts)
    assert name in str(told.value) and named in str(told.value)


@pytest.fixture
def processor(monkeypatch):
    """Make "auto" stand for a precision, as on a processor that has it."""

    resolve = create_autospec(mosaic_module.resolve_precision)
    monkeypatch.setattr(mosaic_module, "resolve_precision", resolve)

    def resolves_to(precision: str) -> None:
        resolve.return_value = precision

    return resolves_to


@pytest.fixture
def opened(monkeypatch) -> list[Engine]:
    """The engines that mosaics open for themselves."""
    engines = []

    def keep(*args, **options):
        engines.append(open_engine(*args, **options))
        return engines[-1]

    spy = create_autospec(open_engine, side_effect=keep)
    monkeypatch.setattr(mosaic_module, "open_engine", spy)
    return engines


@pytest.mark.slow
def test_a_mosaic_goes_on_in_the_precision_it_was_begun_in(small, tmp_path, processor, opened):
    """On another processor, where "auto" means bf16: as if it had never been elsewhere."""
    auto = change(small, mixed_precision="auto", steps=1)
    processor("no")
    generate_mosaic(auto, tmp_path / "m", concepts_dir=tmp_path)
    whole = tiles_of(tmp_path / "m")
    processor("bf16")
    for name in ("tiles/r00_c01.png", "mosaic.png"):
        (tmp_path / "m" / name).unlink()
    generate_mosaic(auto, tmp_path / "m", concepts_dir=tmp_path)
    assert tiles_of(tmp_path / "m") == whole and record_of(tmp_path / "m")["precision"] == "no"
    generate_mosaic(auto, tmp_path / "new", concepts_dir=tmp_path)
    assert [engine.base.dtype for engine in opened] == [torch.float32] * 2 + [torch.bfloat16]
    assert tiles_of(tmp_path / "new") != whole
    asked = change(auto, mixed_precision="bf16")
    with pytest.raises(InputError) as told:
        generate_mosaic(asked, tmp_path / "m", concepts_dir=tmp_path)
    assert "'no', now 'bf16'" in str(told.value)


def test_an_engine_of_another_base_or_precision_is_refused(small, engine, tmp_path):
    for settings in (
        change(small, mixed_precision="bf16"),
        replace(small, base=replace(small.base, name="other")),
    ):
        with pytest.raises(InputError) as told:
            generate_mosaic(settings, tmp_path / "m", concepts_dir=tmp_path, engine=engine)
        assert engine.precision in str(told.value) and engine.base.settings.name in str(told.value)
        assert not (tmp_path / "m").exists()


def test_auto_is_what_the_engine_has(small, engine, tmp_path, processor):
    processor("bf16")
    auto = change(small, mixed_precision="auto", grid="1x1", steps=1)
    generate_mosaic(auto, tmp_path / "m", concepts_dir=tmp_path, engine=engine)
    assert record_of(tmp_path / "m")["identity"]["precision"] == "no"


def test_progress_reaches_the_end_and_never_goes_back(small, engine, tmp_path):
    seen = []
    generate_mosaic(
        small, tmp_path / "m", concepts_dir=tmp_path, engine=engine,
        progress=lambda *told: seen.append(told),
    )  # fmt: skip
    done = [told[0] for told in seen if told[1] > 1]
    assert done == sorted(done)
    assert seen[-1][:2] == (18, 18)


def test_tinting_is_reported(finished, small, make):
    """Every tile says how much it was changed; the mosaic says the mean."""
    out = make(small, tint=0.05)
    record = record_of(out)
    energies = [tile["correction_energy"] for tile in record["tiles"].values()]
    changes = [
        np.mean(((a - b) / 255) ** 2)
        for a, b in zip(pixels_of(out).values(), pixels_of(finished).values(), strict=True)
    ]
    assert min(energies) > 0 and max(energies) <= 0.05**2
    assert energies == pytest.approx(changes, rel=0.1)
    assert record["metrics"]["correction_energy"] == pytest.approx(np.mean(energies), abs=1e-6)


def test_proofs_take_the_tiny_decoder_where_the_base_has_one(small, make, tmp_path):
    from tiny import make_vae

    torch.manual_seed(0)
    make_vae("tiny").save_pretrained(tmp_path / "taesd")
    with_tiny = replace(small, base=replace(small.base, tiny_vae=str(tmp_path / "taesd")))
    full, proof, alike = (
        pixels_of(make(settings, proof=proof, **TWO_TILES))["r00_c00.png"]
        for settings, proof in ((small, False), (with_tiny, True), (small, True))
    )
    assert not np.array_equal(full, proof) and np.array_equal(full, alike)


@pytest.mark.slow
def test_the_starter_draws_a_mosaic_that_is_its_reference_from_afar(tmp_path):
    """The very model that ships: one row of two tiles; guided, they are nearer than unguided."""
    from smalti.configs.loading import resolve

    near = {}
    for guided in (True, False):
        options = {"mosaic.grid": "1x2", "mosaic.tile_prompt": ("a cat",), "mosaic.steps": 2}
        options |= {"mosaic.reference_steps": 2, "mosaic.guidance": guided}
        settings = resolve(options=options | {"mosaic.ref_prompt": "a red car"})
        out = tmp_path / str(guided)
        generate_mosaic(settings, out, concepts_dir=tmp_path)
        assert Image.open(out / "mosaic.png").size == (256, 128)
        near[guided] = record_of(out)["metrics"]["psnr_64"]
    assert near[True] > near[False]


def test_only_a_concepts_tiles_leave_the_base_without_it(small, make, concepts):
    def tiles(**options) -> object:
        plain = {"grid": "1x2", "guidance": False, "color": False, "cfg_scale": 2.0}
        return tiles_of(make(small, concepts=concepts, **plain, **options))

    assert tiles(concept_cfg_scale=2.0) == tiles()
    assert tiles(concept_cfg_scale=2.0, tile_lora=("sylvie",)) != tiles(tile_lora=("sylvie",))
