"""Shadow, canary, and the watch over whoever decides; a challenger never harms the night."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import numpy as np
import pytest

from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.lifecycle.rollout.stages import NightModels, Stage, StageKind, Watched, chosen
from pipeline_project.domain.models.trained import Prediction, TrainedModel
from tests.doubles import NEXT, NIGHT, WARM, World, arrival, checks, claims, logged, metadata

OLD = ModelVersion("claims", "1", WARM, "d" * 64, "run", {})
NEW = ModelVersion("claims", "2", WARM, "e" * 64, "run", {})
CASES = 40
KNOWN = datetime(2025, 3, 1, 12, tzinfo=UTC)


class Model:
    """Says of every case that it is kept, with the chance its file names."""

    labels = ("kept", "worn")

    def __init__(self, kept: float) -> None:
        self.kept = kept

    def predict(self, table: Any) -> Prediction:
        if self.kept < 0:
            raise RuntimeError("a field that only the challenger has")
        return Prediction(np.tile([self.kept, 1 - self.kept], (len(table), 1)), [[]] * len(table), [None] * len(table))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Forty cases for a champion that trusts everybody and a challenger that trusts nobody."""
    monkeypatch.setattr(TrainedModel, "from_files", lambda files, device="cpu": Model(float(files["kept"])))
    world = World(spec=claims(review={"cost": 4, "capacity": CASES, "exploration": 1.0}))
    world.sources.rows[NIGHT] = [arrival(NIGHT, i, "100") for i in range(CASES)]
    world.gather(NIGHT)
    world.registry.files |= {"1": {"kept": b"0.99"}, "2": {"kept": b"0.01"}}
    world.ledger.champions.append((WARM, OLD, "first"))
    return world


def rolling(world: World, kind: StageKind, share: float = 0.0) -> None:
    world.live.models = NightModels(OLD, NEW, Stage(kind, share), None, NIGHT)


def versions(world: World, asset_name: str) -> dict[str, str]:
    return {row["case_id"]: row["model_version"] for row in world.table(asset_name)}


@pytest.mark.parametrize("over", [True, False])
def test_a_rollout_that_is_over_is_ended_by_the_night_that_finds_it_so(world: World, over: bool) -> None:
    world.live.models = NightModels(OLD, to_complete=over)
    assert world.run(NIGHT, "scores").success
    assert world.live.completed == [NIGHT] * over


def test_in_shadow_the_challenger_says_its_word_and_the_champion_decides(world: World) -> None:
    rolling(world, StageKind.SHADOW)
    assert world.run(NIGHT, "scores", "shadow_scores").success
    assert set(versions(world, "scores").values()) == {"1"}
    assert set(versions(world, "shadow_scores").values()) == {"2"}
    assert len(versions(world, "shadow_scores")) == CASES


def test_in_a_canary_each_decides_its_share_and_the_other_says_its_word(world: World) -> None:
    rolling(world, StageKind.CANARY, 0.3)
    result = world.run(NIGHT, "scores", "shadow_scores", "decisions")
    assert result.success
    by_case, beside = versions(world, "scores"), versions(world, "shadow_scores")
    mine = dict(zip(by_case, chosen("claims", "2", list(by_case), 0.3), strict=True))
    assert {case for case, version in by_case.items() if version == "2"} == {case for case in by_case if mine[case]}
    assert 0 < sum(mine.values()) < CASES
    assert {by_case[case] + beside[case] for case in by_case} == {"12", "21"}
    assert versions(world, "decisions") == by_case
    assert metadata(result, "scores")["model_version"] == "1, 2"


def test_without_a_rollout_nobody_says_a_word_beside(world: World) -> None:
    assert world.run(NIGHT, "scores", "shadow_scores").success
    assert world.table("shadow_scores") == []


@pytest.mark.parametrize("broken", ["missing", "fields"])
@pytest.mark.parametrize("kind", [StageKind.SHADOW, StageKind.CANARY])
def test_a_challenger_that_cannot_be_used_never_harms_the_night(world: World, broken: str, kind: StageKind) -> None:
    if broken == "missing":
        del world.registry.files["2"]
    else:
        world.registry.files["2"] = {"kept": b"-1"}
    rolling(world, kind, 0.5)
    result = world.run(NIGHT, "scores", "shadow_scores", "decisions")
    assert result.success
    assert set(versions(world, "scores").values()) == {"1"}
    assert not [row for row in world.table("scores") if row["problem"]]
    assert world.table("shadow_scores") == []
    (alert,) = [alert for alert in world.ledger.open_alerts() if alert.kind == "challenger_unavailable"]
    assert alert.owner == "team:claims"
    assert alert.next_command.startswith("pipeline rollback claims")


