"""What turned out to be true of cases: from files that arrive later, or from a column of the source itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import pandas as pd
import pyarrow as pa

from pipeline_project.domain.core.nights import NightWindow
from pipeline_project.domain.core.schema import CASE_ID, NIGHT, CaseSchema, Field, FieldType, Role
from pipeline_project.domain.intake.admission import FUTURE_ALLOWED, REPAIR_PREFIX
from pipeline_project.domain.intake.outcomes import OUTCOMES, ArrivedOutcomes, OutcomeProblem
from pipeline_project.domain.intake.parsing import case_ids, id_columns, parse, strings
from pipeline_project.domain.intake.readings import ArrivedRows
from pipeline_project.ports.sources import CaseSource
from pipeline_project.spec.outcome import ColumnOutcome, FilesOutcome, OutcomeRows
from pipeline_project.spec.workflow import WorkflowSpec
from resources.sources.arrivals import FileTerms
from resources.sources.declared import outcome_columns
from resources.sources.night_files import NightFiles
from resources.sources.places import location

_SHOWN = 40
_LISTED = 12
_KNOWN_AT, _TRUE_AT = "known_at", "true_at"
FUTURE = (
    f"{_KNOWN_AT}: lies after the row came, so it cannot be known yet; correct the time, or send the row when it is"
)
CONTRADICTION = (
    "contradicts another outcome that became known of its case at the same time, so neither is used; send the right "
    "one again, with a later time"
)
SECOND = "its case already has another outcome in this night"


@dataclass(frozen=True)
class OutcomeColumns:
    """In which columns an outcome stands that is told in a row of its own; `values` maps what is told to labels."""

    case: str
    label: str
    known_at: str
    true_at: str | None
    values: Mapping[str, str]

    @classmethod
    def of(cls, feed: OutcomeRows) -> OutcomeColumns:
        """Those that a spec declares."""
        return cls(feed.case_column, feed.label_column, feed.known_at_column, feed.true_at_column, feed.values)


def parsed_outcomes(
    rows: pa.Table, columns: OutcomeColumns, spec: WorkflowSpec, source: str, until: datetime
) -> ArrivedOutcomes:
    """Rows that each tell an outcome, and those that could not be used.

    Several of one case are a first word and its corrections, each with its own time. Of those that contradict each
    other at one and the same time none is used.

    Args:
        until: when the rows came, at the latest; what claims to be known later than FUTURE_ALLOWED after that cannot
            be true. A file of a night may be written the morning after.
    """
    schema = spec.case_schema
    cells = [json.loads(raw) for raw in rows.column("raw").to_pylist()]
    by_hand = CaseSchema(
        fields=(Field(CASE_ID, FieldType.IDENTIFIER, columns.case, Role.ID),),
        time_zone=schema.time_zone,
        missing=schema.missing,
    )
    ids = case_ids([[row.get(columns.case) for row in cells]], by_hand)
    time_field = Field(_KNOWN_AT, FieldType.TIME, columns.known_at)
    known_at = parse([row.get(columns.known_at) for row in cells], time_field, schema)
    frame = _frame(rows, cells, ids.values, columns.label, columns.values, schema)
    frame["known_at"], frame["true_at"] = known_at.values, pd.NaT
    reasons: dict[int, str] = {**dict.fromkeys(frame.index[frame["value"].isna()].tolist(), "has no label")}
    reasons |= dict.fromkeys(frame.index[known_at.absent].tolist(), f"{_KNOWN_AT}: missing")
    if columns.true_at is not None:
        when = parse(
            [row.get(columns.true_at) for row in cells], Field(_TRUE_AT, FieldType.TIME, columns.true_at), schema
        )
        frame["true_at"] = when.values
        late = (when.values > known_at.values).to_numpy(bool)
        reasons |= when.unreadable
        reasons |= dict.fromkeys(frame.index[late].tolist(), f"{_TRUE_AT}: lies after {_KNOWN_AT}")
    future = (known_at.values >= pd.Timestamp(until) + FUTURE_ALLOWED).to_numpy(bool)
    reasons |= dict.fromkeys(frame.index[future].tolist(), FUTURE)
    reasons |= known_at.unreadable | ids.unreadable
    return _outcomes(frame, spec.labels, reasons, source, _uncontradicted)


class FilesOutcomes:
    """Outcomes in files by the night on which they arrived. No file, no outcomes."""

    def __init__(self, spec: WorkflowSpec, feed: FilesOutcome, variables: Mapping[str, str]) -> None:
        self._spec, self._feed, self._variables = spec, feed, variables

    def read(self, window: NightWindow) -> ArrivedOutcomes:
        """As `ports.OutcomeSource.read`."""
        feed, files = self._feed, self._files
        terms = FileTerms(declared=outcome_columns(feed))
        arrived = ArrivedRows.joined([files.read(name, feed, window.night, terms) for name in files.of(window.night)])
        return parsed_outcomes(arrived.rows, OutcomeColumns.of(feed), self._spec, "files", window.end)

    def nights(self) -> list[str]:
        """The nights for which there are outcome files, in order."""
        return self._files.nights()

    def stamps(self, window: NightWindow) -> list[tuple[object, ...]]:
        """What differs when an outcome file of a night is added or changed; nothing where there is none."""
        return [("outcomes", *stamp) for stamp in self._files.stamps(window.night)]

    @cached_property
    def _files(self) -> NightFiles:
        return NightFiles.at(
            location(self._feed.folder, self._spec, self._variables),
            self._feed.pattern,
            self._spec.nights.every,
            self._spec.tenant,
        )


class ColumnOutcomes:
    """Outcomes in a column of the arrivals. An empty cell is an outcome that is not known yet, and no problem."""

    def __init__(self, spec: WorkflowSpec, feed: ColumnOutcome, cases: CaseSource) -> None:
        self._spec, self._feed, self._cases = spec, feed, cases

    def read(self, window: NightWindow) -> ArrivedOutcomes:
        """As `ports.OutcomeSource.read`, of the cases of that night, with the times at which they become known."""
        schema = self._spec.case_schema
        rows = self._cases.read(window).rows
        cells = [json.loads(raw) for raw in rows.column("raw").to_pylist()]
        ids = case_ids([[row.get(name) for row in cells] for name in id_columns(schema)], schema)
        frame = _frame(rows, cells, ids.values, self._feed.column, self._feed.values, schema)
        start = pd.Series(pd.Timestamp(window.start), index=frame.index, dtype="datetime64[us, UTC]")
        earliest = start
        if (timed := schema.by_role(Role.TIME)) is not None:
            times = parse([timed.cell(row, schema.missing) for row in cells], timed, schema).values
            earliest = times.where(times < start, start)
        base_of = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us, UTC]")
        known_at = base_of.copy()
        for moment in self._feed.known_at:
            base = start
            if moment.field != NIGHT:
                base = self._times(moment.field, cells)
            # Sources write 1990 for "never": nothing is known of a case before there is one.
            base = base.mask(base < earliest)
            open_rows = known_at.isna()
            base_of = base_of.where(~open_rows, base)
            known_at = known_at.where(~open_rows, base + moment.after)
        frame["known_at"] = known_at
        frame["true_at"] = base_of if self._feed.true_at is None else self._times(self._feed.true_at, cells)
        unknown = frame.index[known_at.isna()].tolist()
        fields = ", ".join(moment.field for moment in self._feed.known_at)
        reasons = dict.fromkeys(unknown, f"nothing says when it became known: {fields} have no readable value")
        late = (frame["true_at"] > frame["known_at"]).to_numpy(bool)
        reasons |= dict.fromkeys(frame.index[late].tolist(), f"{_TRUE_AT}: lies after {_KNOWN_AT}")
        reasons |= ids.unreadable
        labelled = frame[frame["value"].notna()]
        return _outcomes(labelled, self._spec.labels, reasons, f"column {self._feed.column}", _first_of_each)

    def _times(self, name: str, cells: Sequence[Mapping[str, str]]) -> pd.Series:
        """A time field's values, null where a cell is empty or unreadable."""
        schema = self._spec.case_schema
        declared = schema.field(name)
        return parse([declared.cell(row, schema.missing) for row in cells], declared, schema).values


