"""Repeats of a row: how many tell another outcome than the row that is kept."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from pipeline_project.domain.intake.duplicates import OutcomeCell, contradicting, repeated

CELL = OutcomeCell("verdict", {"0": "honest", "1": "fraud"}, frozenset({"", "-"}))


def rows(*told: tuple[str, str, str]) -> pa.Table:
    return pa.table(
        {
            "night": [night for night, _, _ in told],
            "row_sha256": [sha for _, sha, _ in told],
            "raw": [json.dumps({"a": "x", "verdict": label}) for _, _, label in told],
        }
    )


def test_only_what_came_more_than_once_is_looked_at() -> None:
    found = repeated(rows(("n1", "a", "0"), ("n1", "b", "1"), ("n2", "a", "0")))
    assert found["row_sha256"].to_pylist() == ["a", "a"]


@pytest.mark.parametrize(
    ("labels", "contrary"),
    [("00", 0), ("01", 1), ("0111", 3), ("0-", 0), ("-01", 1), (" 0", 0), (["0", "honest"], 0), (["", ""], 0)],
)
def test_contradictions_are_counted_against_the_first_that_tells_one(labels: list[str], contrary: int) -> None:
    assert contradicting(rows(*(("n1", "a", label.strip() or label) for label in labels)), CELL) == contrary


def test_the_first_night_is_the_one_that_is_kept() -> None:
    assert contradicting(rows(("n2", "a", "1"), ("n1", "a", "0"), ("n3", "a", "0")), CELL) == 1
    assert contradicting(rows(("n1", "a", "0")).slice(0, 0), CELL) == 0
