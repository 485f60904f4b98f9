"""Facts join the chain: in order, without a fork, whoever else does so at the same time or dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from benchmarks.chaos import scenes
from pipeline_project.domain.audit.chain import GENESIS, ChainBatch, hash_of
from resources.ledger.audit.chain import append
from resources.ledger.audit.facts import Fact, chain_row, key_columns, same
from resources.ledger.audit.trail import AuditTrail
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.schema import metadata
from resources.ledger.tables.audit import audit_batches
from resources.postgres.databases import engine_of, pooled_engine
from resources.postgres.locks import AdvisoryLock

THREADS, EACH = 8, 50
DECISION = {"workflow": "returns", "case_id": "C-1", "epoch": 1}


def rows(url: str, question: str) -> list[tuple[Any, ...]]:
    with engine_of(url).connect() as connection:
        return [tuple(row) for row in connection.execute(text(question))]


def race(url: str, add: Callable[[int], None]) -> list[BaseException]:
    """Lets threads append at the same time; gives what went wrong."""
    together = threading.Barrier(THREADS)
    failed: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            together.wait(timeout=300)
            for turn in range(EACH):
                add(thread * EACH + turn)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def test_threads_that_append_at_once_make_one_chain_without_a_gap(ledger: PostgresLedger) -> None:
    def add(number: int) -> None:
        with engine_of(ledger.url).begin() as connection:
            append(
                connection,
                "answers",
                "returns",
                [Fact(None, {"case_id": f"C-{number}", "row": row}) for row in range(3)],
            )

    assert race(ledger.url, add) == []
    links = rows(ledger.url, "SELECT number, prev_hash, hash, count FROM audit_batches ORDER BY number")
    assert [number for number, *_ in links] == list(range(1, THREADS * EACH + 1))
    assert [before for _, before, *_ in links] == [GENESIS, *(own for _, _, own, _ in links[:-1])]
    assert AuditTrail(ledger.url).verify([]).verdict.intact


def test_without_the_lock_the_database_refuses_a_fork(ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The constraint is the guard, the lock a courtesy; this is also the proof that the race above is one."""
    monkeypatch.setattr(AdvisoryLock, "take", lambda lock, connection: None)

    def add(number: int) -> None:
        with engine_of(ledger.url).begin() as connection:
            append(connection, "answers", "returns", [Fact(None, {"case_id": f"C-{number}"})])

    failed = race(ledger.url, add)
    assert failed and all(isinstance(error, IntegrityError) for error in failed)
    assert AuditTrail(ledger.url).verify([]).verdict.intact


def _append_and_die(url: str) -> None:
    with engine_of(url).begin() as connection:
        append(connection, "answers", "returns", [Fact(None, {"case_id": "C-dead"})])
        os.kill(os.getpid(), signal.SIGKILL)


def test_who_dies_before_the_commit_leaves_nothing_and_stops_nobody(ledger: PostgresLedger) -> None:
    with engine_of(ledger.url).begin() as connection:
        append(connection, "answers", "returns", [Fact(None, {"case_id": "C-1"})])
    dying = multiprocessing.get_context("spawn").Process(target=_append_and_die, args=(ledger.url,))
    dying.start()
    dying.join(60)
    assert dying.exitcode == -signal.SIGKILL
    with engine_of(ledger.url).begin() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '20s'"))
        assert append(connection, "answers", "returns", [Fact(None, {"case_id": "C-2"})]) == 2
    assert AuditTrail(ledger.url).verify([]).verdict.intact
    assert rows(ledger.url, "SELECT case_id FROM audit_rows ORDER BY batch") == [("C-1",), ("C-2",)]


def test_no_facts_are_no_batch(ledger: PostgresLedger) -> None:
    with engine_of(ledger.url).begin() as connection:
        assert append(connection, "answers", "returns", []) == 0
    assert AuditTrail(ledger.url).length() == 0


def test_a_batch_without_its_transaction_never_was(ledger: PostgresLedger) -> None:
    with engine_of(ledger.url).connect() as connection:
        assert append(connection, "answers", "returns", [Fact(None, {"case_id": "C-1"})]) == 1
        connection.rollback()
        assert append(connection, "answers", "returns", [Fact(None, {"case_id": "C-2"})]) == 1
        connection.commit()
    assert rows(ledger.url, "SELECT case_id FROM audit_rows") == [("C-2",)]


def test_a_clock_that_was_set_back_does_not_show(ledger: PostgresLedger) -> None:
    with engine_of(ledger.url).begin() as connection:
        append(connection, "answers", "returns", [Fact(None, {"case_id": "C-1"})])
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("DELETE FROM audit_rows"))
        connection.execute(text("DELETE FROM audit_batches"))
        ahead = ChainBatch(1, "x", "", datetime(2999, 1, 1, tzinfo=UTC), GENESIS, "0" * 64, 1)
        made = {**vars(ahead), "hash": hash_of(ahead)}
        connection.execute(insert(audit_batches), made)
        append(connection, "answers", "returns", [Fact(None, {"case_id": "C-2"})])
    assert rows(ledger.url, "SELECT count(DISTINCT at) FROM audit_batches") == [(1,)]


