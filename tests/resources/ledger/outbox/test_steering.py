"""What people may do to the outbox: the switch, holding, and letting go - where money leaves, by two."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy.exc import IntegrityError

from pipeline_project.domain.core.errors import ActionRefused, PipelineError, SecondPersonNeeded
from pipeline_project.domain.delivery.outbox_rows import StateCount
from resources.ledger.audit.comparison import compare_ledger
from resources.ledger.audit.reading import read_batches
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.nights.story import PostgresStories
from resources.ledger.outbox import redelivery as replaying
from resources.postgres.databases import engine_of
from tests.domain.delivery.terms import terms
from tests.resources.ledger.outbox.outbox_desk import (
    FLOW,
    NIGHT,
    NO_ANSWER,
    OTHER,
    PERSON,
    REFUSED,
    Desk,
    Shelf,
    effects,
)

WHY = "the shop is back"


@pytest.fixture
def desk(ledger: PostgresLedger, ledger_database: str) -> Desk:
    return Desk(ledger, ledger_database)


@pytest.fixture
def refund(desk: Desk) -> dict[str, object]:
    """A refund that the shop refused."""
    desk.ready("A")
    shelf = Shelf()
    while desk.row("A", "refund")["state"] == "waiting":
        desk.dispatcher(shelf).once()
    desk.drain(Shelf(REFUSED))
    return desk.row("A", "refund")


def test_where_no_money_leaves_a_dead_letter_goes_at_once_under_its_own_key(desk: Desk) -> None:
    desk.ready("A", option="reject")
    desk.drain(Shelf(REFUSED))
    row = desk.row("A", "rejection")
    asked = desk.outbox.redeliver(row["key"], PERSON, WHY)
    assert (asked.gone, asked.money) == (True, 0)
    shelf = Shelf()
    desk.drain(shelf)
    assert [action.key for action in shelf.sent] == [row["key"]]
    assert desk.states("A") == {"rejection": "done"}


def test_a_dry_run_changes_nothing(desk: Desk, refund: dict[str, object]) -> None:
    asked = desk.outbox.redeliver(refund["key"], PERSON, WHY, dry_run=True)  # type: ignore[arg-type]
    assert (asked.gone, asked.redelivery, asked.money) == (False, None, 40.0)
    assert desk.row("A", "refund") == refund
    assert desk.outbox.asked(FLOW) == []


def test_money_needs_a_second_person(desk: Desk, refund: dict[str, object]) -> None:
    asked = desk.outbox.redeliver(refund["key"], PERSON, WHY)  # type: ignore[arg-type]
    assert not asked.gone
    assert asked.redelivery is not None
    assert desk.drain(Shelf()) == 0
    assert [each.id for each in desk.outbox.asked(FLOW)] == [asked.redelivery]
    with pytest.raises(SecondPersonNeeded, match="whoever asked may not agree"):
        desk.outbox.approve(asked.redelivery, PERSON)
    assert desk.outbox.approve(asked.redelivery, OTHER).gone
    shelf = Shelf()
    desk.drain(shelf)
    assert effects(shelf) == [1]
    assert desk.states("A")["refund"] == "done"
    assert desk.outbox.asked(FLOW) == []


def test_the_database_itself_refuses_the_same_person_and_another_content(desk: Desk, refund: dict[str, object]) -> None:
    asked = desk.outbox.redeliver(refund["key"], PERSON, WHY)  # type: ignore[arg-type]
    insert = (
        "INSERT INTO replay_approvals (replay_id, asked_by, content, approved_by) "
        "SELECT id, {asked_by}, {content}, {approved_by} FROM replays"
    )
    for values in (
        {"asked_by": "asked_by", "content": "content", "approved_by": "asked_by"},
        {"asked_by": "'person:eve'", "content": "content", "approved_by": "asked_by"},
        {"asked_by": "asked_by", "content": f"'{'0' * 64}'", "approved_by": f"'{OTHER}'"},
    ):
        with pytest.raises(IntegrityError):
            desk.run(insert.format(**values))
    assert asked.redelivery is not None
    desk.outbox.approve(asked.redelivery, OTHER)


def test_a_yes_is_bound_to_what_was_shown(desk: Desk, refund: dict[str, object]) -> None:
    asked = desk.outbox.redeliver(refund["key"], PERSON, WHY)  # type: ignore[arg-type]
    assert asked.redelivery is not None
    desk.run("UPDATE actions SET money = 4000, payload = payload || '{\"amount\": 4000}' WHERE kind = 'refund'")
    with pytest.raises(SecondPersonNeeded, match="no longer as it was"):
        desk.outbox.approve(asked.redelivery, OTHER)


def test_a_yes_counts_once(desk: Desk, refund: dict[str, object]) -> None:
    asked = desk.outbox.redeliver(refund["key"], PERSON, WHY)  # type: ignore[arg-type]
    assert asked.redelivery is not None
    number = asked.redelivery

    def agree(person: str) -> bool:
        try:
            return desk.outbox.approve(number, person).gone
        except PipelineError:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(agree, [OTHER, "person:cleo", "person:dan", PERSON])) == 1
    desk.drain(Shelf(REFUSED))
    with pytest.raises(SecondPersonNeeded):
        desk.outbox.approve(number, OTHER)


def test_a_dead_letter_in_doubt_goes_as_unknown(desk: Desk) -> None:
    desk.ready("A", option="reject")
    shelf = Shelf(NO_ANSWER, remembers=False, can_be_asked=False)
    desk.drain(shelf)
    desk.outbox.redeliver(desk.row("A", "rejection")["key"], PERSON, "looked it up by hand")
    assert desk.states("A") == {"rejection": "unknown"}
    shelf.can_be_asked = True
    desk.drain(shelf)
    assert desk.states("A") == {"rejection": "done"}
    assert effects(shelf) == [1]


@pytest.mark.parametrize("happened", [True, False])
def test_a_person_says_what_nobody_else_could_know(desk: Desk, happened: bool) -> None:
    desk.ready("A")
    shelf = Shelf(NO_ANSWER, remembers=False, can_be_asked=False)
    desk.drain(shelf)
    key = desk.row("A", "hold")["key"]
    desk.outbox.resolve(key, happened, PERSON, "looked at the shop's page")
    assert desk.states("A")["hold"] == ("done" if happened else "dead")
    if not happened:
        shelf.happened.clear()
        desk.outbox.ask(key, PERSON, "so it has to go")
    desk.drain(shelf)
    assert set(desk.states("A").values()) == {"done"}
    assert effects(shelf) == [1] * 4
    with pytest.raises(ActionRefused, match="person's word"):
        desk.outbox.resolve(key, True, PERSON, "again")


@pytest.mark.parametrize("reason", ["", "  "])
def test_everything_needs_a_reason(desk: Desk, reason: str) -> None:
    with pytest.raises(ActionRefused, match="reason"):
        desk.outbox.stop(FLOW, reason, PERSON)
    with pytest.raises(ActionRefused, match="reason"):
        desk.outbox.redeliver(uuid4(), PERSON, reason)


def test_only_what_is_dead_is_sent_again(desk: Desk) -> None:
    desk.ready("A", option="reject")
    with pytest.raises(ActionRefused, match="it is ready"):
        desk.outbox.redeliver(desk.row("A", "rejection")["key"], PERSON, WHY)
    with pytest.raises(ActionRefused, match="none with this key"):
        desk.outbox.let_go(uuid4(), PERSON, WHY)


def test_dead_letters_are_let_go_at_a_limited_rate(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "REPLAYS_A_MINUTE", 2)
    desk.ready(*"ABC", option="reject")
    desk.drain(Shelf(*[REFUSED] * 3))
    keys = [desk.row(case, "rejection")["key"] for case in "ABC"]
    for key in keys[:2]:
        desk.outbox.redeliver(key, PERSON, WHY)
    with pytest.raises(ActionRefused, match="within a minute"):
        desk.outbox.redeliver(keys[2], PERSON, WHY)


def test_what_exceeds_the_cap_goes_when_two_people_agree(ledger: PostgresLedger, ledger_database: str) -> None:
    desk = Desk(ledger, ledger_database, terms(FLOW, spend_cap=50))
    desk.ready("A", "B")
    shelf = Shelf()
    desk.drain(shelf)
    held = next(case for case in "AB" if desk.states(case)["hold"] == "held")
    asked = desk.outbox.let_go(desk.row(held, "hold")["key"], PERSON, "it was agreed")
    assert (asked.gone, asked.money) == (False, 40.0)
    assert asked.redelivery is not None
    desk.outbox.approve(asked.redelivery, OTHER)
    desk.drain(shelf)
    assert set(desk.states(held).values()) == {"done"}
    assert desk.outbox.night(FLOW, NIGHT).reserved == 80.0


def test_a_held_action_of_a_night_that_is_not_released_still_waits(
    ledger: PostgresLedger, ledger_database: str
) -> None:
    desk = Desk(ledger, ledger_database, terms(FLOW, spend_cap=50))
    desk.decide("A")
    desk.ask(*desk.plan("A", price=60))
    asked = desk.outbox.let_go(desk.row("A", "hold")["key"], PERSON, "it was agreed")
    assert asked.redelivery is not None
    desk.outbox.approve(asked.redelivery, OTHER)
    assert set(desk.states("A").values()) == {"waiting"}
    assert desk.release() == 1


def test_large_amounts_can_be_held(desk: Desk) -> None:
    desk.decide("A", "B")
    desk.ask(*desk.plan("A", price=40), *desk.plan("B", price=400))
    desk.release()
    assert desk.outbox.hold_above(FLOW, 100, "looks odd", PERSON) == 1
    desk.drain(Shelf())
    assert desk.states("A")["refund"] == "done"
    assert desk.states("B") == {"hold": "done", "restock": "done", "notice": "done", "refund": "held"}
    asked = desk.outbox.let_go(desk.row("B", "refund")["key"], PERSON, "it was right")
    assert asked.money == 400
    assert asked.redelivery is not None
    desk.outbox.approve(asked.redelivery, OTHER)
    desk.drain(Shelf())
    assert desk.states("B")["refund"] == "done"


def test_what_people_did_joins_the_chain(desk: Desk, refund: dict[str, object]) -> None:
    asked = desk.outbox.redeliver(refund["key"], PERSON, WHY)  # type: ignore[arg-type]
    assert asked.redelivery is not None
    desk.outbox.approve(asked.redelivery, OTHER)
    desk.outbox.stop(FLOW, "recall", PERSON)
    with engine_of(desk.url).connect() as connection:
        kinds = [batch.kind for batch in read_batches(connection)]
    assert kinds.count("replays") == 2
    assert kinds[-1] == "switches"
    assert desk.outbox.switch(FLOW).changed_by == PERSON


def test_pages_counts_and_the_story_of_a_case(desk: Desk) -> None:
    desk.ready("A", "B")
    desk.drain(Shelf(REFUSED))
    first = desk.outbox.listed(FLOW, limit=3)
    rest = desk.outbox.listed(FLOW, after=first[-1].id)
    assert [len(first), len(rest)] == [3, 5]
    assert [row.kind for row in desk.outbox.listed(FLOW, state="dead")] == ["hold"]
    assert desk.outbox.counts(FLOW, NIGHT) == {
        "dead": StateCount(1, 0.0),
        "done": StateCount(4, 40.0),
        "waiting": StateCount(3, 40.0),
    }
    (dead,) = desk.outbox.listed(FLOW, state="dead")
    story = PostgresStories(desk.url).story(FLOW, dead.case_id)
    assert story is not None
    assert [event.event for event in story.deliveries if event.action_id == dead.id] == ["claimed", "dead"]


def test_the_chain_knows_actions_and_replays_as_they_stand_in_the_ledger(desk: Desk, refund: dict[str, object]) -> None:
    asked = desk.outbox.redeliver(refund["key"], PERSON, WHY)  # type: ignore[arg-type]
    assert asked.redelivery is not None
    desk.outbox.approve(asked.redelivery, OTHER)
    desk.drain(Shelf())
    tables = {"actions", "replays", "replay_approvals"}

    def found() -> dict[str, list[object]]:
        with engine_of(desk.url).connect() as connection:
            return {each.table: list(each.findings) for each in compare_ledger(connection) if each.table in tables}

    assert found() == {table: [] for table in tables}
    desk.run("UPDATE actions SET money = 4000 WHERE kind = 'refund'")
    assert found()["actions"]
