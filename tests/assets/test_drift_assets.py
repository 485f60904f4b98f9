"""A night is sketched and judged; breaches ask for a training once, may close the policy, and block nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from assets.drift import build_drift, build_drift_checks
from pipeline_project.automation.training import training_due
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.lifecycle.drift.signals import DRIFT_KINDS, Beside, DriftKind, Measured
from pipeline_project.domain.models.scores import SCORES
from pipeline_project.partitions import window
from tests.doubles import NIGHT, World, arrival, checks, claims, metadata

MODEL = ModelVersion("claims", "1", NIGHT, "d" * 64, "run", {"accuracy": 0.9})
CASES = 120
TERMS = {"reference_nights": 7, "breaches": 2, "of_nights": 3, "cooldown_nights": 5}


@dataclass
class Policy:
    """`pipeline_project.ports.lifecycle.PolicyState`: remembers what was closed."""

    closed: list[tuple[str, str, str]] = field(default_factory=list)

    def close(self, workflow: str, night: str, reason: str, by: str) -> None:
        self.closed.append((night, reason, by))


def run(world: World, night: str, policy: Policy | None = None) -> dg.ExecuteInProcessResult:
    with patch("assets.common.RETRIES", None):
        definitions = [build_drift(world.spec), *build_drift_checks(world.spec)]
    return dg.materialize(
        definitions,
        partition_key=night,
        resources={**world.resources(), "live": policy or Policy()},
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def gather(world: World, number: int, price: float = 100, confidence: float = 0.9) -> str:
    """One night around a price, as many after the first decided one as `number` says."""
    night = shifted(NIGHT, number)
    random = np.random.default_rng(1000 + number)
    prices = random.normal(price, 10, CASES).clip(1)
    world.sources.rows[night] = [arrival(night, i, f"{each:.2f}") for i, each in enumerate(prices)]
    world.gather(night)
    names = world.lake.tables["claims", "cases"][night]["case_id"].to_pylist()
    if night >= NIGHT:
        rows = [
            {
                "night": night,
                "case_id": name,
                "probabilities": [told, 1 - told],
                "confidence": told,
                "reasons": [],
                "problem": None,
                "model_version": "1",
                "model_night": NIGHT,
            }
            for name, told in zip(names, random.normal(confidence, 0.02, CASES).clip(0.5, 1).tolist(), strict=True)
        ]
        world.lake.write_night("claims", "scores", night, pa.Table.from_pylist(rows, schema=SCORES))
    return night


def know(world: World, night: str, at: str, worn: float) -> None:
    """The outcomes of a whole night, known at noon of another one."""
    names = world.lake.tables["claims", "cases"][night]["case_id"].to_pylist()
    moment = datetime.fromisoformat(f"{at}T12:00:00").replace(tzinfo=UTC)
    world.ledger.known += [(name, "worn" if i < worn * len(names) else "kept", moment) for i, name in enumerate(names)]


@pytest.fixture
def world() -> World:
    """A week of nights before the first decided one has been sketched; a champion decides from then on."""
    world = World(spec=claims(drift=TERMS))
    world.ledger.champions.append((NIGHT, MODEL, "first"))
    world.ledger.trained.append(MODEL)
    for number in range(-7, 0):
        assert run(world, gather(world, number)).success
    return world


def values(world: World, night: str) -> dict[str, dict[str, Any]]:
    return {signal.signal: vars(signal) for signal in world.quality.night_signals("claims", night)}


def test_a_night_before_the_champion_is_sketched_and_not_judged(world: World) -> None:
    assert len(world.quality.nights) == 7
    assert world.quality.told == []
    result = run(world, gather(world, -8))
    assert metadata(result, "drift") == {"cases": CASES, "judged": False}
    assert all(checks(result).values())


def test_a_night_like_the_others_passes_every_check(world: World) -> None:
    result = run(world, gather(world, 0))
    assert result.success
    assert set(values(world, NIGHT)) == {"field/price", "estimated_error"}
    assert checks(result) == {kind.check: True for kind in DRIFT_KINDS.values()}
    assert metadata(result, "drift")["training"] == "not asked for"


def test_a_signal_of_ones_own_is_measured_judged_kept_and_checked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def volume(night: Beside) -> dict[str, Measured | None]:
        usual = float(np.mean([each.sketch.cases for each in night.reference]))
        return {"volume": Measured(abs(night.tonight.cases / usual - 1.5), 0.0, 0.1, night.tonight.cases, 0.0)}

    monkeypatch.setitem(DRIFT_KINDS, "volume", DriftKind("volume_drift", "half as many cases again", volume))
    result = run(world, gather(world, 0))
    assert values(world, NIGHT)["volume"]["severity"] == "error"
    assert checks(result)["volume_drift"] is False


def test_breaches_fail_their_check_ask_for_a_training_once_and_block_nothing(world: World) -> None:
    policy = Policy()
    results = [run(world, gather(world, number, price=130), policy) for number in range(4)]
    assert [result.success for result in results] == [True] * 4
    assert [checks(result)["fields_drift"] for result in results] == [False] * 4
    assert all(checks(result)["clusters_drift"] for result in results)
    (judged,) = [c for c in results[0].get_asset_check_evaluations() if c.check_name == "fields_drift"]
    assert judged.severity is dg.AssetCheckSeverity.ERROR
    figures = judged.metadata["values"].value
    assert isinstance(figures, dict) and figures["field/price"] > 0.3
    assert list(world.quality.asked) == [shifted(NIGHT, 1)]
    assert "field/price" in world.quality.asked[shifted(NIGHT, 1)]
    assert world.ledger.alerts["drift"]["kind"] == "drift"
    assert policy.closed == []


def test_a_spec_that_says_so_closes_the_policy_once(world: World) -> None:
    world.spec = claims(drift=TERMS | {"closes_policy": True})
    policy = Policy()
    for number in range(3):
        run(world, gather(world, number, price=130), policy)
    run(world, shifted(NIGHT, 1), policy)
    assert [(night, by) for night, _, by in policy.closed] == [(shifted(NIGHT, 1), "drift")]


def test_doubt_is_an_error_before_any_outcome_is_known(world: World) -> None:
    result = run(world, gather(world, 0, confidence=0.7))
    found = values(world, NIGHT)["estimated_error"]
    assert found["breached"]
    assert found["value"] == pytest.approx(0.2, abs=0.02)
    assert not checks(result)["estimated_error"]


def test_confidence_is_compared_with_the_champions_own_first_nights(world: World) -> None:
    for number in range(3):
        run(world, gather(world, number))
    assert "confidence" not in values(world, NIGHT)
    run(world, gather(world, 3, confidence=0.75))
    assert values(world, shifted(NIGHT, 3))["confidence"]["breached"]


def test_only_mature_outcomes_count_and_each_night_once(world: World) -> None:
    night = gather(world, 0)
    names = world.lake.tables["claims", "cases"][night]["case_id"].to_pylist()
    early = datetime(2025, 3, 2, 12, tzinfo=UTC)
    world.ledger.known += [(name, "worn", early) for name in names[: CASES // 10]]
    run(world, gather(world, 1))
    assert world.quality.nights[shifted(NIGHT, 1)].sketch.outcomes == {}
    know(world, night, shifted(NIGHT, 2), worn=0.5)
    run(world, gather(world, 2))
    assert world.quality.nights[shifted(NIGHT, 2)].sketch.outcomes == {"kept": CASES // 2, "worn": CASES // 2}
    run(world, gather(world, 3))
    assert world.quality.nights[shifted(NIGHT, 3)].sketch.outcomes == {}


def test_a_rate_of_outcomes_that_changed_is_found(world: World) -> None:
    for number in range(-6, 0):
        know(world, shifted(NIGHT, number - 1), shifted(NIGHT, number), worn=0.1)
        run(world, shifted(NIGHT, number))
    know(world, shifted(NIGHT, -1), NIGHT, worn=0.5)
    run(world, gather(world, 0))
    assert values(world, NIGHT)["outcomes"]["breached"]


def test_a_night_that_runs_late_asks_for_what_it_completes(world: World) -> None:
    for number in (0, 2):
        gather(world, number, price=130)
    world.spec = claims(drift=TERMS | {"breaches": 3})
    gather(world, 1, price=130)
    for number in (0, 2, 1):
        run(world, shifted(NIGHT, number))
    assert list(world.quality.asked) == [shifted(NIGHT, 2)]


def test_a_request_makes_a_training_due_until_there_is_one(world: World) -> None:
    asked, after, later = (shifted(NIGHT, n) for n in (3, 4, 5))

    def due(night: str) -> str | None:
        return training_due(world.spec, world.ledger, night, window(world.spec, night).start)

    assert due(after) is None
    world.ledger.asked.append((asked, "drift on 2 of 3 nights"))
    assert due(asked) is None, "the night that asks is decided already"
    assert due(after) == due(later) == "drift on 2 of 3 nights"
    world.ledger.trained.append(ModelVersion("claims", "2", after, "d" * 64, "run", {}))
    assert due(after) is None
    assert due(later) is None
