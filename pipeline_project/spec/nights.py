"""The part of a spec about its nights: which there are, and when they run."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationInfo, field_validator

from pipeline_project.spec.base import Part
from pipeline_project.spec.cron import cron_problem


class NightsSpec(Part):
    """Which nights there are, and when they run."""

    time_zone: str = Field(description="IANA name; a night is a day in this zone.")
    first: date = Field(description="The first night there is.")
    decide_from: date = Field(description="The first night that is decided; earlier ones only warm up the models.")
    last: date | None = Field(None, description="The last night there is, for data that has ended; open without it.")
    schedule: str = Field("30 2 * * *", description="Cron, in the time zone: when the night before is run.")

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is no IANA time zone; write for instance Europe/Berlin or UTC") from error
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
    def _is_cron(cls, value: str) -> str:
        problem = cron_problem(value)
        if problem:
            raise ValueError(problem)
        return value

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)
