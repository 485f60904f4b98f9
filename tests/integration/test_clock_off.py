"""A host whose clock is minutes off does as the others do: what hosts must agree on goes by the database's clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from pipeline_project.commands.shared.console import Exit
from pipeline_project.domain.core.errors import NightNotEnded
from pipeline_project.domain.delivery.backoff import DeliveryResult, DeliveryStatus
from pipeline_project.domain.delivery.claimed_action import ClaimedAction
from resources.ledger.nights.ledger import PostgresLedger
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House, all_differences
from tests.resources.ledger.outbox.outbox_desk import Desk, Shelf

DECIDED = shop.night(3)
OFF = [timedelta(minutes=-2), timedelta(minutes=2)]


@contextmanager
def clock_off(by: timedelta) -> Iterator[None]:
    """This process's clock goes on as it does, but for so much; the database's is its own."""
    with time_machine.travel(datetime.now(UTC) + by):
        yield


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    house = new_house("clock_off", options=shop.ACTING_OPTIONS, actions=shop.ACTIONS)
    shop.drop_nights(house.folder, [shop.night(offset) for offset in range(4)])
    assert [run.outcome for run in house.nights(shop.FIRST, DECIDED)] == ["done"] * 4
    return house


@pytest.mark.parametrize("by", OFF, ids=["behind", "ahead"])
def test_the_same_night_comes_out_the_same(house: House, by: timedelta) -> None:
    tables, facts, work = house.tables(DECIDED), house.facts(), house.work(DECIDED)
    with clock_off(by):
        (run,) = house.nights(DECIDED, again=True)
    assert run.outcome == "done"
    assert all_differences(house.tables(DECIDED), tables) == {}
    assert house.facts() == facts
    assert house.work(DECIDED) == work


def test_a_night_that_goes_on_by_the_databases_clock_is_run_by_no_host_that_is_ahead(house: House) -> None:
    today = house.ledger.now().astimezone(house.spec.nights.zone).date().isoformat()
    shop.drop_cases(house.folder, today, shop.rows(today, 4))
    with clock_off(timedelta(days=1)):
        refused = house.command("nights", house.name, "--night", today)
        assert house.nights(today) == []
        landed = house.command("nights", house.name, "--from", DECIDED)
    assert refused.returncode == Exit.WRONG_CALL
    assert f"the night {today} has not ended" in refused.stderr
    assert landed.returncode == Exit.DONE
    assert house.decisions(today) == []
    assert house.table("arrivals", today) is None


@pytest.mark.parametrize("by", [*OFF, timedelta(0)], ids=["behind", "ahead", "right"])
def test_the_ledger_itself_lets_no_night_be_decided_before_its_end(own_ledger: str, by: timedelta) -> None:
    ledger = PostgresLedger(own_ledger)
    soon = ledger.now() + timedelta(minutes=1)
    with clock_off(by), pytest.raises(NightNotEnded) as refused:
        ledger.begin_attempt("claims", DECIDED, "run", soon)
    assert ("this machine's clock is" in str(refused.value)) == bool(by)
    with clock_off(by):
        assert ledger.begin_attempt("claims", DECIDED, "run", ledger.now()) == 1


def test_two_dispatchers_with_clocks_apart_take_nothing_from_each_other(own_ledger: str) -> None:
    desk = Desk(PostgresLedger(own_ledger), own_ledger)
    desk.ready("A", "B")
    shelf, other = Shelf(), Shelf()
    claimed: list[int] = []

    def while_one_sends(by: timedelta) -> Callable[[ClaimedAction], DeliveryResult]:
        def looked(_: ClaimedAction) -> DeliveryResult:
            with clock_off(by):
                claimed.append(desk.dispatcher(other, worker="other").once())
            return DeliveryResult(DeliveryStatus.DONE)

        return looked

    for by in OFF:
        shelf.said = [while_one_sends(-by)] * 2
        with clock_off(by):
            assert desk.dispatcher(shelf, worker="one").once() == 2
    assert (claimed, other.sent) == ([0] * 4, [])
    assert len(shelf.sent) == len({action.key for action in shelf.sent}) == desk.count("done") == 4
