"""Model versions that want to decide, what the gates said of them, and a model approver's word."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from pipeline_project.desk.access import needs
from pipeline_project.desk.backend import DeskPorts
from pipeline_project.desk.dependencies import DoneQuery, PortsDep, SessionDep
from pipeline_project.desk.show import page
from pipeline_project.domain.core.people import PersonRole
from pipeline_project.domain.lifecycle.signing import StandingProposal

router = APIRouter()

LOOKS = needs(PersonRole.MODEL_APPROVER, PersonRole.AUDITOR, PersonRole.ADMIN)
SIGNS = needs(PersonRole.MODEL_APPROVER)
Hash = Annotated[str, Form(alias="hash", min_length=64, max_length=64)]
Note = Annotated[str, Form(max_length=2000)]

#: Answered and refused proposals shown per workflow.
EARLIER = 10


@router.get("/models", dependencies=[LOOKS])
def models(request: Request, ports: PortsDep, done: DoneQuery = "") -> Response:
    """What waits, who decides now, and what was answered."""
    awaiting = ports.models.awaiting()
    waits = {proposal.id for proposal in awaiting}
    champions = {name: ports.models.champions(name)[:5] for name in sorted(ports.desks)}
    earlier = {
        name: [proposal for proposal in ports.models.proposals(name, EARLIER) if proposal.id not in waits]
        for name in sorted(ports.desks)
    }
    notices = {"signed": "Signed: it is rolled out from the next night on.", "refused": "Refused, with your reason."}
    return page(request, "models.html", awaiting=awaiting, champions=champions, earlier=earlier, said=notices.get(done))


@router.get("/models/{proposal}", dependencies=[LOOKS])
def show(request: Request, ports: PortsDep, session: SessionDep, proposal: int) -> Response:
    """One proposal: gates, money, slices, flips, the model card."""
    made = _proposal_of(ports, proposal)
    person = session.person
    waits = any(open_proposal.id == proposal for open_proposal in ports.models.awaiting())
    return page(
        request,
        "model.html",
        proposal=made,
        replay=made.replay,
        currency=ports.desks[made.workflow].review.currency,
        waits=waits,
        own=made.trained_by.lower() == person.name.lower(),
        may_sign=PersonRole.MODEL_APPROVER in person.roles,
    )


@router.post("/models/{proposal}/sign", dependencies=[SIGNS])
def sign(ports: PortsDep, session: SessionDep, proposal: int, proposal_hash: Hash, note: Note = "") -> Response:
    """Agrees to exactly what this page showed."""
    terms = ports.desks[_proposal_of(ports, proposal).workflow].rollout
    ports.models.sign(proposal, proposal_hash, session.person.name, terms, note.strip() or None)
    return RedirectResponse("/models?said=signed", 303)


@router.post("/models/{proposal}/refuse", dependencies=[SIGNS])
def refuse(ports: PortsDep, session: SessionDep, proposal: int, proposal_hash: Hash, note: Note = "") -> Response:
    """Says no, and why."""
    _proposal_of(ports, proposal)
    ports.models.refuse(proposal, proposal_hash, session.person.name, note)
    return RedirectResponse("/models?said=refused", 303)


def _proposal_of(ports: DeskPorts, proposal: int) -> StandingProposal:
    made = ports.models.proposal(proposal)
    if made is None or made.workflow not in ports.desks:
        raise HTTPException(404)
    return made
