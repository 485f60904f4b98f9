"""A first workflow file for a table that nobody has described yet: text, with comments for whoever goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import yaml

from pipeline_project.domain.core.nights import shifted
from pipeline_project.domain.core.schema import FieldType
from pipeline_project.domain.intake.table_profile import ColumnProfile, TableProfile
from pipeline_project.domain.models.training import TrainingPlan

#: Nights over which rows without a time are spread, and the share of the nights that only warms up.
SPREAD_NIGHTS, WARM_UP_SHARE = 60, 2 / 3
#: Of rows that train the first model: enough to learn something, few enough to be there in time.
_FEWEST, _MOST = 50, TrainingPlan.minimum_outcomes


@dataclass(frozen=True)
class StarterAnswers:
    """What a person says of a table, or leaves as it was guessed.

    Attributes:
        workflow: its name.
        id_column, time_column: None where the table has none.
        truth_column: what turned out to be true of a case.
        labels: value of that column -> label.
        amount_column: the money at stake, or None.
        wrong, ask: what a wrong answer and asking a person cost, in `currency`.
    """

    workflow: str
    owner: str
    id_column: str | None
    time_column: str | None
    truth_column: str
    labels: Mapping[str, str]
    amount_column: str | None = None
    wrong: float = 10.0
    ask: float = 1.0
    currency: str = "EUR"
    zone: str = "UTC"


@dataclass(frozen=True)
class StarterNights:
    """Which nights the table's rows fall into; `rows_before` lie before the first one that is decided."""

    first: date
    decide_from: date
    last: date
    rows_before: int


@dataclass(frozen=True)
class StarterFile:
    """Where the table lies, and how it is written: keys of `source.files` that differ from what they are without."""

    path: str
    how: Mapping[str, Any] = field(default_factory=dict)


def starter(profile: TableProfile, answers: StarterAnswers, nights: StarterNights, file: StarterFile) -> str:
    """The text of a workflow file that `pipeline check` finds no mistake in."""
    return "\n".join(
        [
            *_head(profile, answers, file),
            *_nights(answers, nights),
            *_source(profile, answers, nights, file),
            *_fields(profile, answers),
            *_outcome(profile, answers),
            *_model(profile, answers, nights),
            *_options(answers),
            "",
        ]
    )


def _head(profile: TableProfile, answers: StarterAnswers, file: StarterFile) -> Iterator[str]:
    yield f"# Written by `pipeline new` from {profile.rows:,} rows; every guess is yours to correct."
    yield "# `pipeline check THIS_FILE --data` says what does not hold together; docs/workflows.md has every key."
    yield f"workflow: {answers.workflow}"
    yield f"title: {_scalar(answers.workflow.replace('_', ' ').capitalize())}"
    yield "description: >"
    yield "  Say here what a case is, what is decided, and where the costs below come from."
    yield f"owners: [{_scalar(answers.owner)}]"
    yield f"currency: {answers.currency}"


def _nights(answers: StarterAnswers, nights: StarterNights) -> Iterator[str]:
    yield ""
    yield "nights:"
    yield f"  time_zone: {answers.zone}  # where a night begins, and times without an offset are read"
    yield f"  first: {nights.first}"
    yield f"  decide_from: {nights.decide_from}  # earlier nights only gather what the first model learns from"
    yield f"  last: {nights.last}  # the table ends here; take this line out where more is to come"


def _source(profile: TableProfile, answers: StarterAnswers, nights: StarterNights, file: StarterFile) -> Iterator[str]:
    yield ""
    yield "# One table that holds all nights. Where a file comes each night: kind: files, with folder and pattern."
    yield "source:"
    yield "  kind: table"
    yield "  files:"
    yield f"    - path: {_scalar(file.path)}"
    for key, value in file.how.items():
        yield f"      {key}: {_scalar(value)}"
    if answers.time_column is None:
        yield "      # no column says when a case came up: rows are spread over these nights by a hash"
        yield f"      spread: {{first: {nights.first}, last: {nights.last}}}"
    if profile.missing:
        yield ""
        yield f"missing: {_scalar(list(profile.missing))}  # stand for no value"
    if profile.decimal != ".":
        yield f"decimal: {_scalar(profile.decimal)}"
    if profile.thousands:
        yield f"thousands: {_scalar(list(profile.thousands))}"
    formats = list(dict.fromkeys(c.time_format for c in profile.columns if c.time_format))
    if formats:
        yield f"time_formats: {_scalar(formats)}"
    for column in profile.columns:
        if column.other_format:
            yield f"# {column.name}: `{column.other_format}` would read every value as well; say which one it is"
    if answers.id_column is None:
        listed = [c.column for c in profile.columns if c.column != answers.truth_column]
        yield ""
        yield "# no column tells one case from another, so the id is a hash of what a row says"
        yield f"id_from: {_scalar(listed)}"


