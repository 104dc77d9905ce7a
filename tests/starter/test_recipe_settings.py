"""The recipe's settings: presets, overrides, and what is refused."""

from pathlib import Path

import pytest

from smalti.configs.errors import InputError
from smalti.starter.recipe_settings import read_recipe


@pytest.mark.parametrize("preset", ["cpu", "gpu"])
def test_presets(preset: str) -> None:
    settings = read_recipe(preset, ["unet.steps=7", "corpus.seed=3"])
    assert (settings.unet.steps, settings.corpus.seed) == (7, 3)
    assert settings.vae.crop % 8 == 0


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(InputError, match='"unet.steps"'):
        read_recipe("cpu", ["unet.step=7"])
    with pytest.raises(InputError, match="cpu, gpu"):
        read_recipe("tpu")
    with pytest.raises(InputError, match=r"clip\.batch_size.* 1\b"):
        read_recipe("cpu", ["clip.batch_size=0"])
    with pytest.raises(InputError, match=r"unet\.start"):
        read_recipe("cpu", ["unet.finetune_table=relearned"])


def test_lists_of_whole_numbers() -> None:
    assert read_recipe("cpu", ["vae.channels=[8, 16]"]).vae.channels == (8, 16)
    for wrong in ("8, 16", "[1.5]", '["a"]', "[", "true"):
        with pytest.raises(InputError, match=r"--set: vae\.channels"):
            read_recipe("cpu", [f"vae.channels={wrong}"])


@pytest.mark.parametrize("text", ["steps = 7", "[unet]\nstep = 7", "[vae]\nsteps = 1.5", "[vae"])
def test_a_file_of_ones_own(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[unet]\nsteps = 7\n")
    assert read_recipe(str(path)).unet.steps == 7
    path.write_text(text)
    with pytest.raises(InputError, match=r"mine\.toml"):
        read_recipe(str(path))
