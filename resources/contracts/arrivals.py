"""Contracts as Great Expectations suites: over what comes in, built from a spec, and over what the pipeline writes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from pipeline_project.domain.core.expressions import ExpressionError, evaluate, names_in
from pipeline_project.domain.core.schema import Field, FieldType
from pipeline_project.domain.intake.expectation import Expectation
from pipeline_project.domain.intake.typed_rows import ID_USABLE, WHOLE, TypedRows, readable_column
from pipeline_project.ports.contracts import CasesContract
from pipeline_project.spec.contract import Rule, rules
from pipeline_project.spec.workflow import WorkflowSpec
from resources.contracts.expectations import expectation, run, true
from resources.contracts.outputs import decisions_contract, embeddings_contract, scores_contract

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation as GxExpectation

__all__ = ["GxContract", "cases_contract", "decisions_contract", "embeddings_contract", "rules", "scores_contract"]

_MICROSECONDS_A_DAY = 86_400_000_000
_made: dict[str, GxContract] = {}


def cases_contract(spec: WorkflowSpec) -> CasesContract:
    """The contract over a night's arrivals, made once per process and version of the spec."""
    return _made.setdefault(spec.spec_hash, GxContract(spec))


class GxContract:
    """The contract of a workflow's arrivals, over `typed_rows.TypedRows`."""

    def __init__(self, spec: WorkflowSpec) -> None:
        self._spec, self.rules = spec, rules(spec)
        self._fields = {field.name: field for field in spec.case_schema.fields}

    def validate(self, typed: TypedRows) -> list[Expectation]:
        """Every rule's verdict. A rule whose columns are missing fails without naming rows; the missing of a
        required column is systemic."""
        frame = typed.frame
        missing = [name for name in self._fields if name not in frame]
        prepared = self._prepared(frame)
        first = [rule for rule in self.rules if rule.kind != "unique" and not set(_reads(rule)) & set(missing)]
        verdicts = self._run(prepared, first)
        uniques = [rule for rule in self.rules if rule.kind == "unique" and not set(rule.fields) & set(missing)]
        if uniques:
            broken = {row for verdict in verdicts.values() for row in verdict.failed}
            prepared = prepared.assign(**{_holds(rule): _first_of_its_kind(frame, rule, broken) for rule in uniques})
            verdicts |= self._run(prepared, uniques)
        return [self._verdict(rule, verdicts.get(rule.name), missing, typed.missing, len(frame)) for rule in self.rules]

    def _run(self, frame: pd.DataFrame, chosen: Sequence[Rule]) -> dict[str, Expectation]:
        verdicts: dict[str, Expectation] = {}
        for together in self._apart(chosen):
            described = {rule.name: (rule.column, rule.rule) for rule in together}
            wanted = {rule.name: self._expectation(rule) for rule in together}
            verdicts |= run(_seen_by(wanted.values(), frame), wanted, described)
        return verdicts

    def _apart(self, chosen: Sequence[Rule]) -> list[list[Rule]]:
        """The rules over each text by themselves, the others together: Great Expectations copies the whole table for
        every rule, and what people write is most of it."""
        texts = {name for name, field in self._fields.items() if field.holds == FieldType.TEXT}
        groups: dict[str | None, list[Rule]] = {}
        for rule in chosen:
            groups.setdefault(rule.column if rule.column in texts else None, []).append(rule)
        return list(groups.values())

    def _verdict(
        self, rule: Rule, verdict: Expectation | None, missing: Sequence[str], advice: Mapping[str, str], rows: int
    ) -> Expectation:
        if rule.kind in ("columns", "optional_columns"):
            lacking = [advice.get(name, f"{name}: its column is missing") for name in rule.fields if name in missing]
            assert verdict is not None
            systemic = rule.kind == "columns" and not verdict.passed
            return replace(verdict, systemic=systemic, detail="; ".join(lacking), evaluated=rows)
        if verdict is None:
            lacking = [name for name in _reads(rule) if name in missing]
            detail = f"not looked at: the column of {', '.join(lacking)} is missing"
            return Expectation(rule.name, rule.column, rule.rule, passed=False, evaluated=0, detail=detail)
        return verdict

    def _prepared(self, frame: pd.DataFrame) -> pd.DataFrame:
        values = {
            name: _comparable(frame[name], field)
            for name, field in self._fields.items()
            if field.holds in (FieldType.NUMBER, FieldType.TIME) and name in frame
        }
        compared: dict[str, pd.Series] = {}
        for rule in self.rules:
            if rule.kind == "compare" and set(names_in(rule.expression)) <= set(values):
                # What cannot be computed has no column, and so no verdict: the rule then fails as not evaluated.
                with suppress(ExpressionError):
                    compared[_holds(rule)] = _compared(rule.expression, values, len(frame))
        return frame.reset_index(drop=True).assign(**compared)

    def _expectation(self, rule: Rule) -> GxExpectation:
        column, field = rule.column or "", self._fields.get(rule.column or "")
        if rule.kind in ("columns", "optional_columns"):
            return expectation("ExpectTableColumnsToMatchSet", column_set=list(rule.fields), exact_match=False)
        if rule.kind == "value":
            return expectation("ExpectColumnValuesToNotBeNull", column=column)
        if rule.kind == "bounds" and field is not None:
            return _bounds(field, self._spec.nights.zone)
        if rule.kind == "allowed" and field is not None:
            return expectation("ExpectColumnValuesToBeInSet", column=column, value_set=list(field.allowed))
        if rule.kind == "length" and field is not None:
            return expectation("ExpectColumnValueLengthsToBeBetween", column=column, max_value=field.max_length)
        flags = {"whole": WHOLE, "id": ID_USABLE, "readable": readable_column(column)}
        return true(flags.get(rule.kind, _holds(rule)))


