"""Refusals that nobody would notice: which nights show one, and which do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline_project.domain.reporting.concerns import (
    CAPACITY_BINDS,
    MACHINE_WORSE,
    NO_CHAMPION,
    PROMISE_KEEPS_ALL,
    Concern,
    concerns_of,
)
from tests.domain.reporting.report_nights import matured

OPTIONS, LABELS = ("refund", "reject"), ("kept", "worn")
COST = np.array([[0.0, 10.0], [20.0, 0.0]])


def shown(reasons: dict[str, int]) -> list[str]:
    return [
        each.kind for each in concerns_of("claims", "2025-03-05", [r for r, n in reasons.items() for _ in range(n)])
    ]


@pytest.mark.parametrize(
    ("reasons", "kinds"),
    [
        ({}, []),
        ({"cheapest": 10}, []),
        ({"no_model": 10}, [NO_CHAMPION]),
        ({"no_model": 9, "failed_photo": 1}, []),
        ({"promise": 9, "random_share": 1}, [PROMISE_KEEPS_ALL]),
        ({"promise": 9, "cheapest": 1}, []),
        ({"doubt": 10}, []),
        ({"no_place_left": 6, "cheapest": 4}, [CAPACITY_BINDS]),
        ({"no_place_left": 5, "cheapest": 5}, []),
        ({"policy_closed": 10}, []),
    ],
)
def test_what_a_night_shows(reasons: dict[str, int], kinds: list[str]) -> None:
    assert shown(reasons) == kinds


def judged(alone: float, answered: float | None, would_be: float = 1.0, cases: int = 100) -> list[Concern]:
    """Cases decided alone and asked about, of which these shares were right; without answers by what would have been
    decided."""
    rows: list[tuple[str, str, str | None]] = []
    for i in range(cases):
        rows.append(("refund" if i < alone * cases else "reject", "refund", None))
    for i in range(cases):
        said = None if answered is None else ("refund" if i < answered * cases else "reject")
        rows.append(("ask_person", "refund" if i < would_be * cases else "reject", said))
    decisions = pd.DataFrame(rows, columns=["option", "cheapest", "answer"]).assign(label="kept")
    past = matured(decisions, np.tile(COST, (len(rows), 1, 1)))
    return concerns_of("claims", "2025-03-05", ["cheapest"], past, OPTIONS, LABELS)


@pytest.mark.parametrize(
    ("alone", "answered", "would_be", "heard"),
    [
        (0.7, 0.95, 0.1, True),
        (0.95, 0.95, 0.1, False),
        (0.93, 0.95, 0.1, False),  # luck
        (0.95, 0.7, 1.0, False),
        (0.7, None, 0.95, True),
        (0.95, None, 0.7, False),
    ],
)
def test_the_machine_beside_what_was_asked(alone: float, answered: float | None, would_be: float, heard: bool) -> None:
    found = judged(alone, answered, would_be)
    assert [each.kind for each in found] == [MACHINE_WORSE] * heard
    if heard:
        assert "70.0% of 100" in found[0].message and "95.0% of 100" in found[0].message


def test_few_cases_tell_nothing() -> None:
    assert judged(0.5, 1.0, cases=20) == []


def test_labels_and_options_that_are_gone_are_passed_over() -> None:
    decisions = pd.DataFrame({"option": ["inspect"], "cheapest": ["inspect"], "answer": [None], "label": ["lost"]})
    assert concerns_of("claims", "2025-03-05", ["cheapest"], matured(decisions, COST[None]), OPTIONS, LABELS) == []


def test_every_concern_says_what_to_do() -> None:
    for reasons in ({"no_model": 3}, {"promise": 3}, {"no_place_left": 3}):
        (found,) = concerns_of("claims", "2025-03-05", [r for r, n in reasons.items() for _ in range(n)])
        assert found.next_command.startswith("pipeline ") and "2025-03-05" in found.message
