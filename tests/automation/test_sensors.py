"""What landed against what was done, trainings before their nights, and failures that tell somebody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from pipeline_project.automation.progress import landed_tag, night_states, taken_at
from pipeline_project.automation.sensors import NIGHTS_A_TICK, build_run_sensors, next_command
from pipeline_project.domain.core.errors import LakeRefused
from pipeline_project.domain.core.model_version import ModelVersion
from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.core.run_tags import KILLED
from pipeline_project.domain.intake.due_nights import is_done, looked_back_too_early
from pipeline_project.partitions import last_ended, window
from pipeline_project.workflow import build_workflow
from tests.dagster_internals import SensorExecutionData, create_run_for_test
from tests.doubles import FIELDS, NEXT, NIGHT, WARM, MemoryLedger, World, arrival, claims

DAEMON = {"dagster/run_key": "k"}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def world() -> World:
    """Two nights have landed; the model of the first decided night is there, so that no training is due."""
    world = World()
    world.sources.prints = {NIGHT: "a", NEXT: "b"}
    world.ledger.trained = [model(NIGHT), model(NEXT)]
    return world


def model(night: str) -> ModelVersion:
    return ModelVersion("claims", night, night, "d" * 64, "run", {})


def tick(world: World, instance: dg.DagsterInstance, kind: str = "landing") -> list[dg.RunRequest]:
    """The runs that a sensor asks for."""
    definitions = dg.Definitions.merge(build_workflow(world.spec), dg.Definitions(resources=world.resources()))
    sensor = definitions.resolve_sensor_def(f"claims_{kind}")
    with dg.build_sensor_context(instance, definitions=definitions, resources=world.resources()) as context:
        return list(sensor.evaluate_tick(context).run_requests or [])


def run(
    instance: dg.DagsterInstance, world: World, night: str, status: str, kind: str = "nightly", **more: str
) -> None:
    """A run of the night for what has landed, as Dagster keeps it."""
    tags = {"dagster/partition": night, **landed_tag(world.sources.fingerprint_of(night)), **more}
    create_run_for_test(instance, job_name=f"claims_{kind}", tags=tags, status=dg.DagsterRunStatus[status])


def finish(instance: dg.DagsterInstance, world: World, night: str, *asset_names: str) -> None:
    """The materializations of a night that took in what lies there now."""
    landed = {"landed": world.sources.fingerprint_of(night)}
    for asset_name in asset_names or ("arrivals", "cases", "outcomes", "night_report"):
        said = dg.AssetMaterialization(
            ["claims", asset_name], partition=night, metadata=landed if asset_name == "arrivals" else {}
        )
        instance.report_runless_asset_event(said)


def asked(requests: list[dg.RunRequest]) -> list[tuple[str | None, str | None]]:
    return [(request.job_name, request.partition_key) for request in requests]


# -- landing -------------------------------------------------------------------------------------------------


def test_landed_nights_are_run_oldest_first(world: World, instance: dg.DagsterInstance) -> None:
    world.sources.prints[WARM] = "w"
    requests = tick(world, instance)
    assert asked(requests) == [("claims_warm_up", WARM), ("claims_nightly", NIGHT), ("claims_nightly", NEXT)]
    assert requests[1].tags["pipeline/landed"] == world.sources.fingerprint_of(NIGHT)[:60]
    assert requests[1].tags["dagster/partition"] == NIGHT
    assert [r.run_key for r in tick(world, instance)] == [r.run_key for r in requests]


def test_nights_that_are_none_of_the_workflow_s_or_have_not_ended_are_left(
    world: World, instance: dg.DagsterInstance
) -> None:
    today = shifted(last_ended(world.spec, datetime.now(UTC)), 1)
    world.sources.prints = {"2025-02-19": "before the first", today: "today", shifted(today, 2): "to come"}
    assert tick(world, instance) == []


def test_whether_a_night_has_ended_goes_by_the_databases_clock(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon's own clock says that both nights are long over."""
    in_the_night = window(world.spec, NEXT).end - timedelta(minutes=2)
    monkeypatch.setattr(MemoryLedger, "now", lambda _: in_the_night)
    assert asked(tick(world, instance)) == [("claims_nightly", NIGHT)]


def test_what_is_done_is_not_run_again(world: World, instance: dg.DagsterInstance) -> None:
    finish(instance, world, NIGHT)
    assert asked(tick(world, instance)) == [("claims_nightly", NEXT)]


