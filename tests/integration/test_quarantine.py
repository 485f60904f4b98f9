"""Refused rows: out for repair, back into their own night once, and the landing sensor that notices what came."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import ingestion
from pipeline_project.automation.progress import LANDED
from pipeline_project.container.night import OpenedSources
from pipeline_project.definitions import build_definitions
from pipeline_project.domain.intake.admission import admit
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House
from tests.integration.test_bad_nights import NO_MODEL

FIRST, SECOND = shop.night(0), shop.night(1)


@pytest.fixture(scope="module")
def house(new_house: NewHouse) -> House:
    """Two nights; of the first one's ten cases one is beyond repair for now: its amount is a word."""
    house = new_house("repaired", **NO_MODEL)
    cases = shop.rows(FIRST, 10)
    cases[3]["amount"] = "much"
    shop.drop_cases(house.folder, FIRST, cases)
    shop.drop_cases(house.folder, SECOND, shop.rows(SECOND, 5))
    assert wanted(house) == {FIRST, SECOND}
    assert [run.outcome for run in house.nights(FIRST, SECOND)] == ["done", "done"]
    return house


@pytest.fixture(scope="module")
def repair(house: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The refused row as `--export` writes it, mended."""
    file = tmp_path_factory.mktemp("repair") / "to_repair.csv"
    done = house.command("quarantine", house.name, "--night", FIRST, "--export", str(file))
    assert done.returncode == 0, done.stderr
    with file.open(newline="", encoding="utf-8") as content:
        (row,) = csv.DictReader(content)
    assert row["amount"] == "much"
    assert row["case"] == f"C-{FIRST}-003"
    with file.open("w", newline="", encoding="utf-8") as content:
        writer = csv.DictWriter(content, list(row))
        writer.writeheader()
        writer.writerow({**row, "amount": "120.00"})
    return file


def wanted(house: House) -> set[str]:
    """The nights that the landing sensor asks for, evaluated against the instance as the daemon would."""
    with house.instance() as (_, instance):
        repository = build_definitions(os.environ).get_repository_def()
        sensor = repository.get_sensor_def(f"{house.name}_landing")
        resources = {"sources": OpenedSources(house.settings), "ledger": house.ledger}
        with dg.build_sensor_context(instance=instance, repository_def=repository, resources=resources) as context:
            told = sensor.evaluate_tick(context)
    # the first decided night calls for a training as long as there is none; here it is about the nights
    requests = [request for request in told.run_requests or [] if request.job_name == f"{house.name}_nightly"]
    assert all(request.tags[LANDED] for request in requests)
    assert len({request.run_key for request in requests}) == len(requests)
    return {str(request.partition_key) for request in requests}


def test_once_done_nothing_is_asked_for(house: House) -> None:
    assert wanted(house) == set()


def test_a_repair_re_enters_its_own_night_once(house: House, repair: Path) -> None:
    before = {row["case_id"]: row for row in house.decisions()}
    for _ in range(2):
        done = house.command("quarantine", house.name, "--night", FIRST, "--repair", str(repair))
        assert done.returncode == 0, done.stderr
    assert wanted(house) == {FIRST}
    assert [run.outcome for run in house.nights(FIRST, SECOND)] == ["done", "passed_over"]
    after = {row["case_id"]: row for row in house.decisions()}
    assert after.keys() - before.keys() == {f"C-{FIRST}-003"}
    assert {case: after[case] for case in before} == before
    (entered,) = [row for row in house.table("cases", FIRST) or [] if row["case_id"] == f"C-{FIRST}-003"]
    assert entered["amount"] == 120.0
    assert len(house.table("arrivals", FIRST) or []) == 11
    assert wanted(house) == set()


def test_the_refused_row_stays_on_record_and_the_balance_holds(house: House, repair: Path) -> None:
    (refused,) = house.table("quarantine", FIRST) or []
    assert refused["case_id"] == f"C-{FIRST}-003"
    assert house.checks("cases", FIRST)["nothing_vanished"] is True
    counted = [len(house.table(asset_name, FIRST) or []) for asset_name in ("arrivals", "cases", "quarantine")]
    assert counted == [11, 10, 1]


def test_a_late_and_a_repeated_file_bring_exactly_their_nights_back(house: House, repair: Path) -> None:
    late = [{**row, "case": f"L-{row['case']}"} for row in shop.rows(FIRST, 2)]
    shop.drop_cases(house.folder, FIRST, late, part="-late")
    assert wanted(house) == {FIRST}
    shop.drop_cases(house.folder, SECOND, shop.rows(SECOND, 5), part="-again")
    assert wanted(house) == {FIRST, SECOND}
    decided = len(house.decisions())
    assert [run.outcome for run in house.nights(FIRST, SECOND)] == ["done", "done"]
    assert len(house.decisions()) == decided + 2
    assert wanted(house) == set()
    for night in (FIRST, SECOND):
        assert house.checks("cases", night)["nothing_vanished"] is True


def test_what_lands_for_a_night_that_has_not_ended_waits(house: House) -> None:
    shop.drop_cases(house.folder, "2099-01-01", shop.rows("2099-01-01", 2))
    assert wanted(house) == set()


def test_a_row_that_vanishes_stops_the_night(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    night = shop.night(2)
    shop.drop_cases(house.folder, night, shop.rows(night, 5))

    def lossy(*args: Any, **kwargs: Any) -> Any:
        admission = admit(*args, **kwargs)
        return replace(admission, cases=admission.cases.slice(1))

    monkeypatch.setattr(ingestion, "admit", lossy)
    (run,) = house.nights(night)
    assert run.outcome == "blocked"
    assert "nothing_vanished" in str(run.why)
    assert house.decisions(night) == []
    monkeypatch.undo()
    assert [run.outcome for run in house.nights(night)] == ["done"]
