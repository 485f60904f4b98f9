"""A workflow's nights as Dagster partitions, and windows over them."""

from __future__ import annotations

from datetime import datetime, time, timedelta

import dagster as dg

from pipeline_project.domain.core.nights import Cadence, NightWindow, shifted, window_of
from pipeline_project.spec import WorkflowSpec

_MONDAY = 1


def nights(spec: WorkflowSpec) -> dg.TimeWindowPartitionsDefinition:
    """The workflow's nights from the first one on: days or weeks in its time zone, or hours of UTC; a night is there
    once it has ended."""
    declared = spec.nights
    form = declared.every.key_format
    if declared.every is Cadence.HOUR:
        last = declared.last_night
        return dg.HourlyPartitionsDefinition(
            start_date=window(spec, declared.first_night).start.replace(tzinfo=None),
            end_date=window(spec, last).end.replace(tzinfo=None) if last else None,
            timezone="UTC",
            fmt=form,
        )
    start, zone = datetime.combine(declared.first, time.min), declared.time_zone
    days = 7 if declared.every is Cadence.WEEK else 1
    end = datetime.combine(declared.last + timedelta(days=days), time.min) if declared.last else None
    if declared.every is Cadence.WEEK:
        return dg.WeeklyPartitionsDefinition(
            start_date=start, end_date=end, day_offset=_MONDAY, timezone=zone, fmt=form
        )
    return dg.DailyPartitionsDefinition(start_date=start, end_date=end, timezone=zone, fmt=form)


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
    return shifted(spec.nights.of(now), -1)


def last_ended(spec: WorkflowSpec, now: datetime) -> str:
    """The last of the workflow's nights that has ended; `now` is the database's wherever it leads to anything."""
    ended, last = just_ended(spec, now), spec.nights.last_night
    return min(ended, last) if last else ended
