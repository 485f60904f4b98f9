"""The audit chain, searched; and one case's whole story."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from pipeline_project.desk.access import needs
from pipeline_project.desk.dependencies import PortsDep
from pipeline_project.desk.show import page
from pipeline_project.domain.core.people import PersonRole

router = APIRouter()

PAGE = 50


class AuditQuery(BaseModel, frozen=True):
    """Which entries are listed; days as `2025-03-01`, `before` as `batch:position`."""

    case: str = ""
    person: str = ""
    kind: str = ""
    workflow: str = ""
    since: str = ""
    until: str = ""
    before: str = ""


@router.get("/audit", dependencies=[needs(PersonRole.AUDITOR, PersonRole.ADMIN)])
def audit(request: Request, ports: PortsDep, query: Annotated[AuditQuery, Query()]) -> Response:
    """Entries of the chain, newest first."""
    first, last = _day(query.since), _day(query.until)
    sought = ports.sought(
        case_id=query.case or None,
        person=query.person or None,
        kind=query.kind or None,
        workflow=query.workflow or None,
        since=first,
        until=last + timedelta(days=1) if last else None,
    )
    trail_page = ports.trail.search(sought, PAGE, _before(query.before))
    chosen = query.model_dump(exclude={"before"})
    return page(request, "audit.html", found=trail_page, chosen=chosen, desks=ports.desks)


@router.get("/why/{workflow}/{case:path}", dependencies=[needs()])
def why(request: Request, ports: PortsDep, workflow: str, case: str) -> Response:
    """From arrival to delivery."""
    story = ports.stories.story(workflow, case) if workflow in ports.desks else None
    if story is None:
        raise HTTPException(404)
    return page(
        request, "why.html", workflow=workflow, case=case, story=story, desk=ports.desks[workflow],
        options=dict(ports.desks[workflow].review.options),
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
