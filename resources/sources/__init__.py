"""Where cases, outcomes, photos and reference tables come from: files, tables, SQL. Everything arrives untouched."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline_project.ports.sources import CaseSource, OutcomeSource, PhotoSource
from pipeline_project.settings import Settings
from pipeline_project.spec.outcome import ColumnOutcome, FilesOutcome, SqlOutcome
from pipeline_project.spec.source import FilesSource, TableSource
from pipeline_project.spec.workflow import WorkflowSpec
from resources.sources.files import FilesCases
from resources.sources.lookups import SpecLookups
from resources.sources.outcomes import ColumnOutcomes, FilesOutcomes
from resources.sources.photos import FolderPhotos
from resources.sources.places import environment
from resources.sources.repairs import add_repair, repair_format
from resources.sources.sql import SqlCases, SqlOutcomes
from resources.sources.table import TableCases
from resources.sources.together import Together

__all__ = [
    "add_repair",
    "case_source",
    "everything_landed",
    "lookup_source",
    "outcome_source",
    "photo_source",
    "repair_format",
    "unhashed_columns",
]


def case_source(spec: WorkflowSpec, settings: Settings, environ: Mapping[str, str] | None = None) -> CaseSource:
    """The source of a workflow's cases. Nothing is looked up before it is read.

    Args:
        environ: the variables that the spec may name; the process's own when not given.
    """
    variables, unhashed = environment(settings, environ), unhashed_columns(spec)
    if isinstance(spec.source, FilesSource):
        return FilesCases(spec, settings, variables, unhashed)
    if isinstance(spec.source, TableSource):
        return TableCases(spec, settings, variables, unhashed)
    return SqlCases(spec, settings, variables, unhashed)


def unhashed_columns(spec: WorkflowSpec) -> tuple[str, ...]:
    """Columns that a row's hash leaves out: whether the truth is known yet must not change what a case is."""
    return (spec.outcome.column,) if isinstance(spec.outcome, ColumnOutcome) else ()


def outcome_source(
    spec: WorkflowSpec,
    settings: Settings,
    environ: Mapping[str, str] | None = None,
    cases: CaseSource | None = None,
) -> OutcomeSource:
    """The source of a workflow's outcomes.

    Args:
        cases: where its cases come from; as declared when not given.
    """
    if isinstance(spec.outcome, ColumnOutcome):
        return ColumnOutcomes(spec, spec.outcome, cases or case_source(spec, settings, environ))
    return _told_apart(spec, spec.outcome, environment(settings, environ))


def _told_apart(
    spec: WorkflowSpec, feed: FilesOutcome | SqlOutcome, variables: Mapping[str, str]
) -> FilesOutcomes | SqlOutcomes:
    """Outcomes that come in rows of their own."""
    return SqlOutcomes(spec, feed, variables) if isinstance(feed, SqlOutcome) else FilesOutcomes(spec, feed, variables)


def everything_landed(spec: WorkflowSpec, settings: Settings, environ: Mapping[str, str] | None = None) -> CaseSource:
    """The source of a workflow's cases, whose nights change whichever of their sources something lands at."""
    cases = case_source(spec, settings, environ)
    if isinstance(spec.outcome, ColumnOutcome):
        return cases
    return Together(cases, _told_apart(spec, spec.outcome, environment(settings, environ)))


def photo_source(spec: WorkflowSpec, settings: Settings, environ: Mapping[str, str] | None = None) -> PhotoSource:
    """The photos that a workflow's cases name."""
    return FolderPhotos(spec, environment(settings, environ))


def lookup_source(spec: WorkflowSpec, settings: Settings, environ: Mapping[str, str] | None = None) -> SpecLookups:
    """The reference tables that a workflow's cases are looked up in."""
    return SpecLookups(spec, environment(settings, environ))
