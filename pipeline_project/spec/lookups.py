"""The part of a spec about reference tables: where each lies, its key, and from when its rows are known and valid."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline_project.domain.core.names import FreeText, Slug
from pipeline_project.domain.core.schema import CaseSchema
from pipeline_project.domain.intake.lookups.terms import SIMILARITIES, LookupTerms, NearTerms, SimilarityKind
from pipeline_project.domain.intake.query import query_problem
from pipeline_project.spec.base import Part
from pipeline_project.spec.source import DatabaseQuery, FileFormat, Location, NightPattern, TimeFormat

_KINDS = "; ".join(f"`{kind}` {about}" for kind, about in SIMILARITIES.items())


class NearSpec(Part):
    """A key is found that is not written the same."""

    of: Slug | None = Field(
        None, description="The field of the key that is compared, where it has several; the others have to be the same."
    )
    at_least: float = Field(
        90, gt=0, le=100, description="The similarity from which a row counts, from 0 to 100; 100 is the same."
    )
    by: SimilarityKind = Field(
        "token_sort_ratio",
        description=f"How similarity is counted: {_KINDS}. Capitals and marks between words do not count.",
    )


class LookupTable(Part):
    """What every reference table says, wherever it lies."""

    key: dict[Slug, FreeText] = Field(
        min_length=1,
        description="What finds a case's row: field of the case -> column of the table. The field may be one that is "
        "looked up in a table above.",
    )
    valid_from: FreeText | None = Field(
        None,
        description="The column that says from when a row counts. Of several rows of a key the one that began last "
        "before the case's time is taken: a price holds until the next one does.",
    )
    valid_to: FreeText | None = Field(
        None, description="The column with the first moment at which a row no longer counts; empty is for good."
    )
    last_day: FreeText | None = Field(
        None, description="The column with the last day on which a row still counts; empty is for good."
    )
    known_at: FreeText | None = Field(
        None,
        description="The column that says when a row became known. A night sees what was known before it ended; of two "
        "rows that begin at the same time the one that became known last is taken.",
    )
    always_known: bool = Field(
        False,
        description="The table tells nothing that came after a night, though nothing in it says when its rows became "
        "known.",
    )
    near: NearSpec | None = Field(None, description="Finds also keys that are not written the same.")
    subject: FreeText | None = Field(
        None, description="The column that names whom a row is about; the row is then sealed with that person's key."
    )
    missing: tuple[str, ...] | None = Field(None, description="As at the top, where this table writes it otherwise.")
    decimal: Literal[".", ","] | None = Field(None, description="As at the top, where this table writes it otherwise.")
    time_formats: tuple[TimeFormat, ...] | None = Field(
        None, description="As at the top, where this table writes it otherwise."
    )


class FileLookup(FileFormat, LookupTable):
    """A reference table in one file."""

    kind: Literal["file"] = Field(description="One file that is the whole table.")
    path: Location = Field(description="The file; `${NAME}` and relative paths as in `folder`.")


#: What a file by night holds that is not the whole table.
ADDITIONS = "additions"


class FilesLookup(FileFormat, LookupTable):
    """A reference table in files by night: each the whole table as of then, or each with what came in."""

    kind: Literal["files"] = Field(description="Files by night.")
    folder: Location = Field(description="As for a source.")
    pattern: NightPattern = Field(description="Path below `folder` with the night, as for a source.")
    each: Literal["whole", "additions"] = Field(
        "whole",
        description="What a file holds: the `whole` table, of which a night takes the newest at or before it, or "
        "`additions`, such as a day's orders, of which it takes all up to it, and `valid_from` says when each was.",
    )
    look_back: Annotated[int, Field(ge=1, le=400)] = Field(
        7, description="Of additions: in the files of so many nights a night looks again for rows that came late."
    )
    nights: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="Of additions: rows that came more nights ago no longer count. Without it all do, and each night "
        "reads them all.",
    )
    reopens: Annotated[int, Field(ge=0, le=400)] = Field(
        30, description="Of additions: so many nights back the cases are named that rows which came late would change."
    )


def _a_query(value: str) -> str:
    if problem := query_problem(value):
        raise ValueError(problem)
    return value


class SqlLookup(DatabaseQuery, LookupTable):
    """A reference table that a query gives."""

    kind: Literal["sql"] = Field(description="A query, run once a night.")
    query: Annotated[str, AfterValidator(_a_query)] = Field(
        description="One SELECT. With :end, the end of the night (UTC), it gives what was known by then."
    )

    @property
    def landed(self) -> str | None:
        """No night begins because a table changed."""
        return None


Lookup = Annotated[FileLookup | FilesLookup | SqlLookup, Field(discriminator="kind")]


def says_when_known(table: LookupTable) -> bool:
    """Whether anything says of the rows of a table from when they were known."""
    return (
        table.always_known
        or table.known_at is not None
        or table.valid_from is not None
        or isinstance(table, FilesLookup)
        or (isinstance(table, SqlLookup) and re.search(r":end\b", table.query) is not None)
    )


def lookup_terms(name: str, table: LookupTable, schema: CaseSchema) -> LookupTerms:
    """A reference table as the domain knows it.

    Args:
        schema: of the cases; the table writes its values as they do where it does not say otherwise.
    """
    missing = schema.missing if table.missing is None else frozenset({"", *table.missing})
    taken = tuple(field for field in schema.fields if field.lookup == name)
    terms = LookupTerms(
        name,
        key=tuple(table.key.items()),
        fields=taken,
        schema=replace(
            schema,
            missing=missing,
            decimal=table.decimal or schema.decimal,
            # what stands between thousands there is no mark between thousands where it is the decimal mark
            thousands=tuple(mark for mark in schema.thousands if mark != table.decimal),
            time_formats=schema.time_formats if table.time_formats is None else table.time_formats,
        ),
        valid_from=table.valid_from,
        valid_to=table.valid_to,
        last_day=table.last_day,
        known_at=table.known_at,
        subject=table.subject,
        near=_near(table),
    )
    if isinstance(table, FilesLookup) and table.each == ADDITIONS:
        terms = replace(terms, adds=True, look_back=table.look_back, reopens=table.reopens, nights=table.nights)
    wording = [table.model_dump_json(), *terms.columns]
    return replace(terms, reads=hashlib.sha256("\n".join(wording).encode()).hexdigest())


def _near(table: LookupTable) -> NearTerms | None:
    if table.near is None:
        return None
    return NearTerms(table.near.of or next(iter(table.key)), table.near.at_least, table.near.by)
