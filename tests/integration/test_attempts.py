"""Two attempts at one night: the older one may not write, and each case is decided once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import Any

import pytest
from dagster import DagsterRunStatus

from pipeline_project.domain.core.errors import NightOutOfTurn, StaleAttempt
from resources.ledger.nights.ledger import PostgresLedger
from resources.ledger.turns import Turns
from tests.dagster_internals import create_run_for_test
from tests.integration import failpoints, shop
from tests.integration.conftest import NewHouse
from tests.integration.house import ROOT, House
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


def begun(house: House, *words: str) -> subprocess.Popen[str]:
    """`pipeline nights` in a process of its own; what it says is read line by line."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline_project.cli", "nights", house.name, *words],
        env={**kept, **house.environ}, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def said(process: subprocess.Popen[str], word: str) -> str:
    """The first line on standard error with a word in it."""
    assert process.stderr is not None
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"it ended without saying {word!r}")


def test_a_command_waits_for_whoever_works_on_its_workflow_and_says_for_whom(house: House) -> None:
    with Turns(house.ledger.url).taken([house.name], "somebody's run"):
        process = begun(house, "--night", SECOND, "--again")
        assert "somebody's run (process" in said(process, "waits for its turn")
        assert process.poll() is None
    assert process.communicate(timeout=240)
    assert process.returncode == 0


def test_sigterm_stops_between_what_is_whole_and_the_same_command_goes_on(house: House) -> None:
    nights = [shop.night(offset) for offset in range(2, 6)]
    shop.drop_nights(house.folder, nights, count=6, outcomes=False)
    process = begun(house, "--from", nights[0], "--to", nights[-1])
    said(process, f"{nights[0]} done")
    process.terminate()
    _, told = process.communicate(timeout=240)
    assert process.returncode == 130, told
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
            with pytest.raises(NightOutOfTurn, match=f"night {FIRST} of {house.name} is queued or under way"):
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
