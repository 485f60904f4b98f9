"""How long the steps of a night took, as its page shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from pipeline_project.domain.core.schema import NIGHT

#: One row per step of a night, of the last run that took it; in the order in which they began.
TIMINGS = pa.schema(
    [
        pa.field(NIGHT, pa.string(), nullable=False),
        pa.field("step", pa.string(), nullable=False),
        pa.field("began", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
    ]
)


def latest_timings(recorded: pa.Table | None, of_run: pa.Table) -> pa.Table:
    """What is kept of the night's steps with those of this run in place of their earlier ones, as TIMINGS."""
    by_step = {row["step"]: row for table in (recorded, of_run) if table is not None for row in table.to_pylist()}
    return timings_table(by_step.values())


def timings_table(steps: Iterable[Mapping[str, object]]) -> pa.Table:
    """Rows of TIMINGS as a table, in the order in which the steps began."""
    return pa.Table.from_pylist([*steps], schema=TIMINGS).sort_by("began")
