"""The audit chain, searched; and one case's whole story."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from pipeline_project.desk.access import needs
from pipeline_project.desk.dependencies import DoorsDep
from pipeline_project.desk.show import page
from pipeline_project.domain.core.people import PersonRole

router = APIRouter()

PAGE = 50


@router.get("/audit", dependencies=[needs(PersonRole.AUDITOR, PersonRole.ADMIN)])
def audit(
    request: Request,
    doors: DoorsDep,
    case: str = "",
    person: str = "",
    kind: str = "",
    workflow: str = "",
    since: str = "",
    until: str = "",
    before: str = "",
) -> Response:
    """Entries of the chain, newest first."""
    first, last = _day(since), _day(until)
    sought = doors.sought(
        case_id=case or None,
        person=person or None,
        kind=kind or None,
        workflow=workflow or None,
        since=first,
        until=last + timedelta(days=1) if last else None,
    )
    entries = doors.trail.search(sought, PAGE, _before(before))
    chosen = {"case": case, "person": person, "kind": kind, "workflow": workflow, "since": since, "until": until}
    return page(request, "audit.html", found=entries, chosen=chosen, desks=doors.desks)


@router.get("/why/{workflow}/{case:path}", dependencies=[needs()])
def why(request: Request, doors: DoorsDep, workflow: str, case: str) -> Response:
    """From arrival to delivery."""
    story = doors.stories.story(workflow, case) if workflow in doors.desks else None
    if story is None:
        raise HTTPException(404)
    return page(
        request, "why.html", workflow=workflow, case=case, story=story, desk=doors.desks[workflow],
        options=dict(doors.desks[workflow].review.options),
    )  # fmt: skip


def _day(text: str) -> datetime | None:
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        return None
    # the day after the last one that Python knows cannot be told
    return datetime.combine(day, time(), UTC) if day and day < date.max else None


def _before(text: str) -> tuple[int, int] | None:
    batch, _, position = text.partition(":")
    numbers = [int(part) for part in (batch, position) if part.isascii() and part.isdecimal() and len(part) < 19]
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None
