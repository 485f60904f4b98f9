"""The desk's sign-in before pages that have none of their own: Dagster, MLflow, the reports.

A browser sends the desk's cookie to every port of the desk's host; here it is looked up in the desk's own store at each
request, so that a session, a role or an account that is taken away is gone at once, here as there.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline_project.domain.core.errors import PipelineError, SettingInvalid
from pipeline_project.domain.core.people import PersonRole, Session
from pipeline_project.settings import Settings

if TYPE_CHECKING:
    from pipeline_project.desk.backend import Frame

#: Who opens what. In Dagster and MLflow one can launch, wipe and delete.
ROLES: Mapping[str, frozenset[PersonRole]] = {
    "dagster": frozenset({PersonRole.ADMIN}),
    "mlflow": frozenset({PersonRole.ADMIN, PersonRole.MODEL_APPROVER}),
    "reports": frozenset(PersonRole),
}
#: The token with which `up` asks its own services whether they are ready; made at each start, told to nobody else.
PROBE, PROBE_HEADER = "PIPELINE_PROBE_TOKEN", "x-pipeline-probe"
#: What is said over an open websocket is looked at again so often.
AGAIN_SECONDS = 30
_HERE = ("127.0.0.1", "localhost", "::1")
_READS = ("GET", "HEAD")


class FindsSessions(Protocol):
    """The desk's store of sessions, as far as it is asked here."""

    def find(self, token: str) -> Session | None: ...


def is_loopback(host: str) -> bool:
    """Whether a server bound to this name or address is reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def sign_in_wanted(chosen: Settings, host: str) -> bool:
    """Whether pages bound to a host ask for the sign-in: as was set, else wherever others can reach them.

    Raises:
        SettingInvalid: others could reach them and it was set not to ask.
    """
    if not is_loopback(host) and chosen.require_sign_in is False:
        raise SettingInvalid(
            f"bound to {host} these pages are reached from other machines, and PIPELINE_REQUIRE_SIGN_IN=0 lets anybody "
            "in who does; set it to 1 or leave it unset, or bind them to 127.0.0.1"
        )
    if chosen.require_sign_in is None:
        # a name beside this machine's own is there for people who come through a proxy
        return not is_loopback(host) or bool(chosen.hosts)
    return chosen.require_sign_in


@dataclass(frozen=True)
class SignedIn:
    """Answers people who are signed in at the desk with a fitting role; sends pages there to sign in.

    Attributes:
        frame: how the desk is reached, and what its cookie is called.
        probe: the token of whoever started this server, or nothing.
    """

    app: ASGIApp
    sessions: FindsSessions
    roles: Collection[PersonRole]
    frame: Frame
    probe: str = field(default="", repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = await self._refusal(scope)
        if refused is not None:
            await _refuse(refused, scope, receive, send)
        elif scope["type"] == "websocket":
            await self.app(scope, receive, self._while_it_holds(scope, send))
        else:
            await self.app(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        """What somebody is told who may not come in; None for who may."""
        request = HTTPConnection(scope)
        given = request.headers.get(PROBE_HEADER, "")
        if self.probe and hmac.compare_digest(given.encode(), self.probe.encode()):
            return None
        token = request.cookies.get(self.frame.cookie)
        try:
            session = await run_in_threadpool(self.sessions.find, token) if token else None
        except PipelineError:
            return PlainTextResponse("the desk's sessions cannot be read now; try again later\n", 503)
        if session is None:
            return self._sign_in_first(scope, request)
        if not session.person.roles & frozenset(self.roles):
            named = ", ".join(sorted(role.value for role in self.roles))
            return PlainTextResponse(f"your roles do not open these pages (they need {named}); ask an admin\n", 403)
        return None

    def _sign_in_first(self, scope: Scope, request: HTTPConnection) -> Response:
        desk = urlsplit(self.frame.url)
        host = urlsplit(f"//{request.headers.get('host', '')}")
        same = {host.hostname, desk.hostname}
        if len(same) > 1 and not same <= set(_HERE):
            return PlainTextResponse(
                f"these pages ask for the desk's sign-in, which holds under its own name alone: open them under "
                f"{desk.hostname}, on this port\n",
                401,
            )
        accepts = request.headers.get("accept", "")
        if scope["type"] == "websocket" or scope["method"] not in _READS or "text/html" not in accepts:
            return PlainTextResponse(f"sign in at {self.frame.url}, then try again\n", 401)
        # back to this very page, under the name for which the desk's cookie holds
        name = f"[{desk.hostname}]" if ":" in (desk.hostname or "") else desk.hostname
        port = f":{host.port}" if host.port else ""
        asked = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
        here = f"{desk.scheme}://{name}{port}{quote(scope['path'])}{asked}"
        return RedirectResponse(f"{self.frame.url}/sign-in?next={quote(here, safe='')}", 303)

    def _while_it_holds(self, scope: Scope, send: Send) -> Send:
        """Sends on as long as the session holds, and closes the websocket when it has ended."""
        looked = time.monotonic()
        over = False

        async def sent(message: Message) -> None:
            nonlocal looked, over
            if over:
                return
            if message["type"] == "websocket.send" and time.monotonic() - looked >= AGAIN_SECONDS:
                looked = time.monotonic()
                if await self._refusal(scope) is not None:
                    over = True
                    await send({"type": "websocket.close", "code": 1008, "reason": "the session has ended"})
                    return
            await send(message)

        return sent


async def _refuse(refused: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await refused(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        head = {"type": "websocket.http.response.start", "status": refused.status_code, "headers": refused.raw_headers}
        await send(head)
        await send({"type": "websocket.http.response.body", "body": refused.body})
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": "sign in first"})


def before(app: ASGIApp, what: str, chosen: Settings, environ: Mapping[str, str] = os.environ) -> ASGIApp:
    """An application behind the sign-in of the desk of these settings."""
    from pipeline_project.container.desk import open_sessions
    from pipeline_project.desk.backend import Frame

    return SignedIn(
        app,
        open_sessions(chosen),
        ROLES[what],
        Frame(chosen.desk_url, "", tenant=chosen.tenant),
        environ.get(PROBE, ""),
    )
