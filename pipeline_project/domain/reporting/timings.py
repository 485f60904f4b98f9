"""How long the steps of a night took, as its page shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from pipeline_project.domain.core.schema import NIGHT
from pipeline_project.domain.measures.machine_time import StepTime

#: One row per step of a night, of the last run that took it; in the order in which they began. What `StepTime` holds of
#: it is null where nobody measured.
TIMINGS = pa.schema(
    [
        pa.field(NIGHT, pa.string(), nullable=False),
        pa.field("step", pa.string(), nullable=False),
        pa.field("began", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("processor", pa.float64()),
        pa.field("device", pa.float64()),
        pa.field("shared", pa.bool_()),
    ]
)


def latest_timings(recorded: pa.Table | None, of_run: pa.Table) -> pa.Table:
    """What is kept of the night's steps with those of this run in place of their earlier ones, as TIMINGS."""
    by_step = {row["step"]: row for table in (recorded, of_run) if table is not None for row in table.to_pylist()}
    return timings_table(by_step.values())


def step_times(timings: pa.Table) -> dict[str, StepTime]:
    """What each step took, by its name; of a night written before it was measured, the seconds alone.

    Args:
        timings: `TIMINGS`, or what it was before it had the columns that may be null.
    """
    return {
        row["step"]: StepTime(row["seconds"], row.get("processor"), row.get("device"), bool(row.get("shared")))
        for row in timings.to_pylist()
    }


def timings_table(steps: Iterable[Mapping[str, object]]) -> pa.Table:
    """Rows of TIMINGS as a table, in the order in which the steps began."""
    return pa.Table.from_pylist([*steps], schema=TIMINGS).sort_by("began")
