"""Which words stand for <concept> where another trainer's LoRA is drawn; and that it is drawn."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from exchanging import write_lora
from refusals import refused

from smalti.configs.mosaic import mosaic_settings
from smalti.configs.settings import Settings
from smalti.generate.plan import plan_mosaic

KEY = "lora_unet_mid_block_attentions_0_proj_in.alpha"


@pytest.fixture
def loras(tmp_path: Path) -> dict[str, str]:
    """Paths of a LoRA that says its words, of one that does not, and of smalti's own."""
    alpha = {KEY: torch.ones(1)}
    own = json.dumps({"format": 1, "name": "pim"})
    said = {
        "spoken": {"modelspec.trigger_phrase": "sks cat"},
        "silent": {},
        "own": {"edlora": own},
    }
    return {
        name: str(write_lora(tmp_path / f"{name}.safetensors", alpha, **metadata))
        for name, metadata in said.items()
    }


def planned(tmp_path: Path, **values):
    settings = replace(Settings(), mosaic=mosaic_settings(**({"level": 1} | values)))
    return plan_mosaic(settings, concepts_dir=tmp_path).settings.mosaic.picture


def test_the_files_words_are_taken_and_recorded(loras, tmp_path):
    picture = planned(tmp_path, tile_lora=(loras["spoken"],))
    assert picture.tile_trigger == ("sks cat",) and picture.ref_trigger == "sks cat"
    assert all("<concept>" in prompt for prompt in picture.tile_prompt)
    again = planned(tmp_path, **{name: v for name, v in vars(picture).items() if name != "ref"})
    assert again.tile_trigger == picture.tile_trigger and again.tile_prompt == picture.tile_prompt


def test_the_users_words_win_and_own_adapters_need_none(loras, tmp_path):
    both = (loras["own"], loras["silent"])
    picture = planned(tmp_path, tile_lora=both, tile_trigger=("my dog",), ref_lora=loras["own"])
    assert picture.tile_trigger == ("", "my dog") and picture.ref_trigger == ""
    spoken = planned(tmp_path, tile_lora=(loras["spoken"],), tile_trigger=("a tom",))
    assert spoken.tile_trigger == ("a tom",)
    reference = planned(tmp_path, tile_prompt=("a cat",), ref_lora=loras["silent"], ref_trigger="x")
    assert reference.ref_trigger == "x" and reference.ref_prompt.count("<concept>") == 1


def test_without_words_prompts_are_drawn_as_they_are(loras, tmp_path):
    picture = planned(
        tmp_path, tile_lora=(loras["silent"],), tile_prompt=("a cat",), ref_prompt="a dog"
    )
    assert picture.tile_prompt == ("a cat",) and picture.tile_trigger == ("",)
    with refused("--tile-trigger", loras["silent"]):
        planned(tmp_path, tile_lora=(loras["silent"],))


def test_words_that_nothing_needs_are_refused(loras, tmp_path):
    with refused("--tile-trigger"):
        planned(tmp_path, tile_lora=(loras["own"],), tile_trigger=("x",))
    with refused("--ref-trigger"):
        planned(tmp_path, tile_lora=(loras["own"],), ref_trigger="x")
    with refused("--tile-trigger", "2"):
        planned(tmp_path, tile_lora=(loras["silent"],), tile_trigger=("x", "y"))


def test_a_mosaic_of_own_adapters_records_no_words(loras, tmp_path):
    picture = planned(tmp_path, tile_lora=(loras["own"],))
    assert (picture.tile_trigger, picture.ref_trigger) == ((), "")


@pytest.fixture
def pair(tiny_base, tmp_path):
    """The same LoRA as smalti's own file and as kohya's."""
    from exchanging import write_trained

    from smalti.models.edlora import detach
    from smalti.models.exchange.export import export
    from smalti.models.exchange.metadata import base_facts
    from smalti.models.exchange.own import read_own

    own, other = tmp_path / "own.safetensors", tmp_path / "other.safetensors"
    write_trained(tiny_base, own)
    export(read_own(own), "kohya", base_facts(read_own(own), tiny_base.settings), other)
    yield own, other
    for adapter in list(tiny_base.adapters.values()):
        detach(tiny_base, adapter)


def test_an_engine_draws_anothers_file_exactly_as_its_own(tiny_base, pair):
    from smalti.generate.engine import Engine

    engine, found = Engine(tiny_base, "no"), []
    for path in pair:
        text = engine.encode(["a girl on a hill"], path, 0.8)["a girl on a hill"]
        engine.merge(path, 0.8)
        latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            found.append(tiny_base.network(latents, 300, text))
    engine.activate(None, 1.0)
    assert torch.equal(*found)


def test_words_stand_where_the_concept_stands(tiny_base, pair, tmp_path, monkeypatch):
    """In the tiles as in the reference; the mosaic's record has them, and the file's hash."""
    from smalti.generate.engine import Engine
    from smalti.generate.mosaic import generate_mosaic

    engine, said = Engine(tiny_base, "no"), []
    encode = engine.encode

    def listening(prompts, *rest):
        said.extend(prompts := list(prompts))
        return encode(prompts, *rest)

    monkeypatch.setattr(engine, "encode", listening)
    values = {"tile_lora": (str(pair[1]),), "tile_prompt": ("a girl <concept>",), "level": 0,
              "tile_trigger": ("hill",), "ref_prompt": "a <concept> cat", "steps": 1,
              "ref_lora": str(pair[1]), "reference_steps": 1, "guidance": False,
              "concept_cfg_scale": 2.0}  # fmt: skip
    settings = replace(Settings(), base=tiny_base.settings, mosaic=mosaic_settings(**values))
    made = generate_mosaic(settings, tmp_path / "out", concepts_dir=tmp_path, engine=engine)
    assert {"a girl hill", "a hill cat"} <= set(said)
    record = json.loads((made.parent / "mosaic.json").read_text())
    assert record["settings"]["mosaic"]["picture"]["tile_trigger"] == ["hill"]
    assert record["adapters"][0]["sha256"] == hashlib.sha256(pair[1].read_bytes()).hexdigest()
