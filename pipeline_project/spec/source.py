"""The parts of a spec that say where cases and outcomes come from."""

from __future__ import annotations

import codecs
import operator
import re
from datetime import UTC, date, datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from pipeline_project.domain.core.names import FreeText
from pipeline_project.domain.core.variables import Use
from pipeline_project.domain.intake.landing import Expected
from pipeline_project.domain.intake.night_names import pattern_problem
from pipeline_project.domain.intake.query import query_problem
from pipeline_project.domain.intake.time_forms import FORMS
from pipeline_project.spec.base import Part

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def _location(value: str) -> str:
    # A default may hold a reference itself, so references are taken away from the inside out.
    rest = value
    while (shorter := re.sub(r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^${}]*)?\}", "x", rest)) != rest:
        rest = shorter
    if "${" in rest:
        raise ValueError(f"{value!r}: write ${{NAME}}, or ${{NAME:-default}} with a default")
    return value


def _night_pattern(value: str) -> str:
    if problem := pattern_problem(value):
        raise ValueError(problem)
    if value.startswith("/") or ".." in PurePosixPath(value).parts:
        raise ValueError("must stay below `folder`: no / at the beginning and no ..")
    return value


def _time_format(value: str) -> str:
    if value in FORMS:
        return value
    # With an offset, which a moment without one would leave out; `%Z` is read as the offset that the name stands for.
    pattern = value.replace("%Z", "%z")
    moment = datetime(2025, 1, 31, 9, 30, tzinfo=UTC)
    try:
        tried = datetime.strptime(moment.strftime(pattern), pattern)  # noqa: DTZ007
    except (ValueError, re.error):
        tried = None
    if tried is None or (tried.month, tried.day) not in ((1, 31), (1, 1)) or "%" not in value:
        raise ValueError(
            f"{value!r} is no pattern for times; write for instance %d.%m.%Y %H:%M, or one of {', '.join(FORMS)}"
        )
    return value


Location = Annotated[FreeText, AfterValidator(_location), Use.TEXT]
NightPattern = Annotated[str, AfterValidator(_night_pattern)]
TimeFormat = Annotated[str, AfterValidator(_time_format)]


def _in_order(value: tuple[int, int]) -> tuple[int, int]:
    if value[0] > value[1]:
        raise ValueError(f"the first character ({value[0]}) comes after the last ({value[1]}); exchange the two")
    return value


Positions = Annotated[
    tuple[Annotated[int, Field(ge=1, le=1_000_000)], Annotated[int, Field(ge=1, le=1_000_000)]],
    AfterValidator(_in_order),
]
#: Keys of a file format that say something in some formats only.
_ONLY_IN = {"header": ("csv", "excel"), "columns": ("fixed",), "sheet": ("excel",)}


class FileFormat(Part):
    """How a source's files are written."""

    format: Literal["csv", "jsonl", "json", "parquet", "fixed", "excel"] = Field(
        "csv",
        description="The file format: jsonl is one JSON object per line, json one array of objects, fixed a text whose "
        "columns stand at the same places in every line, excel a workbook (.xlsx, .xlsb, .xls or .ods). What is packed "
        "with gzip, zstd, bzip2 or xz is unpacked, whatever its name; a workbook comes as it is.",
    )
    delimiter: str = Field(
        ",",
        min_length=1,
        max_length=1,
        description="Between the columns of a CSV file; a first line `sep=;`, as Excel writes it, counts instead.",
    )
    encoding: str = Field(
        "utf-8", description="Of a file of text, as Python names it; a byte order mark says the byte order."
    )
    skip_lines: int = Field(
        0,
        ge=0,
        le=1000,
        description="So many lines stand before the header of a CSV file or a sheet, or before the rows of a fixed "
        "format. Without it the header of a CSV file is found by the names of the columns; a line before it that looks "
        "like a row is refused, never passed over.",
    )

    # what a spec does not say does not change its hash, which is older than these
    header: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        exclude_if=operator.not_,
        description="The names of the columns, in order, where a CSV file or a sheet has no header of its own.",
    )
    columns: dict[str, Positions] = Field(
        {},
        exclude_if=operator.not_,
        description="Of a fixed format, the first and the last character of each column, counted from 1: "
        "`{id: [1, 8], amount: [9, 17]}`. Blanks around a value are taken away.",
    )
    sheet: str | None = Field(
        None,
        exclude_if=operator.not_,
        description="Which sheet of a workbook is read; not needed where there is one.",
    )

    @model_validator(mode="after")
    def _of_this_format(self) -> Self:
        for key, formats in _ONLY_IN.items():
            if getattr(self, key) and self.format not in formats:
                raise ValueError(f"`{key}` is for format {' and '.join(formats)}, not for {self.format}; take it out")
        if self.format == "fixed" and not self.columns:
            raise ValueError("a fixed format needs `columns`: where each begins and ends, as {id: [1, 8]}")
        if len(set(self.header)) < len(self.header):
            raise ValueError("`header` names a column twice; write each name once")
        return self

    @field_validator("delimiter")
    @classmethod
    def _no_quote(cls, value: str) -> str:
        if value in '"\r\n':
            raise ValueError("cannot be a quote or a line break; write for instance ; or \\t in double quotes")
        return value

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, value: str) -> str:
        try:
            # Some codecs, such as zlib, are none of text; others cannot be read in parts.
            codecs.getincrementaldecoder(value)
            b"a".decode(value, "replace")
        except (LookupError, ValueError, TypeError) as error:
            raise ValueError(f"{value!r} is no encoding; write for instance utf-8, latin-1 or cp1252") from error
        return value


