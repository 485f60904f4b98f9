"""A first look at data before any night runs: what of a spec they do not bear out. Cells are counted, never quoted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from pipeline_project.domain.core.schema import CaseSchema, Field, FieldType, Role
from pipeline_project.domain.intake.expectation import Expectation
from pipeline_project.domain.intake.file_hints import column_advice
from pipeline_project.domain.intake.lookups.matching import Reference
from pipeline_project.domain.intake.outcomes import ArrivedOutcomes
from pipeline_project.domain.intake.parsing import parse
from pipeline_project.domain.intake.typed_rows import TypedRows

_LISTED = 3


@dataclass(frozen=True)
class Seen:
    """Something seen in the data.

    Attributes:
        where: keys of the spec that it is about, from the top.
        sentence: what was seen, and what to do.
        mistake: nights would stop or lose what they need; otherwise it is only worth knowing.
    """

    where: tuple[str | int, ...]
    sentence: str
    mistake: bool = True


def look_at_rows(arrivals: pa.Table, schema: CaseSchema, limit: float) -> Iterator[Seen]:
    """What the declared fields find in rows.

    Args:
        limit: `contract.quarantine_limit`: a larger share of refused rows stops a night.
    """
    rows: list[dict[str, str]] = [
        json.loads(raw)
        for raw, problem in zip(*(arrivals[name].to_pylist() for name in ("raw", "problem")), strict=True)
        if problem is None
    ]
    if len(rows) < len(arrivals):
        broken = len(arrivals) - len(rows)
        sentence = f"{_of(broken, len(arrivals), 'lines')} cannot be split into the columns of the header"
        yield Seen(("source",), f"{sentence}; see `delimiter`, `encoding`", broken > limit * len(arrivals))
    names = list(dict.fromkeys(name for row in rows for name in row))
    for field in schema.fields if rows else ():
        if field.lookup is not None:
            continue
        lacking = next((column for column in field.columns if column not in names), None)
        if lacking is not None:
            advice = column_advice(lacking, names, "parts" if field.parts else "column")
            yield Seen(("fields", field.name), advice, mistake=field.required)
        else:
            yield from _cells(rows, field, schema, limit)


def _cells(rows: Sequence[dict[str, str]], field: Field, schema: CaseSchema, limit: float) -> Iterator[Seen]:
    parsed = parse([field.cell(row, schema.missing) for row in rows], field, schema)
    where = ("fields", field.name)
    empty, unread = int(parsed.absent.sum()), len(parsed.unreadable)
    given = len(rows) - empty
    if field.required and empty:
        hint = "write `required: false`, or name what stands for no value in `missing`"
        yield Seen(where, f"{_of(empty, len(rows), 'required cells')} are empty; {hint}", empty > limit * len(rows))
    if unread and unread == given:
        hint = _formats(field, schema)
        yield Seen(where, f"none of {given:,} values can be read as a {field.type.value}{hint}")
    elif unread:
        serious = field.required and unread > limit * len(rows)
        sentence = f"{_of(unread, given, 'values')} cannot be read as a {field.type.value}{_formats(field, schema)}"
        yield Seen(where, sentence, serious)


def _formats(field: Field, schema: CaseSchema) -> str:
    if field.holds == FieldType.NUMBER:
        return f"; the decimal mark is {schema.decimal!r}, see `decimal`"
    if field.holds == FieldType.TIME:
        return f"; ISO 8601 and {len(schema.time_formats)} of `time_formats` were tried"
    return ""


def look_at_ids(typed: TypedRows) -> Iterator[Seen]:
    """Ids that stand in several rows, and rows without one."""
    frame = typed.frame
    declared = typed.schema.by_role(Role.ID)
    where: tuple[str, ...] = ("fields", declared.name) if declared else ("id_from",)
    with_id = frame[frame["case_id"].notna()]
    unlike = with_id.groupby("case_id")["row_sha256"].nunique()
    several, repeated = int((unlike > 1).sum()), len(with_id) - int(unlike.sum())
    if several:
        sentence = f"{_of(several, len(unlike), 'ids')} stand in several rows that differ; one id is one case"
        yield Seen(where, f"{sentence}, so of each only the first row is admitted")
    if repeated:
        yield Seen(where, f"{_of(repeated, len(with_id), 'rows')} repeat another one exactly and are dropped", False)


def look_at_contract(verdicts: Sequence[Expectation], rows: int, limit: float) -> Iterator[Seen]:
    """What the contract refuses: rule by rule, and whether that would stop a night."""
    refused = {row for verdict in verdicts for row in verdict.failed}
    for verdict in verdicts:
        # What cannot be read and what is empty was counted field by field.
        counted = verdict.name in ("rows_whole", "id_usable") or verdict.name.endswith(("_has_value", "_readable"))
        if verdict.failed and not counted:
            where = ("fields", verdict.column) if verdict.column else ("contract",)
            sentence = f"{_of(len(verdict.failed), verdict.evaluated, 'rows')} break the rule `{verdict.rule}`"
            yield Seen(where, sentence, mistake=len(verdict.failed) > limit * rows)
    if rows and len(refused) > limit * rows:
        sentence = f"{_of(len(refused), rows, 'rows')} would be refused, and quarantine_limit is {limit:.0%}"
        yield Seen(("contract", "quarantine_limit"), f"{sentence}: such a night stops")


def look_at_lookup(table: Reference, now: datetime) -> Iterator[Seen]:
    """What of a reference table no case can be looked up in, or not with one answer.

    Raises:
        SourceUnreadable: a time of it cannot be read.
    """
    where, count = ("lookups", table.terms.name), len(table)
    columns = ", ".join(column for _, column in table.terms.key)
    if repeated := table.repeated():
        sentence = f"{repeated:,} keys stand in several rows that differ and count from the same time"
        yield Seen(where, f"{sentence}; cases of such a key are refused. Keep one row of each, or add what tells them "
                   "apart to `key`")  # fmt: skip
    if without := table.without_key():
        yield Seen(where, f"{_of(without, count, 'rows')} have no {columns}, so none is found", without == count)
    moment = (now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    if future := int((table.first_begins > moment).sum()):
        sentence = f"{_of(future, count, 'rows')} begin to count later than now ({table.terms.valid_from})"
        yield Seen(where, sentence, future == count)


def look_at_outcomes(arrived: ArrivedOutcomes, labels: Sequence[str]) -> Iterator[Seen]:
    """What cannot be used of the outcomes of the nights that were looked at."""
    read, problems = arrived.rows, arrived.problems
    total = len(read) + len(problems)
    reasons = Counter(problem.reason for problem in problems)
    for reason, count in reasons.most_common(_LISTED):
        yield Seen(("outcome",), f"{_of(count, total, 'outcomes')}: {reason}", mistake=count == total)
    if len(reasons) > _LISTED:
        more = len(reasons) - _LISTED
        yield Seen(("outcome",), f"and {more} more reasons why outcomes cannot be used", mistake=not len(read))
    if problems and not len(read):
        yield Seen(("outcome",), f"none of {total:,} outcomes can be used; the labels are {', '.join(labels[:12])}")
    unseen = [label for label in labels if label not in set(read["label"].to_pylist())]
    if len(read) and unseen:
        yield Seen(("labels",), f"no outcome that was looked at says {', '.join(unseen[:12])}", mistake=False)


def _of(count: int, total: int, what: str) -> str:
    return f"{count:,} of {total:,} {what} ({count / max(total, 1):.1%})"
