"""Nights: what was decided, what waits, what was released and paid; and the kill switch of a workflow."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from pipeline_project.desk.access import needs
from pipeline_project.desk.backend import Doors
from pipeline_project.desk.dependencies import DoorsDep, SessionDep, desk_of
from pipeline_project.desk.show import page
from pipeline_project.domain.core.people import PersonRole
from pipeline_project.domain.delivery.outbox_rows import KillSwitch
from pipeline_project.domain.review.tasks import QueueFilter

router = APIRouter()

LOOKS = needs()
STOPS = needs(PersonRole.APPROVER, PersonRole.ADMIN)
#: Nights listed of each workflow.
LISTED = 60


@router.get("/nights", dependencies=[LOOKS])
def nights(request: Request, doors: DoorsDep, workflow: str = "") -> Response:
    """The latest nights of a workflow by option."""
    chosen = workflow if workflow in doors.desks else next(iter(sorted(doors.desks)), "")
    by_night = _by_night(doors, chosen) if chosen else {}
    return page(
        request,
        "nights.html",
        workflow=chosen,
        desks=doors.desks,
        nights=dict(sorted(by_night.items(), reverse=True)[:LISTED]),
        options=_titles(doors, chosen),
        switch=doors.outbox.switch(chosen) if chosen else KillSwitch(),
    )


@router.get("/nights/{workflow}/{night}", dependencies=[LOOKS])
def night(request: Request, doors: DoorsDep, workflow: str, night: str) -> Response:
    """One night: decisions, tasks, actions, release, spending."""
    desk = desk_of(doors, workflow)
    decided = _by_night(doors, workflow).get(night)
    if decided is None:
        raise HTTPException(404)
    return page(
        request,
        "night.html",
        workflow=workflow,
        night=night,
        decided=decided,
        options=_titles(doors, workflow),
        desk=desk,
        spent=doors.outbox.night(workflow, night),
        actions=doors.outbox.counts(workflow, night),
        queue=doors.tasks.queue(QueueFilter(workflow=workflow, night=night), 20),
        clusters=doors.clusters.reviews(workflow, night),
        switch=doors.outbox.switch(workflow),
        report=f"{doors.reports_url}/{workflow}/{night}.html" if doors.reports_url else None,
    )


@router.post("/nights/{workflow}/switch", dependencies=[STOPS])
def switch(
    doors: DoorsDep,
    session: SessionDep,
    workflow: str,
    reason: Annotated[str, Form(min_length=1, max_length=300)],
    stop: Annotated[bool, Form()],
) -> Response:
    """Throws or lifts the kill switch."""
    desk_of(doors, workflow)
    turn = doors.outbox.stop if stop else doors.outbox.resume
    turn(workflow, reason, session.person.name)
    return RedirectResponse(f"/nights?workflow={workflow}", 303)


def _by_night(doors: Doors, workflow: str) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for row in doors.nights.counts(workflow).itertuples(index=False):
        counts.setdefault(str(row.night), {})[str(row.option)] = int(row.cases)
    return counts


def _titles(doors: Doors, workflow: str) -> dict[str, str]:
    return dict(doors.desks[workflow].review.options) if workflow in doors.desks else {}
