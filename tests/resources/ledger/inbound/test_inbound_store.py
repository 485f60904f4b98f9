"""An event is kept once, sealed, in its night, and stands in the audit chain before the night takes it in."""

from __future__ import annotations

import hashlib
import json
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pipeline_project.domain.core.errors import DatabaseUnreachable, EventRefused, LedgerRefused, SourceUnreadable
from pipeline_project.domain.intake.inbound.events import EventKind, EventVerdict, InboundEvent, InboundTerms, Receipt
from pipeline_project.domain.intake.inbound.reading import read_event
from resources.ledger.inbound import store as store_module
from resources.ledger.inbound.sealing import RowSealer, key_file
from resources.ledger.inbound.store import PostgresInbound
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.unit_of_work import unit_of_work
from resources.postgres.databases import engine_of

NIGHT, WORKFLOW = "2025-03-05", "claims"
PERSON = "Erika Mustermann"
TERMS = {name: InboundTerms(name, "Europe/Berlin", date(2025, 3, 1), None, "customer") for name in (WORKFLOW, "others")}


@pytest.fixture
def store(ledger: PostgresLedger, tmp_path: Path) -> PostgresInbound:
    return PostgresInbound(engine_of(ledger.url), RowSealer(tmp_path / "keys"), TERMS)


def event(number: int = 1, rows: int = 1, kind: str = "arrival", workflow: str = WORKFLOW, **more: Any) -> InboundEvent:
    data = [{"case": f"C{number}-{row}", "customer": f"K{row}", "name": PERSON, **more} for row in range(rows)]
    told = {"type": kind, "workflow": workflow, "timestamp": f"{NIGHT}T12:00:00+01:00", "data": data}
    return read_event(json.dumps(told).encode(), EventKind(kind), workflow, f"evt_{number}")


def sql(store: PostgresInbound, query: str) -> list[Any]:
    with store.engine.connect() as connection:
        return list(connection.execute(text(query)))


def cases(store: PostgresInbound, night: str = NIGHT) -> list[str]:
    found = store.events(WORKFLOW, night, EventKind.ARRIVAL)
    return [json.loads(row)["case"] for event in found for row in event.rows if row]


def test_an_event_is_read_back_as_it_came_and_nothing_of_it_stands_open(store: PostgresInbound, tmp_path: Path) -> None:
    assert store.accept(event(rows=2)) == Receipt(EventVerdict.NEW, NIGHT)
    (kept,) = store.events(WORKFLOW, NIGHT, EventKind.ARRIVAL)
    assert kept.rows == event(rows=2).rows
    assert kept.file.startswith("webhook:") and kept.file.endswith(":evt_1")
    with store.engine.connect() as connection:
        tables = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
        dumped = [str(connection.execute(text(f"SELECT * FROM {name}")).all()) for name in tables]
    assert not any(PERSON in rows or "C1-0" in rows for rows in dumped)
    key = tmp_path / "keys" / "inbound.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_the_same_event_again_is_one_row_and_another_body_is_a_conflict(store: PostgresInbound) -> None:
    assert store.accept(event()).verdict == EventVerdict.NEW
    assert store.accept(event()) == Receipt(EventVerdict.KNOWN, NIGHT)
    assert store.accept(event(name="somebody else")) == Receipt(EventVerdict.CONFLICT, "")
    assert cases(store) == ["C1-0"]
    assert store.overview(WORKFLOW).refused == {"other body": 1}
    bodies = [row.body for row in sql(store, "SELECT body FROM audit_rows")]
    assert any("another body" in body and "evt_1" in body for body in bodies)
    assert store.accept(event(workflow="others")).verdict == EventVerdict.NEW, "ids belong to their workflow"


def test_many_that_send_the_same_id_at_once_leave_one_row(store: PostgresInbound) -> None:
    start = threading.Barrier(8, timeout=300)

    def post(number: int) -> Receipt:
        start.wait()
        # two bodies, four senders each: one body wins, its four are told so, the others are refused
        return store.accept(event(name=f"body {number % 2}"))

    with ThreadPoolExecutor(8) as threads:
        verdicts = [receipt.verdict for receipt in threads.map(post, range(8))]
    assert sorted(verdicts) == sorted([EventVerdict.NEW, *[EventVerdict.KNOWN] * 3, *[EventVerdict.CONFLICT] * 4])
    assert sql(store, "SELECT count(*) FROM inbound_events")[0][0] == 1


