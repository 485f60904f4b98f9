"""Rows of a workflow under another name: what the old name has may be let go, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pipeline_project.reconcile.rows import WorkflowTables, check_rows
from pipeline_project.reconcile.scope import Span

NIGHT = "2025-03-05"


def lake(arrived: str, admitted: str) -> WorkflowTables:
    rows: dict[str, list[Mapping[str, Any]]] = {
        "arrivals": [{"night": NIGHT, "file": "a.csv", "line": n, "row_sha256": sha} for n, sha in enumerate(arrived)],
        "cases": [{"night": NIGHT, "case_id": sha.upper(), "row_sha256": sha} for sha in admitted],
        "quarantine": [],
    }  # fmt: skip
    return WorkflowTables.of({asset_name: (found, {NIGHT}) for asset_name, found in rows.items()})


@pytest.mark.parametrize(
    ("renamed", "holds"), [(set(), False), ({"c"}, True), ({"b"}, False), ({"a", "b", "c"}, True), ({"x"}, False)]
)
def test_what_the_old_name_decided_may_be_let_go(renamed: set[str], holds: bool) -> None:
    link = check_rows("flow", Span(NIGHT, NIGHT), lake("abc", "ab"), renamed)
    assert link.holds is holds


def test_rows_under_a_key_are_not_compared_with_nights_from_before_it() -> None:
    """They may have come before; whoever has no key cannot tell, and says what to do. Nothing else is let go."""
    before = "2025-03-04"
    rows = lake("xy", "x")
    for kept in (rows.nights[NIGHT].arrivals, rows.nights[NIGHT].cases):
        assert kept is not None
        kept[:] = [{**row, "row_sha256": f"k-{row['row_sha256']}"} for row in kept]
    case = {"night": before, "case_id": "OLD", "row_sha256": "y"}
    came = {"night": before, "file": "b.csv", "line": 1, "row_sha256": "y"}
    rows.nights[before].cases, rows.nights[before].arrivals = [case], [came]
    rows.nights[before].quarantine = []
    link = check_rows("flow", Span(before, NIGHT), rows)
    assert link.holds and any("pipeline keys hashes flow" in note for note in link.notes)
    case["row_sha256"] = came["row_sha256"] = "k-y"
    assert check_rows("flow", Span(before, NIGHT), rows).holds
    case["row_sha256"] = came["row_sha256"] = "k-z"
    assert not check_rows("flow", Span(before, NIGHT), rows).holds
