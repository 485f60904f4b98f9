"""What the ledger remembers of who decides which cases, and of whose source."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of
from tests.resources.ledger.outbox.outbox_desk import FLOW, NIGHT, Desk


@pytest.fixture
def desk(ledger: PostgresLedger) -> Desk:
    return Desk(ledger, ledger.url)


def test_specs_decisions_and_readers_are_found_again(desk: Desk, ledger: PostgresLedger) -> None:
    desk.decide("A")
    desk.decide("B", night="2025-03-06")
    specs = ledger.workflow_specs(FLOW)
    assert set(specs) == ledger.night_specs(FLOW, NIGHT) == ledger.night_specs(FLOW, "2025-03-06")
    assert ledger.night_specs(FLOW, "2025-03-07") == set()
    assert ledger.decided_cases(FLOW, ["A", "C"]) == {"A"}
    assert ledger.decided_cases("nobody", ["A"]) == set()
    assert ledger.workflow_specs("nobody") == {}

    for _ in range(2):  # the same fact twice is one row
        ledger.record_readers(FLOW, ["/in/{night}.csv", "/in/b.csv"])
    ledger.record_readers("never_decided", ["/in/{night}.csv"])
    assert ledger.source_readers() == {FLOW: ["/in/b.csv", "/in/{night}.csv"]}, "who decides nothing has no history"


def test_who_reads_a_source_cannot_be_taken_back(ledger: PostgresLedger) -> None:
    ledger.record_readers(FLOW, ["/in/{night}.csv"])
    for change in ("DELETE FROM source_readers", "UPDATE source_readers SET workflow = 'other'"):
        with engine_of(ledger.url).begin() as connection, pytest.raises(Exception, match="source_readers"):
            connection.execute(text(change))
