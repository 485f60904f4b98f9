"""The part of a spec about its nights: which there are, and when they run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline_project.domain.core.nights import Cadence, night_of, on_day, shifted
from pipeline_project.spec.base import Part
from pipeline_project.spec.cron import cron_problem, misfit

#: When nights that are no days run where the spec does not say it.
_SCHEDULES: Mapping[str, str] = {Cadence.HOUR: "10 * * * *", Cadence.WEEK: "30 2 * * mon"}


class NightsSpec(Part):
    """Which nights there are, and when they run."""

    time_zone: str = Field(description="IANA name; a night is a day or a week in this zone, or an hour of UTC.")
    # left out of what is hashed where it is a day, so that specs of before have the hash that they had
    every: Cadence = Field(
        Cadence.DAY,
        exclude_if=lambda every: every is Cadence.DAY,
        description="How often there is one: a day from midnight to midnight in the zone, a week from Monday to "
        "Monday, or an hour, which is one of UTC so that clocks that change neither repeat nor leave out any. What "
        "counts nights elsewhere (`window_nights`, `shadow_nights`, `history` and their like) counts these.",
    )
    first: date = Field(
        description="The first night there is. Of hours the first that begins on that day in the zone; of weeks the "
        "Monday that begins it. The same holds for `decide_from`, and of hours `last` is the last that begins that day."
    )
    decide_from: date = Field(description="The first night that is decided; earlier ones only warm up the models.")
    last: date | None = Field(None, description="The last night there is, for data that has ended; open without it.")
    schedule: str = Field(
        "30 2 * * *",
        description="Cron, in the time zone (for hours in UTC): when the night before is run. Left out it is "
        "`10 * * * *` where `every` is hour, and `30 2 * * mon` where it is week.",
    )

    @model_validator(mode="before")
    @classmethod
    def _usual_schedule(cls, written: Any) -> Any:
        """A schedule that fits the cadence, where none is written."""
        if not isinstance(written, Mapping) or "schedule" in written:
            return written
        every = written.get("every")
        usual = _SCHEDULES.get(every) if isinstance(every, str) else None
        return written if usual is None else {**written, "schedule": usual}

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is no IANA time zone; write for instance Europe/Berlin or UTC") from error
        return value

    @field_validator("first", "decide_from", "last")
    @classmethod
    def _begins_a_week(cls, value: date | None, info: ValidationInfo) -> date | None:
        if value is not None and info.data.get("every") is Cadence.WEEK and value.weekday():
            before = value - timedelta(days=value.weekday())
            raise ValueError(
                f"{value} is no Monday, and `every: week` counts weeks from Monday on; write {before} or "
                f"{before + timedelta(days=7)}"
            )
        return value

    @field_validator("decide_from")
    @classmethod
    def _in_order(cls, value: date, info: ValidationInfo) -> date:
        first = info.data.get("first")
        if first is not None and value < first:
            raise ValueError(f"must not come before `first` ({first}); the nights between the two warm up the models")
        return value

    @field_validator("last")
    @classmethod
    def _ends_after(cls, value: date | None, info: ValidationInfo) -> date | None:
        decided = info.data.get("decide_from")
        if value is not None and decided is not None and value < decided:
            raise ValueError(f"must not come before `decide_from` ({decided}); nothing would be decided")
        return value

    @field_validator("schedule")
    @classmethod
    def _is_cron(cls, value: str, info: ValidationInfo) -> str:
        problem = cron_problem(value) or misfit(value, info.data.get("every", Cadence.DAY))
        if problem:
            raise ValueError(problem)
        return value

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def first_night(self) -> str:
        """The key of the first night there is."""
        return on_day(self.first, self.time_zone, self.every)

    @property
    def first_decided(self) -> str:
        """The key of the first night that is decided."""
        return on_day(self.decide_from, self.time_zone, self.every)

    @property
    def last_night(self) -> str | None:
        """The key of the last night there is; None where they go on."""
        return None if self.last is None else self.ends_with(self.last)

    def ends_with(self, day: date) -> str:
        """The last night that begins on a day; the week that it lies in."""
        if self.every is Cadence.HOUR:
            return shifted(on_day(day + timedelta(days=1), self.time_zone, self.every), -1)
        return on_day(day, self.time_zone, self.every)

    def of(self, moment: datetime) -> str:
        """The key of the night to which an aware moment belongs.

        Raises:
            OverflowError: it lies beyond the calendar.
        """
        return night_of(moment, self.time_zone, self.every)

    @property
    def clock(self) -> str:
        """The zone by which `schedule` runs."""
        return "UTC" if self.every is Cadence.HOUR else self.time_zone
