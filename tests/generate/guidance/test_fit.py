"""A linear map that fits badly is told, with what to do; one that nobody reads is not."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from smalti.configs.mosaic import mosaic_settings
from smalti.generate.guidance.fit import poor_fit, rests_on_map

THROUGH_THE_MAP = [{}, {"guide": "x0-gradient", "guide_decoder": "linear"}]
ANOTHER_WAY = [
    {"guidance": False}, {"method": "adain"}, {"guide": "exact"}, {"guide": "x0-gradient"},
    {"guide": "filtered-difference"},
]  # fmt: skip


def base_of(fit: float) -> SimpleNamespace:
    settings = SimpleNamespace(name="mine")
    return SimpleNamespace(settings=settings, linear_decoder=SimpleNamespace(fit=fit))


@pytest.mark.parametrize("options", THROUGH_THE_MAP, ids=str)
def test_a_poor_map_is_told_where_tiles_are_guided_through_it(options):
    mosaic = mosaic_settings(**options)
    assert rests_on_map(mosaic)
    told = poor_fit(mosaic, base_of(0.03))
    remedy = "mosaic.guide_decoder=full" if options else "--guide x0-gradient"
    assert "mine" in told and "0.03" in told and remedy in told
    assert poor_fit(mosaic, base_of(0.6)) == poor_fit(mosaic, base_of(0.89)) == ""
    assert poor_fit(mosaic, base_of(0.59)) and poor_fit(mosaic, base_of(-1.0))


@pytest.mark.parametrize("options", ANOTHER_WAY, ids=str)
def test_nobody_hears_of_a_map_that_is_not_read(options):
    """It is not even fitted."""
    mosaic = mosaic_settings(**options)
    assert not rests_on_map(mosaic)
    assert poor_fit(mosaic, SimpleNamespace(settings=None)) == ""


def test_a_mosaic_on_a_random_base_says_so_once(small, make, engine, tmp_path, capsys, monkeypatch):
    badly = replace(engine.base.linear_decoder, fit=0.031)
    monkeypatch.setitem(vars(engine.base), "linear_decoder", badly)
    make(small, tmp_path / "guided", grid="1x2", steps=1)
    told = [line for line in capsys.readouterr().err.splitlines() if "0.03" in line]
    assert len(told) == 1 and "--guide x0-gradient" in told[0]
    make(small, tmp_path / "alone", grid="1x2", steps=1, guidance=False)
    assert "0.03" not in capsys.readouterr().err