@pytest.mark.parametrize("killed_after", [("arrivals",), ("arrivals", "cases"), ("arrivals", "cases", "outcomes")])
def test_a_night_that_was_killed_is_run_again(
    world: World, instance: dg.DagsterInstance, killed_after: tuple[str, ...]
) -> None:
    finish(instance, world, NIGHT, *killed_after)
    assert ("claims_nightly", NIGHT) in asked(tick(world, instance))


def test_a_late_file_brings_a_night_back(world: World, instance: dg.DagsterInstance) -> None:
    for night in (NIGHT, NEXT):
        finish(instance, world, night)
    assert tick(world, instance) == []
    world.sources.prints[NIGHT] = "a, and late"
    assert asked(tick(world, instance)) == [("claims_nightly", NIGHT)]


def late(world: World, instance: dg.DagsterInstance, cursor: str | None = None) -> SensorExecutionData:
    definitions = dg.Definitions.merge(build_workflow(world.spec), dg.Definitions(resources=world.resources()))
    sensor = definitions.resolve_sensor_def("claims_late")
    with dg.build_sensor_context(
        instance, cursor=cursor, definitions=definitions, resources=world.resources()
    ) as context:
        return sensor.evaluate_tick(context)


def test_a_night_that_something_landed_for_is_told_as_stale_once(world: World, instance: dg.DagsterInstance) -> None:
    for night in (NIGHT, NEXT):
        finish(instance, world, night)
    assert late(world, instance).asset_events == []
    world.sources.prints[NIGHT] = "a, and late"
    (event,) = late(world, instance).asset_events
    assert isinstance(event, dg.AssetCheckEvaluation)
    assert (event.partition, event.passed, event.check_name) == (NIGHT, False, "landed_as_expected")
    assert "after it was run" in world.ledger.alerts[f"landed_late/{NIGHT}"]["message"]
    assert late(world, instance).asset_events == [], "the alert is open"
    assert not late(world, instance).run_requests


def query(world: World) -> World:
    """The same workflow over a query, which cannot say for which nights it has rows."""
    source = {"kind": "sql", "url_variable": "PIPELINE_SECRET_CLAIMS", "query": "SELECT 1 WHERE :start < :end"}
    world.spec = claims(source=source)
    world.sources.nights_landed = lambda: []  # type: ignore[method-assign]
    return world


def test_nights_of_a_query_are_asked_again_after_they_were_run(world: World, instance: dg.DagsterInstance) -> None:
    query(world)
    for night in (NIGHT, NEXT):
        finish(instance, world, night)
    assert tick(world, instance) == []
    world.sources.prints[NIGHT] = "rows that came late"
    assert asked(tick(world, instance)) == [("claims_nightly", NIGHT)]
    assert [event.partition for event in late(world, instance).asset_events] == [NIGHT]


def test_a_query_that_tells_its_nights_starts_them(world: World, instance: dg.DagsterInstance) -> None:
    told = "SELECT 1 WHERE :start < :end"
    source = {"kind": "sql", "url_variable": "PIPELINE_SECRET_CLAIMS", "query": told, "landed": told}
    world.spec = claims(source=source)
    assert [night for _, night in asked(tick(world, instance))] == [NIGHT, NEXT]
    nights = [shifted(NIGHT, day) for day in range(40)]
    for night in nights:
        world.sources.prints[night] = night
        finish(instance, world, night)
    assert tick(world, instance) == []
    world.sources.prints[nights[25]] = "rows that came late"
    assert asked(tick(world, instance)) == [("claims_nightly", nights[25])]
    assert [event.partition for event in late(world, instance).asset_events] == [nights[25]], "no night waits its turn"


def test_old_nights_of_a_query_are_asked_in_turns(world: World, instance: dg.DagsterInstance) -> None:
    query(world)
    nights = [shifted(NIGHT, day) for day in range(40)]
    for night in nights:
        world.sources.prints[night] = night
        finish(instance, world, night, "arrivals")
    world.sources.prints[nights[25]] = "late"
    found = [late(world, instance, str(turn)) for turn in range(2)]
    assert [len(each.asset_events) for each in found] == [0, 1]
    assert [each.cursor for each in found] == ["1", "2"]


# -- photos that land late -----------------------------------------------------------------------------------


@pytest.fixture
def pictured(instance: dg.DagsterInstance) -> World:
    """Sixty nights with photos, all done."""
    world = World(spec=claims(fields={**FIELDS, "photos": {"type": "image", "many": True, "required": False}}))
    assert "image" in world.spec.encoders
    for night in nights_of(60):
        world.sources.prints[night] = night
        world.sources.photo_prints[night] = f"photos of {night}"
        finish(instance, world, night, "arrivals", "cases", "outcomes", "night_report")
        embedded(instance, world, night)
    return world


