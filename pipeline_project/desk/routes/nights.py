"""Nights: what was decided, what waits, what was released and paid; and the kill switch of a workflow."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from pipeline_project.desk.access import needs
from pipeline_project.desk.backend import DeskPorts
from pipeline_project.desk.dependencies import PortsDep, SessionDep, desk_of
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
def nights(request: Request, ports: PortsDep, workflow: str = "") -> Response:
    """The latest nights of a workflow by option."""
    chosen = workflow if workflow in ports.desks else next(iter(sorted(ports.desks)), "")
    listed = ports.nights.decided_nights(chosen)[-LISTED:] if chosen else []
    by_night = _by_night(ports, chosen, listed[0], listed[-1]) if listed else {}
    return page(
        request,
        "nights.html",
        workflow=chosen,
        desks=ports.desks,
        nights=dict(sorted(by_night.items(), reverse=True)),
        options=_titles(ports, chosen),
        switch=ports.outbox.switch(chosen) if chosen else KillSwitch(),
    )


@router.get("/nights/{workflow}/{night}", dependencies=[LOOKS])
def night(request: Request, ports: PortsDep, workflow: str, night: str) -> Response:
    """One night: decisions, tasks, actions, release, spending."""
    desk = desk_of(ports, workflow)
    if night not in ports.nights.decided_nights(workflow):
        raise HTTPException(404)
    decided = _by_night(ports, workflow, night, night).get(night, {})
    return page(
        request,
        "night.html",
        workflow=workflow,
        night=night,
        decided=decided,
        options=_titles(ports, workflow),
        desk=desk,
        spent=ports.outbox.night(workflow, night),
        actions=ports.outbox.counts(workflow, night),
        queue=ports.tasks.queue(QueueFilter(workflow=workflow, night=night), 20),
        clusters=ports.clusters.reviews(workflow, night),
        switch=ports.outbox.switch(workflow),
        report=f"{ports.reports_url}/{workflow}/{night}.html" if ports.reports_url else None,
    )


@router.post("/nights/{workflow}/switch", dependencies=[STOPS])
def switch(
    ports: PortsDep,
    session: SessionDep,
    workflow: str,
    reason: Annotated[str, Form(min_length=1, max_length=300)],
    stop: Annotated[bool, Form()],
) -> Response:
    """Throws or lifts the kill switch."""
    desk_of(ports, workflow)
    turn = ports.outbox.stop if stop else ports.outbox.resume
    turn(workflow, reason, session.person.name)
    return RedirectResponse(f"/nights?workflow={workflow}", 303)


def _by_night(ports: DeskPorts, workflow: str, first: str, last: str) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for row in ports.nights.counts(workflow, first, last).itertuples(index=False):
        counts.setdefault(str(row.night), {})[str(row.option)] = int(row.cases)
    return counts


def _titles(ports: DeskPorts, workflow: str) -> dict[str, str]:
    return dict(ports.desks[workflow].review.options) if workflow in ports.desks else {}
