"""Which device a setting means on this machine, and what is said where it means none."""

from __future__ import annotations

import pytest

from pipeline_project.domain.core.devices import described, is_device, torch_device_name, xgboost_device_name
from pipeline_project.domain.core.errors import ModelUnavailable


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs, as far as torch says."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda name: f"card {name[5:] or '0'}")


@pytest.fixture
def none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:0", "cuda:12"])
def test_names_of_devices(name: str) -> None:
    assert is_device(name)


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:x", "CUDA", "cpu:0", "mps"])
def test_names_of_none(name: str) -> None:
    assert not is_device(name)
    with pytest.raises(ModelUnavailable, match="write auto, cpu, cuda or cuda:1"):
        torch_device_name(name)


def test_with_cards(cards: None) -> None:
    names = {name: torch_device_name(name) for name in ("auto", "cpu", "cuda", "cuda:1")}
    assert names == {"auto": "cuda", "cpu": "cpu", "cuda": "cuda", "cuda:1": "cuda:1"}
    with pytest.raises(ModelUnavailable, match="the GPUs of this machine are cuda:0, cuda:1; write one of them"):
        torch_device_name("cuda:2")
    assert described("auto", "cuda") == "cuda (card 0)"
    assert described("cuda:1", "cuda:1") == "cuda:1 (card 1)"


def test_without_a_card(none: None) -> None:
    assert torch_device_name("auto") == "cpu"
    with pytest.raises(ModelUnavailable, match=r"PIPELINE_DEVICE is cuda:1 but .*docs/gpu.md"):
        torch_device_name("cuda:1")


def test_trees_stay_on_the_processor_where_xgboost_knows_no_other(cards: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xgboost.build_info", lambda: {"USE_CUDA": False})
    assert xgboost_device_name("cuda:1") == "cpu"
    assert described("cuda:1", "cpu") == "cpu, because this xgboost is built without CUDA"
    assert described("auto", "cpu") == described("cpu", "cpu") == "cpu"
    monkeypatch.setattr("xgboost.build_info", lambda: {"USE_CUDA": True})
    assert (xgboost_device_name("cuda:1"), xgboost_device_name("auto")) == ("cuda:1", "cuda")
