"""The speed table: its arithmetic on a clock of our own, what it counts as what, its sizes."""

import architectures
import pytest
import speed
from typer.testing import CliRunner

from smalti.configs.errors import InputError
from smalti.configs.loading import resolve
from smalti.configs.settings import BaseSettings
from smalti.models.bases import load_base

TINY = architectures.Architecture(
    unet={
        "sample_size": 8,
        "block_out_channels": (8, 16, 16, 16),
        "cross_attention_dim": 32,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
        "use_linear_projection": True,
    },
    vae={
        "block_out_channels": (4, 4, 8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "latent_channels": 4,
        "sample_size": 64,
    },
    text_encoder={
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    },
)


def test_rows_compare_mosaics_of_as_many_tiles():
    parts = {"text": 1.0, "UNet": 5.0, "guide": 2.0, "decode": 1.0}
    slow, fast = (speed.Cost(s, parts, 2**30, 20.0, 0.5) for s in (100.0, 10.0))
    table = speed.rows([("paper", 64, slow), ("fast", 64, fast), ("fast", 16, fast)])
    assert [row[3] for row in table] == ["1.0", "10.0", "1.0"]
    assert table[1][4:] == ("10 %", "50 %", "20 %", "10 %", "10 %", "1.00")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "changes", "unused"),
    [("fast", (), ()), ("paper", (), ()), ("fast", ("mosaic.guidance=false",), ("guide",))],
)
def test_every_part_is_counted(tiny_sd, tmp_path, preset, changes, unused):
    settings = resolve(
        base=str(tiny_sd),
        mosaic=preset,
        options={
            "mosaic.grid": "1x1", "mosaic.tile_prompt": ("a cat",), "mosaic.ref_prompt": "a dog",
            "mosaic.steps": 2, "mosaic.reference_steps": 2,
        },
        overrides=changes,
    )  # fmt: skip
    cost = speed.measure(settings, tmp_path / "mosaic")
    # without guidance the guide's part is what making none takes
    assert all((cost.parts[part] < 1e-3) == (part in unused) for part in speed.PARTS)
    assert sum(cost.parts.values()) < cost.seconds
    assert cost.memory > 2**20 and cost.psnr > 0 and -1 <= cost.ssim <= 1


def test_random_weights_have_the_sizes_asked_for(tmp_path, monkeypatch):
    monkeypatch.setitem(architectures.ARCHITECTURES, "tiny", TINY)
    folder = architectures.random_base("tiny", tmp_path)
    assert architectures.random_base("tiny", tmp_path) == folder
    base = load_base(BaseSettings(name="tiny", source=str(folder)), device="cpu")
    assert (base.layers, base.latent_factor) == (16, 8)
    assert base.scheduler_config["prediction_type"] == "v_prediction"
    assert resolve(base=str(folder)).base.resolution == 64
    with pytest.raises(InputError) as raised:
        architectures.random_base("sd20", tmp_path)
    assert "sd21" in str(raised.value)


def test_sd21s_sizes_are_the_published_ones():
    """865.9 M parameters in the UNet, 83.7 M in the VAE (counted on torch's meta device)."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel

    sizes = architectures.ARCHITECTURES["sd21"]
    with torch.device("meta"):
        parts = UNet2DConditionModel(**sizes.unet), AutoencoderKL(**sizes.vae)
    counts = [sum(p.numel() for p in part.parameters()) / 1e6 for part in parts]
    assert counts == pytest.approx([865.9, 83.65], abs=0.05)


def test_numbers_of_tiles_are_checked():
    done = CliRunner().invoke(speed.app, ["--tiles", "64,65"])
    assert done.exit_code == 2 and "65" in done.output