def test_when_the_policy_is_closed_every_case_goes_to_a_person(world: World) -> None:
    world.live.models = NightModels(OLD, closed="too wrong")
    with dg.DagsterInstance.ephemeral() as instance:
        result = world.run(NIGHT, "scores", "shadow_scores", "decisions", instance=instance)
        told = logged(result, instance)
    assert result.success
    assert {(row["option"], row["reason"]) for row in world.table("decisions")} == {("ask_person", "policy_closed")}
    assert [level for level, text in told if "policy is closed (too wrong)" in text] == ["WARNING"]


def swapped(world: World) -> None:
    """The champion trusts nobody and the challenger everybody."""
    world.registry.files |= {"1": {"kept": b"0.01"}, "2": {"kept": b"0.99"}}


def known(world: World, label: str) -> None:
    world.ledger.known += [(row["case_id"], label, KNOWN) for row in world.table("cases")]


def test_a_challenger_that_does_worse_is_withdrawn_and_only_once(world: World) -> None:
    swapped(world)
    rolling(world, StageKind.CANARY, 0.3)
    world.live.watching = (Watched("1", NIGHT, None), Watched("2", NIGHT, None, True, "1"))
    assert world.run(NIGHT, "scores", "shadow_scores", "decisions").success
    known(world, "worn")
    result = world.run(NIGHT, "live_check")
    assert result.success, "a breach does not stop the night"
    assert checks(result) == {"keeps_its_promise": False}
    ((version, at_night, reason),) = world.live.withdrawn
    assert (version, at_night) == ("2", NEXT)
    assert "costs more" in reason
    world.run(NIGHT, "live_check")
    assert len(world.live.withdrawn) == 1
    assert world.live.breaches == [], "the champion kept what it promised"
    assert [alert.kind for alert in world.ledger.open_alerts()] == ["challenger_withdrawn"]


def test_a_challenger_that_does_better_goes_on(world: World) -> None:
    swapped(world)
    rolling(world, StageKind.CANARY, 0.3)
    world.live.watching = (Watched("1", NIGHT, None), Watched("2", NIGHT, None, True, "1"))
    assert world.run(NIGHT, "scores", "shadow_scores", "decisions").success
    known(world, "kept")
    result = world.run(NIGHT, "live_check")
    assert checks(result) == {"keeps_its_promise": True}
    assert world.live.withdrawn == []
    assert {check.kind: check.seen for check in world.live.checks if check.version == "2"}["money"] == CASES


def test_a_champion_that_breaks_its_promise_is_answered_once_and_told(world: World) -> None:
    world.live.watching = (Watched("1", NIGHT, 0.05),)
    assert world.run(NIGHT, "scores", "shadow_scores", "decisions").success
    known(world, "worn")
    for _ in range(2):
        result = world.run(NIGHT, "live_check")
        assert result.success
        assert checks(result) == {"keeps_its_promise": False}
    ((version, reason),) = world.live.breaches
    assert version == "1"
    assert "40 of 40 judged decisions were wrong" in reason
    (alert,) = world.ledger.open_alerts()
    assert (alert.kind, alert.owner) == ("promise_broken", "team:claims")
    assert alert.next_command == "pipeline recall claims --model 1 --dry-run"


def test_what_is_not_known_by_the_end_of_the_night_says_nothing_yet(world: World) -> None:
    world.live.watching = (Watched("1", NIGHT, 0.05),)
    assert world.run(NIGHT, "scores", "shadow_scores", "decisions").success
    world.ledger.known += [(row["case_id"], "worn", datetime(2025, 3, 5, tzinfo=UTC)) for row in world.table("cases")]
    result = world.run(NIGHT, "live_check")
    assert checks(result) == {"keeps_its_promise": True}
    assert [(check.seen, check.breached) for check in world.live.checks] == [(0, False)]


def test_a_champion_that_promised_nothing_is_counted_and_never_breached(world: World) -> None:
    world.live.watching = (Watched("1", NIGHT, None),)
    assert world.run(NIGHT, "scores", "shadow_scores", "decisions").success
    known(world, "worn")
    assert checks(world.run(NIGHT, "live_check")) == {"keeps_its_promise": True}
    assert [(check.seen, check.errors) for check in world.live.checks] == [(CASES, CASES)]


def test_nobody_is_watched_in_a_warm_up(world: World) -> None:
    world.live.watching = (Watched("1", WARM, 0.05),)
    assert world.run(WARM, "live_check").success
    assert world.live.checks == []
