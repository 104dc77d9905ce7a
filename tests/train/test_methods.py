"""Training methods: what learns, by which loss, and that two cuts leave no trace."""

import math
import re
import shutil
from pathlib import Path

import pytest
import torch
from refusals import refused
from safetensors.torch import load_file
from training import QUICK, Killed, killed_after, make_concept, prepared, with_train

from smalti.configs.loading import resolve
from smalti.configs.progress import silent
from smalti.configs.settings import Settings
from smalti.configs.train import TRAIN_METHODS
from smalti.models.bases import load_base
from smalti.models.edlora import detach, load_adapter, save_adapter, set_active
from smalti.models.merging import without_adapters
from smalti.train import loop, prepare, priors
from smalti.train.batch import make_batch
from smalti.train.methods import METHODS
from smalti.train.priors import prior_batch
from smalti.train.step import train_step
from smalti.train.trainer import train_concept

pytestmark = pytest.mark.slow  # each test trains the tiny model

WAYS = {
    "edlora": {"method": "edlora"},
    "lora": {"method": "lora"},
    "dreambooth": {"method": "dreambooth", "train_text_encoder": True},
    "textual-inversion": {"method": "textual-inversion", "layerwise": True},
    "custom-diffusion": {"method": "custom-diffusion"},
}


@pytest.fixture(scope="module")
def concept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A concept folder; where something is written, into another."""
    return make_concept(tmp_path_factory.mktemp("methods") / "mug")


@pytest.fixture
def quick(tiny_settings) -> Settings:
    """Three steps of one sample, two pictures of the class."""
    settings = Settings(base=tiny_settings, train=QUICK)
    return with_train(
        settings, steps=3, batch_size=1, checkpoint_every=1, class_pictures=2, crops_per_image=1
    )


@pytest.fixture(autouse=True)
def base(tiny_base, monkeypatch: pytest.MonkeyPatch):
    """The tiny model, loaded once and bare for every run; nothing is drawn but the class."""

    def load(*_, **__):
        for adapter in list(tiny_base.adapters.values()):
            detach(tiny_base, adapter)
        tiny_base.set_attention(gradients=True)
        return tiny_base

    monkeypatch.setattr(prepare, "load_base", load)
    monkeypatch.setattr(loop, "draw_validation", lambda *_: torch.zeros(3, 1, 3, 8, 8))
    monkeypatch.setattr(priors, "STEPS", 1)
    yield load()
    load()


@pytest.mark.parametrize("way", WAYS)
def test_a_run_cut_off_twice_ends_as_one_unbroken(way, concept, quick, tmp_path):
    settings = with_train(quick, **WAYS[way])
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = train_concept(concept, settings, into=whole, progress=silent).read_bytes()
    for last in (1, 2):
        with pytest.raises(Killed):
            train_concept(concept, settings, into=broken, progress=killed_after(last + 1, 3))
        torch.manual_seed(last)
    assert train_concept(concept, settings, into=broken, progress=silent).read_bytes() == expected


def weighted_error(run, batch) -> torch.Tensor:
    """The denoising loss as Ho et al. 2020 have it, the subject's share weighing pixels."""
    base, train = run.base, run.settings
    alphas = base.scheduler("ddim").alphas_cumprod[batch.timesteps.cpu()].view(-1, 1, 1, 1)
    noisy = alphas.sqrt() * batch.latents + (1 - alphas).sqrt() * batch.noise
    text = base.encode_text(batch.prompts, [run.adapter]).text
    error = (base.unet(noisy, batch.timesteps, text).sample - batch.noise).square()
    share = train.background_weight + (1 - train.background_weight) * batch.subject
    weight = (share * batch.padding).expand_as(error)
    means = (error * weight).flatten(1).sum(1) / weight.flatten(1).sum(1)
    return means.mean()


@pytest.mark.parametrize("way", WAYS)
def test_a_step_is_adamw_on_the_published_loss(way, concept, quick, tmp_path):
    """AdamW's first step (Loshchilov & Hutter 2019): decay, then the gradient's sign.

    The loss of methods that keep the class is Eq. 2 of DreamBooth.
    """
    settings = with_train(quick, gradient_clip=None, attention_weight=0.0, prior_weight=0.7,
                          batch_size=2, **WAYS[way])  # fmt: skip
    run = prepared(concept, settings, tmp_path)
    groups = {group["name"]: group for group in run.optimizer.param_groups}
    before = {name: [p.detach().clone() for p in g["params"]] for name, g in groups.items()}
    loss = weighted_error(run, make_batch(run, 0))
    if run.prior is not None:
        loss = loss + 0.7 * weighted_error(run, prior_batch(run, 0))
    learns = [p for group in groups.values() for p in group["params"]]
    slopes = iter(torch.autograd.grad(loss, learns, allow_unused=True))
    assert train_step(run)["loss"] == pytest.approx(loss.item(), rel=1e-5)
    for name, group in groups.items():
        rate, decay = group["initial_lr"], group["weight_decay"]
        for old, new in zip(before[name], group["params"], strict=True):
            slope = next(slopes)
            slope = torch.zeros_like(old) if slope is None else slope
            step = rate * slope / (slope.abs() + 1e-8)
            clear = slope.abs() > 1e-6  # below, rounding decides the sign
            torch.testing.assert_close(new[clear], (old * (1 - rate * decay) - step)[clear])


