"""Rows of reference tables that came late: which decided cases they would look up otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.schema import CASE_ID
from pipeline_project.domain.intake.lookups.matching import Reference
from pipeline_project.domain.intake.lookups.terms import REOPENED_SCHEMA, LookupTerms
from pipeline_project.domain.intake.typed_rows import TypedRows

#: The kind of the alert about it.
LATE_ROWS = "late_rows"
_START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Reopened:
    """What rows that came late on a night would change.

    Attributes:
        night: on which they came.
        case_nights: by case, its own night.
        lookups: the tables, by name, in order.
    """

    night: str
    case_nights: Mapping[str, str]
    lookups: tuple[str, ...]

    @classmethod
    def of(cls, night: str, marked: pa.Table) -> Reopened:
        """
        Args:
            marked: as `REOPENED_SCHEMA`.
        """
        nights = dict(zip(marked[CASE_ID].to_pylist(), marked["case_night"].to_pylist(), strict=True))
        return cls(night, nights, tuple(sorted(set(marked["lookup"].to_pylist()))))

    @property
    def nights(self) -> list[str]:
        """The nights of the cases, in order."""
        return sorted(set(self.case_nights.values()))

    def sentence(self, place: str) -> str:
        """What the owner is told.

        Args:
            place: of the table that names the cases.
        """
        return (
            f"rows of {', '.join(self.lookups)} that came late, on {self.night}, would look up "
            f"{len(self.case_nights):,} decided cases of {', '.join(self.nights)} otherwise; they keep their "
            f"decisions. Which they are stands in {place} of {self.night}"
        )


def late_since(came: Reference, begins: datetime) -> datetime | None:
    """The first moment that rows are about which came after it; None where they are about their own night or later.

    Args:
        came: the rows of one night.
        begins: when that night begins.
    """
    moments = came.first_begins
    moments = moments[moments < (begins - _START) // timedelta(microseconds=1)]
    if not len(moments):
        return None
    first = max(int(moments.min()), 0)
    return _START + timedelta(microseconds=first)


def changed_cases(
    night: str, case_night: str, lookups: Iterable[LookupTerms], typed: TypedRows, cases: pa.Table
) -> pa.Table:
    """The cases of a night whose looked-up fields would be others, as `REOPENED_SCHEMA`.

    Args:
        night: on which the rows came.
        typed: the night's rows as they would be read now.
        cases: as they were decided.
    """
    frame = typed.frame.drop_duplicates("row_sha256").set_index("row_sha256")
    rows = frame.index.get_indexer(pd.Index(cases["row_sha256"].to_pylist()))
    ids = np.array(cases[CASE_ID].to_pylist(), dtype=object)
    there = np.flatnonzero(rows >= 0)
    changed: list[dict[str, str]] = []
    for terms in lookups:
        for field in terms.fields:
            now = frame[field.name].astype(object).to_numpy()[rows[there]]
            then = cases[field.name].to_pandas().astype(object).to_numpy()[there]
            missing = pd.isna(now) & pd.isna(then)
            other = ~missing & (pd.isna(now) | pd.isna(then) | (now != then))
            changed += [
                {"night": night, "case_night": case_night, CASE_ID: case, "lookup": terms.name, "field": field.name}
                for case in ids[there[np.asarray(other, dtype=bool)]].tolist()
            ]
    return pa.Table.from_pylist(changed, schema=REOPENED_SCHEMA)