def nights_of(count: int) -> list[str]:
    return [shifted(NIGHT, day) for day in range(count)]


def embedded(instance: dg.DagsterInstance, world: World, night: str, late: bool = False) -> None:
    """The photos of a night were read as they lie there now."""
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            ["claims", "embeddings"],
            partition=night,
            metadata={"landed": str(world.sources.photo_prints.get(night)), "late": late},
        )
    )


def test_a_photo_that_lands_late_makes_its_night_stale_and_brings_it_back_once(
    pictured: World, instance: dg.DagsterInstance
) -> None:
    night = nights_of(60)[-3]
    assert tick(pictured, instance) == [] and late(pictured, instance).asset_events == []
    pictured.sources.photo_prints[night] = "one more"
    (event,) = late(pictured, instance).asset_events
    assert isinstance(event, dg.AssetCheckEvaluation) and (event.partition, event.passed) == (night, False)
    assert f"landed_late/{night}" in pictured.ledger.alerts
    (wanted,) = tick(pictured, instance)
    assert wanted.partition_key == night
    assert tick(pictured, instance)[0].run_key == wanted.run_key, "Dagster never launches a key again"
    finish(instance, pictured, night, "arrivals", "cases", "outcomes", "night_report")
    embedded(instance, pictured, night)
    assert tick(pictured, instance) == []
    pictured.ledger.alerts.clear()
    assert late(pictured, instance).asset_events == []


def test_a_night_whose_photos_fail_it_is_not_run_for_ever(pictured: World, instance: dg.DagsterInstance) -> None:
    night = nights_of(60)[-1]
    pictured.sources.photo_prints[night] = "one more"
    for _ in range(3):
        (wanted,) = tick(pictured, instance)
        tags = {"dagster/partition": night, **wanted.tags}
        create_run_for_test(instance, job_name="claims_nightly", tags=tags, status=dg.DagsterRunStatus.FAILURE)
    assert tick(pictured, instance) == []
    pictured.sources.photo_prints[night] = "another one"
    assert [request.partition_key for request in tick(pictured, instance)] == [night]


def test_photos_of_the_latest_nights_are_looked_at_and_the_others_in_turns(
    pictured: World, instance: dg.DagsterInstance
) -> None:
    looked: list[list[str]] = []
    for turn in range(3):
        pictured.sources.photos_looked_at.clear()
        assert late(pictured, instance, str(turn)).cursor == str(turn + 1)
        looked.append(list(pictured.sources.photos_looked_at))
    assert [len(each) for each in looked] == [27, 27, 20] and all(len(set(each)) == len(each) for each in looked)
    assert all(each[-7:] == nights_of(60)[-7:] for each in looked) and set().union(*looked) == set(nights_of(60))
    pictured.sources.photo_prints[nights_of(60)[0]] = "old, and late"
    assert [len(late(pictured, instance, str(turn)).asset_events) for turn in (1, 0)] == [0, 1]


def test_a_night_whose_photos_were_not_stamped_yet_is_left_alone(pictured: World, instance: dg.DagsterInstance) -> None:
    night = nights_of(60)[-1]
    instance.report_runless_asset_event(dg.AssetMaterialization(["claims", "embeddings"], partition=night))
    pictured.sources.photo_prints[night] = "whatever"
    assert tick(pictured, instance) == [] and late(pictured, instance).asset_events == []


def test_without_photos_none_are_looked_at(world: World, instance: dg.DagsterInstance) -> None:
    for night in (NIGHT, NEXT):
        finish(instance, world, night)
    tick(world, instance)
    late(world, instance)
    assert world.sources.photos_looked_at == []


def test_nights_after_one_whose_photos_came_late_are_marked(pictured: World, instance: dg.DagsterInstance) -> None:
    first, *others = nights_of(60)[-4:]
    embedded(instance, pictured, first, late=True)
    assert looked_back_too_early(taken_at(instance, pictured.spec, nights_of(60))) == others


def test_arrivals_taken_in_after_the_night_went_through_call_for_the_rest(
    world: World, instance: dg.DagsterInstance
) -> None:
    finish(instance, world, NIGHT)
    finish(instance, world, NIGHT, "arrivals")
    assert ("claims_nightly", NIGHT) in asked(tick(world, instance))