def test_one_that_died_after_the_commit_is_answered_when_it_comes_again(
    store: PostgresInbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    def died(*_: object) -> Receipt:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(store_module, "Receipt", died)
        store.accept(event())
    assert sql(store, "SELECT count(*) FROM inbound_events")[0][0] == 1
    assert store.accept(event()) == Receipt(EventVerdict.KNOWN, NIGHT)
    assert sql(store, "SELECT count(*) FROM inbound_events")[0][0] == 1


def test_without_a_time_it_is_the_night_of_the_database_s_clock(store: PostgresInbound) -> None:
    given = event()
    now = InboundEvent(given.workflow, given.kind, given.event_id, None, given.rows, given.body)
    before = datetime.now(UTC).astimezone(store_zone()).date().isoformat()
    night = store.accept(now).night
    assert before <= night <= datetime.now(UTC).astimezone(store_zone()).date().isoformat()


def store_zone() -> Any:
    from zoneinfo import ZoneInfo

    return ZoneInfo("Europe/Berlin")


def test_prints_change_with_every_event_and_with_nothing_else(store: PostgresInbound) -> None:
    assert store.prints(WORKFLOW) == {}
    seen = set()
    for number in range(3):
        store.accept(event(number, kind="arrival"))
        prints = store.prints(WORKFLOW)
        assert prints == store.prints(WORKFLOW, NIGHT)
        seen.add(prints[NIGHT])
    store.accept(event(0))
    store.events(WORKFLOW, NIGHT, EventKind.ARRIVAL)
    assert store.prints(WORKFLOW)[NIGHT] in seen
    assert len(seen) == 3
    assert store.prints(WORKFLOW, "2025-03-06") == {}


def test_events_come_back_in_the_order_in_which_they_were_kept(store: PostgresInbound) -> None:
    for number in (5, 3, 9):
        store.accept(event(number))
    assert cases(store) == ["C5-0", "C3-0", "C9-0"]
    assert cases(store, "2025-03-06") == []


# -- audit -------------------------------------------------------------------------------------------------------


def test_what_a_night_takes_in_stands_in_the_chain_once(
    store: PostgresInbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "BATCH", 2)
    for number in range(5):
        store.accept(event(number))
    assert sql(store, "SELECT count(*) FROM audit_rows")[0][0] == 0
    assert len(store.events(WORKFLOW, NIGHT, EventKind.ARRIVAL)) == 5
    assert [row.count for row in sql(store, "SELECT count FROM audit_batches ORDER BY number")] == [2, 2, 1]
    assert store.chain(WORKFLOW, NIGHT) == 0
    keys = [row.key for row in sql(store, "SELECT key FROM audit_rows ORDER BY batch, position")]
    assert keys == [f'["{WORKFLOW}","evt_{number}"]' for number in range(5)]


def test_two_that_add_to_the_chain_at_once_add_each_event_once(store: PostgresInbound) -> None:
    for number in range(40):
        store.accept(event(number))
    start = threading.Barrier(4, timeout=300)

    def chain(_: int) -> int:
        start.wait()
        return store.chain(WORKFLOW, NIGHT)

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(chain, range(4))) == 40
    assert sql(store, "SELECT count(*), count(DISTINCT key) FROM audit_rows")[0] == (40, 40)


def test_what_was_changed_behind_the_ledger_s_back_enters_no_night(store: PostgresInbound) -> None:
    """Whatever was done to one event, its rows are unknown, and the others enter their night."""
    for number in range(1, 9):
        store.accept(event(number))
    # once the chain has them, a consistent change is no use either
    assert len(store.events(WORKFLOW, NIGHT, EventKind.ARRIVAL)) == 8
    store.accept(event(9))
    other = store.sealer.seal(event(20).rows, None)[0]
    digest = hashlib.sha256(other.encode()).hexdigest()
    broken = other[:-4] + "AAA="
    done = {
        2: "sealed = :other",
        3: "sealed = :other, sealed_sha256 = :digest",
        4: "received_at = '200000-01-01'",
        5: "occurred_at = 'infinity'",
        6: "rows = 7",
        9: "sealed = :broken, sealed_sha256 = encode(sha256(:broken), 'hex')",
    }
    given = {"other": other, "digest": digest, "broken": broken}
    with store.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for number, change in done.items():
            here = {name: value for name, value in given.items() if f":{name}" in change}
            change = change.replace("sha256(:broken)", "sha256(convert_to(:broken, 'UTF8'))")
            where = {"id": f"evt_{number}"}
            connection.execute(text(f"UPDATE inbound_events SET {change} WHERE event_id = :id"), {**here, **where})
    found = {event.event_id: event for event in store.events(WORKFLOW, NIGHT, EventKind.ARRIVAL)}
    assert {name for name, event in found.items() if event.wrong} == {f"evt_{number}" for number in done}
    assert all(not event.rows for event in found.values() if event.wrong)
    assert sorted(cases(store)) == ["C1-0", "C7-0", "C8-0"]


def test_the_ledger_refuses_to_change_or_delete_an_event(store: PostgresInbound) -> None:
    store.accept(event())
    for statement in ("UPDATE inbound_events SET night = '2025-03-09'", "DELETE FROM inbound_events"):
        with pytest.raises(LedgerRefused, match="facts"), unit_of_work(store.engine) as connection:
            connection.execute(text(statement))


# -- keys and failures -------------------------------------------------------------------------------------------


