"""The GPU's benchmark runs on the processor too, measures nothing where there is no GPU, and fails on wrong vectors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu import Bench, Sizes, Timed
from resources.encoders.unpadded import UnpaddedBert


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def bench() -> Bench:
    return Bench(torch.device("cpu"), Sizes.few(), gpu._weights())


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["gpu", *words])
    return gpu.main(), capsys.readouterr().out


def test_every_part_runs_on_the_processor(monkeypatch, capsys):
    code, out = told(monkeypatch, capsys, "--device", "cpu", "--small")
    assert code == 0
    for title in (
        "texts beside padded batches",
        "Tokenized texts",
        "Texts of 4 to 59 words",
        "Photos",
        "Arrow to Arrow",
    ):
        assert f"{title}" in out
    rows = [line for line in out.splitlines() if line.startswith(("| 32 |", "| 64 |", "| 128 |"))]
    assert len(rows) == 6 and out.count("not measured") >= 5
    assert "reached" not in out, "a goal of a GPU was judged without one"


@pytest.mark.parametrize("words", [(), ("--device", "cuda")])
def test_without_a_gpu_nothing_is_measured(monkeypatch, capsys, words):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, out = told(monkeypatch, capsys, *words)
    assert code == 0 and "not measured: " in out and "|" not in out


def test_vectors_that_are_not_those_of_full_precision_fail(bench, monkeypatch):
    class Wrong(UnpaddedBert):
        def __call__(self, batch):
            return super().__call__(batch).flip(1)

    monkeypatch.setattr(gpu, "UnpaddedBert", Wrong)
    assert "does not hold" in gpu.check(bench)
    assert len(bench.failed) == 2


def test_a_device_is_busy_while_it_computes_and_not_else(bench, monkeypatch):
    clock = iter([10.0, 13.0, 20.0, 21.5])
    monkeypatch.setattr("benchmarks.gpu.time.perf_counter", lambda: next(clock))
    batch: Any = object()
    model: Any = id
    timed = Timed(model, bench)
    timed(batch), timed(batch)
    assert timed.seconds() == 4.5
    timed.clear()
    assert timed.seconds() == 0


def test_work_is_counted_as_products_and_attention():
    # by hand: 6 layers of 12 width² weights, two operations each, and two products of 128 x 128 per token's width
    assert gpu._work(128) == 6 * (128 * 2 * 12 * 384**2 + 2 * 2 * 128 * 128 * 384)


def test_weights_may_lie_in_a_folder_in_half_precision(bench, tmp_path: Path):
    from safetensors.torch import save_file

    save_file({name: tensor.half() for name, tensor in bench.tensors.items()}, tmp_path / "model.safetensors")
    (tmp_path / "tokenizer.json").write_bytes((bench.folder / "tokenizer.json").read_bytes())
    other = Bench(torch.device("cpu"), Sizes.few(), tmp_path)
    assert "does not hold" not in gpu.check(other) and not other.failed
