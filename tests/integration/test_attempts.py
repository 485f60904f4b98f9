"""Two attempts at one night: the older one may not write, and each case is decided once."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, TextIO

import pytest
from dagster import DagsterRunStatus

from pipeline_project.domain.core.errors import NightOutOfTurn, StaleAttempt
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.turns import Turns
from tests.dagster_internals import create_run_for_test
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
    for asset_name in ("arrivals", "cases", "scores", "decisions"):
        assert len(house.table(asset_name, SECOND) or []) == 30, asset_name


@dataclass
class Begun:
    """`pipeline nights` in a process of its own; what it says is read line by line."""

    process: multiprocessing.Process
    heard: TextIO

    @classmethod
    def at(cls, house: House, *words: str) -> Begun:
        ours, theirs = multiprocessing.Pipe(duplex=False)
        process = failpoints.run(house.environ, ("nights", house.name, *words), first=partial(_heard, theirs))
        # with ours open the last line would never come
        theirs.close()
        return cls(process, os.fdopen(os.dup(ours.fileno()), encoding="utf-8"))

    def said(self, word: str) -> str:
        """The first line on standard error with a word in it."""
        for line in self.heard:
            if word in line:
                return line
        raise AssertionError(f"it ended without saying {word!r}")

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what else it said."""
        with self.heard:
            told = self.heard.read()
        return failpoints.ended(self.process), told


def _heard(by: Connection) -> None:
    os.dup2(by.fileno(), sys.stderr.fileno())


def test_a_command_waits_for_whoever_works_on_its_workflow_and_says_for_whom(house: House) -> None:
    with Turns(house.ledger.url).taken([house.name], "somebody's run"):
        begun = Begun.at(house, "--night", SECOND, "--again")
        assert "somebody's run (process" in begun.said("waits for its turn")
        assert begun.process.is_alive()
    assert begun.ended()[0] == 0


def test_sigterm_stops_between_what_is_whole_and_the_same_command_goes_on(house: House) -> None:
    nights = [shop.night(offset) for offset in range(2, 6)]
    shop.drop_nights(house.folder, nights, count=6, outcomes=False)
    begun = Begun.at(house, "--from", nights[0], "--to", nights[-1])
    begun.said(f"{nights[0]} done")
    begun.process.terminate()
    code, told = begun.ended()
    assert code == 130, told
    assert f"go on with: pipeline nights {house.name} --from {nights[0]} --to {nights[-1]}" in told
    assert house.table("decisions", nights[-1]) is None
    outcomes = [run.outcome for run in house.nights(nights[0], nights[-1])]
    assert (outcomes[0], outcomes[-1]) == ("passed_over", "done")
    assert [len(house.decisions(night)) for night in nights] == [6] * len(nights)


def test_a_night_is_not_run_before_an_earlier_one_that_is_under_way_in_dagster(house: House) -> None:
    with house.instance() as (_, instance):
        earlier = create_run_for_test(
            instance, f"{house.name}_nightly", tags={"dagster/partition": FIRST}, status=DagsterRunStatus.STARTED
        )
        try:
            with pytest.raises(NightOutOfTurn, match=f"night {FIRST} of {house.name} is queued, under way"):
                house.nights(SECOND, again=True)
        finally:
            instance.report_run_failed(earlier)


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