class Ring:
    """Keys of subjects in memory; a forgotten one opens nothing."""

    def __init__(self) -> None:
        self.forgotten: set[str] = set()

    def pseudonyms(self, subjects: Any) -> list[str | None]:
        return [None if subject is None else f"p-{subject}" for subject in subjects]

    def seal(self, pseudonyms: Any, column: str, values: Any) -> list[str | None]:
        return [f"{of}|{value.encode().hex()}" for of, value in zip(pseudonyms, values, strict=True)]

    def seal_columns(self, pseudonyms: Any, columns: Any) -> dict[str, list[str | None]]:
        return {column: self.seal(pseudonyms, column, values) for column, values in columns.items()}

    def open(self, tokens: Any) -> list[str | None]:
        parts = [token.split("|") for token in tokens]
        return [None if of in self.forgotten else bytes.fromhex(value).decode() for of, value in parts]


def test_a_forgotten_subject_s_rows_are_gone_and_the_others_are_not(ledger: PostgresLedger, tmp_path: Path) -> None:
    ring = Ring()
    store = PostgresInbound(engine_of(ledger.url), RowSealer(tmp_path, ring), TERMS)
    store.accept(event(rows=3))
    store.accept(event(2, customer=None))
    assert len(cases(store)) == 4
    ring.forgotten.add("p-K1")
    first, second = store.events(WORKFLOW, NIGHT, EventKind.ARRIVAL)
    assert [row is None for row in first.rows] == [False, True, False]
    assert second.rows == event(2, customer=None).rows, "a row about nobody is under the door's own key"


def test_a_missing_key_is_told_and_not_replaced_by_another(store: PostgresInbound, tmp_path: Path) -> None:
    store.accept(event())
    elsewhere = PostgresInbound(store.engine, RowSealer(tmp_path / "other"), TERMS)
    with pytest.raises(SourceUnreadable, match=r"inbound\.key does not open"):
        elsewhere.events(WORKFLOW, NIGHT, EventKind.ARRIVAL)
    (tmp_path / "keys" / "inbound.key").write_text("nonsense")
    with pytest.raises(SourceUnreadable, match="holds no keys"):
        RowSealer(tmp_path / "keys").open(["f:x"])


def test_a_new_key_before_the_old_one_seals_while_both_open(tmp_path: Path) -> None:
    from cryptography.fernet import Fernet

    old = RowSealer(tmp_path)
    tokens, digest = old.seal(['{"a":"1"}'], None), old.digest(b"body")
    key = tmp_path / "inbound.key"
    key.write_text(Fernet.generate_key().decode() + "\n" + key.read_text())
    new = RowSealer(tmp_path)
    assert new.open(tokens) == ['{"a":"1"}']
    assert new.digest(b"body") == digest, "a body that is sent again is still the same body"
    with pytest.raises(SourceUnreadable):
        old.open(new.seal(['{"a":"1"}'], None))


def test_many_that_need_the_first_key_at_once_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.fernet import Fernet

    made, nobody_was_quicker = Fernet.generate_key, threading.Barrier(8, timeout=300)

    def together() -> bytes:
        nobody_was_quicker.wait()
        return made()

    monkeypatch.setattr(Fernet, "generate_key", together)

    # cached_property has one lock for all threads of a process; the key file is what processes meet at
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: key_file(tmp_path / "keys"), range(8)))
    assert len(keys) == 1, "what one of them seals the others could not open"
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["inbound.key"]


def test_a_workflow_or_a_night_that_is_not_there(store: PostgresInbound) -> None:
    with pytest.raises(EventRefused, match="no workflow"):
        store.accept(event(workflow="gone"))
    early = event()
    early = InboundEvent(WORKFLOW, early.kind, "e", datetime(2020, 1, 1, tzinfo=UTC), early.rows, early.body)
    with pytest.raises(EventRefused, match="no night"):
        store.accept(early)
    assert store.overview(WORKFLOW).events == 0


def test_a_database_that_is_away_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    away = PostgresInbound(
        engine_of("postgresql+psycopg2://u:topsecret@127.0.0.1:1/x"), RowSealer(tmp_path), TERMS
    )  # fmt: skip
    with pytest.raises(DatabaseUnreachable) as error:
        away.accept(event())
    assert "topsecret" not in str(error.value)


def test_a_ledger_without_tables_has_nothing_posted_and_takes_nothing(postgres_server: str, tmp_path: Path) -> None:
    empty = PostgresInbound(engine_of(postgres_server), RowSealer(tmp_path), TERMS)
    assert empty.prints(WORKFLOW) == {}
    assert empty.events(WORKFLOW, NIGHT, EventKind.ARRIVAL) == []
    with pytest.raises(LedgerRefused, match="pipeline up"):
        empty.accept(event())


def test_refusals_are_counted_by_reason(store: PostgresInbound) -> None:
    for _ in range(3):
        store.refuse(WORKFLOW, "bad signature")
    store.refuse("", "bad signature")
    assert store.overview(WORKFLOW).refused == {"bad signature": 3}
