"""A workflow's nights as Dagster partitions, and windows over them."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import dagster as dg

from pipeline_project.domain.core.nights import NightWindow, window_of
from pipeline_project.spec import WorkflowSpec


def nights(spec: WorkflowSpec) -> dg.DailyPartitionsDefinition:
    """The workflow's nights: days in its time zone, from the first one on; a night is there once it has ended."""
    last = spec.nights.last
    return dg.DailyPartitionsDefinition(
        start_date=datetime.combine(spec.nights.first, time.min),
        end_date=datetime.combine(last + timedelta(days=1), time.min) if last else None,
        timezone=spec.nights.time_zone,
        fmt="%Y-%m-%d",
    )


def earlier_nights(window: int | None = None) -> dg.TimeWindowPartitionMapping:
    """Every night of the window before this one, this one not included."""
    return dg.TimeWindowPartitionMapping(
        start_offset=-(window or 1), end_offset=-1, allow_nonexistent_upstream_partitions=True
    )


def window(spec: WorkflowSpec, night: str) -> NightWindow:
    """The span of time that a night covers."""
    return window_of(night, spec.nights.time_zone)


def just_ended(spec: WorkflowSpec, now: datetime) -> str:
    """The night that ended last, in the workflow's time zone, whether or not it is one of the workflow's."""
    return (now.astimezone(spec.nights.zone) - timedelta(days=1)).date().isoformat()


def last_ended(spec: WorkflowSpec, now: datetime) -> str:
    """The last of the workflow's nights that has ended; `now` is the database's wherever it leads to anything."""
    ended, last = just_ended(spec, now), spec.nights.last
    return min(ended, last.isoformat()) if last else ended
