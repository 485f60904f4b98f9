"""A row that cannot be understood goes to the dead letters alone, and one that was changed is never sent."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from pipeline_project.domain.delivery.backoff import DeliveryResult, DeliveryStatus
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.domain.delivery.keys import fingerprint
from pipeline_project.operations.dispatch import BROKE, TAMPERED
from resources.ledger.nights.ledger import PostgresLedger
from resources.postgres.databases import engine_of
from tests.resources.ledger.outbox.outbox_desk import FLOW, Desk, Shelf, effects

CASES = [f"C{number:02}" for number in range(30)]
ILL = CASES[7]
PAYLOAD = "UPDATE actions SET payload = "

#: What somebody may do to a row, as the database takes it.
POISON = {
    "no object": f"{PAYLOAD} '[1, 2]'",
    "null": f"{PAYLOAD} 'null'",
    "a text": f"{PAYLOAD} '\"refund\"'",
    "empty": f"{PAYLOAD} '{{}}'",
    "another amount": f"{PAYLOAD} payload || '{{\"amount\": 9999}}'",
    "another case": f'{PAYLOAD} payload || \'{{"case": "X"}}\'',
    "one more field": f"{PAYLOAD} jsonb_set(payload, '{{fields,account}}', '\"DE00\"')",
    "a number beyond reading": f"{PAYLOAD} payload || jsonb_build_object('n', ('1' || repeat('0', 9000))::numeric)",
    "nested beyond reading": f"{PAYLOAD} (repeat('[', 5000) || repeat(']', 5000))::jsonb",
    "another fingerprint": "UPDATE actions SET fingerprint = repeat('0', 64)",
    "more money": "UPDATE actions SET money = money + 1",
    "no number": "UPDATE actions SET money = 'NaN'",
    "another kind": "UPDATE actions SET kind = 'refund'",
    "another night beyond all": "UPDATE actions SET payload = '{}', night = '9999-12-31'",
    "sent in another age": "UPDATE actions SET payload = '{}', first_sent_at = '200000-01-01'",
}


@pytest.fixture
def desk(ledger: PostgresLedger, ledger_database: str) -> Desk:
    return Desk(ledger, ledger_database)


def states(desk: Desk) -> dict[str, set[str]]:
    """Cases by the state of their action, asked without reading what was poisoned."""
    with engine_of(desk.url).connect() as connection:
        rows = connection.execute(text("SELECT state, case_id FROM actions")).all()
    return {state: {row.case_id for row in rows if row.state == state} for state in {row.state for row in rows}}


def classes(desk: Desk) -> dict[str, str]:
    """Why each dead case is dead."""
    with engine_of(desk.url).connect() as connection:
        rows = connection.execute(text("SELECT case_id, error_class FROM actions WHERE state = 'dead'"))
        return {row.case_id: row.error_class for row in rows}


def test_each_poisoned_row_is_a_dead_letter_and_the_others_are_sent(desk: Desk) -> None:
    desk.ready(*CASES, option="reject")
    ill = dict(zip(POISON, CASES, strict=False))
    with engine_of(desk.url).begin() as connection:
        # the end of the outbox's own rules, as for somebody who owns the database
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for name, case in ill.items():
            connection.execute(text(f"{POISON[name]} WHERE case_id = :ill"), {"ill": case})
    shelf = Shelf()
    desk.drain(shelf)
    # whose night is not released waits, in nobody's way
    waits = ill.pop("another night beyond all")
    found = states(desk)
    assert found.pop("ready") == {waits}
    assert {name for name, case in ill.items() if case not in found["dead"]} == set()
    assert found == {"done": set(CASES) - {waits, *ill.values()}, "dead": set(ill.values())}
    assert effects(shelf) == [1] * len(found["done"])
    assert set(classes(desk).values()) == {TAMPERED}


def test_a_count_at_its_end_stops_nothing(desk: Desk) -> None:
    desk.ready(*CASES[:10], option="reject")
    desk.run("UPDATE actions SET attempts = 2147483647 WHERE case_id = :ill", ill=ILL)
    shelf = Shelf()
    desk.drain(shelf)
    assert states(desk) == {"done": set(CASES[:10])}


def test_a_rehearsed_row_that_was_changed_is_told_as_well(desk: Desk) -> None:
    desk.ready("A", option="reject")
    desk.run("UPDATE actions SET live = false, payload = '{}'")
    desk.drain(Shelf())
    assert states(desk) == {"dead": {"A"}}


def test_a_try_that_breaks_is_its_own_trouble(desk: Desk) -> None:
    def broken(action: ClaimedAction) -> DeliveryResult:
        raise ZeroDivisionError(action.case_id)

    desk.ready(*CASES, option="reject")
    shelf = Shelf(attempts=1)
    plain = shelf.send
    shelf.send = lambda action: broken(action) if action.case_id == ILL else plain(action)  # type: ignore[method-assign]
    desk.drain(shelf)
    assert states(desk) == {"done": set(CASES) - {ILL}, "dead": {ILL}}
    assert classes(desk) == {ILL: BROKE}


def test_an_answer_that_the_ledger_cannot_keep_loses_its_receipt_and_nothing_else(desk: Desk) -> None:
    desk.ready(*CASES, option="reject")
    unkept = {
        CASES[3]: DeliveryResult(DeliveryStatus.DONE, receipt={"said": "\ud800"}),
        ILL: DeliveryResult(DeliveryStatus.REFUSED, "bad\x00class", "no"),
    }
    shelf = Shelf()
    plain = shelf.send
    shelf.send = lambda action: unkept.get(action.case_id) or plain(action)  # type: ignore[method-assign]
    desk.drain(shelf)
    assert states(desk) == {"done": set(CASES) - {ILL}, "dead": {ILL}}
    assert desk.row(CASES[3], "rejection")["receipt"] is None


def test_what_is_dead_because_it_was_changed_says_nothing_of_its_destination(desk: Desk) -> None:
    desk.ready(*CASES[:8], option="reject")
    desk.run("UPDATE actions SET payload = '{}'")
    desk.drain(Shelf())
    assert desk.outbox.destinations() == []
    assert FLOW in {row.workflow for row in desk.outbox.listed(state="dead")}


def test_what_was_changed_with_its_fingerprint_is_still_not_what_was_decided(desk: Desk) -> None:
    """Everything in the table agrees with itself; only the audit chain knows better."""
    desk.ready("A", "B", option="reject")
    row = desk.row("A", "rejection")
    payload = {**row["payload"], "fields": {**row["payload"].get("fields", {}), "account": "DE00"}}
    changed = "UPDATE actions SET payload = CAST(:payload AS jsonb), fingerprint = :print WHERE case_id = 'A'"
    desk.run(changed, payload=json.dumps(payload), print=fingerprint(payload))
    shelf = Shelf()
    desk.drain(shelf)
    assert states(desk) == {"done": {"B"}, "dead": {"A"}}
    assert effects(shelf) == [1] and classes(desk) == {"A": TAMPERED}
    assert "fingerprint" in desk.row("A", "rejection")["error"]


@pytest.mark.parametrize(
    "change", ["destination = 'warehouse'", "night = '2001-01-01'", "step = step + 1", "final = NOT final"]
)
def test_where_and_when_it_goes_is_what_was_decided(desk: Desk, change: str) -> None:
    desk.ready("A", option="reject")
    with engine_of(desk.url).begin() as connection:
        # another night is released as well, as far as the table says
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        other = "INSERT INTO releases SELECT workflow, '2001-01-01', attempt, run_id, now() FROM releases"
        connection.execute(text(other))
        connection.execute(text(f"UPDATE actions SET {change}"))
    shelf = Shelf()
    desk.drain(shelf)
    assert states(desk) == {"dead": {"A"}} and effects(shelf) == []


def test_what_is_dead_or_done_does_not_go_again_because_its_row_says_so(desk: Desk) -> None:
    desk.ready("A", option="reject")
    shelf = Shelf()
    desk.drain(shelf)
    desk.run("UPDATE actions SET state = 'ready', settled_at = NULL, attempts = 0")
    desk.drain(shelf)
    assert effects(shelf) == [1] and len(shelf.sent) == 1
    assert states(desk) == {"dead": {"A"}}
