"""What the ledger takes for a night's key, and that a workflow keeps the cadence it began with."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError, StatementError

from pipeline_project.domain.core.errors import LedgerRefused
from resources.ledger import migrate
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of

FLOW = "claims"
KEYS = ("2025-03-16", "2025-03-16T14Z", "2025-W12-1", "2020-W53-1", "0001-01-01", "9999-12-31")
NONE = (
    "2025-02-30", "2025-13-01", "2025-3-1", "2025-03-16T24Z", "2025-02-30T10Z", "2025-W53-1", "2025-W00-1",
    "2025-W12-2", "", "200000-01-01", "2025-03-16 ",
)  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_the_database_knows_what_a_night_is(ledger: PostgresLedger, key: str) -> None:
    with engine_of(ledger.url).connect() as connection:
        assert connection.scalar(text("SELECT CAST(:key AS night_key)"), {"key": key}) == key


@pytest.mark.parametrize("key", NONE)
def test_the_database_refuses_what_is_none(ledger: PostgresLedger, key: str) -> None:
    with engine_of(ledger.url).connect() as connection, pytest.raises((IntegrityError, DataError)):
        connection.execute(text("SELECT CAST(:key AS night_key)"), {"key": key})
    with pytest.raises((StatementError, ValueError), match="is no night"):
        ledger.begin_attempt(FLOW, key, "run")


@pytest.mark.parametrize(
    ("kept", "given"),
    [("2025-03-16", "2025-03-16T14Z"), ("2025-03-16T14Z", "2025-03-16"), ("2025-W12-1", "2025-03-17"),
     ("2025-03-17", "2025-W12-1")],
)  # fmt: skip
def test_a_workflow_keeps_its_cadence_and_others_have_their_own(ledger: PostgresLedger, kept: str, given: str) -> None:
    assert [ledger.begin_attempt(FLOW, kept, "run"), ledger.begin_attempt(FLOW, kept, "again")] == [1, 2]
    with pytest.raises(LedgerRefused, match=r"cadence_is_kept.*nights\.every"):
        ledger.begin_attempt(FLOW, given, "run")
    assert ledger.begin_attempt("returns", given, "run") == 1


def test_hours_sort_as_time_goes_whatever_the_database_s_collation(ledger: PostgresLedger) -> None:
    hours = ["2025-03-16T00Z", "2025-03-16T09Z", "2025-03-16T10Z", "2025-03-17T00Z"]
    for night in reversed(hours):
        ledger.begin_attempt(FLOW, night, "run")
    with engine_of(ledger.url).connect() as connection:
        query = text("SELECT night FROM attempts WHERE workflow = :flow AND night >= '2025-03-16T09Z' ORDER BY night")
        assert list(connection.scalars(query, {"flow": FLOW})) == hours[1:]


def test_a_ledger_of_days_goes_back_and_one_of_hours_says_why_not(own_ledger: str) -> None:
    ledger = PostgresLedger(own_ledger)
    ledger.begin_attempt(FLOW, "2025-03-16", "run")
    migrate.downgrade(own_ledger, "0018")
    with engine_of(own_ledger).connect() as connection:
        assert connection.scalar(text("SELECT pg_typeof(night)::text FROM attempts")) == "date"
    migrate.upgrade(own_ledger)
    assert ledger.begin_attempt(FLOW, "2025-03-16", "again") == 2
    ledger.begin_attempt("hourly", "2025-03-16T14Z", "run")
    with pytest.raises(RuntimeError, match="hours or weeks"):
        migrate.downgrade(own_ledger, "0018")
