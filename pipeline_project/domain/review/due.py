"""What time does to a task: reminders before it is due, escalation when it is, a lapse when nobody came."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline_project.domain.core.errors import AnswerRefused
from pipeline_project.domain.review.new_tasks import ReviewTerms


@dataclass(frozen=True)
class Ticked:
    """What one tick of a workflow's clock did.

    Attributes:
        returned: claims whose lease had ended.
        reminded, escalated: tasks that got a new reminder, that are now past their due time.
        lapsed: tasks that took the safe default. stayed: lapsed ones that wait for a person all the same.
        failed: tasks whose safe default could not be carried out.
        freed: members of clusters that were held back past their due time.
        reordered: tasks whose priority changed. assigned: tasks given to a reviewer.
        waiting: escalated tasks there are now, as far as they are counted.
    """

    returned: int = 0
    reminded: int = 0
    escalated: int = 0
    lapsed: int = 0
    stayed: int = 0
    failed: int = 0
    freed: int = 0
    reordered: int = 0
    assigned: int = 0
    waiting: int = 0

    def changed(self) -> bool:
        """Whether anything was done."""
        return any(value for name, value in vars(self).items() if name != "waiting")


def reminder_hours(terms: ReviewTerms) -> tuple[float, ...]:
    """Hours left at which each level's reminder is written; level 1 is the earliest."""
    return tuple(sorted(set(terms.remind_hours), reverse=True))


def lapse_option(terms: ReviewTerms) -> str | None:
    """The option that a lapsed task takes by itself, or None where it waits.

    Raises:
        AnswerRefused: the default denies a customer something, which only people may.
    """
    if terms.safe_default is not None and terms.safe_default in terms.denies:
        raise AnswerRefused(
            f"review.safe_default of {terms.workflow} is {terms.safe_default}, which denies a customer something; only "
            "people do: name another option, or leave safe_default out"
        )
    return terms.safe_default
