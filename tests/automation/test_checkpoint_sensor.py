from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest

from pipeline_project.automation.checkpoints import build_checkpoints
from pipeline_project.domain.audit.findings import Checkpoint
from pipeline_project.domain.core.errors import AuditBroken


class Signs:
    """An audit chain with something new in it, or without."""

    def __init__(self, signed: Checkpoint | None = None, broken: bool = False) -> None:
        self.signed, self.broken, self.asked = signed, broken, 0

    def checkpoint(self) -> Checkpoint | None:
        self.asked += 1
        if self.broken:
            raise AuditBroken("the chain was cut")
        return self.signed


def tick(audit: Signs) -> dg.SkipReason:
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, resources={"audit": audit})
        told = build_checkpoints()(context)
        assert isinstance(told, dg.SkipReason)
        return told


def test_it_runs_by_itself_every_five_minutes() -> None:
    sensor = build_checkpoints()
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 300


def test_a_tick_signs_and_says_so() -> None:
    audit = Signs(Checkpoint(1, 17, "a" * 64, datetime(2026, 3, 1, tzinfo=UTC)))
    assert tick(audit).skip_message == "signed up to batch 17"
    assert audit.asked == 1


def test_nothing_new_is_no_failure() -> None:
    assert tick(Signs()).skip_message == "nothing was added to the audit chain"


def test_a_chain_that_was_tampered_with_fails_the_tick() -> None:
    with pytest.raises(AuditBroken):
        tick(Signs(broken=True))
