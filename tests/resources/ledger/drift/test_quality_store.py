"""Sketches are replaced, signals and requests stay; a subscriber misses nothing, and one episode asks once."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pipeline_project.domain.core.errors import LedgerRefused
from pipeline_project.domain.lifecycle.drift.counts import count_numbers
from pipeline_project.domain.lifecycle.drift.signals import PastNight, Severity, Signal
from pipeline_project.domain.lifecycle.drift.sketch import Sketch
from resources.ledger.audit.trail import AuditTrail
from resources.ledger.drift.store import PostgresQuality
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.roles import DESK, NIGHTS
from resources.postgres.databases import engine_of, url_as

FLOW = "claims"


@pytest.fixture
def quality(ledger: PostgresLedger) -> PostgresQuality:
    return PostgresQuality(url_as(ledger.url, NIGHTS))


def signal(name: str = "field/amount", breached: bool = False, value: float = 0.05) -> Signal:
    severity = Severity.WARN if breached else Severity.NONE
    return Signal(name, value, 0.01, 0.1, breached, severity, 300, 0.02)


def sketch(*values: float) -> Sketch:
    return Sketch(len(values), {"field/amount": count_numbers(np.array(values))}, outcomes={"kept": 2})


def test_a_night_that_runs_again_replaces_its_sketch(quality: PostgresQuality) -> None:
    first, again = PastNight("2026-03-01", None, sketch(1, 2)), PastNight("2026-03-01", "2", sketch(1, 2, 3))
    other = PastNight("2026-03-02", "2", sketch(4))
    for night in (first, other, again):
        quality.put_sketch(FLOW, night)
    quality.put_sketch("returns", PastNight("2026-03-01", "1", sketch(9)))
    assert quality.sketches(FLOW, "2026-03-01", "2026-03-03") == [again, other]
    assert quality.sketches(FLOW, "2026-03-02", "2026-03-02") == []
    assert quality.sketches_of(FLOW, "2", "2026-03-03", 1) == [again]
    assert quality.sketches_of(FLOW, "2", "2026-03-01", 5) == []


def test_a_subscriber_reads_on_after_the_last_id_it_saw(quality: PostgresQuality) -> None:
    quality.record_signals(FLOW, "2026-03-01", "run-1", [signal(), signal("clusters", True, 0.4)])
    quality.record_signals("returns", "2026-03-01", "run-2", [signal()])
    seen = quality.signals(FLOW)
    assert [(row.night, row.signal, row.severity) for row in seen] == [
        ("2026-03-01", "field/amount", "none"),
        ("2026-03-01", "clusters", "warn"),
    ]
    assert quality.signals(FLOW, seen[-1].id) == []
    quality.record_signals(FLOW, "2026-03-02", "run-3", [signal()])
    assert [row.night for row in quality.signals(FLOW, seen[-1].id)] == ["2026-03-02"]
    assert [row.workflow for row in quality.signals(since_id=seen[-1].id)] == ["returns", FLOW]
    assert len(quality.signals(limit=1)) == 1


def test_no_id_becomes_visible_before_a_smaller_one(quality: PostgresQuality) -> None:
    ahead = engine_of(quality.url).connect()
    with ahead.begin():
        ahead.execute(text("SELECT pg_advisory_xact_lock(hashtext('quality'))"))
        writer = threading.Thread(
            target=quality.record_signals, args=(FLOW, "2026-03-02", "late", [signal()]), daemon=True
        )
        writer.start()
        writer.join(0.3)
        assert writer.is_alive(), "whoever writes second waits until the first one is visible"
        ahead.execute(
            text(
                "INSERT INTO quality_signals (workflow, night, run_id, signal, value, noise, threshold, breached, "
                "severity, cases) VALUES ('claims', '2026-03-01', 'early', 'x', 0, 0, 0, false, 'none', 1)"
            )
        )
    ahead.close()
    writer.join(10)
    assert [row.run_id for row in quality.signals(FLOW)] == ["early", "late"]


def test_the_same_run_records_a_signal_once(quality: PostgresQuality) -> None:
    assert quality.record_signals(FLOW, "2026-03-01", "run-1", [signal()]) == 1
    assert quality.record_signals(FLOW, "2026-03-01", "run-1", [signal(), signal("clusters")]) == 1
    assert quality.record_signals(FLOW, "2026-03-01", "run-1", []) == 0
    assert len(quality.signals(FLOW)) == 2


def test_of_a_night_that_ran_again_the_last_run_holds(quality: PostgresQuality) -> None:
    quality.record_signals(FLOW, "2026-03-01", "run-1", [signal("clusters", True), signal()])
    quality.record_signals(FLOW, "2026-03-02", "run-1", [signal("clusters", True)])
    assert quality.breached(FLOW, "2026-03-01") == ["clusters"]
    quality.record_signals(FLOW, "2026-03-01", "run-2", [signal()])
    assert quality.breached(FLOW, "2026-03-01") == []
    assert quality.history(FLOW) == {"2026-03-01": [], "2026-03-02": ["clusters"]}
    assert [row.run_id for row in quality.night_signals(FLOW, "2026-03-01")] == ["run-2"]
    assert (quality.last_night(FLOW), quality.last_night("returns")) == ("2026-03-02", None)


def test_one_episode_asks_once_whatever_order_its_nights_come_in(quality: PostgresQuality, ledger) -> None:
    assert quality.ask_training(FLOW, "2026-03-10", "drift", 5, "run-1")
    assert not quality.ask_training(FLOW, "2026-03-10", "drift", 5, "run-2")
    assert not quality.ask_training(FLOW, "2026-03-05", "drift", 5, "run-2")
    assert not quality.ask_training(FLOW, "2026-03-15", "drift", 5, "run-2")
    assert quality.ask_training(FLOW, "2026-03-16", "drift", 5, "run-3")
    assert quality.ask_training("returns", "2026-03-10", "drift", 5, "run-4")
    assert [row.night for row in quality.requests(FLOW)] == ["2026-03-10", "2026-03-16"]
    assert ledger.training_asked(FLOW, None, "2026-03-16") == "drift"
    assert ledger.training_asked(FLOW, None, "2026-03-10") is None


def test_a_request_stands_in_the_audit_chain(quality: PostgresQuality, ledger: PostgresLedger) -> None:
    quality.ask_training(FLOW, "2026-03-10", "drift", 5, "run-1")
    trail = AuditTrail(ledger.url)
    assert trail.verify([]).verdict.intact
    with engine_of(ledger.url).begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE training_requests SET why = 'nothing of the kind'"))
    assert not trail.verify([]).verdict.intact


def test_four_who_ask_at_once_are_one_request(quality: PostgresQuality) -> None:
    answers: list[bool] = []
    threads = [
        threading.Thread(
            target=lambda n=n: answers.append(quality.ask_training(FLOW, f"2026-03-1{n}", "drift", 5, f"run-{n}"))
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(answers) == [False, False, False, True]
    assert len(quality.requests(FLOW)) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE quality_signals SET breached = true",
        "DELETE FROM quality_signals",
        "DELETE FROM training_requests",
        "UPDATE training_requests SET why = 'other'",
        "TRUNCATE quality_signals",
    ],
)
def test_signals_and_requests_are_facts(quality: PostgresQuality, ledger: PostgresLedger, statement: str) -> None:
    quality.record_signals(FLOW, "2026-03-01", "run-1", [signal()])
    quality.ask_training(FLOW, "2026-03-01", "drift", 5, "run-1")
    with engine_of(ledger.url).connect() as connection, pytest.raises(DBAPIError, match="are facts"):
        connection.execute(text(statement))


def test_the_desk_reads_signals_and_writes_none(quality: PostgresQuality, ledger: PostgresLedger) -> None:
    quality.record_signals(FLOW, "2026-03-01", "run-1", [signal()])
    desk = PostgresQuality(url_as(ledger.url, DESK))
    assert len(desk.signals(FLOW)) == 1
    with pytest.raises(LedgerRefused, match="permission denied"):
        desk.record_signals(FLOW, "2026-03-01", "run-2", [signal()])
