"""`pipeline results` counts the rows that were dropped as exact duplicates, and those that tell another outcome."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline_project.domain.core.schema import ARRIVALS
from pipeline_project.services.results import dropped_duplicates
from pipeline_project.spec import WorkflowSpec
from resources.lake.lake import DeltaLake
from tests.doubles import NEXT, NIGHT, claims

OUTCOME = {"kind": "column", "column": "finding", "known_at": [{"field": "night", "plus_days": 1}]}


def arrived(night: str, *rows: tuple[str, str]) -> pa.Table:
    made: list[dict[str, Any]] = [
        {"night": night, "file": "a.csv", "file_sha256": "f", "line": line, "row_sha256": sha,
         "raw": json.dumps({"finding": label})}
        for line, (sha, label) in enumerate(rows, start=2)
    ]  # fmt: skip
    return pa.Table.from_pylist(made, schema=ARRIVALS)


def kept(night: str, *rows: str) -> pa.Table:
    return pa.table({"night": [night] * len(rows), "row_sha256": pa.array(rows, pa.string())})


def lake_of(folder: Path, spec: WorkflowSpec) -> DeltaLake:
    """Two nights sorted, of whose nine rows three were dropped; a third that stopped before."""
    lake = DeltaLake(str(folder))
    nights = {
        NIGHT: (arrived(NIGHT, ("a", "kept"), ("a", "worn"), ("a", ""), ("b", "kept"), ("c", "kept")), "ab", "c"),
        NEXT: (arrived(NEXT, ("a", "kept"), ("d", "kept"), ("e", "worn"), ("f", "")), "def", ""),
    }
    for night, (rows, cases, refused) in nights.items():
        for asset_name, table in (
            ("arrivals", rows),
            ("cases", kept(night, *cases)),
            ("quarantine", kept(night, *refused)),
        ):
            lake.write_night(spec.name, asset_name, night, table)
    lake.write_night(spec.name, "arrivals", "2025-03-03", arrived("2025-03-03", ("x", "kept"), ("x", "worn")))
    return lake


def test_dropped_rows_are_counted_and_the_contradicting_among_them(tmp_path: Path) -> None:
    spec = claims(outcome=OUTCOME)
    lake = lake_of(tmp_path, spec)
    assert dropped_duplicates(spec, lake, NIGHT) == (3, 1)
    assert dropped_duplicates(spec, lake, NEXT) == (1, 0), "what came before the nights asked about is not looked at"
    assert dropped_duplicates(claims(), lake, NIGHT) == (3, 0), (
        "outcomes in files of their own contradict each other there"
    )
    assert dropped_duplicates(spec, DeltaLake(str(tmp_path / "empty")), NIGHT) == (0, 0)
