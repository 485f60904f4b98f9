"""Who may open which route. Deny by default: a route that declares nothing keeps the desk from starting."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.params import Depends as DependsParam
from fastapi.routing import APIRoute

from pipeline_project.desk.backend import Frame
from pipeline_project.desk.dependencies import FrameDep, SessionDep
from pipeline_project.domain.core.people import PersonRole, Session

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
EVERYONE = frozenset(PersonRole)
_DECLARED = "declared_roles"
#: Browsers drop these before they read an address.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def needs(*roles: PersonRole) -> Any:
    """A route's declaration: only people with one of these roles; without any, everybody who is signed in.

    A method that changes something needs the session's CSRF token too, and must come from the desk's own pages.
    """
    allowed = frozenset(roles) or EVERYONE

    async def check(request: Request, frame: FrameDep, session: SessionDep) -> None:
        # somebody without any role sees nothing, not even what everybody sees
        if not allowed & session.person.roles:
            raise HTTPException(403, "your roles do not open this page; ask an admin")
        if request.method not in SAFE_METHODS:
            await _refuse_foreign(request, frame, session)

    setattr(check, _DECLARED, allowed)
    return Depends(check)


def public() -> Any:
    """A route's declaration: everybody, signed in or not. What it changes it must guard itself."""

    async def check() -> None:
        return None

    setattr(check, _DECLARED, frozenset())
    return Depends(check)


async def _refuse_foreign(request: Request, frame: Frame, session: Session) -> None:
    if not own_origin(request, frame):
        raise HTTPException(403, "this form was not sent from the desk's own pages")
    given = request.headers.get("x-csrf") or (await request.form()).get("csrf")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), session.csrf.encode()):
        raise HTTPException(403, "this form is from another session; open the page again")


def own_origin(request: Request, frame: Frame) -> bool:
    """Whether a request comes from the desk's own pages, as far as the browser says where it comes from."""
    origin = request.headers.get("origin")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    if origin is None:
        return True
    own = urlsplit(frame.url)
    here = urlsplit(origin)
    return (here.scheme, here.netloc) == (own.scheme, own.netloc) or here.netloc == request.headers.get("host")


def declarations(app: FastAPI) -> Iterator[tuple[APIRoute, frozenset[PersonRole]]]:
    """Every route with the roles that open it; an empty set is public.

    Raises:
        RuntimeError: a route declares nothing.
    """
    for route in app.routes:
        if not isinstance(route, APIRoute):
            raise RuntimeError(f"{route!r} is no route that can declare who may open it")
        declared = [roles for dependency in route.dependencies if (roles := _declared(dependency)) is not None]
        if len(declared) != 1:
            raise RuntimeError(f"{route.path} must declare once who may open it, with needs(...) or public()")
        yield route, declared[0]


def _declared(dependency: DependsParam) -> frozenset[PersonRole] | None:
    return getattr(dependency.dependency, _DECLARED, None)


def own_path(path: str | None, url: str = "") -> str:
    """Where to go on to: a path of the desk, or a page under the desk's own name on another port (`url` is the desk's).

    Anything else becomes the queue, so that no link leads out of here.
    """
    if not path or _CONTROL.search(path):
        return "/"
    if path.startswith("/"):
        return "/" if path.startswith(("//", "/\\")) else path
    try:
        parts, desk = urlsplit(path), urlsplit(url)
    except ValueError:
        return "/"
    # the whole of it: a name before an @ would be somebody's user name elsewhere
    at_desk = re.fullmatch(re.escape(_bare(desk.netloc)) + r"(:\d{1,5})?", parts.netloc) if desk.netloc else None
    return path if at_desk and parts.scheme == desk.scheme else "/"


def _bare(netloc: str) -> str:
    return re.sub(r":\d+\Z", "", netloc)
