"""Rules about features that are made of other rows, and about kinds of case that have no label."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_project.domain.core import schema as domain
from pipeline_project.domain.features.aggregates import TERMS
from pipeline_project.domain.features.aggregations import NUMERIC, TELLING, Aggregation, Figure, aggregation
from pipeline_project.domain.features.building import OF_TIME
from pipeline_project.domain.models.unseen import FEWEST_LABELS
from pipeline_project.spec.base import SpecFinding, Where
from pipeline_project.spec.draft import (
    NUMBER,
    TEXT,
    TIME,
    Draft,
    Rule,
    closest,
    is_field,
    there_are,
    why_not_later,
)
from pipeline_project.spec.features import SeriesSpec, series_span

_TAKEN = frozenset({*OF_TIME, domain.NIGHT, domain.CASE_ID, TERMS})


def _aggregations(draft: Draft) -> Iterator[SpecFinding]:
    for name, line in draft.features.items():
        here: Where = ("features", name)
        one = aggregation(name, line)
        if name in draft.field_names or name in _TAKEN:
            yield SpecFinding(here, f"`{name}` is the name of something else that a model sees; give it another one")
        for field_name in dict.fromkeys(one.field_names):
            yield from _usable(draft, here, field_name)
        if one.figure is Figure.OUTCOMES and one.of not in draft.labels:
            near = closest(str(one.of), draft.labels) or there_are(draft.labels)
            fields = f"; of a field write `share of {one.of} = VALUE`" if one.of in draft.field_names else near
            yield SpecFinding(here, f"{one.of} is no label{fields}")
        yield from _of_its_type(draft, here, one)


def _usable(draft: Draft, here: Where, name: str) -> Iterator[SpecFinding]:
    yield from is_field(draft, here, name)
    spec = draft.fields.get(name)
    if spec is not None and spec.known_later:
        yield SpecFinding(here, why_not_later(name, "no feature may be made of it"))
    if spec is not None and spec.holds == TEXT:
        yield SpecFinding(here, f"{name} is a text, and hardly two of those are the same; name another field")


def _of_its_type(draft: Draft, here: Where, one: Aggregation) -> Iterator[SpecFinding]:
    spec = draft.fields.get(one.of) if one.of is not None and one.figure is not Figure.OUTCOMES else None
    if spec is None:
        return
    if one.figure in NUMERIC and spec.holds != NUMBER:
        yield SpecFinding(here, f"{one.of} is no number but a {spec.type}; count its values with `distinct {one.of}`")
    if one.figure in TELLING and spec.pii:
        yield SpecFinding(
            here,
            f"{one.of} is personal (pii), and what is kept of a {one.figure.value} would show a single value outside "
            f"of its seal; `distinct {one.of}`, or a field that is not personal, can be used",
        )


def _series(draft: Draft) -> Iterator[SpecFinding]:
    for name, series in draft.series.items():
        here: Where = ("series", name)
        key = draft.fields.get(series.key)
        yield from _usable(draft, (*here, "key"), series.key)
        if key is not None and key.pii and series.source is not None:
            yield SpecFinding(
                (*here, "key"),
                f"{series.key} is personal (pii), so cases go by a pseudonym or a sealed value that rows of a source "
                "do not have; name a key that is not personal, or take `source` out",
            )
        yield from _moments(draft, here, series)
        if series.source is None:
            yield from _own_values(draft, here, series)
        elif series.source.kind == "table" and any(file.spread for file in series.source.files):
            yield SpecFinding(
                (*here, "source"), "rows of a series find their case by key and moment; take `spread` out"
            )
        made = {column for column, _ in series.plan(name).features()}
        for other in sorted(made & {*draft.field_names, *draft.features}):
            yield SpecFinding(
                here, f"makes a feature called {other}, as something else is; give the series another name"
            )


def _moments(draft: Draft, here: Where, series: SeriesSpec) -> Iterator[SpecFinding]:
    if series.until is not None:
        yield from _usable(draft, (*here, "until"), series.until)
        spec = draft.fields.get(series.until)
        kind = None if spec is None else spec.holds
        if kind not in (None, TIME, NUMBER):
            yield SpecFinding((*here, "until"), f"{series.until} is a {kind}; name a time or a number")
    else:
        kind = TIME
        if not any(spec.role == domain.Role.TIME for spec in draft.fields.values()) and not draft.broken_fields:
            yield SpecFinding(here, "nothing says up to which row a case sees; write `until`: a time or a number")
    if kind == NUMBER and any(series_span(text).length for text in series.spans):
        yield SpecFinding((*here, "spans"), "moments are numbers, so spans are of rows; write for instance 30 rows")


def _own_values(draft: Draft, here: Where, series: SeriesSpec) -> Iterator[SpecFinding]:
    for i, value in enumerate(series.values):
        yield from _usable(draft, (*here, "values", i), value)
        spec = draft.fields.get(value)
        if spec is not None and spec.holds != NUMBER:
            yield SpecFinding((*here, "values", i), f"{value} is no number but a {spec.type}; take it out")
        if spec is not None and spec.pii:
            yield SpecFinding((*here, "values", i), f"{value} is personal (pii) and would leave its seal; take it out")
    yield from _usable(draft, (*here, "at"), series.at)
    until, at = draft.fields.get(series.until or ""), draft.fields.get(series.at)
    if at is not None and at.holds != (TIME if until is None else until.holds):
        yield SpecFinding(
            (*here, "at"), f"{series.at} is a {at.type}, and `until` is not; both are times, or both numbers"
        )


def _unseen(draft: Draft) -> Iterator[SpecFinding]:
    if draft.model.unseen is not None and len(draft.labels) < FEWEST_LABELS:
        yield SpecFinding(
            ("model", "unseen"),
            f"labels are left out in turn to learn what a new kind looks like, which needs {FEWEST_LABELS} or more of "
            f"them, and there are {len(draft.labels)}; take it out",
        )


FEATURE_RULES: tuple[Rule, ...] = (_aggregations, _series, _unseen)
