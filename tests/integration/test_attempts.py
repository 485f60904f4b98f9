"""Two attempts at one night: the older one may not write, and each case is decided once."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from pipeline_project.domain.errors import StaleAttempt
from resources.ledger.ledger import PostgresLedger
from tests.integration import failpoints, shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House
from tests.integration.test_bad_nights import NO_MODEL

FIRST, SECOND = shop.night(0), shop.night(1)


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    house = new_house("attempts", **NO_MODEL)
    shop.drop_nights(house.folder, [FIRST, SECOND], count=30, outcomes=False)
    return house


def test_an_older_attempt_cannot_write_after_a_newer_one_began(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("nights", house.name, "--from", FIRST, "--to", FIRST)
    record, refused = PostgresLedger.record_decisions, []

    def overtaken(ledger: PostgresLedger, *args: Any, **more: Any) -> Any:
        monkeypatch.undo()
        # the network cuts this process off: the server lets go of its turn, and another process takes the whole night
        assert house.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pipeline nights %'"
        )
        assert failpoints.ended(failpoints.run(house.environ, words)) == 0
        try:
            return record(ledger, *args, **more)
        except StaleAttempt as stale:
            refused.append(stale)
            raise

    monkeypatch.setattr(PostgresLedger, "record_decisions", overtaken)
    (run,) = house.nights(FIRST)
    assert len(refused) == 1
    assert run.outcome == "done"
    written = house.sql("SELECT run_id, attempt FROM decisions WHERE workflow = :name")
    assert len(written) == 30
    assert {row["attempt"] for row in written} == {2}
    assert run.run_id not in {row["run_id"] for row in written}
    assert [row["option"] for row in house.table("decisions", FIRST) or []] == ["ask_person"] * 30


def test_two_processes_at_once_end_in_one_decision_a_case(house: House) -> None:
    words = ("nights", house.name, "--from", SECOND, "--to", SECOND)
    both = [failpoints.run(house.environ, words) for _ in range(2)]
    assert [failpoints.ended(process) for process in both] == [0, 0]
    decided = [row["case_id"] for row in house.decisions(SECOND)]
    assert len(decided) == len(set(decided)) == 30
    for noun in ("arrivals", "cases", "scores", "decisions"):
        assert len(house.table(noun, SECOND) or []) == 30, noun


def test_a_database_that_is_away_is_named_without_its_password(house: House) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"postgresql://clerk:open-sesame@127.0.0.1:{port}/shop"
    done = house.command("nights", house.name, "--from", FIRST, "--to", FIRST, PIPELINE_POSTGRES_URL=url)
    assert done.returncode == 4
    assert f"127.0.0.1:{port}" in done.stderr
    assert "clerk" in done.stderr
    assert "open-sesame" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
