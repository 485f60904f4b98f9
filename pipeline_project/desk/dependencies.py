"""What a route asks for by the type of a parameter: what the desk stands on, how it is reached, who is signed in."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Query, Request

from pipeline_project.desk.backend import Desk, DeskPorts, Frame
from pipeline_project.domain.core.people import Session


class SignInFirst(Exception):
    """Nobody is signed in; the browser is sent to the sign-in page."""


# async, though nothing is awaited: FastAPI would carry each of them to another thread otherwise


async def _desk_ports(request: Request) -> DeskPorts:
    ports: DeskPorts = request.app.state.ports
    return ports


async def _frame(request: Request) -> Frame:
    frame: Frame = request.app.state.frame
    return frame


async def _session(request: Request) -> Session:
    session: Session | None = request.state.session
    if session is None:
        raise SignInFirst
    return session


#: What the desk stands on.
PortsDep = Annotated[DeskPorts, Depends(_desk_ports)]
#: How the desk is reached.
FrameDep = Annotated[Frame, Depends(_frame)]
#: The session of whoever asks; a route that declares who may open it (`access.needs`) always has one.
SessionDep = Annotated[Session, Depends(_session)]
#: What was done on the page before, by the word that its redirect carries.
DoneQuery = Annotated[str, Query(alias="said")]


def desk_of(ports: DeskPorts, workflow: str) -> Desk:
    """One workflow, as far as people meet it; nothing is at the address of any other."""
    if workflow not in ports.desks:
        raise HTTPException(404)
    return ports.desks[workflow]
