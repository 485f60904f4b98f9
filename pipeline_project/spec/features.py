"""The parts of a spec that say what of the past, and of sensors, becomes a feature: a line for each aggregation."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from pipeline_project.domain.core.names import Slug
from pipeline_project.domain.features.aggregations import UNITS, aggregation
from pipeline_project.domain.features.series import LONGEST_ROWS, SeriesFigure, SeriesPlan, SeriesSpan
from pipeline_project.spec.base import Part
from pipeline_project.spec.source import FilesSource, TableSource

_SPAN = re.compile(r"(?P<number>[1-9][0-9]{0,4}) (?P<unit>row|hour|day|week)s?\Z")


def _line(value: str) -> str:
    return aggregation("", value).line


AggregationLine = Annotated[str, AfterValidator(_line)]


def _span(value: str) -> str:
    series_span(value)
    return value


def series_span(text: str) -> SeriesSpan:
    """What `30 rows` or `12 hours` means.

    Raises:
        ValueError: nothing; the message says what to write.
    """
    match = _SPAN.match(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no span; write for instance 30 rows, 12 hours or 7 days")
    number, unit = int(match["number"]), match["unit"]
    if unit != "row":
        return SeriesSpan(None, number * UNITS[unit], text)
    if number > LONGEST_ROWS:
        raise ValueError(f"{number} rows are too many; at most {LONGEST_ROWS} are laid out for a case")
    return SeriesSpan(number, None, text)


SpanText = Annotated[str, AfterValidator(_span)]


class SeriesSpec(Part):
    """Several rows a case, as of sensors."""

    key: str = Field(description="The case's field that names whose rows they are: the machine, the customer.")
    source: FilesSource | TableSource | None = Field(
        None,
        discriminator="kind",
        description="Where the rows come from: files by night (those of `nights` are read each night) or a whole table "
        "(read each night). Without it the rows are the workflow's own cases of the last `nights`.",
    )
    key_column: str | None = Field(None, min_length=1, description="The rows' column of the key, if named otherwise.")
    at: str = Field(description="The rows' column of their moment: a time, or a number such as a cycle.")
    until: str | None = Field(
        None,
        description="The case's field of its own moment, a time or a number; without it the field with the role time. "
        "A case sees rows before its time, or up to and with its own number.",
    )
    values: tuple[Slug, ...] = Field(min_length=1, max_length=200, description="The rows' columns of numbers.")
    spans: tuple[SpanText, ...] = Field(
        ("30 rows",),
        min_length=1,
        max_length=8,
        description="How far back each feature looks: rows, hours, days, weeks.",
    )
    figures: tuple[SeriesFigure, ...] = Field(
        (SeriesFigure.LAST, SeriesFigure.MEAN, SeriesFigure.SPREAD, SeriesFigure.SLOPE, SeriesFigure.CHANGE),
        min_length=1,
        description="What is made of the rows of a span: "
        + "; ".join(f"{figure.value} ({figure.about})" for figure in SeriesFigure)
        + ".",
    )
    baseline: int = Field(
        20, ge=1, le=LONGEST_ROWS, description="The first rows of a key, which `change` is measured against."
    )
    nights: int = Field(
        90,
        ge=1,
        le=1_100,
        description="How many nights of files, or of own cases, are read: the baseline lies there too.",
    )

    @field_validator("values", "figures", "spans")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("names something twice; write each once")
        return value

    @model_validator(mode="after")
    def _expects_nothing(self) -> Self:
        if self.source is not None and self.source.expect.model_fields_set:
            raise ValueError("`expect` is about the nights of cases; take it out of the source of a series")
        return self

    @property
    def column_of_key(self) -> str:
        return self.key_column or self.key

    def plan(self, name: str) -> SeriesPlan:
        """What the domain makes of it."""
        spans = tuple(series_span(text) for text in self.spans)
        return SeriesPlan(name, self.values, spans, self.figures, self.baseline)
