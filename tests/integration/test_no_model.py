"""Failure goes to a person: no model, too few outcomes, a model whose files were touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_project.domain.core.reasons import ASK_PERSON
from tests.integration import shop
from tests.integration.conftest import NewHouse
from tests.integration.house import House

FIRST_DECIDED, NEXT = shop.night(3), shop.night(4)


@pytest.fixture(scope="module")
def untaught(new_house: NewHouse) -> House:
    """Cases without a single outcome."""
    house = new_house("untaught")
    shop.drop_nights(house.folder, [shop.night(offset) for offset in range(4)], count=8, outcomes=False)
    assert [run.outcome for run in house.nights(shop.FIRST, FIRST_DECIDED)] == ["done"] * 4
    return house


def test_with_too_few_outcomes_every_case_goes_to_a_person(untaught: House) -> None:
    decided = untaught.decisions(FIRST_DECIDED)
    assert len(decided) == 8
    assert {(row["option"], row["reason"], row["model_version"]) for row in decided} == {(ASK_PERSON, "no_model", None)}
    assert {row["problem"] for row in untaught.table("scores", FIRST_DECIDED) or []} == {"no_model"}


def test_that_nothing_was_trained_is_told_with_its_owner(untaught: House) -> None:
    assert untaught.metadata("challenger", FIRST_DECIDED)["trained"] is False
    assert untaught.facts()["models"] == untaught.facts()["champions"] == []
    (alert,) = untaught.alerts()
    assert (alert.kind, alert.owner) == ("too_few_outcomes", "team:claims-desk")
    assert alert.next_command.startswith(f"pipeline nights {untaught.name} ")


def test_the_page_says_that_there_is_no_model(untaught: House) -> None:
    assert "no model" in untaught.page(FIRST_DECIDED).lower()


@pytest.fixture(scope="module")
def damaged(new_house: NewHouse) -> House:
    """A model decided one night; then a byte of its booster flips."""
    house = new_house("damaged")
    shop.drop_nights(house.folder, [shop.night(offset) for offset in range(5)])
    house.nights(shop.FIRST, FIRST_DECIDED)
    assert {row["model_version"] for row in house.decisions()} == {"1"}
    (booster,) = (house.home / "models").rglob("booster.ubj")
    _flip(booster)
    assert [run.outcome for run in house.nights(NEXT)] == ["done"]
    return house


def test_a_model_whose_files_were_touched_decides_nothing(damaged: House) -> None:
    decided = damaged.decisions(NEXT)
    assert len(decided) == 24
    assert {(row["option"], row["reason"]) for row in decided} == {(ASK_PERSON, "model_unavailable")}


def test_it_is_told_loudly(damaged: House) -> None:
    assert damaged.metadata("scores", NEXT)["problems"] == {"model_unavailable": 24}
    with damaged.instance() as (_, instance):
        records = instance.get_records_for_run(_last_run(damaged, NEXT), limit=2000).records
    errors = [r.event_log_entry.user_message for r in records if int(r.event_log_entry.level) >= 40]
    assert any("cannot be used" in message and "sha256" in message for message in errors)
    (alert,) = damaged.alerts()
    assert (alert.kind, alert.owner) == ("model_unavailable", "team:claims-desk")
    assert alert.next_command == f"pipeline nights {damaged.name} --from {NEXT} --to {NEXT} --retrain"
    assert "the files of version 1" in damaged.page(NEXT)


def test_what_it_decided_before_stands(damaged: House) -> None:
    before = damaged.decisions(FIRST_DECIDED)
    (run,) = damaged.nights(FIRST_DECIDED, again=True)
    assert run.outcome == "done", run.why
    assert damaged.decisions(FIRST_DECIDED) == before


def test_a_model_trained_in_its_place_waits_for_its_gates_and_a_signature(damaged: House) -> None:
    assert [run.outcome for run in damaged.nights(NEXT, retrain=True)] == ["done"]
    (proposed,) = damaged.facts()["proposals"]
    assert (proposed["version"], proposed["passed"]) == ("2", False)
    assert {row["problem"] for row in damaged.table("scores", NEXT) or []} == {"model_unavailable"}
    assert len(damaged.alerts()) == 1


def test_with_its_files_back_it_decides_and_the_alert_is_closed(damaged: House) -> None:
    first = min((damaged.home / "models").rglob("booster.ubj"), key=lambda path: path.stat().st_ctime)
    _flip(first)
    assert [run.outcome for run in damaged.nights(NEXT, again=True)] == ["done"]
    assert {row["problem"] for row in damaged.table("scores", NEXT) or []} <= {None, "out_of_distribution"}
    assert {row["reason"] for row in damaged.decisions(NEXT)} == {"model_unavailable"}
    assert [alert for alert in damaged.alerts() if alert.kind == "model_unavailable"] == []


def test_a_home_that_was_moved_finds_its_models(damaged: House) -> None:
    shop.drop_nights(damaged.folder, [shop.night(5)])
    moved = House(damaged.name, damaged.home.rename(damaged.home.with_name("moved")), damaged.server)
    assert [run.outcome for run in moved.nights(shop.night(5))] == ["done"]
    assert {row["model_version"] for row in moved.decisions(shop.night(5))} == {"1"}
    assert not damaged.home.exists()


def _flip(file: Path) -> None:
    """Changes one byte, or changes it back."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def _last_run(house: House, night: str) -> str:
    (found,) = house.sql("SELECT run_id FROM attempts WHERE workflow = :name AND night = :night", night=night)
    return str(found["run_id"])