@pytest.mark.parametrize("status", ["FAILURE", "CANCELED", "SUCCESS"])
def test_a_repeated_attempt_has_a_key_of_its_own(world: World, instance: dg.DagsterInstance, status: str) -> None:
    first = {r.partition_key: r.run_key for r in tick(world, instance)}
    run(instance, world, NIGHT, status)
    second = {r.partition_key: r.run_key for r in tick(world, instance)}
    assert second[NIGHT] != first[NIGHT]
    assert second[NEXT] == first[NEXT]


@pytest.mark.parametrize("status", ["FAILURE", "CANCELED"])
def test_after_three_failures_a_person_has_to_look(world: World, instance: dg.DagsterInstance, status: str) -> None:
    for _ in range(3):
        assert NIGHT in {r.partition_key for r in tick(world, instance)}
        run(instance, world, NIGHT, status)
    assert NIGHT not in {r.partition_key for r in tick(world, instance)}
    world.sources.prints[NIGHT] = "repaired"
    assert NIGHT in {r.partition_key for r in tick(world, instance)}, "new content starts anew"


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_a_night_that_is_running_is_not_started_beside_itself(
    world: World, instance: dg.DagsterInstance, status: str
) -> None:
    # the schedule's own run says nothing of what has landed
    tags = {"dagster/partition": NIGHT, **DAEMON}
    create_run_for_test(instance, job_name="claims_nightly", tags=tags, status=dg.DagsterRunStatus[status])
    assert asked(tick(world, instance)) == [("claims_nightly", NEXT)]


def test_a_run_that_died_with_the_command_that_started_it_blocks_nothing(
    world: World, instance: dg.DagsterInstance
) -> None:
    run(instance, world, NIGHT, "STARTED")
    assert ("claims_nightly", NIGHT) in asked(tick(world, instance))


def test_a_backlog_is_started_in_portions(world: World, instance: dg.DagsterInstance) -> None:
    nights = [shifted("2025-05-02", n) for n in range(NIGHTS_A_TICK + 5)]
    world.sources.prints = dict.fromkeys(nights, "x")
    world.ledger.trained = [model(night) for night in nights]
    assert [r.partition_key for r in tick(world, instance)] == nights[:NIGHTS_A_TICK]


def test_the_training_that_a_night_calls_for_goes_before_it(world: World, instance: dg.DagsterInstance) -> None:
    world.ledger.trained = []
    requests = tick(world, instance)
    assert asked(requests) == [("claims_retrain", NIGHT), ("claims_nightly", NIGHT), ("claims_nightly", NEXT)]
    assert requests[0].tags["pipeline/why"] == "the first night that is decided"
    run(instance, world, NIGHT, "STARTED", "retrain", **DAEMON)
    assert asked(tick(world, instance)) == [("claims_nightly", NIGHT), ("claims_nightly", NEXT)]


def test_the_state_of_nights_is_read_for_a_command_too(world: World, instance: dg.DagsterInstance) -> None:
    finish(instance, world, NIGHT)
    run(instance, world, NEXT, "FAILURE")
    states = night_states(instance, world.spec, world.sources, [NIGHT, NEXT])
    assert (is_done(states[NIGHT]), is_done(states[NEXT])) == (True, False)
    assert (states[NEXT].taken, states[NEXT].failures, states[NEXT].attempts) == (None, 1, 1)


# -- training ------------------------------------------------------------------------------------------------


def test_enough_new_outcomes_call_for_a_training(world: World, instance: dg.DagsterInstance) -> None:
    world.ledger.trained = [model(NIGHT)]
    known = datetime(2025, 3, 5, tzinfo=UTC)
    world.ledger.known = [(f"c{i}", "kept", known) for i in range(49)]
    if datetime.now(UTC).day != 2:  # the night that ended is the first of its month, which is due without outcomes
        assert tick(world, instance, "new_outcomes") == []
    world.ledger.known.append(("c49", "worn", known))
    (request,) = tick(world, instance, "new_outcomes")
    night = str(request.partition_key)
    assert request.job_name == "claims_retrain"

    create_run_for_test(
        instance,
        job_name="claims_retrain",
        tags={"dagster/partition": night},
        status=dg.DagsterRunStatus.FAILURE,
    )
    (again,) = tick(world, instance, "new_outcomes")
    assert again.run_key != request.run_key
    world.ledger.trained.append(model(night))
    assert tick(world, instance, "new_outcomes") == []


# -- alerts --------------------------------------------------------------------------------------------------


