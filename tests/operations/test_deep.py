"""Bits that rot are met by whoever reads them, and by `pipeline doctor --deep` before that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline_project.domain.core.errors import LakeDamaged, LakeUnavailable, ModelUnavailable
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.operations.deep_check import DeepCheckResult, look_deep
from resources.files import files_at
from resources.lake import delta
from resources.lake.lake import DeltaLake
from resources.lake.vectors import LakeVectorStore

NIGHTS = ("2025-01-01", "2025-01-02", "2025-01-03")
MODEL = ModelVersion("returns", "1", "2025-01-01", "sha", "run", {})


class Registry:
    """Models at the edge: those of `gone` cannot be loaded."""

    def __init__(self, *gone: str) -> None:
        self.gone = gone

    def load(self, model: ModelVersion) -> Mapping[str, bytes]:
        if model.version in self.gone:
            raise ModelUnavailable(f"version {model.version} has no files")
        return {}


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DeltaLake:
    # as in a process that has read nothing yet
    monkeypatch.setattr(delta, "_VERIFIED", set())
    lake = DeltaLake(str(tmp_path / "lake"))
    for night in NIGHTS:
        rows = {"case_id": [f"{night}-{n}" for n in range(20)], "price": [float(n) for n in range(20)]}
        lake.write_night("returns", "cases", night, pa.table(rows))
    return lake


def file_of(lake: DeltaLake, night: str) -> Path:
    (file,) = Path(lake.uri("returns", "cases"), f"night={night}").iterdir()
    return file


def flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 0x10
    file.write_bytes(content)


def looked(lake: DeltaLake, tmp_path: Path, *gone: str) -> DeepCheckResult:
    return look_deep(lake.store, Registry(*gone), [MODEL], files_at(tmp_path / "reports"))  # type: ignore[arg-type]


def test_no_flipped_bit_of_a_file_is_read_as_anything(lake: DeltaLake, monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of(lake, NIGHTS[1])
    whole = file.read_bytes()
    for at in range(0, len(whole), 7):
        flip(file, at)
        delta._VERIFIED.clear()
        with pytest.raises(LakeDamaged, match=r"damaged.*doctor --deep"):
            lake.read_night("returns", "cases", NIGHTS[1])
        with pytest.raises(LakeDamaged, match=NIGHTS[1]):
            lake.read_span("returns", "cases", None, "2026-01-01", ["case_id"])
        file.write_bytes(whole)
    assert lake.read_night("returns", "cases", NIGHTS[1]) is not None


def test_pages_are_compared_each_time_they_are_read(lake: DeltaLake) -> None:
    assert lake.read_span("returns", "cases", None, "2026-01-01") is not None
    file = file_of(lake, NIGHTS[1])
    flip(file, 40)
    with pytest.raises(LakeDamaged):
        lake.read_span("returns", "cases", None, "2026-01-01")


@pytest.mark.parametrize("left", [0, 4, 200])
def test_a_file_that_was_cut_off_is_damaged(lake: DeltaLake, left: int) -> None:
    file = file_of(lake, NIGHTS[0])
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(LakeDamaged):
        lake.read_night("returns", "cases", NIGHTS[0])


def test_what_is_gone_or_broken_is_not_blamed_on_the_network(lake: DeltaLake) -> None:
    file_of(lake, NIGHTS[0]).unlink()
    with pytest.raises(LakeUnavailable, match="is gone"):
        lake.read_night("returns", "cases", NIGHTS[0])
    for entry in Path(lake.uri("returns", "cases"), "_delta_log").glob("*.json"):
        entry.write_text("{")
    with pytest.raises(LakeUnavailable, match="not as it was written") as raised:
        lake.read_night("returns", "cases", NIGHTS[1])
    assert "PIPELINE_LAKE_URL" not in str(raised.value)


def test_other_nights_are_read_as_ever(lake: DeltaLake) -> None:
    flip(file_of(lake, NIGHTS[1]), 40)
    assert lake.read_night("returns", "cases", NIGHTS[2]) is not None


def test_vectors_that_rot_are_not_used(lake: DeltaLake, tmp_path: Path) -> None:
    store = LakeVectorStore(lake.store.url)
    store.put("encoder", {f"k{n}": np.full(8, n / 10) for n in range(1, 6)})
    (file,) = Path(store.uri("encoder")).glob("*.parquet")
    flip(file, 60)
    with pytest.raises(LakeDamaged):
        LakeVectorStore(lake.store.url).get("encoder", ["k1"])
    (found,) = looked(lake, tmp_path).damaged
    assert found.what.startswith("_vectors/") and "encoded again" in found.cure


def test_doctor_reads_everything_and_names_each_damage_with_its_cure(lake: DeltaLake, tmp_path: Path) -> None:
    reports = tmp_path / "reports" / "returns"
    reports.mkdir(parents=True)
    for night in NIGHTS:
        (reports / f"{night}.json").write_text(json.dumps({"row": {}}))
        (reports / f"{night}.html").write_text("<html></html>\n")
    well = looked(lake, tmp_path)
    assert (well.files, well.undigested, well.models, well.pages, well.damaged) == (3, 0, 1, 3, [])

    flip(file_of(lake, NIGHTS[1]), 40)
    file_of(lake, NIGHTS[2]).unlink()
    (reports / f"{NIGHTS[0]}.json").write_text("")
    (reports / f"{NIGHTS[1]}.html").write_text("<html>")
    found = {each.what.partition("/part-")[0]: each for each in looked(lake, tmp_path, "1").damaged}
    assert set(found) == {
        f"returns/cases/night={NIGHTS[1]}", f"returns/cases/night={NIGHTS[2]}", "model 1 of returns",
        f"returns/{NIGHTS[0]}.json", f"returns/{NIGHTS[1]}.html",
    }  # fmt: skip
    cure = found[f"returns/cases/night={NIGHTS[1]}"].cure
    assert f"pipeline nights returns --from {NIGHTS[1]} --to {NIGHTS[1]} --again" in cure
    assert "from the night's arrivals" in cure


def test_a_table_whose_log_is_broken_is_named(lake: DeltaLake, tmp_path: Path) -> None:
    for entry in Path(lake.uri("returns", "cases"), "_delta_log").glob("*.json"):
        entry.write_text("{")
    (found,) = looked(lake, tmp_path).damaged
    assert found.what == "returns/cases" and "_delta_log" in found.cure
