"""What time does to review tasks: a sensor that ticks for all workflows; no run ever waits for a person."""

from collections.abc import Sequence
from typing import Protocol

import dagster as dg

from pipeline_project.domain.core.people import Person
from pipeline_project.domain.delivery.planned_actions import ActionTerms
from pipeline_project.domain.review.due import Ticked
from pipeline_project.domain.review.new_tasks import ReviewTerms
from pipeline_project.ports.ledger import Ledger
from pipeline_project.spec import WorkflowSpec

#: What the alert of tasks past their due time is about; one for each workflow.
ALERT = "review/past_due"


class ReviewTicks(Protocol):
    """The clock of review tasks."""

    def tick(self, terms: ReviewTerms, actions: ActionTerms, reviewers: Sequence[Person] = ()) -> Ticked:
        """Does what is due for one workflow's tasks, once however often it is called."""
        ...


def build_review_clock(specs: Sequence[WorkflowSpec]) -> dg.SensorDefinition:
    """Reminds, escalates and lets lapse; returns what nobody holds any more; says so in an alert.

    One for all workflows: a sensor each would cost the daemon a tick each, of which most find nothing to do.
    """

    @dg.sensor(
        name="review_clock",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Returns claims whose lease ended; reminds, escalates, lets lapse; keeps the queue in order.",
    )
    def review_clock(
        context: dg.SensorEvaluationContext,
        reviews: dg.ResourceParam[ReviewTicks],
        ledger: dg.ResourceParam[Ledger],
    ) -> dg.SkipReason:
        refused, summaries = list[Exception](), []
        # each minute another one is the first: whoever takes long does not always stand before the same others
        first = ledger.now().minute % len(specs)
        for spec in (*specs[first:], *specs[:first]):
            try:
                ticked = reviews.tick(spec.review_terms, spec.action_terms)
                _update_alert(spec, ledger, ticked)
            except Exception as error:  # noqa: BLE001 - whatever one workflow raises, the tasks of the others had theirs
                # the tick fails in the end
                refused.append(error)
            else:
                summaries += [f"{spec.name}: {done}"] if (done := _summary(ticked)) else []
        if refused:
            raise refused[0]
        return dg.SkipReason("; ".join(summaries) or "nothing is due")

    return review_clock


def _update_alert(spec: WorkflowSpec, ledger: Ledger, ticked: Ticked) -> None:
    """An alert while tasks are past their due time, closed when none is."""
    if not ticked.waiting:
        ledger.close_alert(spec.name, ALERT)
        return
    ledger.raise_alert(
        workflow=spec.name,
        kind="review_past_due",
        key=ALERT,
        message="review tasks are past their due time and wait for an approver",
        owner=spec.owners[0],
        next_command="pipeline desk",
    )


def _summary(ticked: Ticked) -> str:
    return ", ".join(f"{value} {name}" for name, value in vars(ticked).items() if value)
