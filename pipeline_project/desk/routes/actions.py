"""The outbox: every action, dead letters with who looks after them, and sending one again."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import AfterValidator, BaseModel, Field

from pipeline_project.desk.access import needs
from pipeline_project.desk.dependencies import PortsDep, SessionDep
from pipeline_project.desk.show import page
from pipeline_project.domain.core.nights import valid_night
from pipeline_project.domain.core.people import PersonRole

router = APIRouter()

LOOKS = needs(PersonRole.APPROVER, PersonRole.AUDITOR, PersonRole.ADMIN)
SENDS = needs(PersonRole.APPROVER)
STATES = ("dead", "held", "unknown", "waiting", "ready", "sending", "done", "rehearsed", "cancelled")
PAGE = 50
_NOTICES = {"asked": "Asked: a second person must agree.", "gone": "It goes out again.", "dry": "Nothing was changed."}


def _a_night(text: str) -> str:
    return valid_night(text) if text else text


class ActionsQuery(BaseModel, frozen=True):
    """Which actions are listed; `after` is the id that the page before ended with."""

    workflow: str = ""
    state: str = ""
    night: Annotated[str, AfterValidator(_a_night)] = ""
    after: int = 0
    notice: str = Field(default="", alias="said")


@router.get("/actions", dependencies=[LOOKS])
def actions(request: Request, ports: PortsDep, query: Annotated[ActionsQuery, Query()]) -> Response:
    """Actions, the destinations they go to, and what waits for a second person."""
    workflow, night = query.workflow or None, query.night or None
    rows = ports.outbox.listed(workflow, query.state or None, night, query.after, PAGE)
    return page(
        request,
        "actions.html",
        rows=rows,
        counts=ports.outbox.counts(workflow, night),
        chosen=query.model_dump(include={"workflow", "state", "night"}),
        states=STATES,
        desks=ports.desks,
        destinations=ports.outbox.destinations(),
        asked=ports.outbox.asked(workflow),
        older=rows[-1].id if len(rows) == PAGE else None,
        said=_NOTICES.get(query.notice),
    )


@router.post("/actions/{key}/again", dependencies=[SENDS])
def again(
    ports: PortsDep,
    session: SessionDep,
    key: UUID,
    reason: Annotated[str, Form(min_length=1, max_length=300)],
    dry_run: Annotated[bool, Form()] = False,
) -> Response:
    """Asks for a held or dead action to go; without money it goes at once."""
    asked = ports.outbox.ask(key, session.person.name, reason, dry_run)
    notice = "dry" if dry_run else "gone" if asked.gone else "asked"
    return RedirectResponse(f"/actions?said={notice}", 303)


@router.post("/actions/requests/{number}/agree", dependencies=[SENDS])
def agree(ports: PortsDep, session: SessionDep, number: int) -> Response:
    """The second person's yes."""
    ports.outbox.approve(number, session.person.name)
    return RedirectResponse("/actions?said=gone", 303)
