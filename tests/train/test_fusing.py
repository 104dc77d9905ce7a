"""Fused adapters: what they draw, what their files say, and what cannot be fused."""

import json

import pytest
import torch
from refusals import refused

from smalti.configs.fusion import FusionSettings
from smalti.configs.settings import TrainSettings
from smalti.models.adapter_file import concepts_of, read_metadata, read_tensors
from smalti.models.bases import load_base
from smalti.models.conditioning import encode_prompts
from smalti.models.edlora import (
    adapter_state,
    attach_new,
    detach,
    load_adapter,
    load_adapter_state,
    lora_parameters,
    parameter_groups,
    save_adapter,
    set_active,
)
from smalti.train.fusing import fuse_concepts
from smalti.train.methods import method_of

QUICK = {"steps": 1, "pictures": 1}


def make_adapter(base, folder, name: str, seed: int, *, size: float = 0.2, **settings):
    """A saved adapter with random values."""
    train = TrainSettings(seed=seed, **settings)
    adapter = method_of(train).attach(base, name, "girl", train)
    generator = torch.Generator().manual_seed(seed)
    state = adapter_state(base, adapter)
    noise = {k: size * torch.randn(v.shape, generator=generator) for k, v in state.items()}
    load_adapter_state(base, adapter, noise)
    path = folder / name / "edlora.safetensors"
    save_adapter(base, adapter, path)
    detach(base, adapter)
    return path


@pytest.fixture(scope="module")
def pair(tiny_settings, tmp_path_factory):
    """Two adapters of the tiny base, of different rank and targets."""
    base, folder = load_base(tiny_settings, device="cpu"), tmp_path_factory.mktemp("pair")
    return [
        make_adapter(base, folder, "harry", 1, rank=2, lora_alpha=1.0),
        make_adapter(base, folder, "hermione", 2, rank=3, targets="all"),
    ]


@pytest.fixture(scope="module")
def fused(pair, tiny_settings, tmp_path_factory):
    """Their fusions by method: the file and what is recorded of it."""
    folder, found = tmp_path_factory.mktemp("fused"), {}
    for method in ("gradient", "sum"):
        out = folder / f"couple-{method}" / "edlora.safetensors"
        settings = FusionSettings(method=method, **QUICK)
        facts = fuse_concepts(pair, out, tiny_settings, settings, progress=lambda *_: None)
        found[method] = out, facts
    return found


def test_a_file_holds_both_concepts(fused, pair):
    out, facts = fused["gradient"]
    metadata, tensors = read_metadata(out), read_tensors(out)
    assert [own.name for own in concepts_of(metadata)] == ["harry", "hermione"]
    assert metadata["rank"] == metadata["alpha"] == 5 and metadata["targets"] == "all"
    for path, name in zip(pair, ("harry", "hermione"), strict=True):
        for number in (1, 2):
            key = f"edlora.<{name}-{number}>.layers"
            assert torch.equal(tensors[key], read_tensors(path)[key])
    left = facts["residuals"]
    assert metadata["fusion"]["residuals"] == left
    assert {name + ".lora_A.weight" for name in left} == {k for k in tensors if ".lora_A" in k}
    assert all(0 <= value < 1 for value in left.values())


def test_a_sum_draws_as_both_adapters_together(fused, pair, tiny_settings):
    base = load_base(tiny_settings, device="cpu")
    both = [load_adapter(base, path) for path in pair]
    couple = load_adapter(base, fused["sum"][0])
    couple.trigger = couple.metadata["trigger"]
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(4))

    @torch.no_grad()
    def drawn(active, known):
        set_active(base, [adapter.name for adapter in active])
        text = encode_prompts(base, ["a <harry-1> <harry-2> and a <hermione-1>"], known)
        return base.unet(latents, torch.tensor(300), text).sample

    together, one = drawn(both, both), drawn([couple], [couple])
    assert torch.allclose(one, together, atol=1e-4)
    assert not torch.allclose(one, drawn([], both), atol=1e-3)


def test_what_is_there_is_not_fused_again(fused, pair, tiny_settings):
    out, facts = fused["gradient"]
    before = out.stat().st_mtime_ns
    settings = FusionSettings(method="gradient", **QUICK)
    assert fuse_concepts(pair, out, tiny_settings, settings) == json.loads(json.dumps(facts))
    with refused("--out", str(out)):
        fuse_concepts(pair, out, tiny_settings, FusionSettings(method="sum", **QUICK))
    with refused("--out", str(pair[0])):
        fuse_concepts(pair, pair[0], tiny_settings, settings)
    assert out.stat().st_mtime_ns == before


def test_what_cannot_be_fused_is_refused(pair, tiny_settings, tmp_path):
    other = tmp_path / "other" / "edlora.safetensors"
    other.parent.mkdir()
    data = pair[1].read_bytes()
    fingerprint = read_metadata(pair[1])["base"]["fingerprint"].encode()
    other.write_bytes(data.replace(fingerprint, fingerprint[::-1]))
    out, settings = tmp_path / "x" / "edlora.safetensors", FusionSettings(**QUICK)
    for paths, named in (
        (pair[:1], "two"),
        ([pair[0], pair[0]], "harry"),
        ([pair[0], other], "bases"),
    ):
        with refused(named):
            fuse_concepts(paths, out, tiny_settings, settings)
    alike = [
        make_adapter(load_base(tiny_settings), tmp_path, name, 1, method="lora", rank=2)
        for name in ("anna", "zoe")
    ]
    with refused("train.identifier", "sks girl"):
        fuse_concepts(alike, out, tiny_settings, settings)
    with refused("train.orthogonal"):
        chosen = FusionSettings(method="orthogonal", **QUICK)
        fuse_concepts(pair, out, tiny_settings, chosen, progress=lambda *_: None)
    assert not out.exists()


def test_orthogonal_adapters_learn_up_projections_and_are_summed(tiny_settings, tmp_path):
    base = load_base(tiny_settings, device="cpu")
    paths = []
    for slot, name in enumerate(("ron", "ginny")):
        settings = TrainSettings(seed=slot, rank=2, orthogonal=slot)
        adapter = attach_new(base, name, "girl", settings)
        groups = parameter_groups(base, adapter, settings)
        learning = {id(p) for group in groups for p in group["params"]}
        for key, parameter in lora_parameters(base, adapter):
            assert (id(parameter) in learning) == parameter.requires_grad == (".lora_B." in key)
            if ".lora_B." in key:
                torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(slot))
        paths.append(tmp_path / name / "edlora.safetensors")
        save_adapter(base, adapter, paths[-1])
        detach(base, adapter)
    out = tmp_path / "both" / "edlora.safetensors"
    facts = fuse_concepts(paths, out, tiny_settings, FusionSettings(), progress=lambda *_: None)
    assert facts["method"] == "orthogonal" and facts["residuals"] == {}
    tensors = read_tensors(out)
    own = [read_tensors(path) for path in paths]
    name = next(key for key in tensors if key.endswith("attn2.to_v.lora_A.weight"))
    down, up = tensors[name], tensors[name.replace("_A.", "_B.")]
    for state in own:
        x = torch.randn(3, 2) @ state[name]
        wanted = x @ (state[name.replace("_A.", "_B.")] @ state[name]).T
        assert torch.allclose(x @ (up @ down).T, wanted, atol=1e-5)
