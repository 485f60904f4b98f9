"""What people are asked."""

from __future__ import annotations

from typing import Protocol

from pipeline_project.domain.delivery.planned_actions import ActionTerms
from pipeline_project.domain.review.new_tasks import ReviewTerms


class Reviews(Protocol):
    """Review tasks, as far as a night touches them beyond opening them."""

    def newcomers(self, night: str, terms: ReviewTerms, actions: ActionTerms) -> int:
        """Tries the standing decisions of clusters on the members that a night brought; how many are sampled again."""
        ...
