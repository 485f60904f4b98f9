"""Each effect once, in order, with patience - whatever the destination answers and whoever dies."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, select, text

from pipeline_project.domain.delivery.backoff import OPEN_SECONDS, TRIPS, DeliveryResult, DeliveryStatus
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from pipeline_project.operations import dispatch as dispatcher
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.outbox.leases import Terms, claim, give_up_leases
from resources.ledger.outbox.overview import PostgresOutbox
from resources.ledger.outbox.settling import Settled, settle
from resources.ledger.roles import DESK, DISPATCHER
from resources.ledger.tables.actions import breakers
from resources.postgres.databases import engine_of, url_as
from tests.resources.ledger.outbox.outbox_desk import (
    BROKEN,
    BUSY,
    FLOW,
    NO_ANSWER,
    PERSON,
    REFUSED,
    Desk,
    Shelf,
    effects,
)

TERMS = Terms(50, 60.0)


@pytest.fixture
def desk(ledger: PostgresLedger, ledger_database: str) -> Desk:
    return Desk(ledger, ledger_database)


def _claimed(desk: Desk, terms: Terms = TERMS) -> tuple[object, list[ClaimedAction]]:
    token = uuid4()
    with engine_of(desk.url).begin() as connection:
        return token, claim(connection, token, terms, "test")


def test_a_case_goes_hold_restock_notice_refund(desk: Desk) -> None:
    desk.ready("A", "B")
    shelf = Shelf()
    assert desk.drain(shelf) == 8
    for case in "AB":
        sent = [action.kind for action in shelf.sent if action.payload["case"] == case]
        assert sent == ["hold", "restock", "notice", "refund"]
    assert effects(shelf) == [1] * 8
    assert desk.events()["done"] == desk.events()["claimed"] == 8
    assert desk.row("A", "refund")["receipt"] == {"said": "ok"}


def test_a_later_step_waits_while_an_earlier_one_is_not_through(desk: Desk) -> None:
    desk.ready("A")
    desk.drain(Shelf(REFUSED))
    assert desk.states("A") == {"hold": "dead", "restock": "waiting", "notice": "waiting", "refund": "waiting"}


def test_no_two_dispatchers_claim_the_same_action(desk: Desk) -> None:
    cases = [f"C{number:03}" for number in range(120)]
    desk.ready(*cases, option="reject")
    together = threading.Barrier(6)

    def take(_: int) -> list[ClaimedAction]:
        together.wait()
        found: list[ClaimedAction] = []
        while taken := _claimed(desk, Terms(7, 60.0))[1]:
            found += taken
        return found

    with ThreadPoolExecutor(6) as pool:
        taken = [action.key for each in pool.map(take, range(6)) for action in each]
    assert len(taken) == len(set(taken)) == len(cases)


@pytest.mark.parametrize("step", ["claim", "settle"])
def test_a_lost_deadlock_is_tried_again_and_sends_nothing_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    whole, met = getattr(dispatcher, step), 0

    def loses_first(connection: Connection, *given: Any) -> Any:
        nonlocal met
        done = whole(connection, *given)
        met += 1
        if met == 1:
            connection.execute(text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$"))
        return done

    monkeypatch.setattr(dispatcher, step, loses_first)
    desk.ready("A")
    shelf = Shelf()
    assert desk.drain(shelf) == 4
    assert effects(shelf) == [1] * 4
    assert desk.states("A") == {"hold": "done", "restock": "done", "notice": "done", "refund": "done"}


def test_a_stale_token_settles_nothing(desk: Desk) -> None:
    desk.ready("A", option="reject")
    old, (action,) = _claimed(desk)
    desk.lose_leases()
    with engine_of(desk.url).begin() as connection:
        assert give_up_leases(connection, "another") == 1
    done = Settled(action, "done", DeliveryResult(DeliveryStatus.DONE))
    for token in (old, uuid4()):
        with engine_of(desk.url).begin() as connection:
            assert settle(connection, token, [done], "late") == 0  # type: ignore[arg-type]
    assert desk.states("A") == {"rejection": "unknown"}


def test_a_lease_ends_by_the_databases_clock_and_its_action_is_sent_again_under_the_same_key(desk: Desk) -> None:
    desk.ready("A", option="reject")
    shelf = Shelf()
    _, (action,) = _claimed(desk)
    shelf.send(action)
    assert desk.drain(shelf) == 0
    desk.lose_leases()
    desk.drain(shelf)
    assert desk.states("A") == {"rejection": "done"}
    assert effects(shelf) == [1]
    assert len({sent.key for sent in shelf.sent}) == 1


def test_no_answer_means_unknown_and_the_same_key_again(desk: Desk) -> None:
    desk.ready("A", option="reject")
    shelf = Shelf(NO_ANSWER)
    desk.dispatcher(shelf).once()
    assert desk.states("A") == {"rejection": "unknown"}
    desk.drain(shelf)
    assert desk.states("A") == {"rejection": "done"}
    assert (len(shelf.sent), effects(shelf), shelf.asked) == (2, [1], 0)
    assert shelf.sent[0].body == shelf.sent[1].body


@pytest.mark.parametrize("first", [NO_ANSWER, BROKEN])
def test_beyond_what_the_destination_remembers_it_is_asked_before_anything_is_sent_again(
    desk: Desk, first: DeliveryResult
) -> None:
    desk.ready("A", option="reject")
    shelf = Shelf(first, remembers=False)
    desk.drain(shelf)
    assert desk.states("A") == {"rejection": "done"}
    assert (len(shelf.sent), effects(shelf), shelf.asked) == (1, [1], 1)


def test_what_was_never_seen_is_sent_again(desk: Desk) -> None:
    desk.ready("A", option="reject")
    lost = DeliveryResult(DeliveryStatus.UNKNOWN, "no_answer", "lost on the way", maybe=True)
    shelf = Shelf(lambda action: shelf.happened.subtract([action.key]) or lost, remembers=False)
    desk.drain(shelf)
    assert (len(shelf.sent), effects(shelf), shelf.asked) == (2, [1], 1)


def test_a_person_looks_when_nobody_else_can_know(desk: Desk) -> None:
    desk.ready("A", option="reject")
    shelf = Shelf(NO_ANSWER, remembers=False, can_be_asked=False)
    desk.drain(shelf)
    row = desk.row("A", "rejection")
    assert (row["state"], row["error_class"], row["owner"], row["uncertain"]) == (
        "dead",
        "nobody_knows",
        "team:desk",
        True,
    )
    assert len(shelf.sent) == 1


def test_doubt_stays_through_later_failures(desk: Desk) -> None:
    """The second try was certainly turned away, but nobody knows about the first."""
    desk.ready("A", option="reject")
    shelf = Shelf(NO_ANSWER, BUSY)
    for _ in range(2):
        desk.pass_time()
        desk.dispatcher(shelf).once()
    assert desk.row("A", "rejection")["uncertain"]
    shelf.remembered = False
    desk.drain(shelf)
    assert (effects(shelf), shelf.asked) == ([1], 1)


def test_a_busy_destination_gets_the_time_it_asks_for(desk: Desk) -> None:
    desk.ready("A", option="reject")
    desk.dispatcher(Shelf(BUSY), draws=random.Random(1)).once()
    row = desk.row("A", "rejection")
    assert row["state"] == "ready"
    assert 6.9 < (row["next_at"] - row["first_sent_at"]).total_seconds() < 9


def test_attempts_have_an_end(desk: Desk) -> None:
    desk.ready("A", option="reject")
    desk.drain(Shelf(*[BROKEN] * 9, attempts=3))
    row = desk.row("A", "rejection")
    assert (row["state"], row["attempts"], row["error_class"], row["owner"]) == ("dead", 3, "http_500", "team:desk")
    assert row["uncertain"]


def test_a_refusal_is_a_dead_letter_at_once(desk: Desk) -> None:
    desk.ready("A", option="reject")
    shelf = Shelf(REFUSED)
    desk.drain(shelf)
    assert desk.states("A") == {"rejection": "dead"}
    assert len(shelf.sent) == 1


def test_what_the_file_no_longer_declares_is_a_dead_letter(desk: Desk) -> None:
    desk.ready("A", option="reject")
    dispatcher = desk.dispatcher(Shelf())
    dispatcher.destinations = {}
    dispatcher.once()
    assert desk.row("A", "rejection")["error_class"] == "no_destination"


def test_what_cannot_be_reached_from_here_waits_for_another_dispatcher(desk: Desk) -> None:
    desk.ready("A", option="reject")
    assert desk.drain(Shelf(), left_alone={(FLOW, "shop")}) == 0
    assert desk.drain(Shelf()) == 1


def test_nothing_leaves_while_the_kill_switch_is_on(desk: Desk) -> None:
    desk.ready("A", option="reject")
    desk.outbox.stop(FLOW, "supplier recall", PERSON)
    shelf = Shelf()
    assert desk.drain(shelf) == 0
    desk.outbox.resume(FLOW, "it was another supplier", PERSON)
    assert desk.drain(shelf) == 1


def test_the_kill_switch_stops_a_batch_that_is_under_way(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline_project.operations.dispatch.SWITCH_SECONDS", 0.0)
    desk.ready(*"ABCD", option="reject")

    def throw(_: ClaimedAction) -> DeliveryResult:
        desk.outbox.stop(FLOW, "supplier recall", PERSON)
        return DeliveryResult(DeliveryStatus.DONE)

    shelf = Shelf(throw)
    desk.dispatcher(shelf).once()
    assert len(shelf.sent) == 1
    assert (desk.count("done"), desk.count("ready")) == (1, 3)
    assert {desk.row(case, "rejection")["attempts"] for case in "ABCD"} == {0, 1}


def test_asked_to_stop_a_dispatcher_settles_what_is_in_hand_and_gives_back_the_rest(desk: Desk) -> None:
    desk.ready(*"ABCD", option="reject")
    stopping = threading.Event()

    def stop(_: ClaimedAction) -> DeliveryResult:
        stopping.set()
        return DeliveryResult(DeliveryStatus.DONE)

    desk.dispatcher(Shelf(stop), stopping=stopping).run()
    assert (desk.count("done"), desk.count("ready"), desk.count("sending")) == (1, 3, 0)


def test_a_dispatcher_goes_round_until_it_hangs_for_longer_than_its_lease(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.monotonic()]
    seen: list[bool] = []

    def slow(_: ClaimedAction) -> DeliveryResult:
        for hanging in (1.0, 1000.0):
            now[0] += hanging
            seen.append(sender.goes_round)
        return DeliveryResult(DeliveryStatus.DONE)

    monkeypatch.setattr("pipeline_project.operations.dispatch.time.monotonic", lambda: now[0])
    desk.ready("A", option="reject")
    sender = desk.dispatcher(Shelf(slow))
    assert sender.once() == 1
    assert seen == [True, False]
    assert sender.goes_round, "an action that has ended is a step on"
    now[0] += 1000.0
    assert not sender.goes_round
    assert sender.once() == 0
    assert sender.goes_round, "it looked for work and found none"


def test_nothing_is_begun_that_the_lease_would_not_outlast(desk: Desk) -> None:
    desk.ready(*"ABC", option="reject")
    shelf = Shelf()
    dispatcher = desk.dispatcher(shelf)
    shelf.longest_seconds = dispatcher.lease_seconds + 1
    dispatcher.once()
    assert (len(shelf.sent), desk.count("ready"), desk.events()["put_back"]) == (0, 3, 3)
    slow = Shelf()
    slow.longest_seconds = 500.0
    assert desk.dispatcher(slow).lease_seconds == 1000.0


def test_a_night_that_is_not_released_is_never_sent_not_even_as_a_probe(desk: Desk) -> None:
    desk.decide("A")
    desk.ask(*desk.plan("A", "reject"))
    desk.run("UPDATE actions SET state = 'ready'")
    desk.run(
        "INSERT INTO breakers (workflow, destination, state, retry_at) VALUES ('claims', 'shop', 'open', now() - "
        "interval '1 second')"
    )
    shelf = Shelf()
    assert desk.dispatcher(shelf).once() == 0
    assert shelf.sent == []


def _breaker(desk: Desk) -> dict[str, Any]:
    with engine_of(desk.url).connect() as connection:
        row = connection.execute(select(breakers).where(breakers.c.destination == "shop")).one()
    return dict(row._mapping)


def test_a_destination_that_fails_too_often_is_left_alone_by_every_process(desk: Desk) -> None:
    desk.ready(*[f"C{number}" for number in range(20)], option="reject")
    shelf = Shelf(*[BROKEN] * TRIPS)
    desk.dispatcher(shelf, batch=TRIPS).once()
    told = _breaker(desk)
    assert (told["state"], told["failures"], told["opened"]) == ("open", TRIPS, 1)
    desk.run("UPDATE actions SET next_at = now() WHERE state IN ('ready', 'unknown')")
    assert desk.dispatcher(shelf, worker="another process").once() == 0
    assert len(shelf.sent) == TRIPS


def test_after_its_rest_one_action_goes_to_see(desk: Desk) -> None:
    desk.ready(*[f"C{number}" for number in range(20)], option="reject")
    desk.dispatcher(Shelf(*[BROKEN] * TRIPS), batch=TRIPS).once()
    desk.run("UPDATE breakers SET retry_at = now() - interval '1 second'")
    still = Shelf(BROKEN)
    assert desk.dispatcher(still).once() == 1
    told = _breaker(desk)
    assert (told["state"], told["opened"]) == ("open", 2)
    assert desk.dispatcher(still).once() == 0
    desk.run("UPDATE breakers SET retry_at = now() - interval '1 second'")
    well = Shelf()
    assert desk.dispatcher(well).once() == 1
    assert _breaker(desk)["state"] == "closed"
    desk.drain(well)
    assert desk.count("done") == 20


def test_late_failures_do_not_lengthen_a_rest(desk: Desk) -> None:
    """Workers that were all under way when the destination went away fail one after the other."""
    desk.ready(*[f"C{number}" for number in range(40)], option="reject")
    batches = [_claimed(desk, Terms(10, 60.0)) for _ in range(4)]
    for token, taken in batches:
        failed = [Settled(action, "unknown", BROKEN, 60.0, uncertain=True) for action in taken]
        with engine_of(desk.url).begin() as connection:
            settle(connection, token, failed, "test")  # type: ignore[arg-type]
    told = _breaker(desk)
    assert (told["state"], told["opened"]) == ("open", 1)
    assert (told["retry_at"] - told["changed_at"]).total_seconds() < OPEN_SECONDS + 1


def test_whoever_takes_a_probe_may_die_with_it(desk: Desk) -> None:
    desk.ready("A", "B", option="reject")
    desk.run(
        "INSERT INTO breakers (workflow, destination, state, opened, retry_at) VALUES ('claims', 'shop', 'open', 1, "
        "now() - interval '1 second')"
    )
    _, probe = _claimed(desk)
    assert len(probe) == 1
    assert _claimed(desk)[1] == []
    desk.run("UPDATE breakers SET retry_at = now() - interval '1 second'")
    assert len(_claimed(desk)[1]) == 1


def test_retries_are_at_most_a_tenth_and_the_rest_waits(desk: Desk) -> None:
    desk.ready(*[f"C{number:03}" for number in range(100)], option="reject")
    # one success in each batch keeps the breaker closed
    shelf = Shelf(*([DeliveryResult(DeliveryStatus.DONE), *[BUSY] * 9] * 10))
    dispatcher = desk.dispatcher(shelf, batch=10)
    for _ in range(10):
        dispatcher.once()
    assert (desk.count("done"), desk.count("ready")) == (10, 90)
    desk.run("UPDATE actions SET next_at = now() WHERE state = 'ready'")
    desk.run("UPDATE breakers SET saved_at = now() - interval '1 millisecond'")
    before = len(shelf.sent)
    while dispatcher.once():
        desk.run("UPDATE breakers SET saved_at = now()")
    # twenty to begin with and a tenth of a hundred first tries; the trickle of these moments comes on top
    assert 28 <= len(shelf.sent) - before <= 34
    assert desk.count("ready") >= 50
    desk.drain(shelf)
    assert desk.count("done") == 100


def test_draining_waits_for_retries(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline_project.operations.dispatch.IDLE_SECONDS", 0.0)
    monkeypatch.setattr("pipeline_project.domain.delivery.backoff.FIRST_WAIT", 0.01)
    desk.ready("A", option="reject")
    shelf = Shelf(DeliveryResult(DeliveryStatus.AGAIN, "http_503", "later"))
    assert desk.dispatcher(shelf).drain() == 2
    assert desk.states("A") == {"rejection": "done"}


def test_the_dispatchers_and_the_desks_own_roles_suffice(desk: Desk) -> None:
    desk.ready("A", "B", option="reject")
    as_dispatcher = engine_of(url_as(desk.url, DISPATCHER))
    dispatcher = desk.dispatcher(Shelf(REFUSED))
    dispatcher.engine = as_dispatcher
    assert dispatcher.once() == 2
    _claimed(desk)
    desk.lose_leases()
    with as_dispatcher.begin() as connection:
        give_up_leases(connection, "test")
    at_the_desk = PostgresOutbox(url_as(desk.url, DESK))
    dead = at_the_desk.listed(FLOW, state="dead")[0]
    assert at_the_desk.ask(dead.key, PERSON, "the shop is back").gone
    at_the_desk.stop(FLOW, "recall", PERSON)
    assert at_the_desk.asked(FLOW) == []
