"""A small workflow over files, a table or a query, for the tests of sources and contracts."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from pipeline_project.domain.core.nights import NightWindow, window_of
from pipeline_project.spec import WorkflowSpec

NIGHT = "2025-03-01"
WINDOW: NightWindow = window_of(NIGHT, "Europe/Berlin")
HEADER = "claim_id,claimed_at,price,category,message,photos"

_BASE: dict[str, Any] = {
    "workflow": "claims",
    "title": "Claims",
    "owners": ["team:claims"],
    "nights": {"time_zone": "Europe/Berlin", "first": "2025-02-01", "decide_from": "2025-03-01"},
    "source": {"kind": "files", "folder": "in", "pattern": "{night}/*.csv*"},
    "missing": ["-"],
    "fields": {
        "claim_id": {"type": "identifier", "role": "id"},
        "claimed_at": {"type": "time", "role": "time"},
        "price": {"type": "number", "role": "amount", "minimum": 0, "maximum": 1000},
        "category": {"type": "category", "allowed": ["shoes", "lamp"]},
        "message": {"type": "text", "required": False, "max_length": 2_000_000, "pii": True},
        "photos": {"type": "image", "many": True, "required": False},
    },
    "labels": ["kept", "worn"],
    "outcome": {
        "kind": "files",
        "folder": "in",
        "pattern": "outcomes/{night}.csv",
        "case_column": "claim_id",
        "label_column": "finding",
        "known_at_column": "seen_at",
        "values": {"K": "kept"},
    },
    "options": {
        "refund": {"title": "Refund", "costs": {"kept": 0, "worn": "price"}},
        "reject": {"title": "Reject", "denies": True, "costs": {"kept": "price", "worn": 0}},
    },
    "review": {"cost": 4, "capacity": "10%"},
}


def claims(folder: Path, **changes: Any) -> WorkflowSpec:
    """The workflow with some of its parts changed, its relative paths starting at `folder`."""
    return WorkflowSpec.model_validate(copy.deepcopy(_BASE) | changes).placed_in(folder)


def fields(**changes: Any) -> dict[str, Any]:
    """The fields of the workflow, some changed."""
    base = copy.deepcopy(_BASE["fields"])
    return {name: base.get(name, {}) | changes.get(name, {}) for name in {**base, **changes}}


def row(number: int, price: str = "10", message: str = "torn") -> str:
    return f"C{number},2025-03-01T10:00:00,{price},shoes,{message},a.jpg;b.jpg"


def write(folder: Path, *lines: str, name: str = f"{NIGHT}/a.csv", header: str = HEADER) -> Path:
    """A file of the night below `in/`."""
    path = folder / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path
