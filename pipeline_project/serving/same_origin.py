"""What stands before pages that know no sign-in: only their own pages, and programs of this machine, are answered.

A web page that somebody has open elsewhere can send requests to 127.0.0.1, and by DNS rebinding under a name of its
own. Dagster's server carries out a mutation that comes so, by GET even. Browsers tell where a request comes from
(`Host`, `Origin`, `Sec-Fetch-Site`), and no page can change what they tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: How this machine calls itself. Other names, behind a proxy with TLS, are given in PIPELINE_HOSTS.
HERE = ("127.0.0.1", "localhost", "::1")
READS = ("GET", "HEAD")
_GRAPHQL = re.compile(r"/graphql/?\Z")


class SameOrigin:
    """Answers requests of the application's own pages and of programs; refuses those of any other page.

    Args:
        hosts: names, without ports, under which people open the pages.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = HERE) -> None:
        self.app, self.hosts = app, frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if refusal is None:
            await self.app(scope, receive, _framed(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            await PlainTextResponse(f"refused: {refusal}\n", 403)(scope, receive, send)

    def refusal(self, scope: Scope) -> str | None:
        """Why a request is refused, or None."""
        headers = Headers(scope=scope)
        host = headers.getlist("host")
        if len(host) != 1 or _name(host[0]) not in self.hosts:
            return "this address is not known here; name it in PIPELINE_HOSTS"
        if any(not _same(origin, host[0]) for origin in headers.getlist("origin")):
            return "another page has sent this"
        asked = "GET" if scope["type"] == "websocket" else scope["method"]
        graphql = bool(_GRAPHQL.search(scope["path"]))
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            # a link from another page may lead here; it can ask for a page and for nothing else
            followed = asked == "GET" and headers.get("sec-fetch-mode") == "navigate" and not graphql
            if not followed or headers.get("sec-fetch-dest") != "document":
                return "another page has sent this"
        if scope["type"] == "websocket":
            return None
        if graphql and asked in READS and scope["query_string"]:
            return "a query comes by POST"
        if asked in READS:
            return None
        if graphql and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return "a query is JSON"
        return None


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same(origin: str, host: str) -> bool:
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _framed(send: Send) -> Send:
    """Keeps the pages out of other pages' frames, where a click can be led to a button nobody sees."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name, value) for name, value in message["headers"] if name.lower() != b"x-frame-options"]
            message = {**message, "headers": [*headers, (b"x-frame-options", b"SAMEORIGIN")]}
        await send(message)

    return sent
