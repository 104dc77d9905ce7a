"""The processor: which one, in what precision, with how much memory."""

import pytest
import torch

from smalti.configs.errors import InputError
from smalti.models.device import free_memory, pick_device, resolve_device, resolve_precision


def test_auto_precision_asks_the_processor(monkeypatch):
    for features, expected in (
        ({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"),
        ({"avx512_bf16": False, "avx2": True}, "no"), ({}, "no"),
    ):  # fmt: skip
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda f=features: f, raising=False)
        assert resolve_precision("auto", "cpu") == expected
        assert resolve_precision("no", "cpu") == "no"
        assert resolve_precision("fp16", torch.device("cpu")) == "fp16"
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # as in older versions of torch
    assert resolve_precision("auto", "cpu") == "no"
    assert resolve_precision("auto", "mps") == "no"


def test_memory_respects_a_containers_limit(tmp_path, monkeypatch):
    assert free_memory(pick_device()) > 0
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    monkeypatch.setattr("smalti.models.cost.CGROUP", tmp_path)
    assert free_memory("cpu") == 600000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory("cpu") > 600000


def test_a_device_that_is_not_there_is_refused_by_name():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == pick_device()
    absent = ["no-such-device", *([] if torch.cuda.is_available() else ["cuda"])]
    for name in absent:
        with pytest.raises(InputError) as caught:
            resolve_device(name)
        assert name in str(caught.value)
