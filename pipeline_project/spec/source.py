"""The parts of a spec that say where cases and outcomes come from."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline_project.spec.base import Part


class FileFormat(Part):
    """How a source's files are written."""

    format: Literal["csv", "jsonl", "parquet"] = Field("csv", description="The file format; .gz is unpacked.")
    delimiter: str = Field(",", min_length=1, max_length=1, description="Between the columns of a CSV file.")
    encoding: str = Field("utf-8", description="Of a CSV or JSON-lines file, as Python names it.")


class FilesSource(FileFormat):
    """Files that are dropped in a folder, each named after its night."""

    kind: Literal["files"] = Field(description="Files by night.")
    folder: str = Field(
        description="Where the files are. `${NAME}` is taken from the environment, `${NAME:-default}` with a "
        "default; a relative path starts at the YAML file."
    )
    pattern: str = Field(description="Path below `folder` with `{night}` for the date; `*` and `?` are allowed.")

    @model_validator(mode="after")
    def _names_night(self) -> FilesSource:
        if "{night}" not in self.pattern:
            raise ValueError("`pattern` must contain {night}, for instance claims/{night}/*.csv")
        return self


class Spread(Part):
    """Rows without a time are spread over nights by a hash of their id."""

    first: date = Field(description="The first night of the spread.")
    last: date = Field(description="The last night of the spread.")

    @model_validator(mode="after")
    def _in_order(self) -> Spread:
        if self.last < self.first:
            raise ValueError("`last` must not come before `first`")
        return self


class TableFile(FileFormat):
    """One file of a table source."""

    path: str = Field(description="The file; `${NAME}` and relative paths as in `folder`.")
    spread: Spread | None = Field(
        None, description="Spread the rows over these nights by hash; without it the time field places them."
    )


class TableSource(Part):
    """One or more files that hold many nights each."""

    kind: Literal["table"] = Field(description="Whole tables; each row finds its own night.")
    files: tuple[TableFile, ...] = Field(min_length=1, description="The files of the table.")


class SqlSource(Part):
    """A query against a database."""

    kind: Literal["sql"] = Field(description="A query, run once a night.")
    url_variable: str = Field(
        description="The environment variable that holds the database's URL; the spec never holds a password."
    )
    query: str = Field(description="SELECT with the parameters :start and :end (the night's bounds, UTC).")

    @model_validator(mode="after")
    def _bounded(self) -> SqlSource:
        if ":start" not in self.query or ":end" not in self.query:
            raise ValueError("`query` must use :start and :end, so that a night is the same night when read again")
        return self


Source = Annotated[FilesSource | TableSource | SqlSource, Field(discriminator="kind")]


class KnownAt(Part):
    """When an outcome became known: a time field plus days; the first that has a value is used."""

    field: str = Field(description="A field of type time, or `night` for the start of the case's own night.")
    plus_days: float = Field(0, ge=0, description="Days after it.")


class ColumnOutcome(Part):
    """The truth stands in a column of the source itself; it is taken out of the cases."""

    kind: Literal["column"] = Field(description="A column of the arrivals.")
    column: str = Field(description="The column in the source.")
    values: dict[str, str] = Field(
        default_factory=dict,
        description="Value in the column -> label; empty when the values are the labels.",
    )
    known_at: tuple[KnownAt, ...] = Field(
        min_length=1, description="When it became known; the first field that has a value counts."
    )


class FilesOutcome(FileFormat):
    """The truth comes later in files of its own, by the night on which it arrived."""

    kind: Literal["files"] = Field(description="Files by night of arrival.")
    folder: str = Field(description="As for a source.")
    pattern: str = Field(description="With {night}.")
    case_column: str = Field(description="The column that names the case.")
    label_column: str = Field(description="The column that holds the label.")
    known_at_column: str = Field(description="The column with the time at which it became known.")
    values: dict[str, str] = Field(default_factory=dict, description="Value in the column -> label.")


OutcomeFeed = Annotated[ColumnOutcome | FilesOutcome, Field(discriminator="kind")]
