from __future__ import annotations

from datetime import date

from pipeline_project.domain.privacy.retention import DataClass, Due, Holds, due, last_due

TODAY = date(2026, 3, 1)


def test_a_night_is_kept_for_as_many_days_as_declared() -> None:
    assert last_due(10, TODAY) == date(2026, 2, 18)
    nights = {DataClass.CASES: ["2026-02-19", "2026-02-18", "2025-01-01"], DataClass.ARRIVALS: ["2020-01-01"]}
    found = due({DataClass.CASES: 10, DataClass.ARRIVALS: None}, nights, TODAY, Holds())
    assert found == [Due(DataClass.CASES, "2025-01-01"), Due(DataClass.CASES, "2026-02-18")]


def test_a_workflow_that_is_held_says_so() -> None:
    (one,) = due({DataClass.PHOTOS: 1}, {DataClass.PHOTOS: ["2026-01-01"]}, TODAY, Holds(workflow=True))
    assert one.held


def test_a_hold_keeps_its_subject_and_what_may_be_its() -> None:
    holds = Holds(subjects=frozenset({"s-a"}))
    assert holds.keeps("s-a") and holds.keeps(None) and not holds.keeps("s-b")
    assert Holds(workflow=True).keeps("s-b") and not Holds().keeps(None)
