"""The sensor ticks, says what was done, starts nothing, and keeps one alert while tasks are late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import dagster as dg
import pytest

from pipeline_project.automation.review_clock import ALERT, build_review_clock
from pipeline_project.domain.core.errors import LedgerRefused
from pipeline_project.domain.core.people import Person
from pipeline_project.domain.delivery.planned_actions import ActionTerms
from pipeline_project.domain.review.due import Ticked
from pipeline_project.domain.review.new_tasks import ReviewTerms
from tests.doubles import World


@dataclass
class Clock:
    ticked: Ticked
    asked: list[str] = field(default_factory=list)

    def tick(self, terms: ReviewTerms, actions: ActionTerms, reviewers: Sequence[Person] = ()) -> Ticked:
        self.asked.append(terms.workflow)
        assert actions.workflow == terms.workflow
        return self.ticked


def tick(world: World, clock: Clock) -> str:
    sensor = build_review_clock([world.spec])
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance, resources={"reviews": clock, "ledger": world.ledger})
        said = sensor(context)
    assert isinstance(said, dg.SkipReason)
    return str(said.skip_message)


def test_it_runs_by_itself_and_says_what_was_done() -> None:
    world, clock = World(), Clock(Ticked(returned=2, reminded=1))
    sensor = build_review_clock([world.spec])
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING and sensor.minimum_interval_seconds == 60
    assert tick(world, clock) == f"{world.spec.name}: 2 returned, 1 reminded"
    assert clock.asked == [world.spec.name]
    assert tick(world, Clock(Ticked())) == "nothing is due"


def test_late_tasks_raise_one_alert_and_the_last_one_closes_it() -> None:
    world = World()
    tick(world, Clock(Ticked(escalated=3, waiting=3)))
    assert list(world.ledger.alerts) == [ALERT]
    tick(world, Clock(Ticked()))
    assert ALERT in world.ledger.closed


class Refused(Clock):
    def tick(self, terms: ReviewTerms, actions: ActionTerms, reviewers: Sequence[Person] = ()) -> Ticked:
        super().tick(terms, actions, reviewers)
        if len(self.asked) == 1:
            raise LedgerRefused("the first one's tasks cannot be looked at")
        return self.ticked


def test_what_stops_one_workflows_clock_stops_no_others() -> None:
    world, clock = World(), Refused(Ticked(escalated=3, waiting=3))
    sensor = build_review_clock([world.spec, world.spec])
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance, resources={"reviews": clock, "ledger": world.ledger})
        with pytest.raises(LedgerRefused):
            sensor(context)
    assert len(clock.asked) == 2 and list(world.ledger.alerts) == [ALERT]
