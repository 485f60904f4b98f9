"""Values in Parquet files that Python cannot hold, in columns that nobody asked for and in those that are declared."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_project.domain.core.errors import SourceUnreadable
from pipeline_project.domain.intake.readings import unaccounted
from pipeline_project.domain.intake.typed_rows import TypedRows, read_rows
from pipeline_project.settings import Settings
from resources.sources import case_source
from resources.sources import parquet_rows as parquet_module
from tests.resources.sources.claim_specs import NIGHT, WINDOW, claims, fields

BAD_TEXT = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"\xffb"))
FAR = 9_000_000_000_000_000_000
UNUSUAL = {
    "microseconds": pa.array([FAR, 0], pa.timestamp("us")),
    "seconds": pa.array([FAR, 0], pa.timestamp("ms")),
    "zoned": pa.array([FAR, 0], pa.timestamp("us", "Europe/Berlin")),
    "nowhere": pa.array([1, 0], pa.timestamp("us", "Nowhere/At_All")),
    "day": pa.array([2**31 - 1, 0], pa.date32()),
    "duration": pa.array([2**62, 0], pa.duration("s")),
    "nanoseconds": pa.array([1, 0], pa.timestamp("ns")),
    "clock": pa.array([1, 0], pa.time64("ns")),
    "nan": pa.array([float("nan"), float("inf")]),
    "decimal": pa.array([Decimal("1E+3"), Decimal("0.10")], pa.decimal128(38, 2)),
    "dictionary": pa.array(["x", "y"]).dictionary_encode(),
    "list": pa.array([[FAR], [0]], pa.list_(pa.timestamp("us"))),
    "struct": pa.array([{"at": FAR}, {"at": 0}], pa.struct([("at", pa.timestamp("us"))])),
    "map": pa.array([[("a", FAR)], []], pa.map_(pa.string(), pa.timestamp("us"))),
    "bytes": pa.array([b"\xff\x00", b""]),
    "text": BAD_TEXT,
    "null": pa.nulls(2),
}


def read(folder: Path, columns: dict[str, Any], **changes: Any) -> tuple[pa.Table, TypedRows]:
    path = folder / "in" / NIGHT / "a.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    base = {
        "claim_id": ["C1", "C2"],
        "claimed_at": ["2025-03-01T10:00"] * 2,
        "price": [1.0, 2.0],
        "category": ["shoes", "lamp"],
    }
    pq.write_table(pa.table(base | columns), path)
    source = {"kind": "files", "folder": "in", "pattern": "{night}/*.parquet", "format": "parquet"}
    spec = claims(folder, source=source, **changes)
    arrived = case_source(spec, Settings(home=folder / "home"), {}).read(WINDOW)
    assert unaccounted(arrived.readings, arrived.rows) == (0, 0)
    return arrived.rows, read_rows(arrived.rows, spec.case_schema)


@pytest.mark.parametrize("kind", UNUSUAL)
def test_what_nobody_declared_costs_no_row(tmp_path: Path, kind: str) -> None:
    table, typed = read(tmp_path, {"unused": UNUSUAL[kind]})
    assert not typed.reasons
    assert typed.frame["case_id"].tolist() == ["C1", "C2"]
    assert all("unused" in json.loads(raw) for raw in table["raw"].to_pylist()), "it arrived all the same"


@pytest.mark.parametrize("kind", ["microseconds", "seconds", "zoned", "day", "nan"])
def test_a_declared_time_that_cannot_be_one_costs_its_own_row(tmp_path: Path, kind: str) -> None:
    values = UNUSUAL["day"] if kind == "day" else UNUSUAL[kind]
    _, typed = read(tmp_path, {"claimed_at": values})
    assert 0 in typed.reasons
    if kind != "nan":
        assert list(typed.reasons) == [0]


def test_a_declared_text_that_is_no_text_costs_its_own_row(tmp_path: Path) -> None:
    table, typed = read(tmp_path, {"message": BAD_TEXT})
    assert list(typed.reasons) == [0]
    assert "not UTF-8" in table["problem"][0].as_py()


def test_values_as_they_are(tmp_path: Path) -> None:
    table, _ = read(tmp_path, {name: UNUSUAL[name] for name in ("nanoseconds", "decimal", "dictionary", "nowhere")})
    first = json.loads(table["raw"][0].as_py())
    assert first["nanoseconds"] == "1970-01-01T00:00:00.000000001"
    assert first["decimal"] == "1000.00"
    assert first["dictionary"] == "x"
    assert first["nowhere"] == "1970-01-01T00:00:00.000001Z"


def test_no_number_is_no_value_where_none_is_needed(tmp_path: Path) -> None:
    weight = {"weight": {"type": "number", "required": False}}
    _, typed = read(tmp_path, {"weight": [float("nan"), 2.0]}, fields=fields(**weight))
    assert not typed.reasons
    assert typed.frame["weight"].isna().tolist() == [True, False]
    _, typed = read(tmp_path, {"weight": [float("inf"), 2.0]}, fields=fields(**weight))
    assert list(typed.reasons) == [0]


def test_a_name_inside_of_a_struct(tmp_path: Path) -> None:
    who = pa.array([{"name": "ann", "at": FAR}, {"name": "bo", "at": 0}], pa.struct([("name", pa.string()), ("at", pa.timestamp("us"))]))  # fmt: skip  # noqa: E501
    spec = fields(who={"type": "category", "column": "customer.name"})
    _, typed = read(tmp_path, {"customer": who}, fields=spec)
    assert typed.frame["who"].tolist() == ["ann", "bo"]


def test_too_many_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_module, "MAX_COLUMNS", 20)
    with pytest.raises(SourceUnreadable, match="more than 20 columns"):
        read(tmp_path, {f"c{n}": [1, 2] for n in range(20)})
