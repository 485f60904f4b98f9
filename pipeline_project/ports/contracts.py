"""Rules that a night's rows must meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import pandas as pd

from pipeline_project.domain.intake.expectation import Expectation
from pipeline_project.domain.intake.typed_rows import TypedRows
from pipeline_project.spec import WorkflowSpec


class Contract(Protocol):
    """A Great Expectations suite built from a spec."""

    def validate(self, frame: pd.DataFrame) -> list[Expectation]:
        """Every rule's verdict over the rows of `frame`; order of the rules is fixed."""
        ...


class CasesContract(Protocol):
    """The contract over a night's arrivals."""

    def validate(self, typed: TypedRows) -> list[Expectation]:
        """Every rule's verdict over the rows as they could be read; order of the rules is fixed."""
        ...


class Contracts(Protocol):
    """The contracts that a spec declares, and those over what the pipeline itself writes."""

    def cases(self, spec: WorkflowSpec) -> CasesContract: ...

    def scores(self, spec: WorkflowSpec) -> Contract: ...

    def decisions(self, spec: WorkflowSpec, cases: Sequence[str]) -> Contract: ...

    def embeddings(self, spec: WorkflowSpec) -> Contract: ...