def _bounds(field: Field, zone: ZoneInfo) -> GxExpectation:
    """Inclusive bounds; the last day of a time counts as a whole."""
    if field.holds == FieldType.NUMBER:
        return expectation(
            "ExpectColumnValuesToBeBetween", column=field.name, min_value=field.minimum, max_value=field.maximum
        )
    first = _midnight(field.minimum, zone) if field.minimum is not None else None
    after = _midnight(field.maximum, zone, days=1) if field.maximum is not None else None
    return expectation(
        "ExpectColumnValuesToBeBetween",
        column=field.name,
        min_value=first,
        max_value=after,
        strict_max=after is not None,
    )


def _midnight(day: float | str, zone: ZoneInfo, days: int = 0) -> pd.Timestamp:
    local = datetime.combine(date.fromisoformat(str(day)) + timedelta(days=days), time(), zone)
    return pd.Timestamp(local).tz_convert("UTC")


def _seen_by(wanted: Collection[GxExpectation], frame: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns that some rules read; where a rule asks which there are, the others by name alone."""
    read = {column for rule in wanted if (column := getattr(rule, "column", None)) in frame}
    if not any(hasattr(rule, "column_set") for rule in wanted):
        return frame[[name for name in frame if name in read]]
    return frame.assign(**dict.fromkeys((str(name) for name in frame if name not in read), True))


def _reads(rule: Rule) -> tuple[str, ...]:
    if rule.kind == "compare":
        return names_in(rule.expression)
    if rule.kind == "unique":
        return rule.fields
    return (rule.column,) if rule.column else ()


def _holds(rule: Rule) -> str:
    return f"{rule.name}__holds"


def _comparable(values: pd.Series, field: Field) -> np.ndarray:
    """Numbers as they are, times as days since 1970, so that `delivered - ordered <= 30` means thirty days."""
    if field.holds == FieldType.NUMBER:
        return values.to_numpy(np.float64)
    moments = values.dt.as_unit("us").astype("int64").to_numpy(np.float64)
    return np.where(values.isna().to_numpy(bool), np.nan, moments / _MICROSECONDS_A_DAY)


def _compared(expression: str, values: Mapping[str, np.ndarray], rows: int) -> pd.Series:
    """Whether a comparison holds; nothing where a value it needs is missing."""
    names = names_in(expression)
    given = np.logical_and.reduce([~np.isnan(values[name]) for name in names], initial=True)
    holds = pd.Series(evaluate(expression, values, rows).astype(bool), dtype="object")
    return holds.where(pd.Series(np.broadcast_to(given, rows)), None)


def _first_of_its_kind(frame: pd.DataFrame, rule: Rule, broken: set[int]) -> np.ndarray:
    """False for rows that repeat the fields of an earlier one with other content. Exact duplicates are told apart
    later, and a row that breaks another rule does not stand in the way of its repair."""
    fields = list(rule.fields)
    sound = frame.reset_index(drop=True).drop(index=sorted(broken)).dropna(subset=fields)
    # Several photos are a list, and a list has no place among the keys of groups.
    listed = {name: sound[name].map(tuple) for name in fields if any(isinstance(value, list) for value in sound[name])}
    sound = sound.assign(**listed)
    first = sound.groupby(fields, sort=False)["row_sha256"].transform("first")
    holds = np.ones(len(frame), dtype=bool)
    holds[sound.index[(sound["row_sha256"] != first).to_numpy(bool)]] = False
    return holds
