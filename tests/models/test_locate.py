"""A base model is found in the package, on disk or in the hub's cache, or what lacks is named."""

from pathlib import Path

import pytest

from smalti.configs.base import BaseSettings
from smalti.configs.errors import InputError
from smalti.models import locate as module
from smalti.models.locate import (
    NEEDED,
    WEIGHTS,
    is_present,
    locate,
    missing_files,
    require_color_adapter,
    weights_file,
)


def make_base(folder: Path, kind: str = "") -> Path:
    """Empty files where a model's parts would be."""
    weights = [weights_file(folder, part, kind) for part in WEIGHTS]
    for path in [*(folder / name for name in NEEDED), *weights]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """The hub's cache, empty and without a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(
        "huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path / "hub")
    )
    return tmp_path / "hub"


@pytest.mark.parametrize(
    ("there", "wanted", "found"),
    [
        ([""], "", ""),
        (["fp16"], "", "fp16"),
        (["", "fp16"], "", ""),
        (["", "fp16"], "fp16", "fp16"),
        ([""], "fp16", ""),
        ([], "fp16", "fp16"),  # what would be needed
    ],
)
def test_weights_are_those_of_the_wanted_variant_or_the_next_best(tmp_path, there, wanted, found):
    def named(kind: str) -> Path:
        return tmp_path / "unet" / f"diffusion_pytorch_model{kind and '.' + kind}.safetensors"

    (tmp_path / "unet").mkdir()
    for kind in there:
        named(kind).touch()
    assert weights_file(tmp_path, "unet", wanted) == named(found)


def test_a_folder_of_the_users_may_hold_a_variant_only(tmp_path):
    folder = make_base(tmp_path / "half", "fp16")
    settings = BaseSettings(source=str(folder))
    assert is_present(settings) and locate(settings) == folder


def test_source_inside_the_package_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PACKAGE", tmp_path)
    make_base(tmp_path / "models" / "here")
    assert locate(BaseSettings(source="models/here")) == tmp_path / "models/here"


@pytest.mark.parametrize("name", [*NEEDED, "unet/diffusion_pytorch_model.safetensors"])
def test_an_incomplete_folder_is_named_with_what_it_lacks(tmp_path, name):
    folder = make_base(tmp_path / "broken")
    (folder / name).unlink()
    settings = BaseSettings(source=str(folder))
    assert missing_files(folder) == [name]
    assert not is_present(settings)
    with pytest.raises(InputError) as caught:
        locate(settings)
    assert name in str(caught.value) and str(folder) in str(caught.value)


def test_no_network_and_no_cache(hub):
    settings = BaseSettings(name="sd21", source="nobody/no-such-model", size_gb=5.2)
    assert not is_present(settings)
    with pytest.raises(InputError) as caught:
        locate(settings)
    for word in ("nobody/no-such-model", "5.2 GB", "--base starter"):
        assert word in str(caught.value)


def test_a_model_in_the_hubs_cache_needs_no_download(hub):
    repository = hub / "models--somebody--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    snapshot = make_base(repository / "snapshots" / "abc")
    settings = BaseSettings(source="somebody/model")
    assert is_present(settings) and locate(settings) == snapshot
    (snapshot / "unet/config.json").unlink()  # a download that was cut short
    assert not is_present(settings)


@pytest.mark.parametrize("source", ["no/such/folder", "nothing", "./x"])
def test_no_such_source(source):
    settings = BaseSettings(source=source)
    assert not is_present(settings)
    with pytest.raises(InputError) as caught:
        locate(settings)
    assert repr(source) in str(caught.value)


def test_a_base_without_a_colour_adapter_is_named():
    require_color_adapter(BaseSettings(color_adapter="folder"))
    with pytest.raises(InputError) as caught:
        require_color_adapter(BaseSettings(name="mine"))
    assert "'mine'" in str(caught.value) and "base.color_adapter" in str(caught.value)
