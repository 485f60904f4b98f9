"""Which rows are read at an older version, and what stood there."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa

from pipeline_project.domain.lifecycle.replay.pinned import current_versions, first_of_each, pinned_rows, version_before


def at(minute: int) -> datetime:
    return datetime(2025, 3, 1, 2, minute, tzinfo=UTC)


COMMITS = {"n1": [(0, at(0)), (2, at(2))], "n2": [(1, at(1))]}


def decided(*rows: tuple[str, str, dict[str, int] | None]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["night", "case_id", "data_versions"])


def rows(*values: tuple[str, str, float]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(("night", "case_id", "x"), value, strict=True)) for value in values])


def test_only_what_was_replaced_since_is_older() -> None:
    told = decided(("n1", "a", {"w/cases": 0}), ("n1", "b", {"w/cases": 2}), ("n2", "c", {"w/cases": 1}))
    found = current_versions(told, "w/cases", COMMITS)
    assert found == {("n1", "a"): ("n1", 0)}


def test_commits_of_other_nights_do_not_make_a_night_old() -> None:
    assert current_versions(decided(("n2", "c", {"w/cases": 1})), "w/cases", COMMITS) == {}


def test_a_decision_that_names_no_version_takes_the_newest() -> None:
    assert current_versions(decided(("n1", "a", None), ("n1", "b", {})), "w/cases", COMMITS) == {}


def test_each_row_is_the_one_of_its_version() -> None:
    newest = rows(("n1", "a", 9.0), ("n1", "b", 2.0), ("n2", "c", 3.0))
    older = {("n1", "a"): ("n1", 0), ("n1", "z"): ("n1", 0)}
    before = rows(("n1", "a", 1.0), ("n1", "b", 8.0), ("n1", "z", 7.0))
    found = pinned_rows(newest, older, {("n1", 0): before})
    assert sorted((r["night"], r["case_id"], r["x"]) for r in found.to_pylist()) == [
        ("n1", "a", 1.0), ("n1", "b", 2.0), ("n1", "z", 7.0), ("n2", "c", 3.0),
    ]  # fmt: skip
    assert found["night"].to_pylist() == ["n1", "n1", "n1", "n2"]


def test_a_column_that_came_later_is_null_in_what_stood_before() -> None:
    newest = rows(("n1", "a", 9.0)).append_column("y", pa.array([5.0]))
    found = pinned_rows(newest, {("n1", "a"): ("n1", 0)}, {("n1", 0): rows(("n1", "a", 1.0))})
    assert found.to_pylist() == [{"night": "n1", "case_id": "a", "x": 1.0, "y": None}]


def test_of_several_rows_of_a_case_the_first_counts() -> None:
    found = first_of_each([rows(("n1", "a", 1.0)), rows(("n1", "a", 9.0), ("n1", "b", 2.0))])
    assert [(r["case_id"], r["x"]) for r in found.to_pylist()] == [("a", 1.0), ("b", 2.0)]


def test_the_version_before_a_moment() -> None:
    assert version_before(COMMITS["n1"], at(1)) == 0
    assert version_before(COMMITS["n1"], at(3)) == 2
    assert version_before(COMMITS["n1"], at(0)) is None
