"""One night is mature or it is not: whatever page, report or command says so, it says the same of the same moment."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from assets.night_page import LOOK_BACK
from pipeline_project.domain.core.nights import shifted, window_of
from pipeline_project.domain.core.reasons import ASK_PERSON
from pipeline_project.domain.core.schema import cases_schema
from pipeline_project.domain.deciding.decisions import DECISIONS
from pipeline_project.domain.measures.label_delay import immature_nights
from pipeline_project.services.as_of import mature_decided, matured_seen, maturity_seen
from pipeline_project.services.known_outcomes import outcomes_of
from pipeline_project.services.results import results_of
from pipeline_project.spec import WorkflowSpec
from tests.doubles import NIGHT, World, claims

LOOKED = shifted(NIGHT, 9)
#: Twenty warm-up nights and nine decided ones; each outcome takes up to twelve days.
NIGHTS = [shifted(NIGHT, day) for day in range(-20, 9)]
CASES, LONGEST = 26, 12


def start(night: str) -> datetime:
    return window_of(night, "Europe/Berlin").start


def filled(spec: WorkflowSpec | None = None, option: str = "refund") -> World:
    world = World(spec=spec or claims())
    for night in NIGHTS:
        ids = [f"{night}-{i}" for i in range(CASES)]
        said = {"night": night, "row_sha256": "0" * 64, "content_sha256": "0" * 64, "customer": "k", "price": 9.0}
        rows = [{**said, "case_id": case} for case in ids]
        world.lake.write_night(
            "claims", "cases", night, pa.Table.from_pylist(rows, cases_schema(world.spec.case_schema))
        )
        if night >= NIGHT:
            made = {"night": night, "option": option, "would_be": option, "reason": "cheapest"}
            decided = [{**made, "case_id": case, "probabilities": [0.5, 0.5]} for case in ids]
            world.lake.write_night("claims", "decisions", night, pa.Table.from_pylist(decided, DECISIONS))
        at = [start(night) + timedelta(days=1 + i % (LONGEST + 1), hours=5) for i in range(CASES)]
        world.ledger.known += [(case, "kept", when) for case, when in zip(ids, at, strict=True) if when < start(LOOKED)]
    return world


def test_every_place_that_shows_it_calls_the_same_nights_immature() -> None:
    world = filled()
    _, nights = maturity_seen(world.spec, world.lake, world.ledger, start(LOOKED))
    young = {night for night in immature_nights(nights) if night >= NIGHT}
    assert young == set(NIGHTS[-9:]), "the warm-up nights show that outcomes take up to twelve days"

    told = outcomes_of(world.spec, world.lake, world.ledger, start(LOOKED))
    assert told.nights == nights
    found = results_of(world.spec, world.lake, world.ledger, start(LOOKED))
    assert found is not None and found.immature_nights == len(young)
    past = matured_seen(world.spec, world.lake, world.ledger, shifted(LOOKED, -LOOK_BACK), LOOKED, start(LOOKED))
    assert past is not None and past.immature.nights == len(young)
    assert past.immature.cases == found.immature_cases == len(past.decisions)


def test_what_gates_and_training_wait_for_is_never_more_than_that() -> None:
    world = filled()
    for later in range(0, 14, 2):
        as_of = start(shifted(LOOKED, later))
        _, nights = maturity_seen(world.spec, world.lake, world.ledger, as_of)
        settled = mature_decided(world.spec, world.lake, world.ledger, None, "9999-12-31", as_of)
        assert set(settled) <= {night.night for night in nights if night.mature}


@pytest.mark.parametrize(("option", "waited_for"), [("reject", 0), ("refund", CASES), (ASK_PERSON, CASES)])
def test_cases_whose_truth_is_never_learned_are_not_waited_for(option: str, waited_for: int) -> None:
    base = claims()
    outcome = base.outcome.model_copy(update={"learned_after": ("refund",)})
    world = filled(base.model_copy(update={"outcome": outcome}), option)
    _, nights = maturity_seen(world.spec, world.lake, world.ledger, start(LOOKED))
    counted = {night.night: night.cases for night in nights}
    assert counted[NIGHTS[0]] == CASES and counted.get(NIGHT, 0) == waited_for
