"""A step is tried again where waiting can help, and fails at once where a person has to mend something first."""

from __future__ import annotations

from collections import Counter
from typing import Any

import dagster as dg
import pytest

from assets.common import RETRIES, UNKNOWN_AGAIN, PassingReasons
from pipeline_project.commands.shared.night_runner import interrupted
from pipeline_project.domain.core import errors
from pipeline_project.domain.core.errors import PipelineError, waits_for_a_person
from pipeline_project.workflow import build_assets, build_workflow
from tests.doubles import claims

AT_ONCE = PassingReasons(max_retries=2, delay=0)
KINDS = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, PipelineError)]
PASSING = [errors.SourceStillGrowing, errors.StaleAttempt, errors.DatabaseUnreachable, errors.LakeUnavailable]
LASTING = [errors.NightMissing, errors.SourceUnreadable, errors.LakeSchemaChanged, errors.NightBlocked]


class Door(dg.IOManager):
    """Raises where it is told to, and counts how often it was asked."""

    def __init__(self, where: str, error: BaseException) -> None:
        self.where, self.error, self.asked = where, error, Counter[str]()

    def met(self, where: str) -> None:
        self.asked[where] += 1
        if where == self.where:
            raise self.error

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        if context.asset_key.path[-1] == "later":
            self.met("writing")

    def load_input(self, context: dg.InputContext) -> int:
        self.met("reading")
        return 1


def run(receiver: Door, policy: PassingReasons = AT_ONCE) -> dg.ExecuteInProcessResult:
    @dg.asset(retry_policy=policy)
    def earlier() -> int:
        return 1

    @dg.asset(retry_policy=policy)
    def later(earlier: int) -> int:
        receiver.met("computing")
        return earlier

    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return dg.materialize([earlier, later], resources={"io_manager": receiver}, raise_on_error=False, run_config=quiet)


@pytest.mark.parametrize("where", ["reading", "computing", "writing"])
@pytest.mark.parametrize("kind", [*PASSING, *LASTING, OSError])
def test_it_is_tried_again_for_passing_reasons_only(where: str, kind: type[Exception]) -> None:
    receiver = Door(where, kind("what happened, and what to do"))
    result = run(receiver)
    assert not result.success
    assert receiver.asked[where] == (1 if kind in LASTING else 3)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    error = failure.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    assert error is not None
    assert error.cls_name == kind.__name__
    assert "what to do" in error.message


@pytest.mark.parametrize(("kind", "asked"), [(OSError, UNKNOWN_AGAIN + 1), (errors.LakeUnavailable, 10)])
def test_what_is_none_of_ours_is_tried_less_often(kind: type[Exception], asked: int) -> None:
    receiver = Door("computing", kind("what happened, and what to do"))
    assert not run(receiver, PassingReasons(max_retries=9, delay=0)).success
    assert receiver.asked["computing"] == asked


def test_half_a_minute_away_costs_no_night() -> None:
    assert sum(RETRIES.calculate_delay(tried) for tried in range(1, RETRIES.max_retries + 1)) > 30


def test_a_run_that_somebody_stops_does_not_begin_its_step_again() -> None:
    receiver = Door("computing", KeyboardInterrupt())
    result = run(receiver)
    assert receiver.asked["computing"] == 1
    assert interrupted(result.all_events)
    assert not interrupted(run(Door("computing", OSError())).all_events)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_says_whether_waiting_mends_it(kind: type[PipelineError]) -> None:
    assert waits_for_a_person(kind.__name__) is not kind.passing


def test_what_is_none_of_ours_may_pass() -> None:
    assert not waits_for_a_person("OSError")
    assert not waits_for_a_person("ClassVar")


def test_every_asset_of_a_workflow_is_tried_again_like_that() -> None:
    policies = {asset.op.name: asset.op.retry_policy for asset in build_assets(claims())}
    assert [name for name, policy in policies.items() if policy is not RETRIES] == []


def test_every_check_of_a_workflow_is_tried_again_like_that() -> None:
    checks = build_workflow(claims()).asset_checks or ()
    policies = {check.op.name: check.op.retry_policy for check in checks if isinstance(check, dg.AssetsDefinition)}
    assert policies
    assert [name for name, policy in policies.items() if policy is not RETRIES] == []
