"""People and roles, for admins; and everybody's own account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from pipeline_project.desk import known
from pipeline_project.desk.access import needs, session_of
from pipeline_project.desk.backend import Doors, Frame
from pipeline_project.desk.show import page
from pipeline_project.domain.core.errors import PersonRefused
from pipeline_project.domain.core.people import PersonRole

router = APIRouter()

RULES = needs(PersonRole.ADMIN)
Role = Annotated[PersonRole, Form()]
Password = Annotated[str, Form(max_length=1000)]


@router.get("/people", dependencies=[RULES])
def everyone(request: Request) -> Response:
    """Every account with its roles, and how far people agree on cases shown twice."""
    doors: Doors = request.app.state.doors
    agreement = {name: found for name in doors.desks if (found := doors.repeats.agreement(name))}
    provider = request.app.state.frame.provider
    return page(
        request, "people.html", accounts=doors.people.everyone(), all_roles=list(PersonRole), agreement=agreement,
        provider=provider,
    )  # fmt: skip


@router.post("/people", dependencies=[RULES])
def add(
    request: Request,
    name: Annotated[str, Form(max_length=48)],
    role: Role,
    shown: Annotated[str, Form(max_length=100)] = "",
    email: Annotated[str, Form(max_length=200)] = "",
    password: Password = "",
) -> Response:
    """Adds somebody with one role; more are granted in the list."""
    doors: Doors = request.app.state.doors
    frame: Frame = request.app.state.frame
    if not password and not (frame.provider and email):
        raise PersonRefused("give a first password, or an e-mail address where people sign in at a provider")
    by = session_of(request).person.name
    doors.people.add(name.strip().lower(), shown or name, [role], by, password or None, email or None)
    return RedirectResponse("/people", 303)


@router.post("/people/{name}/grant", dependencies=[RULES])
def grant(request: Request, name: str, role: Role) -> Response:
    """Gives a role."""
    request.app.state.doors.people.grant(name, role, session_of(request).person.name)
    return RedirectResponse("/people", 303)


@router.post("/people/{name}/revoke", dependencies=[RULES])
def revoke(request: Request, name: str, role: Role) -> Response:
    """Takes a role away."""
    request.app.state.doors.people.revoke(name, role, session_of(request).person.name)
    return RedirectResponse("/people", 303)


@router.post("/people/{name}/end-sessions", dependencies=[RULES])
def end_sessions(request: Request, name: str) -> Response:
    """Signs somebody out everywhere."""
    request.app.state.doors.sessions.end_all(name)
    return RedirectResponse("/people", 303)


@router.post("/people/{name}/close", dependencies=[RULES])
def close(request: Request, name: str) -> Response:
    """Closes an account; its history stays."""
    own = session_of(request).person.name
    if name == own:
        raise PersonRefused("nobody closes the own account; ask another admin")
    request.app.state.doors.people.close(name, own)
    return RedirectResponse("/people", 303)


@router.get("/me", dependencies=[needs()])
def me(request: Request, said: str = "") -> Response:
    """The own account."""
    words = {"password": "Your password is changed; sign in again elsewhere."}.get(said)
    frame: Frame = request.app.state.frame
    link = known.link(frame, session_of(request).person.name)
    return page(request, "me.html", said=words, provider=frame.provider, link=link)


@router.post("/me/password", dependencies=[needs()])
def password(request: Request, old: Password, new: Password) -> Response:
    """Changes the own password; every other session ends."""
    doors: Doors = request.app.state.doors
    frame: Frame = request.app.state.frame
    person = session_of(request).person
    doors.people.verify(person.name, old, "own session")
    doors.people.set_password(person.name, new, person.name)
    session = doors.sessions.begin(person.name)
    answer = RedirectResponse("/me?said=password", 303)
    answer.set_cookie(frame.cookie, session.token, httponly=True, secure=frame.secure, samesite="lax", path="/")
    return answer


@router.post("/me/end-sessions", dependencies=[needs()])
def end_own(request: Request) -> Response:
    """Signs out everywhere."""
    request.app.state.doors.sessions.end_all(session_of(request).person.name)
    return RedirectResponse("/sign-in", 303)
