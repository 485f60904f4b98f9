"""Our check of cron expressions agrees with the one Dagster makes when a schedule is built."""

from __future__ import annotations

import pytest

from pipeline_project.spec.cron import cron_problem
from tests.dagster_internals import is_valid_cron_schedule

GOOD = [
    "30 2 * * *",
    "*/15 * * * *",
    "0 0-6 * * 1-5",
    "0 0 1,15 * *",
    "5 4 * jan-mar mon,wed",
    "0 3 * * 7",
    "0 22 29 2 *",
]
BAD = [
    "", "daily", "30 2 * *", "60 2 * * *", "30 24 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 * * 8", "0 0 30 2 *",
    "*/0 * * * *", "a b c d e", "0 0 * * mo", "-1 0 * * *", "1-70 0 * * *", "0  0 * * *", ",1 0 * * *",
]  # fmt: skip


@pytest.mark.parametrize("expression", GOOD)
def test_valid(expression: str) -> None:
    assert cron_problem(expression) is None
    assert is_valid_cron_schedule(expression)


@pytest.mark.parametrize("expression", BAD)
def test_invalid(expression: str) -> None:
    assert cron_problem(expression)


@pytest.mark.parametrize("expression", [e for e in BAD if e not in ("0  0 * * *",)])
def test_nothing_is_refused_that_dagster_takes(expression: str) -> None:
    assert not is_valid_cron_schedule(expression)
