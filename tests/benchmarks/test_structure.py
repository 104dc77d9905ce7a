"""Published bases at full width without weights: devices, data types, and memory as it is told."""

import pytest
import structure
import torch
from architectures import ARCHITECTURES, modules, published, starter_tokenizer
from footprints import growth
from structure import META, Watch, drawing_step, structural_base, training_step, weights

from smalti.configs.loading import resolve
from smalti.configs.presets import preset_names
from smalti.models.footprint import known_footprints

# Alike in all that a step meets: turbo trains as 2.1 does, LCM-LoRA is fused into 1.5, and SDXL's
# family differs in how many layers a block has (`tests/models/bases/test_sdxl_structure.py`).
TRAINED = ("sd21",)
GUIDED = ("sd21", "sd15-lcm", "segmind-vega")


@pytest.fixture(scope="module")
def bases():
    """Bases by name, built once."""
    built = {}
    return lambda name: built.setdefault(name, structural_base(name))


def test_every_preset_of_the_hub_has_its_sizes_here():
    assert set(ARCHITECTURES) == set(preset_names("base")) - {"starter"}


def test_presets_agree_with_the_published_sizes():
    for name, sizes in ARCHITECTURES.items():
        base = resolve(base=name).base
        assert base.resolution <= 8 * sizes.unet["sample_size"] or name == "sd15-lcm"
        kind = sizes.scheduler["prediction_type"]
        assert kind == ("v_prediction" if name == "sd21" else "epsilon")


def near(found: float, told: float) -> None:
    assert found == pytest.approx(told, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_a_training_step_mixes_nothing_and_takes_what_is_told(bases, name):
    """Three samples, a batch that nobody counted; nothing is left when the step is done."""
    base = bases(name)
    side, told = base.resolution, known_footprints()[name]
    assert told.values == sum(weights(base).values())
    watch = training_step(base, side, 3)
    assert watch.operations > 5000 and watch.live == 0
    near(watch.peak, told.training.bytes(side, 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", GUIDED)
def test_a_guided_step_mixes_nothing_and_takes_what_is_told(bases, name):
    base = bases(name)
    watch = drawing_step(base, base.resolution, 3, guide="projection")
    assert watch.operations > 1000 and watch.live == 0
    if told := known_footprints().get(name):
        near(watch.peak, told.drawing.bytes(base.resolution, 3))


def test_the_watch_refuses_what_a_gpu_would():
    here, there = torch.ones(3), torch.ones(3, device=META)
    with Watch(torch.bfloat16):
        assert (there * 2 + there.to(torch.bfloat16)).dtype == torch.float32
        assert here.to(META).device == META
        for wrong in (lambda: there + here, lambda: there.double() * 2, lambda: there.half()):
            with pytest.raises((AssertionError, RuntimeError)):
                wrong()


def test_the_watch_counts_what_lives_at_once():
    given = torch.ones(1000, device=META)
    with Watch(torch.float32) as watch:
        one = given + 1  # 4000 bytes
        two = one * 2
        view = two[:10]  # nothing new
        del one, two
        three = view + 1  # 40 bytes beside those of the view's storage
        assert (watch.live, watch.peak) == (4040, 8000)
        del view, three
    assert watch.live == 0


def test_growth_is_read_off_three_sizes():
    """A step of 7 + n (5 + 3 side^2) bytes."""

    def step(side: int, batch: int) -> Watch:
        watch = Watch(torch.float32)
        watch.peak = 7 + batch * (5 + 3 * side**2)
        return watch

    assert growth(64, step) == [7, 5, 3]


def test_attention_keeps_no_maps():
    """As a fused kernel: its inputs, its output, and one fp32 number a query."""
    query = torch.ones(1, 2, 4096, 8, device=META, requires_grad=True)
    with Watch(torch.float32) as watch, structure.LikeGpu(None):
        found = torch.nn.functional.scaled_dot_product_attention(query, query, query)
        assert watch.live == query.numel() * 4 + 2 * 4096 * 4
        found.sum().backward()
    assert query.grad.shape == query.shape


def test_what_is_like_another_differs_in_what_it_says():
    found = published()
    assert found["sd-turbo"].unet == found["sd21"].unet | {
        "sample_size": 64, "upcast_attention": False
    }  # fmt: skip
    with META:
        unet = modules(found["sd15-lcm"], starter_tokenizer())["unet"]
    assert unet.time_embedding.cond_proj.in_features == 256
