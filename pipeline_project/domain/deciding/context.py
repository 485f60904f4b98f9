"""What a night's decisions rest on beside its own cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline_project.domain.deciding.promise import NO_EVIDENCE, Evidence


@dataclass(frozen=True)
class DecisionContext:
    """What is known at the night's start.

    Attributes:
        evidence: past cases for the promise.
        signals: drift signals that are breached tonight.
        model: the version that the evidence is about; cases that another one scored are not covered by the promise.
        covered: per case, whether that model scored it; None if it scored them all.
        usual: median of earlier nights' cases; None if unknown.
    """

    evidence: Evidence = NO_EVIDENCE
    signals: tuple[str, ...] = ()
    model: str | None = None
    covered: np.ndarray | None = None
    usual: float | None = None

    def covers(self, cases: int) -> np.ndarray:
        """`covered`, for each of this many cases."""
        return np.ones(cases, dtype=bool) if self.covered is None else self.covered
