"""What a route asks for by the type of a parameter: what the desk stands on, how it is reached, who is signed in."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, HTTPException, Request

from pipeline_project.desk.backend import Desk, Doors, Frame
from pipeline_project.domain.core.people import Session


class SignInFirst(Exception):
    """Nobody is signed in; the browser is sent to the sign-in page."""


# async, though nothing is awaited: FastAPI would carry each of them to another thread otherwise


async def _doors(request: Request) -> Doors:
    doors: Doors = request.app.state.doors
    return doors


async def _frame(request: Request) -> Frame:
    frame: Frame = request.app.state.frame
    return frame


async def _session(request: Request) -> Session:
    session: Session | None = request.state.session
    if session is None:
        raise SignInFirst
    return session


#: What the desk stands on.
DoorsDep = Annotated[Doors, Depends(_doors)]
#: How the desk is reached.
FrameDep = Annotated[Frame, Depends(_frame)]
#: The session of whoever asks; a route that declares who may open it (`access.needs`) always has one.
SessionDep = Annotated[Session, Depends(_session)]


def desk_of(doors: Doors, workflow: str) -> Desk:
    """One workflow, as far as people meet it; nothing is at the address of any other."""
    if workflow not in doors.desks:
        raise HTTPException(404)
    return doors.desks[workflow]