def _weekday(value: Any) -> Any:
    """`Monday` and `Mon` are `mon`."""
    names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    plain = value.strip().lower() if isinstance(value, str) else value
    return plain[:3] if plain in names else plain


Weekday = Annotated[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], BeforeValidator(_weekday)]


class ExpectSpec(Part):
    """What a night's arrivals should be, so that nothing read is not taken for nothing came."""

    rows: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=2)] = Field(
        (), description="The fewest and the most rows of a night, `[100, 500]`; one number is the fewest."
    )
    weekdays: tuple[Weekday, ...] = Field(
        (),
        description="The nights on which something comes, as mon, tue ...; on the others nothing need come. Of hours "
        "all of such a day.",
    )
    blocks: bool = Field(
        False, description="A night that is otherwise is stopped before anything is decided; without it, it is told."
    )

    @field_validator("rows")
    @classmethod
    def _in_order(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(value) == 2 and value[0] > value[1]:
            raise ValueError(f"the fewest rows ({value[0]}) are more than the most ({value[1]}); exchange the two")
        return value

    @property
    def terms(self) -> Expected:
        least, most = (*self.rows, None, None)[:2]
        return Expected(least, most, self.weekdays, self.blocks)


class Expecting(Part):
    """What every kind of source may say of a night."""

    expect: ExpectSpec = Field(default_factory=ExpectSpec, description="What a night's arrivals should be.")

    @property
    def tells_nights(self) -> bool:
        """Whether it can be asked, at once for all, for which nights something is there; what lands starts them."""
        return True


class FilesSource(FileFormat, Expecting):
    """Files that are dropped in a folder, each named after its night."""

    kind: Literal["files"] = Field(description="Files by night.")
    folder: Location = Field(
        description="Where the files are: a folder, or an object store's URL such as `s3://bucket/prefix` (also gs:// "
        "and az://). `${NAME}` is taken from the environment (PIPELINE_SOURCE_... or a name in "
        "PIPELINE_SPEC_VARIABLES), `${NAME:-default}` with a default; a relative path starts at the YAML file."
    )
    pattern: NightPattern = Field(
        description="Path below `folder` with `{night}` for the night's key, or `{night:%Y%m%d}` where it is written "
        "otherwise (`%Y`, `%y`, `%m`, `%d`, `%j`; of an hour also `%H`, in UTC; of a week its Monday, or `%G`, `%V` "
        "and `%u`); `*` and `?` are allowed."
    )


class Spread(Part):
    """Rows without a time are spread over nights by a hash of their id."""

    first: date = Field(description="The first night of the spread.")
    last: date = Field(description="The last night of the spread.")

    @field_validator("last")
    @classmethod
    def _in_order(cls, value: date, info: ValidationInfo) -> date:
        first = info.data.get("first")
        if first is not None and value < first:
            raise ValueError(f"must not come before `first` ({first})")
        return value


class TableFile(FileFormat):
    """One file of a table source."""

    path: Location = Field(description="The file; `${NAME}` and relative paths as in `folder`.")
    spread: Spread | None = Field(
        None, description="Spread the rows over these nights by hash; without it the time field places them."
    )


class TableSource(Expecting):
    """One or more files that hold many nights each."""

    kind: Literal["table"] = Field(description="Whole tables; each row finds its own night.")
    files: tuple[TableFile, ...] = Field(min_length=1, description="The files of the table.")


def _bounded_query(value: str) -> str:
    if not re.search(r":start\b", value) or not re.search(r":end\b", value):
        raise ValueError("must use :start and :end, so that a night is the same night when it is read again")
    if problem := query_problem(value):
        raise ValueError(problem)
    return value


BoundedQuery = Annotated[str, AfterValidator(_bounded_query)]


class DatabaseQuery(Part):
    """What every query against a database says."""

    url_variable: Annotated[str, Use.SECRET] = Field(
        description="The environment variable that holds the database's URL, postgresql:// or sqlite:///: "
        "PIPELINE_SECRET_..., PIPELINE_SOURCE_... or a name in PIPELINE_SPEC_VARIABLES. Its user may only read there. "
        "The spec never holds a password."
    )

    @field_validator("url_variable")
    @classmethod
    def _only_a_name(cls, value: str) -> str:
        # What was written may be a URL with its password, so it is not repeated.
        if not _VARIABLE.match(value):
            raise ValueError(
                "write the name of an environment variable such as PIPELINE_SECRET_CLAIMS, never the URL itself"
            )
        return value


class NightQuery(DatabaseQuery):
    """A query against a database, run once a night."""

    query: BoundedQuery = Field(description="One SELECT with the parameters :start and :end (the night's bounds, UTC).")
    landed: BoundedQuery | None = Field(
        None,
        description="One SELECT that tells what is there between :start and :end, a row for each night: first the "
        "night's key (a day as YYYY-MM-DD, an hour of UTC as 2025-03-16T14Z, a week as 2025-W12-1), then whatever "
        "changes when one of its rows does, such as their count and the latest "
        "change. With it what lands starts its night; without it the schedule does.",
    )


class SqlSource(NightQuery, Expecting):
    """A query against a database."""

    kind: Literal["sql"] = Field(description="A query, run once a night.")

    @property
    def tells_nights(self) -> bool:
        """As `Expecting.tells_nights`: where `landed` says it."""
        return self.landed is not None


Source = Annotated[FilesSource | TableSource | SqlSource, Field(discriminator="kind")]
