"""Adding actions: once, under the night's cap, and nothing leaves before the night is released."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from pipeline_project.domain.core.errors import KeyTaken
from resources.ledger.audit.reading import read_batches
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.outbox.outbox import enqueue, is_released, take_back
from resources.ledger.tables.actions import actions
from resources.postgres.databases import engine_of
from tests.domain.delivery.terms import terms
from tests.resources.ledger.outbox.outbox_desk import FLOW, NIGHT, NO_ANSWER, REFUSED, Desk, Shelf, effects


@pytest.fixture
def desk(ledger: PostgresLedger, ledger_database: str) -> Desk:
    return Desk(ledger, ledger_database)


def test_asking_twice_is_asking_once(desk: Desk) -> None:
    desk.decide("A", "B")
    planned = [*desk.plan("A"), *desk.plan("B", "reject")]
    assert desk.ask(*planned).new == 5
    assert desk.ask(*planned[::-1]).new == 0
    assert set(desk.states().values()) == {"waiting"}


def test_the_same_key_with_other_content_is_an_error_and_nothing_is_written(desk: Desk) -> None:
    desk.decide("A", "B")
    desk.ask(*desk.plan("A"))
    with pytest.raises(KeyTaken, match="another content"):
        desk.ask(*desk.plan("B"), *desk.plan("A", price=41))
    assert not desk.states("B")


def test_two_that_add_the_same_actions_at_once_add_them_once(desk: Desk) -> None:
    cases = [f"C{number}" for number in range(20)]
    desk.decide(*cases)
    planned = [action for case in cases for action in desk.plan(case)]
    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(lambda order: desk.ask(*order).new, [planned, planned[::-1]] * 2))
    assert sum(added) == len(planned)


def test_an_action_needs_its_decision(desk: Desk) -> None:
    with pytest.raises(IntegrityError):
        desk.ask(*desk.plan("undecided"))


def test_the_first_step_is_ready_once_the_night_is_released(desk: Desk) -> None:
    desk.decide("A", "B")
    desk.ask(*desk.plan("A"))
    assert desk.drain(Shelf()) == 0
    assert desk.release() == 1
    assert desk.release() == 0
    assert desk.states("A") == {"hold": "ready", "restock": "waiting", "notice": "waiting", "refund": "waiting"}
    assert desk.ask(*desk.plan("B")).ready == 1
    with engine_of(desk.url).connect() as connection:
        assert is_released(connection, FLOW, NIGHT)
        assert not is_released(connection, FLOW, "2025-03-06")


def test_what_exceeds_the_cap_is_held_with_its_whole_case(ledger: PostgresLedger, ledger_database: str) -> None:
    desk = Desk(ledger, ledger_database, terms(FLOW, spend_cap=100))
    desk.decide("A", "B", "C", "D")
    planned = [action for case in "ABC" for action in desk.plan(case)]
    assert desk.ask(*planned, *desk.plan("D", "reject")).held == 1
    desk.release()
    shelf = Shelf()
    desk.drain(shelf)
    assert desk.states("C") == {"hold": "held", "restock": "waiting", "notice": "waiting", "refund": "waiting"}
    spent = desk.outbox.night(FLOW, NIGHT)
    assert (spent.cap, spent.reserved) == (100.0, 80.0)
    assert desk.states("D") == {"rejection": "done"}
    assert {action.payload["case"] for action in shelf.sent} == {"A", "B", "D"}


def test_two_transactions_cannot_spend_the_cap_twice(ledger: PostgresLedger, ledger_database: str) -> None:
    desk = Desk(ledger, ledger_database, terms(FLOW, spend_cap=100))
    cases = [f"C{number}" for number in range(8)]
    desk.decide(*cases)
    together = threading.Barrier(len(cases))

    def ask(case: str) -> int:
        with engine_of(desk.url).begin() as connection:
            together.wait()
            return enqueue(connection, desk.plan(case), desk.terms).held

    with ThreadPoolExecutor(len(cases)) as pool:
        assert sum(pool.map(ask, cases)) == len(cases) - 2
    assert desk.outbox.night(FLOW, NIGHT).reserved == 80.0


def test_the_database_itself_refuses_more_than_the_cap(ledger: PostgresLedger, ledger_database: str) -> None:
    desk = Desk(ledger, ledger_database, terms(FLOW, spend_cap=100))
    desk.decide("A")
    desk.ask(*desk.plan("A"))
    with pytest.raises(IntegrityError, match="within_the_cap"):
        desk.run("UPDATE night_spending SET reserved = 100.01")


def test_a_workflow_that_is_not_live_rehearses_and_spends_nothing(ledger: PostgresLedger, ledger_database: str) -> None:
    desk = Desk(ledger, ledger_database, replace(terms(FLOW, spend_cap=10), live=False))
    desk.ready("A")
    shelf = Shelf()
    assert desk.drain(shelf) == 4
    assert set(desk.states("A").values()) == {"rehearsed"}
    assert shelf.sent == []
    assert desk.outbox.night(FLOW, NIGHT).reserved == 0


def test_what_was_asked_for_and_released_joins_the_chain(desk: Desk) -> None:
    desk.ready("A")
    with engine_of(desk.url).connect() as connection:
        kinds = [batch.kind for batch in read_batches(connection)]
    assert kinds.count("actions") == 1
    assert kinds.count("release") == 1


def _take_back(desk: Desk, case: str) -> dict[str, int]:
    with engine_of(desk.url).begin() as connection:
        return take_back(connection, FLOW, case, 1, desk.terms)


def _stop_before(desk: Desk, kind: str, shelf: Shelf) -> None:
    while desk.row("A", kind)["state"] == "waiting":
        desk.dispatcher(shelf).once()


def test_taking_back_undoes_what_has_left_once_and_in_reverse(desk: Desk) -> None:
    desk.ready("A")
    shelf = Shelf()
    _stop_before(desk, "notice", shelf)
    assert _take_back(desk, "A") == {"cancelled": 2, "compensations": 2, "for_good": 0}
    assert _take_back(desk, "A") == {"cancelled": 0, "compensations": 0, "for_good": 0}
    desk.drain(shelf)
    assert shelf.kinds == ["hold", "restock", "unstock", "release_hold"]
    assert desk.states("A")["refund"] == "cancelled"


def test_the_database_compensates_an_action_once(desk: Desk) -> None:
    desk.ready("A")
    _stop_before(desk, "restock", Shelf())
    _take_back(desk, "A")
    with pytest.raises(IntegrityError, match="uq_actions_undoes"):
        desk.run(
            "INSERT INTO actions (workflow, night, case_id, epoch, kind, destination, step, key, fingerprint, payload,"
            " money, final, live, undoes, state) SELECT workflow, night, case_id, epoch, kind, destination, 2000,"
            " gen_random_uuid(), fingerprint, payload, money, final, live, undoes, 'waiting' FROM actions"
            " WHERE undoes IS NOT NULL"
        )


def test_after_the_refund_nothing_is_taken_back(desk: Desk) -> None:
    desk.ready("A")
    shelf = Shelf()
    desk.drain(shelf)
    assert _take_back(desk, "A") == {"cancelled": 0, "compensations": 0, "for_good": 4}
    assert shelf.kinds == ["hold", "restock", "notice", "refund"]


def test_a_compensation_waits_until_it_is_known_what_it_undoes(desk: Desk) -> None:
    desk.ready("A", option="hold_only")
    shelf = Shelf(NO_ANSWER)
    desk.dispatcher(shelf).once()
    assert desk.states("A")["hold"] == "unknown"
    assert _take_back(desk, "A") == {"cancelled": 1, "compensations": 1, "for_good": 0}
    desk.drain(shelf)
    assert shelf.kinds == ["hold", "hold", "release_hold"]
    assert effects(shelf) == [1, 1]


def test_a_dead_letter_of_an_overturned_decision_cannot_be_sent_again(desk: Desk) -> None:
    desk.ready("A")
    desk.drain(Shelf(REFUSED))
    assert desk.states("A")["hold"] == "dead"
    assert _take_back(desk, "A")["cancelled"] == 4
    assert set(desk.states("A").values()) == {"cancelled"}


@pytest.mark.parametrize(
    "change",
    ["state = 'held'", "state = 'sending'", "state = 'dead'", "money = -1", "state = 'gone'", "settled_at = now()"],
)
def test_the_database_refuses_states_that_explain_nothing(desk: Desk, change: str) -> None:
    desk.decide("A")
    desk.ask(*desk.plan("A", "reject"))
    with pytest.raises(IntegrityError):
        desk.run(f"UPDATE actions SET {change}")


@pytest.mark.parametrize("table", ["releases", "action_events"])
def test_what_happened_stays(desk: Desk, table: str, refused: Callable[[str, str], None]) -> None:
    desk.ready("A", option="reject")
    desk.drain(Shelf())
    refused(desk.url, f"DELETE FROM {table}")


@pytest.fixture
def refused() -> Callable[[str, str], None]:
    def check(url: str, statement: str) -> None:
        with engine_of(url).begin() as connection, pytest.raises(IntegrityError, match="are facts"):
            connection.exec_driver_sql(statement)

    return check


def test_keys_are_those_of_the_plan(desk: Desk) -> None:
    desk.decide("A")
    planned = desk.plan("A")
    desk.ask(*planned)
    with engine_of(desk.url).connect() as connection:
        kept = connection.execute(select(actions.c.key, actions.c.fingerprint, actions.c.payload)).all()
    assert {row.key: (row.fingerprint, row.payload) for row in kept} == {
        each.key: (each.fingerprint, each.payload) for each in planned
    }
