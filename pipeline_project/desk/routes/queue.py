"""The queue: what waits, what is in hand, and the next task."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from pipeline_project.desk.access import needs
from pipeline_project.desk.dependencies import PortsDep, SessionDep
from pipeline_project.desk.show import page
from pipeline_project.domain.core.people import PersonRole
from pipeline_project.domain.core.reasons import Reason
from pipeline_project.domain.review.tasks import OPEN, QueueFilter, Task, TaskState

router = APIRouter()

PAGE = 50
_NOTICES = {
    "decided": "Decided.",
    "proposed": "Proposed: a second person will look at it.",
    "back": "Given back to the queue.",
    "none": "Nothing is left for you. Well done.",
}


class QueueQuery(BaseModel, frozen=True):
    """Which open tasks are listed; `after` is where the page before ended."""

    workflow: str = ""
    why: str = ""
    state: str = ""
    after: str = ""
    notice: str = Field(default="", alias="said")


@router.get(
    "/",
    dependencies=[needs(PersonRole.REVIEWER, PersonRole.APPROVER, PersonRole.AUDITOR, PersonRole.ADMIN)],
)
def queue(request: Request, ports: PortsDep, session: SessionDep, query: Annotated[QueueQuery, Query()]) -> Response:
    """Open tasks in the order in which they come, and what this person has to do with."""
    person = session.person
    states = tuple(task_state for task_state in OPEN if task_state.value == query.state)
    filters = QueueFilter(workflow=query.workflow or None, why=query.why or None, states=states)
    queue_page = ports.tasks.queue(filters, PAGE, _after(query.after))
    return page(
        request,
        "queue.html",
        queue=queue_page,
        mine=ports.tasks.mine(person.name),
        desks=ports.desks,
        whys=[reason.value for reason in Reason],
        states=[task_state.value for task_state in OPEN],
        chosen=query.model_dump(include={"workflow", "why", "state"}),
        said=_NOTICES.get(query.notice),
    )


@router.post("/next", dependencies=[needs(PersonRole.REVIEWER, PersonRole.APPROVER)])
def take_next(ports: PortsDep, session: SessionDep, workflow: Annotated[str, Form(max_length=48)] = "") -> Response:
    """Hands out the next task and goes there."""
    task = ports.tasks.next_task(session.person, workflow or None)
    return RedirectResponse("/?said=none" if task is None else place_of(task), 303)


def place_of(task: Task, notice: str = "") -> str:
    """Where a task that was just taken is answered."""
    more = f"&said={notice}" if notice else ""
    return f"/tasks/{task.id}?claim={task.token}{more}"


def _after(text: str) -> tuple[float, int] | None:
    priority, _, last = text.partition(":")
    try:
        position = (float(priority), int(last)) if text else None
    except ValueError:
        return None
    return position if position and math.isfinite(position[0]) and abs(position[1]) < 2**63 else None


def state_of(text: str) -> TaskState | None:
    return next((state for state in TaskState if state.value == text), None)
