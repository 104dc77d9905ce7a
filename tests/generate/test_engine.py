"""One engine for many mosaics: the same bytes as fresh ones, and nothing done twice."""

import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from drawn import change, tiles_of

from smalti.configs.errors import InputError, SmaltiError
from smalti.configs.machine import MachineSettings
from smalti.generate import engine as engine_module
from smalti.generate.draw import draw
from smalti.generate.engine import Engine, open_engine
from smalti.generate.job import Job, make_job
from smalti.generate.mosaic import generate_mosaic
from smalti.generate.plan import plan_mosaic
from smalti.models.bases import load_base
from smalti.models.edlora import Adapter, load_adapter, set_active

pytestmark = pytest.mark.slow  # each test draws or trains on the tiny model


@pytest.fixture
def fresh(small) -> Engine:
    """An engine that has drawn nothing yet."""
    return open_engine(small.base, small.mosaic.machine)


@pytest.fixture
def paths(concepts) -> dict[str, Path]:
    """Adapter files; "girl" is another one that is called sylvie, too."""
    places = {"sylvie": "sylvie", "eileen": "eileen", "girl": "girls/sylvie"}
    return {name: concepts / place / "edlora.safetensors" for name, place in places.items()}


def network_weights(engine: Engine) -> dict[str, torch.Tensor]:
    """The frozen weights of UNet and text encoder, whatever is attached to them."""
    found = {}
    for part in engine.base.lora_parts():
        for name, value in part.module.state_dict().items():
            if "lora_" not in name and ".tables." not in name:
                found[f"{part.name}.{name.replace('.base_layer', '')}"] = value.clone()
    return found


def seen(engine: Engine) -> torch.Tensor:
    """What the network predicts now, for a fixed latent and text."""
    g = torch.Generator().manual_seed(0)
    text = torch.randn(1, engine.base.layers, 77, 32, generator=g)
    with torch.no_grad():
        z = torch.randn(1, 4, 8, 8, generator=g)
        return engine.base.unet(z, torch.tensor(300), text).sample


def spied(monkeypatch, name: str) -> Mock:
    """Count the calls of what the engine uses, and let them pass."""
    spy = Mock(wraps=getattr(engine_module, name))
    monkeypatch.setattr(engine_module, name, spy)
    return spy


MOSAICS = (
    {"tile_lora": ("sylvie",), "ref_lora": "eileen"},
    {"tile_lora": ("sylvie", "eileen"), "ref_lora": "sylvie", "lora_scale": 0.7},
    {"ref_prompt": "a girl", "tile_prompt": ("a cat",), "guide": "exact"},
    {"tile_lora": ("GIRL",), "ref_lora": "eileen", "negative_prompt": "a black dog"},
)


@pytest.mark.slow
def test_many_mosaics_in_turn_get_the_bytes_of_fresh_engines(small, fresh, concepts, tmp_path):
    """Other adapters, scales, kernels and prompts before it leave no trace in a mosaic."""
    plain = {"grid": "1x2", "tile_prompt": (), "ref_prompt": "", "steps": 2, "reference_steps": 2}
    for number, options in enumerate((*MOSAICS, MOSAICS[0])):
        names = tuple(
            str(concepts / "girls/sylvie") if name == "GIRL" else name
            for name in options.get("tile_lora", ())
        )
        settings = change(small, **plain | options | {"tile_lora": names})
        ours, alone = tmp_path / f"shared-{number}", tmp_path / f"alone-{number % len(MOSAICS)}"
        generate_mosaic(settings, ours, concepts_dir=concepts, engine=fresh)
        if number < len(MOSAICS):
            generate_mosaic(settings, alone, concepts_dir=concepts)
        assert (ours / "reference.png").read_bytes() == (alone / "reference.png").read_bytes()
        assert tiles_of(ours) == tiles_of(alone)
        assert (ours / "mosaic.json").read_bytes() == (alone / "mosaic.json").read_bytes()