def _fields(profile: TableProfile, answers: StarterAnswers) -> Iterator[str]:
    yield ""
    yield "# A column that is filled in after the decision must say `known_later: true`, or a model learns from the"
    yield "# future; a column that nobody needs can go. `pii: true` is a guess from names: such values are masked."
    yield "fields:"
    for column in profile.columns:
        if column.column != answers.truth_column:
            yield f"  {column.name}: {_field(column, answers)}{_remark(column, answers)}"


def _field(column: ColumnProfile, answers: StarterAnswers) -> str:
    kind, role = column.type, None
    if column.column == answers.id_column:
        kind, role = FieldType.IDENTIFIER, "id"
    elif column.column == answers.time_column:
        role = "time"
    elif column.column == answers.amount_column:
        role = "amount"
    keys: dict[str, Any] = {"type": kind.value}
    if role:
        keys["role"] = role
    if column.name != column.column:
        keys["column"] = column.column
    if column.empty and role != "id":
        keys["required"] = False
    if column.personal:
        keys["pii"] = True
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in keys.items()) + "}"


def _remark(column: ColumnProfile, answers: StarterAnswers) -> str:
    if column.column in (answers.id_column, answers.time_column):
        return ""
    if column.type in (FieldType.IDENTIFIER, FieldType.TIME):
        return "  # no feature as it stands: `role: feature`, or a history by it, makes it one"
    if column.empty:
        return f"  # empty in {column.empty:,} rows"
    return ""


def _outcome(profile: TableProfile, answers: StarterAnswers) -> Iterator[str]:
    labels = list(dict.fromkeys(answers.labels.values()))
    yield ""
    yield f"labels: {_scalar(labels)}"
    yield ""
    yield "outcome:"
    yield "  kind: column"
    yield f"  column: {_scalar(answers.truth_column)}"
    if any(value != label for value, label in answers.labels.items()):
        yield f"  values: {_scalar(dict(answers.labels))}"
    yield "  # When the truth becomes known: say it as it is, or a model is judged by what nobody knew yet."
    where = "night" if answers.time_column is None else profile.of(answers.time_column).name
    yield "  known_at:"
    yield f"    - {{field: {where}, plus_days: 1}}"


def _model(profile: TableProfile, answers: StarterAnswers, nights: StarterNights) -> Iterator[str]:
    used = [
        column
        for column in profile.columns
        if column.column not in (answers.truth_column, answers.id_column, answers.time_column)
    ]
    kinds = {column.type for column in used}
    only_words = FieldType.TEXT in kinds and not kinds & {FieldType.NUMBER, FieldType.CATEGORY}
    if FieldType.TEXT in kinds:
        yield ""
        yield "text:"
        yield "  encoder: all-minilm-l6-v2"
    yield ""
    yield "model:"
    yield f"  estimator: {'logistic' if only_words else 'boosting'}"
    yield "  retrain:"
    yield "    every: month"
    yield f"    minimum_outcomes: {min(_MOST, max(_FEWEST, nights.rows_before // 2))}"


def _options(answers: StarterAnswers) -> Iterator[str]:
    yield ""
    yield "# One option for each label. Options of your own, with a cost under each label: docs/workflows.md."
    yield "options:"
    yield '  title: "Decide {label}"'
    yield "  right: 0"
    yield f"  wrong: {_scalar(answers.wrong)}"
    yield ""
    yield "review:"
    yield f"  cost: {_scalar(answers.ask)}  # of one answer of a person"
    yield "  capacity: 20%  # of a night's cases, at most"
    yield "  exploration: 0.02  # so that the truth is learned of cases that nobody doubted, too"


def nights_without_time(first: date, rows: int) -> StarterNights:
    """The nights of a table that does not say when a case came up."""
    warm = round(SPREAD_NIGHTS * WARM_UP_SHARE)
    return StarterNights(
        first=first,
        decide_from=date.fromisoformat(shifted(first.isoformat(), warm)),
        last=date.fromisoformat(shifted(first.isoformat(), SPREAD_NIGHTS - 1)),
        rows_before=round(rows * warm / SPREAD_NIGHTS),
    )


def _scalar(value: str | float | Sequence[str] | Mapping[str, str]) -> str:
    """One YAML value on one line, quoted where it has to be."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9, sort_keys=False)
    return text.removesuffix("...\n").strip()
