"""A tiny model of SDXL's family through drawing: a concept, a restart, one tile drawn anew."""

from dataclasses import replace

import pytest
from drawn import tiles_of

from smalti.configs.mosaic import changed


@pytest.mark.slow
def test_a_mosaic_is_drawn_cut_off_gone_on_with_and_drawn_anew_in_part(
    small, xl_settings, make, killed, engine_of, saved_concept, tmp_path
):
    """A restart gives the bytes of an uncut run; another seed changes the one tile it is for."""
    concepts = tmp_path / "concepts"
    saved_concept(engine_of(xl_settings).base, concepts / "pim", "pim", 0)
    mosaic = changed(
        small.mosaic, tile_lora=("pim",), tile_prompt=("a <concept>", "a <concept> on a hill"),
        negative_prompt="a dog", grid="1x2", steps=2, reference_steps=1, batch_size=1,
    )  # fmt: skip
    settings = replace(small, base=xl_settings, mosaic=mosaic)
    whole = make(settings, tmp_path / "whole", concepts=concepts)
    killed()
    with pytest.raises(KeyboardInterrupt):
        make(settings, tmp_path / "cut", concepts=concepts)
    assert len(tiles_of(tmp_path / "cut")) == 1
    make(settings, tmp_path / "cut", concepts=concepts)
    tiles = tiles_of(whole)
    assert tiles_of(tmp_path / "cut") == tiles
    make(settings, whole, concepts=concepts, retile=[(0, 1)], seed=7)
    again = tiles_of(whole)
    assert [name for name in tiles if again[name] != tiles[name]] == ["r00_c01.png"]
