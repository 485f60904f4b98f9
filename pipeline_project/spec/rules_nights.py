"""What must hold between a workflow's cadence and what else its file says of nights."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_project.domain.core.nights import Cadence
from pipeline_project.domain.intake.night_names import pattern_misfit
from pipeline_project.spec.base import SpecFinding
from pipeline_project.spec.draft import Draft, Rule


def _cases_by_cadence(draft: Draft) -> Iterator[SpecFinding]:
    if draft.source.kind == "files" and (problem := pattern_misfit(draft.source.pattern, draft.nights.every)):
        yield SpecFinding(("source", "pattern"), problem)


def _outcomes_by_cadence(draft: Draft) -> Iterator[SpecFinding]:
    if draft.outcome.kind == "files" and (problem := pattern_misfit(draft.outcome.pattern, draft.nights.every)):
        yield SpecFinding(("outcome", "pattern"), problem)


def _weekdays_of_weeks(draft: Draft) -> Iterator[SpecFinding]:
    if draft.source.expect.weekdays and draft.nights.every is Cadence.WEEK:
        yield SpecFinding(
            ("source", "expect", "weekdays"),
            "says nothing where nights are weeks, of which each begins on a Monday; take it out, or write `rows`",
        )


NIGHT_RULES: tuple[Rule, ...] = (_cases_by_cadence, _outcomes_by_cadence, _weekdays_of_weeks)
