"""The columns that a spec's files should have."""

from __future__ import annotations

from pipeline_project.domain.intake.file_hints import DeclaredColumns
from pipeline_project.spec.outcome import ColumnOutcome, FilesOutcome
from pipeline_project.spec.workflow import WorkflowSpec


def case_columns(spec: WorkflowSpec) -> DeclaredColumns:
    """Those of a file of cases."""
    fields = spec.case_schema.fields
    named = {
        column: f"fields.{field.name}.{'parts' if field.parts else 'column'}"
        for field in fields
        if field.required
        for column in field.columns
    }
    optional = {column for field in fields for column in field.columns} | set(spec.id_from)
    if isinstance(spec.outcome, ColumnOutcome):
        optional.add(spec.outcome.column)
    return DeclaredColumns(named or dict.fromkeys(spec.id_from, "id_from"), optional - named.keys())


def outcome_columns(feed: FilesOutcome) -> DeclaredColumns:
    """Those of a file of outcomes: without one of them no row of it can be used."""
    keys = ("case_column", "label_column", "known_at_column", "true_at_column")
    named = {column: f"outcome.{key}" for key in keys if (column := getattr(feed, key)) is not None}
    return DeclaredColumns(named, strict=True)
