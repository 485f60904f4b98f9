from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from pipeline_project.domain.deciding.recorded import NewDecision
from resources.ledger.decisions import decision_rows
from resources.ledger.rows import jsonable


def test_rows_are_in_one_order_for_everybody_so_that_two_writers_never_block_each_other() -> None:
    given = [NewDecision(case, "refund", "cheapest", spec_hash="spec", data_versions={}) for case in ("b", "c", "a")]
    rows = decision_rows("returns", "2026-03-04", 2, "run", given)
    assert [row.case_id for row in rows] == ["a", "b", "c"]
    assert {(row.night, row.attempt, row.run_id, row.epoch, row.made_by) for row in rows} == {
        ("2026-03-04", 2, "run", 1, "policy")
    }


def test_values_become_what_json_can_hold() -> None:
    assert jsonable(
        {
            1: np.array([1.5, np.nan]),
            "flag": np.bool_(True),
            "count": np.int64(3),
            "far": float("-inf"),
            "set": {"b", "a"},
            "when": datetime(2026, 3, 4, tzinfo=UTC),
            "text": "a\x00b",
            "nothing": None,
        }
    ) == {
        "1": [1.5, None],
        "flag": True,
        "count": 3,
        "far": None,
        "set": ["a", "b"],
        "when": "2026-03-04T00:00:00+00:00",
        "text": "a\ufffdb",
        "nothing": None,
    }
