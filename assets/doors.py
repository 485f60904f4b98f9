"""What assets ask of the resources they are given, as Protocols: the resources know the spec, the domain does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline_project.domain.acting.model import ActionTerms
from pipeline_project.domain.ports import (
    CaseSource,
    Contract,
    ImageEncoder,
    OutcomeSource,
    PhotoSource,
    TextEncoder,
)
from pipeline_project.domain.report import IndexRow, ReportTerms
from pipeline_project.domain.reviewing.model import ReviewTerms
from pipeline_project.spec import WorkflowSpec


class Sources(Protocol):
    """Where cases, photos and outcomes of a workflow come from."""

    def cases(self, spec: WorkflowSpec) -> CaseSource: ...

    def outcomes(self, spec: WorkflowSpec) -> OutcomeSource: ...

    def photos(self, spec: WorkflowSpec) -> PhotoSource: ...


class Encoders(Protocol):
    """The encoders that a spec names."""

    def text(self, spec: WorkflowSpec) -> TextEncoder: ...

    def image(self, spec: WorkflowSpec) -> ImageEncoder: ...


class Contracts(Protocol):
    """The contracts that a spec declares, and those over what the pipeline itself writes."""

    def cases(self, spec: WorkflowSpec) -> Contract: ...

    def scores(self, spec: WorkflowSpec) -> Contract: ...

    def decisions(self, spec: WorkflowSpec, cases: Sequence[str]) -> Contract: ...

    def embeddings(self, spec: WorkflowSpec) -> Contract: ...


class Reports(Protocol):
    """Where the pages go."""

    def write(self, terms: ReportTerms, night: str, page: str, row: IndexRow) -> str:
        """Stores one night's page and its line in the index; returns the page's address."""
        ...


class Reviews(Protocol):
    """Review tasks, as far as a night touches them beyond opening them."""

    def newcomers(self, night: str, terms: ReviewTerms, actions: ActionTerms) -> int:
        """Tries the standing decisions of clusters on the members that a night brought; how many are sampled again."""
        ...
