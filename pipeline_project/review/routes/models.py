"""Model versions that want to decide, and wait for a model approver."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pipeline_project.domain.people import PersonRole
from pipeline_project.review.access import needs
from pipeline_project.review.doors import Doors
from pipeline_project.review.show import page

router = APIRouter()


@router.get("/models", dependencies=[needs(PersonRole.MODEL_APPROVER, PersonRole.AUDITOR, PersonRole.ADMIN)])
def models(request: Request) -> Response:
    """What waits, and who decides now."""
    doors: Doors = request.app.state.doors
    champions = {name: doors.models.champions(name)[:5] for name in sorted(doors.desks)}
    return page(request, "models.html", awaiting=doors.models.awaiting(), champions=champions)
