"""Scores and decisions of a night: without a usable model every case goes to a person, and nothing is decided twice."""

from __future__ import annotations

from typing import Any

import dagster as dg
import numpy as np
import pytest

from pipeline_project.domain.core.errors import ModelUnavailable
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.deciding.decisions import DECISIONS
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.domain.models.trained import Prediction, TrainedModel
from tests.doubles import NIGHT, WARM, World, arrival, checks, claims, logged, made, metadata
from tests.present import present

MODEL = ModelVersion("claims", "1", WARM, "d" * 64, "run", {"log_loss": 0.1})
GATHER = ("arrivals", "cases", "quarantine", "outcomes")


@pytest.fixture
def world() -> World:
    world = World()
    world.sources.rows[NIGHT] = [arrival(NIGHT, i, str(10 * (i + 1))) for i in range(5)]
    world.sources.rows[WARM] = [arrival(WARM, i) for i in range(2)]
    world.gather(NIGHT)
    return world


def reasons(world: World, night: str = NIGHT) -> list[tuple[str, str]]:
    return [(row["option"], row["reason"]) for row in world.table("decisions", night)]


def test_without_a_champion_every_case_goes_to_a_person(world: World) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = world.run(NIGHT, "scores", "decisions", instance=instance)
        told = logged(result, instance)
    assert result.success
    assert reasons(world) == [("ask_person", "no_model")] * 5
    assert metadata(result, "scores")["problems"] == {"no_model": 5}
    assert [level for level, text in told if "no model was champion" in text] == ["WARNING"]


@pytest.mark.parametrize("when", ["loading", "labels", "features"])
def test_a_model_that_cannot_be_used_fails_loudly_and_sends_the_cases_to_people(
    world: World, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Model:
        """Loads well, and says what it was trained for."""

        labels = ("kept", "worn", "lost") if when == "labels" else ("kept", "worn")

        def predict(self, table: Any) -> Any:
            if when == "features":
                raise ModelUnavailable("trained on what these cases do not have")
            return Prediction(np.full((len(table), 3), 1 / 3), [[]] * len(table), [None] * len(table))

    world.ledger.champions.append((WARM, MODEL, "first"))
    world.registry.files["1"] = {}
    if when == "loading":
        world.registry.error = ModelUnavailable("its files have changed")
    else:
        monkeypatch.setattr(TrainedModel, "from_files", lambda files, device="cpu": Model())
    with dg.DagsterInstance.ephemeral() as instance:
        result = world.run(NIGHT, "scores", "decisions", instance=instance)
        told = logged(result, instance)
    assert result.success
    assert reasons(world) == [("ask_person", "model_unavailable")] * 5
    assert [level for level, text in told if "model 1 cannot be used" in text] == ["ERROR"]


def test_a_warm_up_night_is_gathered_and_not_decided(world: World) -> None:
    result = world.run(WARM, *GATHER, "scores", "decisions")
    assert result.success
    assert len(world.table("cases", WARM)) == 2
    assert world.table("decisions", WARM) == []
    assert world.lake.tables["claims", "decisions"][WARM].schema.equals(DECISIONS)
    assert (world.ledger.decisions, world.ledger.attempts) == ({}, {})
    assert checks(result)["decisions_contract"]
    assert world.contracts.asked == []


def test_a_champion_of_later_nights_does_not_decide_earlier_ones(world: World) -> None:
    world.ledger.champions.append(("2025-03-02", MODEL, "later"))
    world.run(NIGHT, "scores", "decisions")
    assert reasons(world) == [("ask_person", "no_model")] * 5


def test_a_night_decided_again_keeps_what_stands(world: World) -> None:
    first = world.run(NIGHT, "scores", "decisions")
    assert (metadata(first, "decisions")["new"], metadata(first, "decisions")["attempt"]) == (5, 1)
    world.ledger.decisions["C03-01-2"] |= {"option": "reject", "reason": "reviewed"}
    again = metadata(world.run(NIGHT, "scores", "decisions"), "decisions")
    assert (again["new"], again["would_change"], again["attempt"]) == (0, 1, 2)
    stands = world.table("decisions")[2]
    assert (stands["option"], stands["reason"], stands["would_be"]) == ("reject", "reviewed", "ask_person")


def test_the_ledger_gets_what_explains_a_decision(world: World) -> None:
    world.run(NIGHT, "scores", "decisions")
    kept = world.ledger.decisions["C03-01-0"]
    assert kept["data_versions"] == {
        "claims/arrivals": 0,
        "claims/cases": 0,
        "claims/quarantine": 0,
        "claims/scores": 0,
    }
    assert kept["contract"] == {"arrivals": 5, "admitted": 5, "quarantined": 0}
    assert (kept["spec_hash"], kept["amount"]) == (claims().spec_hash, 10.0)
    assert world.ledger.workflows == [claims().spec_hash]


def test_scores_that_break_their_contract_stop_the_night(world: World) -> None:
    world.contracts.broken["probabilities_sum_to_one"] = (0,)
    result = world.run(NIGHT, "scores", "decisions")
    assert not result.success
    assert made(result) == {"scores"}
    assert world.ledger.decisions == {}


def test_decisions_are_held_against_the_admitted_cases(world: World) -> None:
    world.contracts.broken["row_count"] = ()
    result = world.run(NIGHT, "scores", "decisions")
    assert world.contracts.asked == [row["case_id"] for row in world.table("cases")]
    assert not result.success
    assert not checks(result)["decisions_contract"]


def test_a_night_whose_checks_pass_is_released_and_its_people_are_asked(world: World) -> None:
    result = world.run(NIGHT, "scores", "decisions", "release")
    assert result.success
    assert world.ledger.released == [NIGHT]
    assert world.reviews.nights == [NIGHT]
    assert [task.case_id for task in world.ledger.tasks] == [row["case_id"] for row in world.table("cases")]


def test_a_night_whose_decisions_are_unsound_is_not_released(world: World) -> None:
    world.contracts.broken["row_count"] = ()
    assert not world.run(NIGHT, "scores", "decisions", "release").success
    assert world.ledger.released == []
    assert world.reviews.nights == []


def test_a_warm_up_night_asks_nobody_and_releases_nothing(world: World) -> None:
    world.gather(WARM)
    assert world.run(WARM, "scores", "decisions", "release").success
    assert (world.ledger.released, world.ledger.tasks) == ([], [])


def test_a_night_decided_again_asks_nobody_again(world: World) -> None:
    for _ in range(2):
        assert world.run(NIGHT, "scores", "decisions").success
    assert len(world.ledger.tasks) == 5


def test_scores_of_a_night_that_was_never_gathered_say_what_to_run() -> None:
    result = World().run(NIGHT, "scores")
    errors = [present(e.step_failure_data.error) for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    told = " ".join(str(error.cause or error) for error in errors)
    assert f"pipeline nights claims --from {NIGHT} --to {NIGHT}" in told


def test_scores_have_one_schema_with_and_without_a_model(world: World) -> None:
    world.run(NIGHT, "scores")
    assert world.lake.tables["claims", "scores"][NIGHT].schema.equals(SCORES)
