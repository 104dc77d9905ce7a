"""Estimates: in the right proportions, and near what was measured."""

import os

import pytest

from smalti.configs.loading import resolve
from smalti.models import cost
from smalti.models.cost import expected_device, network_flop, seconds_of
from smalti.models.device import pick_device


def test_a_call_of_sd15_is_near_its_published_operations():
    """0.80 TFLOP of multiply-adds at 64 x 64 latents; an estimate may be off by half."""
    assert network_flop(resolve(base="sd15").base, 512) == pytest.approx(0.8e12, rel=0.5)


def test_time_grows_with_calls_and_area():
    base = resolve(base="sd21").base
    one = seconds_of(1, base, 256, "cpu")
    assert seconds_of(10, base, 256, "cpu") == pytest.approx(10 * one)
    assert seconds_of(1, base, 512, "cpu") == pytest.approx(4 * one)


def test_cores_share_the_work_of_a_processor_only(monkeypatch):
    base = resolve(base="sd21").base
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    cpu, cuda = (seconds_of(1, base, 512, device) for device in ("cpu", "cuda"))
    assert cuda < cpu
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert seconds_of(1, base, 512, "cpu") == pytest.approx(cpu / 8)
    assert seconds_of(1, base, 512, "cuda") == pytest.approx(cuda)


def test_a_containers_limit_is_all_the_memory_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "CGROUP", tmp_path)
    whole = cost.total_memory("cpu")
    (tmp_path / "memory.max").write_text("1000000\n")
    assert cost.total_memory("cpu") == 1000000 < whole
    (tmp_path / "memory.max").write_text("max\n")
    assert cost.total_memory("cpu") == whole


def test_the_expected_device_is_the_one_that_will_be_picked():
    assert expected_device() == pick_device()


def test_without_a_driver_torch_is_not_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(cost, "NVIDIA_DRIVER", tmp_path / "none")
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("smalti.models.device.pick_device", lambda: pytest.fail("asked"))
    assert expected_device() == "cpu"
