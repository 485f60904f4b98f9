"""What turned out to be true, with the time it became known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa

#: One outcome. `known_at` is when it became known, `true_at` when it came true (null if the source does not say);
#: `source` says where it came from.
OUTCOMES = pa.schema(
    [
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("known_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("true_at", pa.timestamp("us", tz="UTC")),
        pa.field("source", pa.string(), nullable=False),
    ]
)

_PROBLEMS = b"outcomes.problems"


@dataclass(frozen=True)
class OutcomeProblem:
    """A row that names an outcome which cannot be used; the row itself stays where it is."""

    file: str
    line: int
    reason: str


def with_problems(table: pa.Table, problems: Sequence[OutcomeProblem]) -> pa.Table:
    """The same table, remembering the rows that could not be used."""
    told = json.dumps([asdict(problem) for problem in problems]).encode()
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _PROBLEMS: told})


def problems_of(table: pa.Table) -> list[OutcomeProblem]:
    """The rows that could not be used when this table was read, in their order."""
    told = json.loads((table.schema.metadata or {}).get(_PROBLEMS, b"[]"))
    return [OutcomeProblem(**problem) for problem in told]
