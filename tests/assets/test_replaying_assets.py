"""Replays: nights as they were, candidates by their slugs, and nothing but the replay's own row and page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
import yaml

from assets.replaying import build_replay, candidates, replay_challenger
from pipeline_project.domain.core.errors import ModelUnavailable, ReplayRefused
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.models.trained import Prediction, TrainedModel
from pipeline_project.services.candidates import Candidate, candidate_of, mature_span, named_candidate
from pipeline_project.services.in_turn import InTurn
from pipeline_project.services.past_nights import gather, keep_replay, run_replay
from pipeline_project.spec.load import load_spec
from tests.doubles import NEXT, NIGHT, WARM, MemoryRegistry, World, arrival, claims, metadata

MODEL = ModelVersion("claims", "1", WARM, "d" * 64, "run", {})
NEWER = ModelVersion("claims", "2", NEXT, "e" * 64, "run", {}, knows_until=NIGHT)
LATER = datetime(2025, 4, 1, tzinfo=UTC)
SPAN = (NIGHT, NEXT)


class Model:
    """What is dear is worn; how sure it is of that hangs on the version."""

    labels = ("kept", "worn")

    def __init__(self, worn: float) -> None:
        self.worn = worn
        self.seen: list[float] = []

    def predict(self, table: Any, explain: bool = True) -> Prediction:
        prices = table.numbers[:, list(table.number_names).index("price")]
        self.seen += prices.tolist()
        worn = np.where(prices > 20, self.worn, 0.01)
        nothing: list[list[str]] = [[] for _ in prices]
        return Prediction(np.column_stack([1 - worn, worn]), nothing, [None] * len(prices))


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[bytes, Model]:
    made = {b"1": Model(0.02), b"2": Model(0.9)}
    monkeypatch.setattr(TrainedModel, "from_files", lambda files, device="cpu": made[files["model"]])
    return made


@pytest.fixture
def world(models: dict[bytes, Model]) -> World:
    """Two nights decided by version 1, all outcomes known two days later; version 2 wants to decide."""
    world = World(claims(review={"cost": 4, "capacity": 1}, gates={"effective": 2, "slice_cases": 10}))
    world.registry = MemoryRegistry({"1": {"model": b"1"}, "2": {"model": b"2"}}, versions=[MODEL, NEWER])
    world.ledger.champions.append((WARM, MODEL, "first"))
    for night in (NIGHT, NEXT):
        world.sources.rows[night] = [arrival(night, i, str(10 * (i + 1))) for i in range(5)]
        world.gather(night)
        assert world.run(night, "scores", "decisions").success
        world.ledger.known += [
            (f"C{night[-5:]}-{i}", "worn" if i > 2 else "kept", datetime(2025, 3, 5, tzinfo=UTC)) for i in range(5)
        ]
    return world


def replayed(world: World, candidate: Candidate, span: tuple[str, str] = SPAN, **more: Any) -> Any:
    return run_replay(world.spec, world.lake, world.ledger, world.registry, candidate, span, LATER, **more).result


def test_the_champion_against_itself_flips_nothing(world: World) -> None:
    result = replayed(world, Candidate("v1", MODEL))
    assert (result.cases, result.known, result.flips) == (10, 10, {})
    assert result.base == result.candidate
    assert (result.nights, result.immature, result.encoded) == (SPAN, (), 0)


def test_a_challenger_beside_what_was_decided(world: World) -> None:
    result = replayed(world, Candidate("v2", NEWER))
    assert (result.base.model_version, result.candidate.model_version) == ("1", "2")
    assert result.flipped > 0
    assert result.money is not None
    assert result.seconds > 0
    assert {slice.name.split("=")[0] for slice in result.slices} == {"price"}


def test_a_night_that_was_written_again_is_read_as_it_was(world: World, models: dict[bytes, Model]) -> None:
    before = gather(world.spec, world.lake, world.ledger, *SPAN)
    cases = world.lake.tables["claims", "cases"][NIGHT]
    dearer = cases.set_column(cases.column_names.index("price"), "price", pa.array([999.0] * len(cases)))
    world.lake.write_night("claims", "cases", NIGHT, dearer.slice(0, 3))
    after = gather(world.spec, world.lake, world.ledger, *SPAN)
    assert after.cases.to_pylist() == before.cases.to_pylist()
    models[b"1"].seen.clear()
    assert replayed(world, Candidate("v1", MODEL)).flips == {}
    assert 999.0 not in models[b"1"].seen


def test_a_case_decided_later_is_read_as_of_its_own_decision(world: World) -> None:
    cases = world.lake.tables["claims", "cases"][NIGHT]
    late = cases.slice(0, 1).set_column(1, cases.schema.field("case_id"), pa.array(["L-1"]))
    world.lake.write_night("claims", "cases", NIGHT, pa.concat_tables([cases, late]))
    first = world.ledger.decisions["C03-01-0"]
    second = {**first, "case_id": "L-1", "data_versions": {"claims/cases": 2}}
    world.ledger.decisions["L-1"] = second
    past = gather(world.spec, world.lake, world.ledger, *SPAN)
    assert set(past.cases["case_id"].to_pylist()[:6]) == {*(f"C03-01-{i}" for i in range(5)), "L-1"}
    assert past.standing["case_id"].tolist() == past.cases["case_id"].to_pylist()


def test_nights_nobody_wrote_again_are_read_together(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def alone(*_: Any, **__: Any) -> None:
        raise AssertionError("a night was read alone")

    monkeypatch.setattr(world.lake, "read_night", alone)
    assert len(gather(world.spec, world.lake, world.ledger, *SPAN).cases) == 10


def test_a_decided_case_that_is_gone_from_the_lake_is_an_error(world: World) -> None:
    world.ledger.decisions["C-gone"] = {**world.ledger.decisions["C03-01-0"], "case_id": "C-gone"}
    with pytest.raises(ReplayRefused, match="1 decided cases are not in the lake"):
        gather(world.spec, world.lake, world.ledger, *SPAN)


def test_nights_of_which_the_model_knows_the_future_are_refused(world: World) -> None:
    knowing = ModelVersion("claims", "2", NEXT, "e" * 64, "run", {}, knows_until=NEXT)
    with pytest.raises(ReplayRefused, match=f"replay from {NEXT} on"):
        replayed(world, Candidate("v2", knowing))
    assert replayed(world, Candidate("v2", knowing), (NEXT, NEXT)).nights == (NEXT,)
    assert replayed(world, Candidate("v2", knowing), knows_the_future=True).nights == SPAN


def test_nights_without_a_decision_are_refused(world: World) -> None:
    with pytest.raises(ReplayRefused, match="nothing of claims was decided from 2025-03-20"):
        replayed(world, Candidate("v1", MODEL), ("2025-03-20", "2025-03-21"))


def test_a_model_for_other_labels_is_refused(world: World, models: dict[bytes, Model]) -> None:
    models[b"2"].labels = ("kept", "worn", "lost")  # type: ignore[assignment]
    with pytest.raises(ReplayRefused, match="other labels"):
        replayed(world, Candidate("v2", NEWER))


def test_a_policy_alone_takes_the_recorded_probabilities(world: World, models: dict[bytes, Model]) -> None:
    for model in models.values():
        model.seen.clear()
    free = claims(workflow="other", review={"cost": 0, "capacity": "100%"})
    result = replayed(world, Candidate("free", None, free))
    assert models[b"1"].seen == models[b"2"].seen == []
    assert result.candidate.asked > result.base.asked
    assert result.candidate.policy_hash != result.base.policy_hash


def test_a_candidate_deleted_during_the_replay_leaves_nothing_behind(world: World) -> None:
    candidate = Candidate("v2", NEWER)
    result = replayed(world, candidate)
    del world.registry.files["2"]
    world.registry.error = ModelUnavailable("version 2 has no files; train it again")
    with pytest.raises(ModelUnavailable, match="has no files"):
        keep_replay(world.spec, world.registry, world.replays, candidate, result, "me")
    assert world.replays.kept == []


def test_the_latest_nights_whose_outcomes_are_in_are_replayed_by_default(world: World) -> None:
    def span(before: str, known_before: str | None) -> tuple[str, str]:
        return mature_span(world.spec, world.lake, world.ledger, before, known_before, LATER)

    assert span("2025-03-10", None) == SPAN
    assert span(NEXT, None) == (NIGHT, NIGHT)
    assert span("2025-03-10", NEXT) == (NEXT, NEXT)
    with pytest.raises(ReplayRefused, match="has its outcomes in"):
        span(NIGHT, None)


def test_a_challenger_is_replayed_as_known_on_the_night_of_its_training(world: World) -> None:
    judged = replay_challenger(world.spec, world.lake, world.ledger, world.registry, NEWER, "2025-03-10")
    assert judged.nights == SPAN
    # outcomes came on the fifth, so on the fourth no night was mature
    with pytest.raises(ReplayRefused):
        replay_challenger(world.spec, world.lake, world.ledger, world.registry, NEWER, "2025-03-04")


class TestSlugs:
    def test_a_version_or_a_policy_or_both(self, tmp_path: Path) -> None:
        spec = claims().placed_in(tmp_path)
        registry = MemoryRegistry(versions=[MODEL])
        (tmp_path / "policies").mkdir()
        policy = tmp_path / "policies" / "cheap_warning.yaml"
        policy.write_text(yaml.safe_dump(claims().model_dump(mode="json", exclude_none=True)), encoding="utf-8")
        both = named_candidate(spec, registry, "v1--cheap_warning", load_spec)
        assert (both.name, both.model) == ("v1--cheap_warning", MODEL)
        assert both.policy is not None
        assert named_candidate(spec, registry, "v1", load_spec).policy is None
        assert named_candidate(spec, registry, "cheap_warning", load_spec).model is None
        assert candidate_of(spec, registry, "1", policy, load_spec) == both

    @pytest.mark.parametrize("name", ["", "7", "v1--", "../secrets", "v1--../x", "V1", "a b", "v1\n"])
    def test_what_is_no_slug_is_refused(self, name: str) -> None:
        with pytest.raises(ReplayRefused):
            named_candidate(claims(), MemoryRegistry(versions=[MODEL]), name, load_spec)

    def test_what_is_not_there_is_refused(self, tmp_path: Path) -> None:
        spec = claims().placed_in(tmp_path)
        with pytest.raises(ModelUnavailable, match="no version 9"):
            named_candidate(spec, MemoryRegistry(), "v9", load_spec)
        with pytest.raises(ReplayRefused, match=r"no policy file .*cheap\.yaml"):
            named_candidate(spec, MemoryRegistry(), "cheap", load_spec)
        with pytest.raises(ReplayRefused, match="needs a candidate"):
            candidate_of(spec, MemoryRegistry(), None, None, load_spec)


class TestTheAsset:
    def run(self, world: World, candidate: str, **config: Any) -> dg.ExecuteInProcessResult:
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions(f"{world.spec.name}_candidates", [candidate])
            return dg.materialize(
                [build_replay(world.spec)],
                partition_key=candidate,
                resources=world.resources(),
                instance=instance,
                raise_on_error=False,
                run_config={
                    "ops": {"claims__replay": {"config": config}},
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
            )

    def test_a_partition_is_a_candidate_and_needs_no_configuration(self, world: World) -> None:
        before = {name: dict(tables) for name, tables in world.lake.tables.items()}
        result = self.run(world, "v2")
        assert result.success
        told = metadata(result, "replay")
        assert (told["nights"], told["cases"]) == (2, 10)
        assert told["page"] == "http://pages/replays/claims/1.html"
        assert "money_per_case" in told
        kept = world.replays.kept[0]
        assert (kept["candidate"], kept["started_by"]) == ("v2", "dagster")
        assert "http://desk/why/claims/C03-0" in kept["page"]
        assert {name: dict(tables) for name, tables in world.lake.tables.items()} == before

    def test_nights_may_be_named(self, world: World) -> None:
        assert self.run(world, "v2", first=NEXT, last=NEXT).success
        assert world.replays.kept[0]["result"].nights == (NEXT,)

    def test_what_cannot_be_replayed_fails_at_once_with_words(self, world: World) -> None:
        result = self.run(world, "v2", first="2025-03-20", last="2025-03-21")
        assert not result.success
        failure = result.failure_data_for_node("claims__replay")
        assert failure is not None
        assert "nothing of claims was decided" in str(failure.user_failure_data)
        assert world.replays.kept == []

    def test_candidates_are_dynamic(self) -> None:
        assert candidates(claims()).name == "claims_candidates"


def test_nights_that_are_replayed_in_stretches_give_the_same(world: World) -> None:
    one, two = (
        replayed(world, Candidate("v2", NEWER), knows_the_future=True, workers=InTurn(at_once=stretches))
        for stretches in (1, 2)
    )
    assert one.flips and repr(replace(one, seconds=0.0)) == repr(replace(two, seconds=0.0))
