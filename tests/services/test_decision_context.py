"""What a night's decisions rest on beside its cases: read as it was known at the night's start."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.deciding.context import DecisionContext
from pipeline_project.domain.deciding.decisions import DECISIONS
from pipeline_project.domain.lifecycle.drift.signals import Severity, Signal
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.partitions import window
from pipeline_project.services.decision_context import decision_context
from pipeline_project.spec import WorkflowSpec
from tests.doubles import NIGHT, World, arrival, claims, made, metadata

CASES = 40
PROMISE = {"promise": {"error": 0.2, "confidence": 0.9}}
SURGE = {"surge": {"above": 1.5, "capacity": 3}}
HISTORY = range(-6, 0)


def past(world: World, number: int, cases: int = CASES, version: str = "7") -> str:
    """A decided night before tonight, a tenth of it worn."""
    night = shifted(NIGHT, number)
    world.sources.rows[night] = [arrival(night, i, "100") for i in range(cases)]
    world.gather(night)
    ids = world.lake.tables["claims", "cases"][night]["case_id"].to_pylist()
    usual = {"night": night, "option": "refund", "reason": "cheapest", "would_be": "refund", "propensity": 0.0}
    decided = [{**usual, "case_id": case, "probabilities": [0.99, 0.01], "model_version": version} for case in ids]
    world.lake.write_night("claims", "decisions", night, pa.Table.from_pylist(decided, schema=DECISIONS))
    known = window(world.spec, night).start + timedelta(hours=30)
    world.ledger.known += [(case, "worn" if i % 10 == 0 else "kept", known) for i, case in enumerate(ids)]
    return night


def scores(world: World, trained: str, versions: tuple[str | None, ...] = ("7", "7", "8", None)) -> pa.Table:
    rows = [
        {"night": NIGHT, "case_id": f"N{i}", "model_version": version, "model_night": version and trained}
        for i, version in enumerate(versions)
    ]
    return pa.Table.from_pylist(rows, schema=SCORES)


def world_of(policy: dict[str, Any]) -> World:
    changes: dict[str, Any] = {"policy": policy}
    spec: WorkflowSpec = claims(**changes)
    world = World(spec=spec)
    for number in HISTORY:
        past(world, number)
    return world


def known(world: World, trained: str = "2025-01-01", night: str = NIGHT, **more: Any) -> DecisionContext:
    around = window(world.spec, night)
    found = scores(world, trained, **more)
    return decision_context(world.spec, cast(Any, world.lake), cast(Any, world.ledger), world.quality, around, found)


def breach(world: World, night: str, *signals: str) -> None:
    told = [Signal(name, 0.5, 0.1, 0.1, True, Severity.WARN, 100) for name in signals]
    quiet = Signal("clusters", 0.0, 0.1, 0.1, False, Severity.WARN, 100)
    world.quality.record_signals("claims", night, "run", [*told, quiet])


def test_without_promise_or_surge_nothing_is_read() -> None:
    lake = SimpleNamespace()  # has nothing that could be read
    found = decision_context(
        claims(), cast(Any, lake), cast(Any, lake), cast(Any, lake), window(claims(), NIGHT), scores(World(), NIGHT)
    )
    assert found == DecisionContext()


def test_the_evidence_is_about_the_model_of_most_cases_and_what_was_known_at_the_start() -> None:
    world = world_of(PROMISE)
    past(world, -7, version="6")
    found = known(world)
    assert (found.model, found.usual, found.signals) == ("7", None, ())
    # the last night's outcomes came after tonight began
    assert len(found.evidence) == 5 * CASES
    assert found.evidence.wrong.sum() == 5 * CASES / 10
    assert found.evidence.risk == pytest.approx(np.full(5 * CASES, 0.01))
    # refund costs the price in one of a hundred, a person 4
    assert found.evidence.benefit == pytest.approx(np.full(5 * CASES, 1.0 - 4.0))


def test_nights_it_may_have_learned_from_are_no_evidence() -> None:
    world = world_of(PROMISE)
    assert len(known(world, trained=shifted(NIGHT, -3)).evidence) == 2 * CASES
    assert len(known(world, versions=(None, None)).evidence) == 0
    assert len(known(World(spec=world.spec)).evidence) == 0


def test_the_last_judged_night_says_whether_it_drifts() -> None:
    world = world_of(PROMISE)
    breach(world, shifted(NIGHT, -2), "field/price")
    assert known(world).signals == ("field/price",)
    breach(world, shifted(NIGHT, -1))
    breach(world, NIGHT, "confidence")  # tonight's own, of an earlier run
    assert known(world).signals == ()


def test_the_usual_night_is_the_median_of_the_last_ones() -> None:
    world = world_of(SURGE)
    past(world, -8, cases=4000 // 10)
    assert known(world).usual == CASES
    assert len(known(world).evidence) == 0


def test_a_night_without_proof_goes_to_people_and_says_so() -> None:
    world = world_of({**PROMISE, **SURGE})
    world.sources.rows[NIGHT] = [arrival(NIGHT, i, "100") for i in range(2 * CASES)]
    world.gather(NIGHT)
    result = world.run(NIGHT, "scores", "decisions", "night_report")
    assert made(result) >= {"scores", "decisions", "night_report"}
    facts = metadata(result, "decisions")
    assert (facts["promise_kept"], facts["promise_evidence"]) == (False, 0)
    assert (facts["places"], facts["surge_usual"], facts["beyond"]) == (3, CASES, 2 * CASES - 3)
    assert any("does not hold yet" in sentence for sentence in facts["bounds"])
    assert any("A surge" in sentence for sentence in facts["bounds"])
    page = world.reports.written[NIGHT]
    assert "does not hold yet" in page
    assert "A surge" in page
    assert "3 places planned" in page