def _frame(
    rows: pa.Table,
    cells: Sequence[Mapping[str, str]],
    ids: pd.Series,
    label_column: str,
    values: Mapping[str, str],
    schema: CaseSchema,
) -> pd.DataFrame:
    value, _ = strings([row.get(label_column) for row in cells], schema)
    frame = rows.select(["file", "line", "problem"]).to_pandas()
    label = [values.get(text, text) if isinstance(text, str) else None for text in value]
    return frame.assign(case_id=ids, value=value, label=pd.Series(label, index=frame.index, dtype="object"))


def _outcomes(
    frame: pd.DataFrame,
    labels: Sequence[str],
    reasons: Mapping[int, str],
    source: str,
    judge: Callable[[pd.DataFrame], tuple[list[int], dict[int, str]]],
) -> ArrivedOutcomes:
    """The usable rows as OUTCOMES, and why the others are not.

    Args:
        judge: of the readable rows the ones to keep, and what stands against those that contradict another one.
    """
    frame = frame.assign(repair=frame["file"].str.startswith(REPAIR_PREFIX))
    frame = frame.sort_values(["repair", "file", "line"], kind="stable")
    why: dict[int, str] = {}
    for index, problem, value, label in zip(
        frame.index.tolist(), *(frame[name].tolist() for name in ("problem", "value", "label")), strict=True
    ):
        if isinstance(problem, str) or index in reasons:
            why[index] = problem if isinstance(problem, str) else reasons[index]
        elif label not in labels:
            mistake = f"{str(value)[:_SHOWN]!r} is no label ({_listed(labels)})"
            why[index] = f"{mistake}; add it to `outcome.values`, or correct the row"
    chosen, against = judge(frame.drop(index=list(why)))
    why |= against
    places = zip(frame.index.tolist(), frame["file"].tolist(), frame["line"].tolist(), strict=True)
    problems = [OutcomeProblem(file, line, why[index]) for index, file, line in places if index in why]
    usable = frame.loc[chosen].assign(source=source)
    arrays = [pa.Array.from_pandas(usable[column.name], type=column.type) for column in OUTCOMES]
    return ArrivedOutcomes(pa.Table.from_arrays(arrays, schema=OUTCOMES), tuple(problems))


def _first_of_each(frame: pd.DataFrame) -> tuple[list[int], dict[int, str]]:
    """The first row of a case is the case; a second one with another outcome is told about, as its row is refused."""
    first = frame.drop_duplicates(CASE_ID)
    other = frame.drop_duplicates([CASE_ID, "label", _KNOWN_AT]).index.difference(first.index)
    return first.index.tolist(), dict.fromkeys(other.tolist(), SECOND)


def _uncontradicted(frame: pd.DataFrame) -> tuple[list[int], dict[int, str]]:
    """Everything that became known, in order; less what contradicts something of the same case and time."""
    labels = frame.groupby([CASE_ID, _KNOWN_AT])["label"].transform("nunique")
    contrary = frame.index[labels > 1].tolist()
    distinct = frame[labels <= 1].drop_duplicates([CASE_ID, "label", _KNOWN_AT])
    return distinct.index.tolist(), dict.fromkeys(contrary, CONTRADICTION)


def _listed(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:_LISTED])
    return f"there are {shown}" + (f" and {len(labels) - _LISTED} more" if len(labels) > _LISTED else "")
