"""What a spec says of a reference table, and the tables in which it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from pipeline_project.domain.core.schema import NIGHT, CaseSchema, Field

#: The column of a lookup that is in no table: how similar the key of the row is to that of the case, from 0 to 100.
MATCH_SCORE = "match_score"
#: The assets' names in the lake: which versions a night rests on, and the rows of all versions.
LOOKUPS, LOOKUP_ROWS = "lookups", "lookup_rows"
#: The asset that names what rows that came late would change.
REOPENED = "reopened"

#: Which version of each reference table a night rests on, by content. `version` counts from 0: later ones are asked
#: only for the rows that the ones before have no sure answer for. `kept_in` is the night under which the rows lie in
#: `LOOKUP_ROWS`; of a table of additions all up to that night count. `reads` is a hash of the spec's words about it.
LOOKUPS_SCHEMA = pa.schema(
    [
        pa.field(NIGHT, pa.string(), nullable=False),
        pa.field("lookup", pa.string(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("content", pa.string(), nullable=False),
        pa.field("kept_in", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("reads", pa.string(), nullable=False),
        pa.field("files", pa.list_(pa.string()), nullable=False),
    ]
)

#: The cases of decided nights that rows which came late would look up otherwise, and the field that would change. The
#: values are not repeated: both are in the tables that the two nights rest on.
REOPENED_SCHEMA = pa.schema(
    [
        pa.field(NIGHT, pa.string(), nullable=False),
        pa.field("case_night", pa.string(), nullable=False),
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("lookup", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),
    ]
)

#: The rows of a version: the cells that are asked for as a JSON object of strings, and when the row became known
#: (null: always). `subject` is whom the row is about, where the spec says which column names it; it then seals the row.
LOOKUP_ROWS_SCHEMA = pa.schema(
    [
        pa.field(NIGHT, pa.string(), nullable=False),
        pa.field("lookup", pa.string(), nullable=False),
        pa.field("content", pa.string(), nullable=False),
        pa.field("known_at", pa.timestamp("us", tz="UTC")),
        pa.field("subject", pa.string()),
        pa.field("raw", pa.string(), nullable=False),
    ]
)


#: How the similarity of two keys is counted, from 0 to 100: a function of rapidfuzz, with its line in the docs.
SimilarityKind = Literal["ratio", "token_sort_ratio", "token_set_ratio", "partial_ratio"]
SIMILARITIES: Mapping[SimilarityKind, str] = {
    "ratio": "letter by letter",
    "token_sort_ratio": "letter by letter, whatever the order of the words",
    "token_set_ratio": "as `token_sort_ratio`, and words that only one side has count little",
    "partial_ratio": "the shorter one within the longer one",
}


@dataclass(frozen=True)
class NearTerms:
    """How a key is found that is not written the same.

    Attributes:
        field: the field of the case that is compared; the other fields of the key have to be the same.
        at_least: the similarity from which a row counts, 0 to 100.
        by: how it is counted.
    """

    field: str
    at_least: float
    by: SimilarityKind


@dataclass(frozen=True)
class LookupTerms:
    """One reference table as a spec declares it.

    Attributes:
        key: (field of the case, column of the table), in order.
        fields: the fields of the case that are taken from it.
        valid_from, valid_to, last_day: columns that say from when a row counts, from when no longer, and the last day
            on which it does; None where nothing says so.
        known_at: the column that says when a row became known.
        subject: the column that names whom a row is about.
        schema: how the table writes its times and numbers.
        adds: whether each night brings rows to those of the nights before.
        look_back: of such a table, in the files of how many nights rows that came late are looked for.
        reopens: of such a table, how many nights back cases are named that rows which came late would change.
        nights: of such a table, how many nights back rows count; None for all.
        reads: a hash of what the spec says of the table; what was kept for other words is read anew.
    """

    name: str
    key: tuple[tuple[str, str], ...]
    fields: tuple[Field, ...]
    schema: CaseSchema
    valid_from: str | None = None
    valid_to: str | None = None
    last_day: str | None = None
    known_at: str | None = None
    subject: str | None = None
    near: NearTerms | None = None
    adds: bool = False
    look_back: int = 0
    reopens: int = 0
    nights: int | None = None
    reads: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the table that is read, each once."""
        keys = (column for _, column in self.key)
        taken = (field.column for field in self.fields if field.column != MATCH_SCORE)
        times = (self.valid_from, self.valid_to, self.last_day, self.known_at, self.subject)
        return tuple(dict.fromkeys([*keys, *taken, *(name for name in times if name is not None)]))

    @property
    def required(self) -> bool:
        """Whether a case without a row there is refused."""
        return any(field.required for field in self.fields)
