"""A workflow's nights as Dagster partitions, and windows over them."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import dagster as dg

from pipeline_project.domain.nights import window_of
from pipeline_project.domain.ports import NightWindow
from pipeline_project.spec import WorkflowSpec


def nights(spec: WorkflowSpec) -> dg.DailyPartitionsDefinition:
    """The workflow's nights: days in its time zone, from the first one on; a night is there once it has ended."""
    return dg.DailyPartitionsDefinition(
        start_date=datetime.combine(spec.nights.first, time.min), timezone=spec.nights.time_zone, fmt="%Y-%m-%d"
    )


def earlier_nights(window: int | None = None) -> dg.TimeWindowPartitionMapping:
    """Every night of the window before this one, this one not included."""
    return dg.TimeWindowPartitionMapping(
        start_offset=-(window or 1), end_offset=-1, allow_nonexistent_upstream_partitions=True
    )


def window(spec: WorkflowSpec, night: str) -> NightWindow:
    """The span of time that a night covers."""
    return window_of(night, spec.nights.time_zone)


def last_ended(spec: WorkflowSpec, now: datetime | None = None) -> str:
    """The last night that has ended, in the workflow's time zone."""
    moment = now or datetime.now(UTC)
    return (moment.astimezone(spec.nights.zone) - timedelta(days=1)).date().isoformat()
