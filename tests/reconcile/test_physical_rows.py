"""Rows of a workflow under another name: what the old name has may be let go, and nothing else."""

from __future__ import annotations

import pytest

from pipeline_project.reconcile.rows import Lake, check_rows
from pipeline_project.reconcile.told import Span

NIGHT = "2025-03-05"


def lake(arrived: str, admitted: str) -> Lake:
    rows = {
        "arrivals": [{"night": NIGHT, "file": "a.csv", "line": n, "row_sha256": sha} for n, sha in enumerate(arrived)],
        "cases": [{"night": NIGHT, "case_id": sha.upper(), "row_sha256": sha} for sha in admitted],
        "quarantine": [],
    }  # fmt: skip
    return Lake.of({noun: (found, {NIGHT}) for noun, found in rows.items()})


@pytest.mark.parametrize(
    ("renamed", "holds"), [(set(), False), ({"c"}, True), ({"b"}, False), ({"a", "b", "c"}, True), ({"x"}, False)]
)
def test_what_the_old_name_decided_may_be_let_go(renamed: set[str], holds: bool) -> None:
    link = check_rows("flow", Span(NIGHT, NIGHT), lake("abc", "ab"), renamed)
    assert link.holds is holds