def expected_to_learn(way: str, unet: set[str], text: set[str]) -> set[str]:
    """Weights of the base that a method may change."""
    if way == "dreambooth":
        return unet | {key for key in text if "token_embedding" not in key}
    if way == "custom-diffusion":
        return {key for key in unet if re.search(r"attn2\.to_[kv]\.weight$", key)}
    return set()


@pytest.mark.parametrize("way", ["dreambooth", "textual-inversion", "custom-diffusion"])
def test_exactly_these_weights_change_and_the_file_draws_the_same(
    way, concept, quick, tmp_path, base
):
    run = prepared(concept, with_train(quick, **WAYS[way]), tmp_path)
    for _ in range(2):
        train_step(run)
    own = dict(base.exchanged)
    changed = {
        key for key, place in (run.adapter.deltas.places if run.adapter.deltas else {}).items()
        if not torch.equal(place[0]._parameters[place[1]], own[place])
    }  # fmt: skip
    unet = {f"unet.{key}".replace(".base_layer", "") for key, _ in base.unet.named_parameters()}
    text = {
        f"text_encoder.text_model.{key}".replace(".base_layer", "")
        for key, _ in base.text_encoder.named_parameters()
    }
    wanted = expected_to_learn(way, unet, text)
    assert changed <= wanted and len(changed) >= 0.9 * len(wanted)
    assert set(run.adapter.deltas.places if run.adapter.deltas else ()) == wanted
    seen = shown(base, run.adapter)
    path = tmp_path / "saved.safetensors"
    save_adapter(base, run.adapter, path)
    detach(base, run.adapter)
    bare = base.unet(*inputs(base, "a mug")).sample
    adapter = load_adapter(base, path, "other")
    torch.testing.assert_close(shown(base, adapter), seen, atol=2e-4, rtol=2e-3)
    with without_adapters(base):
        assert torch.equal(base.unet(*inputs(base, "a mug")).sample, bare)
    set_active(base, ["other"], 0.0)
    assert not base.exchanged and torch.equal(base.unet(*inputs(base, "a mug")).sample, bare)
    if way == "textual-inversion":
        assert [key.startswith("edlora.<mug-") for key in load_file(path)] == [True]


def inputs(base, prompt: str, *adapters) -> tuple[torch.Tensor, ...]:
    """Noisy latents, a timestep and a text."""
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return latents, torch.tensor([300]), base.encode_text([prompt], adapters).text.detach()


@torch.no_grad()
def shown(base, adapter) -> torch.Tensor:
    """What the network puts out for an adapter's concept."""
    return base.unet(*inputs(base, f"a {adapter.trigger}", adapter)).sample


def test_weights_of_a_half_precision_base_learn_in_full(concept, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "load_base", load_base)
    settings = with_train(quick, mixed_precision="bf16", **WAYS["dreambooth"])
    run = prepared(concept, settings, tmp_path)
    deltas = run.adapter.deltas
    assert {own.dtype for own in deltas.own.values()} == {torch.bfloat16}
    assert {weight.dtype for weight in deltas.tuned.values()} == {torch.float32}
    assert math.isfinite(train_step(run)["loss"])
    save_adapter(run.base, run.adapter, tmp_path / "a.safetensors")
    assert {value.dtype for value in load_file(tmp_path / "a.safetensors").values()} == {
        torch.float16
    }


def test_every_method_is_one_of_the_settings_and_has_a_preset():
    assert tuple(METHODS) == TRAIN_METHODS
    for method in TRAIN_METHODS:
        assert resolve(overrides=[f"train.method={method}"]).train.method == method


@pytest.mark.parametrize(("method", "setting"), [
    ("textual-inversion", "rank=8"), ("edlora", "prior_weight=1"), ("custom-diffusion", "rank=8"),
    ("dreambooth", "lora_variant=dora"), ("lora", "layerwise=true"),
])  # fmt: skip
def test_what_a_method_does_not_read_is_refused(method, setting):
    with refused(f"train.{setting.split('=')[0]}", method):
        resolve(overrides=[f"train.method={method}", f"train.{setting}"])


@pytest.mark.parametrize("identifier", ["<mug-1>", " "])
def test_an_identifier_is_a_plain_word(identifier):
    with refused("train.identifier"):
        resolve(overrides=["train.method=lora", f"train.identifier={identifier}"])


def test_class_pictures_are_drawn_once_and_go_on(concept, quick, tmp_path, monkeypatch):
    settings = with_train(quick, method="lora", class_pictures=9)
    first = prepared(concept, settings, tmp_path).prior
    files = sorted(tmp_path.glob("class-*/*.png"))
    assert len(files) == 9
    before = files[8].stat().st_mtime_ns
    shutil.copy(files[0], tmp_path / "kept.png")
    files[0].unlink()
    again = prepared(concept, settings, tmp_path).prior
    assert torch.equal(first.latents, again.latents)
    assert files[8].stat().st_mtime_ns == before  # of those drawn at once with it, none is missing
    assert files[0].read_bytes() == (tmp_path / "kept.png").read_bytes()


def test_class_words_prompt_has_neither_the_identifier_nor_words(concept, quick, tmp_path):
    run = prepared(concept, with_train(quick, method="lora", identifier="zwx"), tmp_path)
    assert prior_batch(run, 0).prompts == ["a mug"]
    assert all("zwx mug" in prompt for prompt in make_batch(run, 0).prompts)
    assert not math.isnan(train_step(run)["prior"])