def execute(world: World, instance: dg.DagsterInstance, kind: str, night: str) -> dg.ExecuteInProcessResult:
    definitions = dg.Definitions.merge(build_workflow(world.spec), dg.Definitions(resources=world.resources()))
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    job = definitions.resolve_job_def(f"claims_{kind}")
    return job.execute_in_process(quiet, instance=instance, partition_key=night, raise_on_error=False)


def tell(world: World, instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> None:
    """The run's end reaches the sensors."""
    sensors = {sensor.name: sensor for sensor in build_run_sensors([world.spec])}
    event = result.get_run_success_event() if result.success else result.get_run_failure_event()
    name = "recovered_runs" if result.success else "failed_runs"
    context = dg.build_run_status_sensor_context(name, event, instance, result.dagster_run, resources=world.resources())
    sensors[name](context if result.success else context.for_run_failure())


def test_a_failed_night_tells_its_owner_what_to_do_until_it_goes_through(
    world: World, instance: dg.DagsterInstance
) -> None:
    world.sources.rows[NIGHT] = [arrival(NIGHT, i, "cheap") for i in range(3)]
    failed = execute(world, instance, "nightly", NIGHT)
    assert not failed.success
    tell(world, instance, failed)
    alert = world.ledger.alerts[f"nightly/{NIGHT}"]
    assert (alert["workflow"], alert["kind"], alert["owner"]) == ("claims", "run_failed", "team:claims")
    assert alert["next_command"] == f"pipeline nights claims --from {NIGHT} --to {NIGHT}"
    assert "night_is_sound" in alert["message"]
    assert failed.run_id in alert["message"]

    world.sources.rows[NIGHT] = [arrival(NIGHT, i) for i in range(3)]
    mended = execute(world, instance, "nightly", NIGHT)
    assert mended.success
    tell(world, instance, mended)
    # without a model nobody but people decides, which is a matter of its own
    assert set(world.ledger.alerts) == {"concern/no_champion"}


def test_an_alert_says_what_the_error_says_to_do(
    world: World, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise LakeRefused("cannot write to /full: there is no room left; free some")

    monkeypatch.setattr(MemoryLedger, "begin_attempt", full)
    failed = execute(world, instance, "nightly", NIGHT)
    assert not failed.success
    tell(world, instance, failed)
    message = world.ledger.alerts[f"nightly/{NIGHT}"]["message"]
    assert message.endswith(f"run {failed.run_id}: cannot write to /full: there is no room left; free some")


def test_a_run_whose_process_was_killed_for_memory_says_so_in_its_alert(
    world: World, instance: dg.DagsterInstance
) -> None:
    run = create_run_for_test(
        instance, "claims_nightly", tags={"dagster/partition": NIGHT, KILLED: "3"}, status=dg.DagsterRunStatus.STARTED
    )
    event = instance.report_run_failed(run, "killed")
    sensors = {sensor.name: sensor for sensor in build_run_sensors([world.spec])}
    context = dg.build_run_status_sensor_context("failed_runs", event, instance, run, resources=world.resources())
    sensors["failed_runs"](context.for_run_failure())
    alert = world.ledger.alerts[f"nightly/{NIGHT}"]
    assert "at the run itself" in alert["message"]
    assert "exit code 137" in alert["message"]
    assert "with 1/4 of a batch; give the machine more memory" in alert["message"]
    assert alert["next_command"] == f"pipeline nights claims --from {NIGHT} --to {NIGHT}"


def test_a_warm_up_night_that_went_through_closes_its_alert(world: World, instance: dg.DagsterInstance) -> None:
    world.ledger.alerts = {f"warm_up/{WARM}": {}, f"nightly/{NIGHT}": {}}
    tell(world, instance, execute(world, instance, "warm_up", WARM))
    assert set(world.ledger.alerts) == {f"nightly/{NIGHT}"}


@pytest.mark.parametrize(
    ("job", "night", "command"),
    [
        ("claims_nightly", NIGHT, f"pipeline nights claims --from {NIGHT} --to {NIGHT}"),
        ("claims_warm_up", WARM, f"pipeline nights claims --from {WARM} --to {WARM}"),
        ("claims_retrain", NIGHT, f"pipeline nights claims --from {NIGHT} --to {NIGHT} --retrain"),
        ("claims_nightly", "", "pipeline status"),
    ],
)
def test_the_next_command(world: World, job: str, night: str, command: str) -> None:
    assert next_command(world.spec, job, night) == command
