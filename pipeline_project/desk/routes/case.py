"""One task: everything a person needs to decide it, and the answer."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from pipeline_project.desk.access import needs
from pipeline_project.desk.backend import DeskPorts
from pipeline_project.desk.dependencies import DoneQuery, PortsDep, SessionDep, desk_of
from pipeline_project.desk.routes.queue import place_of
from pipeline_project.desk.show import left, page
from pipeline_project.domain.core.errors import PhotoUnreadable
from pipeline_project.domain.core.people import PersonRole, Session
from pipeline_project.domain.intake.photo_opener import as_jpeg
from pipeline_project.domain.review.answers import LONGEST_NOTE, Answer
from pipeline_project.domain.review.content import PHOTOS, in_order
from pipeline_project.domain.review.tasks import OPEN, Task, TaskClaim

router = APIRouter()

ANSWERS = needs(PersonRole.REVIEWER, PersonRole.APPROVER)
#: The longest side of a photo as it is shown; what the file carried besides (places, names) stays at the source.
LARGEST = 1600
_NOTICES = {
    "decided": "Decided. Here is the next one.",
    "proposed": "A second person will look at it. Here is the next one.",
}

Token = Annotated[UUID, Form(alias="claim")]
Version = Annotated[int, Form()]


class AnswerForm(BaseModel, frozen=True):
    """What a person answers, with the claim that it is answered under."""

    version: int
    token: UUID = Field(alias="claim")
    label: str = Field(max_length=48)
    option: str = Field(max_length=48)
    reason: str = Field(max_length=48)
    note: str = Field(default="", max_length=LONGEST_NOTE // 8)


@router.get(
    "/tasks/{task_id}",
    dependencies=[needs(PersonRole.REVIEWER, PersonRole.APPROVER, PersonRole.AUDITOR)],
)
def show(
    request: Request,
    ports: PortsDep,
    session: SessionDep,
    task_id: int,
    claim: UUID | None = None,
    done: DoneQuery = "",
) -> Response:
    """The case; with the claim of whoever holds it also the form."""
    return _page(request, ports, session, _task(ports, task_id), claim, notice=_NOTICES.get(done))


@router.post("/tasks/{task_id}/claim", dependencies=[ANSWERS])
def take(ports: PortsDep, session: SessionDep, task_id: int) -> Response:
    """Takes this very task."""
    return RedirectResponse(place_of(ports.tasks.claim(task_id, session.person)), 303)


@router.post("/tasks/{task_id}/renew", dependencies=[ANSWERS])
def renew(
    request: Request, ports: PortsDep, session: SessionDep, task_id: int, version: Version, token: Token
) -> Response:
    """Lets the lease begin anew."""
    until = ports.tasks.renew(TaskClaim(task_id, version, token, session.person.name))
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"left": left(until)})
    return RedirectResponse(f"/tasks/{task_id}?claim={token}", 303)


@router.post("/tasks/{task_id}/give-back", dependencies=[ANSWERS])
def give_back(ports: PortsDep, session: SessionDep, task_id: int, version: Version, token: Token) -> Response:
    """Puts the task back into the queue."""
    ports.tasks.give_back(TaskClaim(task_id, version, token, session.person.name))
    return RedirectResponse("/?said=back", 303)


@router.post("/tasks/{task_id}/reveal", dependencies=[ANSWERS])
def reveal(
    request: Request,
    ports: PortsDep,
    session: SessionDep,
    task_id: int,
    name: Annotated[str, Form(max_length=48)],
    claim: Annotated[str, Form(max_length=36)] = "",
) -> Response:
    """Opens one personal value and writes down who did."""
    token = _claim(claim)
    sealed = ports.tasks.reveal(task_id, session.person.name, name, token)
    value = ports.keyring.open([sealed])[0] if sealed else None
    displayed = value if value is not None else "forgotten" if sealed else "–"
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"value": displayed})
    return _page(request, ports, session, _task(ports, task_id), token, revealed={name: displayed})


@router.post("/tasks/{task_id}/answer", dependencies=[ANSWERS])
def answer(ports: PortsDep, session: SessionDep, task_id: int, form: Annotated[AnswerForm, Form()]) -> Response:
    """Takes the answer and goes on to the next task."""
    person = session.person
    task = _task(ports, task_id)
    desk = desk_of(ports, task.workflow)
    note = form.note.strip()
    sealed_note = ports.keyring.seal([task.subject], f"note/{task.workflow}", [note])[0] if note else None
    claim = TaskClaim(task_id, form.version, form.token, person.name)
    chosen = Answer(form.option, form.label, form.reason, sealed_note)
    done = ports.answers.answer(claim, chosen, desk.rules(ports.people.reviewers()))
    notice = "proposed" if done.proposal else "decided"
    following = ports.tasks.next_task(person, task.workflow)
    return RedirectResponse(f"/?said={notice}" if following is None else place_of(following, notice), 303)


@router.get(
    "/tasks/{task_id}/photos/{number}",
    dependencies=[ANSWERS],
)
def photo(ports: PortsDep, session: SessionDep, task_id: int, number: int, claim: str = "") -> Response:
    """One photo of the task's case, for whoever holds the task; like any personal value, who saw it is kept."""
    task = _task(ports, task_id)
    named = task.content.get("photos") or []
    source = ports.photos(task.workflow)
    if source is None or not 0 <= number < len(named):
        raise HTTPException(404)
    ports.tasks.reveal(task_id, session.person.name, PHOTOS, _claim(claim))
    try:
        shown = as_jpeg(source.read(named[number]), LARGEST)
    except PhotoUnreadable as error:
        raise HTTPException(404) from error
    return Response(shown, media_type="image/jpeg")


def _claim(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise HTTPException(422, "this claim cannot be read; open the task again") from None


def case_context(ports: DeskPorts, task: Task) -> dict[str, Any]:
    """What every page about one case shows."""
    desk = desk_of(ports, task.workflow)
    return {"task": task, "content": in_order(task.content), "terms": desk.review, "currency": desk.review.currency}


def _page(
    request: Request,
    ports: DeskPorts,
    session: Session,
    task: Task,
    claim: UUID | None,
    revealed: dict[str, str] | None = None,
    notice: str | None = None,
) -> Response:
    holds = task.claimed_by == session.person.name
    return page(
        request,
        "case.html",
        **case_context(ports, task),
        claim=claim,
        answering=holds and claim is not None,
        in_my_hand=holds,
        open=task.state in OPEN,
        left=left(task.lease_until),
        revealed=revealed or {},
        said=notice,
    )


def _task(ports: DeskPorts, task_id: int) -> Task:
    task = ports.tasks.task(task_id)
    if task is None or task.workflow not in ports.desks:
        raise HTTPException(404)
    return task
