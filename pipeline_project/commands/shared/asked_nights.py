"""The nights that a person asked for, as keys of a workflow's own cadence.

A day stands for all of its hours, or for the week in which it lies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from pipeline_project.domain.core.nights import Cadence, cadence_of, day_of, on_day

if TYPE_CHECKING:
    from pipeline_project.spec import WorkflowSpec


def first_asked(spec: WorkflowSpec, written: str | None) -> str | None:
    """The first night of what was written behind `--from`.

    Raises:
        typer.BadParameter: it is a night of another cadence, and no day.
    """
    return None if written is None else _asked(spec, written)[0]


def last_asked(spec: WorkflowSpec, written: str | None) -> str | None:
    """The last night of what was written behind `--to`.

    Raises:
        typer.BadParameter: as `first_asked`.
    """
    return None if written is None else _asked(spec, written)[1]


def night_asked(spec: WorkflowSpec, written: str | None) -> str | None:
    """The one night that was written behind `--night`.

    Raises:
        typer.BadParameter: as `first_asked`, or it is a day of many hours.
    """
    if written is None:
        return None
    first, last = _asked(spec, written)
    if first != last:
        raise typer.BadParameter(f"{spec.name} has a night every hour; write one of {first} to {last}")
    return first


def _asked(spec: WorkflowSpec, written: str) -> tuple[str, str]:
    nights, cadence = spec.nights, cadence_of(written)
    if cadence is nights.every:
        return written, written
    if cadence is not Cadence.DAY:
        raise typer.BadParameter(
            f"{written} is no night of {spec.name}, which has one every {nights.every}; write for instance "
            f"{nights.every.example}"
        )
    day = day_of(written)
    return on_day(day, nights.time_zone, nights.every), nights.ends_with(day)
