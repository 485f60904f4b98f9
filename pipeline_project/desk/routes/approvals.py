"""The second person's page: what was proposed, by whom, and yes or no to exactly that."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from pipeline_project.desk.access import needs
from pipeline_project.desk.backend import DeskPorts
from pipeline_project.desk.dependencies import DoneQuery, PortsDep, SessionDep
from pipeline_project.desk.routes.case import case_context
from pipeline_project.desk.show import page
from pipeline_project.domain.core.people import PersonRole

router = APIRouter()

APPROVES = needs(PersonRole.APPROVER)
Hash = Annotated[str, Form(alias="hash", min_length=64, max_length=64)]
Note = Annotated[str, Form(max_length=2000)]


@router.get("/approvals", dependencies=[APPROVES])
def waiting(request: Request, ports: PortsDep, done: DoneQuery = "") -> Response:
    """What waits for a second person, the oldest first."""
    notice = {"approved": "Approved: the decision stands.", "back": "Sent back to the queue."}.get(done)
    return page(request, "approvals.html", proposals=ports.answers.waiting(), desks=ports.desks, said=notice)


@router.get("/approvals/{proposal}", dependencies=[APPROVES])
def show(request: Request, ports: PortsDep, session: SessionDep, proposal: int) -> Response:
    """One proposal with its case."""
    made = ports.answers.proposal(proposal)
    task = None if made is None else ports.tasks.task(made.task)
    if made is None or task is None or made.workflow not in ports.desks:
        raise HTTPException(404)
    own = made.proposer == session.person.name
    return page(request, "approval.html", **case_context(ports, task), proposal=made, own=own, revealed={}, claim=None)


@router.post("/approvals/{proposal}/approve", dependencies=[APPROVES])
def approve(ports: PortsDep, session: SessionDep, proposal: int, proposal_hash: Hash, note: Note = "") -> Response:
    """Agrees to what this page showed."""
    made = ports.answers.proposal(proposal)
    if made is None or made.workflow not in ports.desks:
        raise HTTPException(404)
    desk = ports.desks[made.workflow]
    sealed_note = _sealed(ports, made.workflow, made.subject, note)
    rules = desk.rules(ports.people.reviewers())
    ports.answers.approve(proposal, proposal_hash, session.person.name, rules, sealed_note)
    return RedirectResponse("/approvals?said=approved", 303)


@router.post("/approvals/{proposal}/send-back", dependencies=[APPROVES])
def send_back(ports: PortsDep, session: SessionDep, proposal: int, proposal_hash: Hash, note: Note = "") -> Response:
    """Refuses it; somebody decides anew."""
    made = ports.answers.proposal(proposal)
    if made is None:
        raise HTTPException(404)
    sealed_note = _sealed(ports, made.workflow, made.subject, note)
    ports.answers.send_back(proposal, proposal_hash, session.person.name, sealed_note)
    return RedirectResponse("/approvals?said=back", 303)


def _sealed(ports: DeskPorts, workflow: str, subject: str | None, note: str) -> str | None:
    return ports.keyring.seal([subject], f"note/{workflow}", [note.strip()])[0] if note.strip() else None