@pytest.mark.parametrize(
    "verb", ["UPDATE audit_rows SET body = ''", "DELETE FROM audit_batches", "TRUNCATE audit_rows"]
)
def test_the_chain_refuses_changes(ledger: PostgresLedger, verb: str) -> None:
    with engine_of(ledger.url).begin() as connection:
        append(connection, "answers", "returns", [Fact(None, {"case_id": "C-1"})])
    with pytest.raises(DBAPIError, match="are facts"), engine_of(ledger.url).begin() as connection:
        connection.execute(text(verb))


def test_twenty_thousand_facts_are_one_statement(ledger: PostgresLedger) -> None:
    facts = [Fact("decisions", {**DECISION, "case_id": f"C-{n}", "amount": n / 7}) for n in range(20_000)]
    with engine_of(ledger.url).begin() as connection:
        assert append(connection, "decisions", "returns", facts) == 1
    verdict = AuditTrail(ledger.url).verify([], tables=False).verdict
    assert verdict.intact and verdict.rows == 20_000


# -- what a fact becomes -----------------------------------------------------------------------------------------


def test_a_fact_of_a_table_is_spelled_by_its_columns() -> None:
    given = {"night": "2026-01-31", "amount": 40, "decided_at": "2026-02-01T01:00:00+02:00"}
    back = {"night": "2026-01-31", "amount": Decimal(40), "decided_at": datetime(2026, 1, 31, 23, tzinfo=UTC)}
    one, other = (chain_row(Fact("decisions", {**DECISION, **values})) for values in (given, back))
    assert one == other
    assert (one.source, one.key, one.case_id, one.person) == ("decisions", '["returns","C-1",1]', "C-1", None)
    assert one.body == (
        '{"amount":40,"case_id":"C-1","decided_at":"2026-01-31T23:00:00.000000Z","epoch":1,"night":"2026-01-31",'
        '"table":"decisions","workflow":"returns"}'
    )


def test_money_keeps_its_scale() -> None:
    assert chain_row(Fact("actions", {"money": 12.3})) == chain_row(Fact("actions", {"money": Decimal("12.30")}))


def test_what_is_no_column_of_a_table_of_facts_is_refused() -> None:
    with pytest.raises(ValueError, match="mood: no column of decisions"):
        chain_row(Fact("decisions", {**DECISION, "mood": "good"}))


def test_a_fact_without_its_whole_key_has_none() -> None:
    assert chain_row(Fact("decisions", {"case_id": "C-1"})).key is None


@pytest.mark.parametrize(
    ("said", "person"),
    [
        ({"made_by": "person:anna"}, "anna"),
        ({"made_by": "policy"}, None),
        ({"person": "ben", "made_by": "person:anna"}, "ben"),
        ({"proposer": "anna", "approver": "ben"}, "ben"),
    ],
)
def test_who_did_it_is_found_in_a_fact(said: dict[str, str], person: str | None) -> None:
    assert chain_row(Fact(None, said)).person == person


def test_keys_mean_something_where_they_can() -> None:
    assert key_columns(metadata.tables["decisions"]) == ("workflow", "case_id", "epoch")
    assert key_columns(metadata.tables["outcomes"]) == ("workflow", "case_id", "label", "known_at", "source")
    assert key_columns(metadata.tables["workflow_versions"]) == ("workflow", "spec_hash")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(1e23, 10**23, True), ([1e23], [10**23], True), (2**53 + 1, 2**53 + 3, False), ({"a": 1}, {"a": 1}, True)],
)
def test_large_numbers_of_json_are_read_as_floats(one: object, other: object, expected: bool) -> None:
    assert same(one, other) is expected


def test_what_a_writer_leaves_out_costs_one_statement_for_each_table(ledger: PostgresLedger) -> None:
    """A night of many facts asks the database as often as one of few: the chain's cost does not grow with its rows."""
    sent: list[str] = []

    def remember(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(statement)

    event.listen(pooled_engine(ledger.url), "before_cursor_execute", remember)
    counted = []
    for people in (2, 40):
        with engine_of(ledger.url).begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            connection.execute(text(f"TRUNCATE {', '.join(metadata.tables)}"))
        scenes._known(ledger.url)
        sent.clear()
        scenes._decide(ledger.url, asked=people)
        read = sum(each.startswith("SELECT") and "jsonb_to_recordset(" in each for each in sent)
        counted.append((len(sent), read))
    event.remove(pooled_engine(ledger.url), "before_cursor_execute", remember)
    few, many = counted
    assert few == many
    # that the night was decided, decisions, actions, tasks, the night's cap
    assert many[1] == 5