PROMPT = "a <sylvie-1> <sylvie-2>"


@pytest.fixture(scope="module")
def wanted(small, concepts):
    """Text and prediction of bases that never had another adapter, by adapter and scale."""

    def alone(path: Path | None, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
        engine = open_engine(small.base, small.mosaic.machine)
        used = [load_adapter(engine.base, path)] if path else []
        set_active(engine.base, [adapter.name for adapter in used], scale)
        with torch.no_grad():
            return engine.base.encode_text([PROMPT], used).text, seen(engine)

    sylvie, girl = (concepts / place / "edlora.safetensors" for place in ("sylvie", "girls/sylvie"))
    return {case: alone(*case) for case in ((sylvie, 1.0), (sylvie, 0.5), (girl, 1.0), (None, 1.0))}


@pytest.mark.parametrize("limit", [pytest.param(1, marks=pytest.mark.slow), 8])
def test_the_right_adapter_acts_whatever_was_attached_before(
    fresh, paths, wanted, monkeypatch, limit
):
    """With room for one adapter every use evicts the other; with more, they only take turns."""
    monkeypatch.setattr(engine_module, "MAX_ADAPTERS", limit)
    for use, error in ((fresh.activate, 0), (fresh.merge, 1e-4)):
        for (path, scale), (text, prediction) in wanted.items():
            assert torch.equal(fresh.encode([PROMPT], path, scale)[PROMPT].text, text)
            use(path, scale)
            fresh.adapter(paths["eileen"])  # as a job's record does between two uses
            use(path, scale)
            assert torch.allclose(seen(fresh), prediction, rtol=0, atol=error)


def test_an_adapter_that_cannot_be_attached_leaves_no_trace(fresh, small, paths, tmp_path):
    """The one that was active before is so again when it is asked for."""
    fresh.activate(paths["sylvie"], 1.0)
    before = seen(fresh)
    damaged = tmp_path / "edlora.safetensors"
    damaged.write_bytes(paths["eileen"].read_bytes()[:-100])
    with pytest.raises(InputError) as told:
        fresh.activate(damaged, 1.0)
    assert "edlora.safetensors" in str(told.value)
    fresh.activate(paths["sylvie"], 1.0)
    assert torch.equal(seen(fresh), before)


def test_the_oldest_adapters_are_detached_and_attached_again(fresh, paths, monkeypatch):
    monkeypatch.setattr(engine_module, "MAX_ADAPTERS", 2)
    load = spied(monkeypatch, "attach_file")
    for name in ("sylvie", "eileen", "sylvie", "girl"):
        fresh.adapter(paths[name])
    assert set(fresh.base.adapters) == {"sylvie", "sylvie-2"}  # eileen was used longest ago
    assert load.call_count == 3
    fresh.adapter(paths["sylvie"])
    assert load.call_count == 3
    fresh.adapter(paths["eileen"])
    assert set(fresh.base.adapters) == {"sylvie", "eileen"} and load.call_count == 4


def test_merging_is_undone_bit_for_bit(fresh, paths):
    before = network_weights(fresh)
    for name, scale in (("sylvie", 1.0), ("eileen", 0.7), ("sylvie", 1.0)):
        fresh.merge(paths[name], scale)
        merged = network_weights(fresh)
        assert any(not torch.equal(merged[key], before[key]) for key in before)
    fresh.merge(None, 1.0)
    after = network_weights(fresh)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_an_engine_that_goes_leaves_the_base_as_it_was(small, paths):
    base = load_base(small.base, device="cpu")
    engine = Engine(base, "no")
    before = network_weights(engine)
    engine.merge(paths["sylvie"], 1.0)
    del engine
    assert all(torch.equal(v, before[k]) for k, v in network_weights(Engine(base, "no")).items())


def test_words_stay_an_adapters_own_under_any_name(fresh, paths):
    """Two called sylvie: prompts and mosaic.json say what the file says, not the engine's name."""
    first, second = fresh.adapter(paths["sylvie"]), fresh.adapter(paths["girl"])
    assert isinstance(first, Adapter) and first.name != second.name
    assert first.words == second.words == ["<sylvie-1>", "<sylvie-2>"]


def job_of(engine: Engine, settings, concepts: Path, **options) -> Job:
    plan = plan_mosaic(change(settings, **options), concepts_dir=concepts)
    reference = torch.rand(3, 42, 63, generator=torch.Generator().manual_seed(0))
    return make_job(engine, plan, reference)


def test_what_tiles_share_is_done_once(fresh, small, concepts, monkeypatch):
    """Six tiles of two concepts in batches of one: two adapters, and no prompt twice."""
    load, merged = spied(monkeypatch, "attach_file"), spied(monkeypatch, "merged")
    encode = Mock(wraps=fresh.base.encode_text)
    monkeypatch.setattr(fresh.base, "encode_text", encode)
    options = {"tile_lora": ("sylvie", "eileen"), "tile_prompt": ("a <concept>", "red <concept>")}
    job = job_of(fresh, small, concepts, **options, steps=1, batch_size=1)
    assert len(list(draw(fresh, job, job.tiles))) == 6
    assert load.call_count == merged.call_count == 2
    texts = len(set(job.subjects.values())) + 2  # and the negative one of each concept
    assert encode.call_count == texts
    list(draw(fresh, job, job.tiles))
    assert load.call_count == 2 and encode.call_count == texts


def test_texts_are_kept_up_to_a_number(fresh, monkeypatch):
    monkeypatch.setattr(engine_module, "MAX_TEXTS", 2)
    encode = Mock(wraps=fresh.base.encode_text)
    monkeypatch.setattr(fresh.base, "encode_text", encode)
    given = fresh.encode(["a cat", "a dog", "a car", "a cat"], None, 1.0)
    assert list(given) == ["a cat", "a dog", "a car"] and encode.call_count == 3
    fresh.encode(["a dog", "a car"], None, 1.0)
    assert encode.call_count == 3
    fresh.encode(["a cat"], None, 1.0)
    assert encode.call_count == 4


def test_lpips_is_read_once(fresh, small, concepts, lpips_weights, monkeypatch):
    read = spied(monkeypatch, "Lpips")
    options = {"guide": "lpips", "lpips": str(lpips_weights), "steps": 1, "batch_size": 1}
    for _ in range(2):
        job = job_of(fresh, small, concepts, **options)
        list(draw(fresh, job, job.tiles[:2]))
    assert read.call_count == 1


def test_the_kernel_is_the_jobs(fresh, small):
    """Backward passes have one of their own on a CPU; it is changed only when it must."""
    exact = change(small, guide="exact").mosaic
    kinds = []
    for mosaic in (small.mosaic, exact, exact, small.mosaic):
        fresh.choose_attention(mosaic)
        kinds.append({type(p) for p in fresh.base.unet.attn_processors.values()})
    assert kinds[0] == kinds[3] != kinds[1] == kinds[2]


def test_a_job_of_another_base_or_precision_is_refused(fresh, small, concepts):
    job = job_of(fresh, small, concepts)
    for other in (replace(job, fingerprint="another"), replace(job, precision="bf16")):
        with pytest.raises(SmaltiError) as told:
            next(draw(fresh, other, job.tiles))
        assert fresh.base.fingerprint in str(told.value)


def test_compiling_concerns_the_unet_alone(small, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    open_engine(small.base, MachineSettings(compile=True, mixed_precision="no"))
    assert [type(module).__name__ for module in compiled] == ["UNet2DConditionModel"]


def test_copies_of_an_adapter_are_one(fresh, paths, tmp_path):
    copy = shutil.copy(paths["sylvie"], tmp_path / "copy.safetensors")
    assert fresh.adapter(copy) is fresh.adapter(paths["sylvie"])
