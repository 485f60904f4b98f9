"""What a process keeps of the outcomes says at any time what the table says."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import Engine, event, text

from resources.ledger.nights import kept_outcomes
from resources.ledger.nights.kept_outcomes import KeptOutcomes
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of

FLOW, OTHER = "kept", "another"
START = datetime(2025, 3, 1, tzinfo=UTC)
EVER = datetime(9999, 1, 1, tzinfo=UTC)
#: As the database itself answers, of a moment: what `standing` has to say.
KNOWN = """SELECT DISTINCT ON (case_id) case_id, label, known_at FROM outcomes
WHERE workflow = :flow AND known_at < :at ORDER BY case_id, known_at DESC, id DESC"""
HISTORY = (
    "SELECT case_id, label, known_at FROM outcomes WHERE workflow = :flow AND known_at < :at ORDER BY known_at, id"
)
ROW = (
    "INSERT INTO outcomes (id, workflow, case_id, label, known_at, source) OVERRIDING SYSTEM VALUE "
    "VALUES (:id, :flow, :case, :label, :at, 's')"
)


@pytest.fixture
def engine(ledger: PostgresLedger) -> Engine:
    return engine_of(ledger.url)


def told(ledger: PostgresLedger, flow: str, *outcomes: tuple[str, str, int]) -> None:
    """Case, label and the hour in which it became known."""
    cases, labels, hours = zip(*outcomes, strict=True)
    known = pa.array([START + timedelta(hours=hour) for hour in hours], pa.timestamp("us", "UTC"))
    columns = {"case_id": [*cases], "label": [*labels], "known_at": known, "source": ["s"] * len(cases)}
    ledger.record_outcomes(flow, pa.table(columns))


def asked(engine: Engine, query: str, at: datetime, flow: str = FLOW) -> list[tuple[str, str, datetime]]:
    with engine.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query), {"flow": flow, "at": at})]


def rows(frame: pd.DataFrame) -> list[tuple[str, str, datetime]]:
    return [(case, label, at.to_pydatetime()) for case, label, at in frame.itertuples(index=False)]


def agrees(kept: KeptOutcomes, engine: Engine, flow: str = FLOW) -> None:
    for at in (START, *(START + timedelta(hours=hour) for hour in range(1, 6)), EVER):
        with engine.begin() as connection:
            assert rows(kept.standing(connection, flow, at)) == asked(engine, KNOWN, at, flow)
            assert rows(kept.history(connection, flow, at)) == asked(engine, HISTORY, at, flow)


def test_it_agrees_with_the_table_whatever_is_added(ledger: PostgresLedger, engine: Engine) -> None:
    kept = KeptOutcomes()
    agrees(kept, engine)
    told(ledger, FLOW, ("b", "fine", 1), ("a", "broken", 1), ("ä", "fine", 2))
    agrees(kept, engine)
    told(ledger, FLOW, ("a", "fine", 3), ("a", "lost", 3), ("Z", "fine", 0))
    told(ledger, OTHER, ("a", "other", 1))
    agrees(kept, engine)
    agrees(kept, engine, OTHER)


def test_what_becomes_visible_late_under_a_lower_number_is_read(ledger: PostgresLedger, engine: Engine) -> None:
    kept = KeptOutcomes()
    with engine.begin() as connection:
        row = {"flow": FLOW, "label": "fine", "at": START}
        connection.execute(text(ROW), {**row, "id": 900_001, "case": "a"})
    agrees(kept, engine)
    with engine.begin() as connection:
        connection.execute(text(ROW), {**row, "id": 900_000, "case": "b"})
        connection.execute(text(ROW), {**row, "id": 900_002, "case": "c"})
    agrees(kept, engine)


@pytest.mark.parametrize("more", [0, 2])
def test_a_backup_that_was_put_back_is_read_anew(ledger: PostgresLedger, engine: Engine, more: int) -> None:
    """Others stand under the same numbers: as many as before, or more."""
    kept = KeptOutcomes()
    row = {"flow": FLOW, "at": START}
    with engine.begin() as connection:
        for number in range(4):
            connection.execute(text(ROW), {**row, "label": "before", "id": 910_000 + number, "case": f"c{number}"})
    agrees(kept, engine)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("DELETE FROM outcomes WHERE workflow = :flow AND id > 910001"), {"flow": FLOW})
        for number in range(2, 4 + more):
            connection.execute(text(ROW), {**row, "label": "after", "id": 910_000 + number, "case": f"c{number}"})
    agrees(kept, engine)


def test_each_outcome_is_read_once(ledger: PostgresLedger, engine: Engine) -> None:
    kept, read = KeptOutcomes(), Counter[str]()
    told(ledger, FLOW, *((f"c{number}", "fine", 1) for number in range(50)))

    def count(connection, cursor, statement, parameters, context, executemany) -> None:
        read["rows"] += max(cursor.rowcount, 0)

    event.listen(engine, "after_cursor_execute", count)
    try:
        for _ in range(3):
            with engine.begin() as connection:
                assert len(kept.standing(connection, FLOW, EVER)) == 50
        assert read["rows"] == 50 + 3
        told(ledger, FLOW, ("new", "fine", 2))
        read.clear()
        with engine.begin() as connection:
            assert len(kept.standing(connection, FLOW, EVER)) == 51
        assert read["rows"] == 1 + 1
    finally:
        event.remove(engine, "after_cursor_execute", count)


def test_what_is_kept_has_bounds(ledger: PostgresLedger, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_outcomes, "MOST_OUTCOMES", 2)
    monkeypatch.setattr(kept_outcomes, "MOST_WORKFLOWS", 1)
    kept = KeptOutcomes()
    told(ledger, FLOW, *((f"c{number}", "fine", 1) for number in range(3)))
    told(ledger, OTHER, ("a", "fine", 1))
    told(ledger, "third", ("a", "fine", 1))
    for flow in (FLOW, OTHER, "third", FLOW):
        agrees(kept, engine, flow)
    assert [flow for _, flow in kept._kept] == ["third"]


def test_all_workflows_together_have_a_bound(
    ledger: PostgresLedger, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_outcomes, "MOST_OUTCOMES", 2)
    kept = KeptOutcomes()
    for flow in (FLOW, OTHER, "third"):
        told(ledger, flow, ("a", "fine", 1))
        agrees(kept, engine, flow)
    assert [flow for _, flow in kept._kept] == [OTHER, "third"]
