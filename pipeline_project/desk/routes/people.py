"""People and roles, for admins; and everybody's own account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from pipeline_project.desk import known
from pipeline_project.desk.access import needs
from pipeline_project.desk.dependencies import DoneQuery, FrameDep, PortsDep, SessionDep
from pipeline_project.desk.show import page
from pipeline_project.domain.core.errors import PersonRefused
from pipeline_project.domain.core.people import NewAccount, PersonRole

router = APIRouter()

RULES = needs(PersonRole.ADMIN)
Role = Annotated[PersonRole, Form()]
Password = Annotated[str, Form(max_length=1000)]


class NewPersonForm(BaseModel, frozen=True):
    """An account with its first role."""

    name: str = Field(max_length=48)
    role: PersonRole
    shown: str = Field(default="", max_length=100)
    email: str = Field(default="", max_length=200)
    password: str = Field(default="", max_length=1000)


@router.get("/people", dependencies=[RULES])
def everyone(request: Request, ports: PortsDep, frame: FrameDep) -> Response:
    """Every account with its roles, and how far people agree on cases shown twice."""
    agreement = {name: pairs for name in ports.desks if (pairs := ports.repeats.agreement(name))}
    provider = frame.provider
    return page(
        request, "people.html", accounts=ports.people.everyone(), all_roles=list(PersonRole), agreement=agreement,
        provider=provider,
    )  # fmt: skip


@router.post("/people", dependencies=[RULES])
def add(ports: PortsDep, frame: FrameDep, session: SessionDep, form: Annotated[NewPersonForm, Form()]) -> Response:
    """Adds somebody with one role; more are granted in the list."""
    if not form.password and not (frame.provider and form.email):
        raise PersonRefused("give a first password, or an e-mail address where people sign in at a provider")
    name, shown = form.name.strip().lower(), form.shown or form.name
    account = NewAccount(name, shown, [form.role], form.password or None, form.email or None)
    ports.people.add(account, session.person.name)
    return RedirectResponse("/people", 303)


@router.post("/people/{name}/grant", dependencies=[RULES])
def grant(ports: PortsDep, session: SessionDep, name: str, role: Role) -> Response:
    """Gives a role."""
    ports.people.grant(name, role, session.person.name)
    return RedirectResponse("/people", 303)


@router.post("/people/{name}/revoke", dependencies=[RULES])
def revoke(ports: PortsDep, session: SessionDep, name: str, role: Role) -> Response:
    """Takes a role away."""
    ports.people.revoke(name, role, session.person.name)
    return RedirectResponse("/people", 303)


@router.post("/people/{name}/end-sessions", dependencies=[RULES])
def end_sessions(ports: PortsDep, name: str) -> Response:
    """Signs somebody out everywhere."""
    ports.sessions.end_all(name)
    return RedirectResponse("/people", 303)


@router.post("/people/{name}/close", dependencies=[RULES])
def close(ports: PortsDep, session: SessionDep, name: str) -> Response:
    """Closes an account; its history stays."""
    own = session.person.name
    if name == own:
        raise PersonRefused("nobody closes the own account; ask another admin")
    ports.people.close(name, own)
    return RedirectResponse("/people", 303)


@router.get("/me", dependencies=[needs()])
def me(request: Request, frame: FrameDep, session: SessionDep, done: DoneQuery = "") -> Response:
    """The own account."""
    notice = {"password": "Your password is changed; sign in again elsewhere."}.get(done)
    link = known.link(frame, session.person.name)
    return page(request, "me.html", said=notice, provider=frame.provider, link=link)


@router.post("/me/password", dependencies=[needs()])
def password(ports: PortsDep, frame: FrameDep, session: SessionDep, old: Password, new: Password) -> Response:
    """Changes the own password; every other session ends."""
    person = session.person
    ports.people.verify(person.name, old, "own session")
    ports.people.set_password(person.name, new, person.name)
    session = ports.sessions.begin(person.name)
    answer = RedirectResponse("/me?said=password", 303)
    answer.set_cookie(frame.cookie, session.token, httponly=True, secure=frame.secure, samesite="lax", path="/")
    return answer


@router.post("/me/end-sessions", dependencies=[needs()])
def end_own(ports: PortsDep, session: SessionDep) -> Response:
    """Signs out everywhere."""
    ports.sessions.end_all(session.person.name)
    return RedirectResponse("/sign-in", 303)
