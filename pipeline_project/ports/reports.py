"""The pages of the nights, and who counts a night again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline_project.domain.reporting.facts import ReportTerms
from pipeline_project.domain.reporting.index import IndexRow
from pipeline_project.reconcile.scope import Link
from pipeline_project.spec import WorkflowSpec


class Reports(Protocol):
    """Where the pages go."""

    def write(self, terms: ReportTerms, night: str, page: str, row: IndexRow) -> str:
        """Stores one night's page and its line in the index; returns the page's address."""
        ...


class NightChecker(Protocol):
    """The independent checker, over one night."""

    def night(self, spec: WorkflowSpec, night: str) -> Sequence[Link]:
        """The night's links, from its lines to its actions.

        Raises:
            PipelineError: ledger or lake cannot be read; the message says what to do.
        """
        ...
