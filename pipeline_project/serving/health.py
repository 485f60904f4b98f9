"""Whether a process is alive, for whoever has to know without a session: an orchestrator's probe, a load balancer.

What is told is `ok` or not, and nothing else; so it is told under any name and to anybody who reaches the port.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline_project.domain.core.errors import SettingInvalid

#: Where every server of the house says that it can do its work.
HEALTH = "/healthz"
#: What an application's own page of health may answer at most for it to count as well.
_WELL = 399
_OK, _NOT = (200, "ok"), (503, "not well")


class Healthy:
    """Answers `/healthz` before every guard, by asking the application behind them one page of its own.

    Args:
        guarded: everything else goes here.
        bare: the same application without its guards.
        page: what it is asked.
    """

    def __init__(self, guarded: ASGIApp, bare: ASGIApp, page: str) -> None:
        self.guarded, self.bare, self.page = guarded, bare, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != HEALTH or scope["method"] not in ("GET", "HEAD"):
            await self.guarded(scope, receive, send)
            return
        status, text = _OK if await self._well(scope) else _NOT
        await PlainTextResponse(f"{text}\n", status)(scope, receive, send)

    async def _well(self, scope: Scope) -> bool:
        """Whether the application answers its page as it should."""
        statuses: list[int] = []

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def nothing() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        asked = {"path": self.page, "raw_path": self.page.encode(), "query_string": b"", "method": "GET"}
        # a name that every server here answers to, and none of the asker's own headers
        await self.bare({**scope, **asked, "headers": [(b"host", b"127.0.0.1")]}, nothing, noted)
        return bool(statuses) and statuses[0] <= _WELL


@contextmanager
def told_at(address: str, is_alive: Callable[[], bool]) -> Iterator[int]:
    """Says at HOST:PORT/healthz whether a process that serves nothing else is alive; yields the port.

    Args:
        is_alive: asked at each request, in a thread of its own.

    Raises:
        SettingInvalid: nothing can listen there.
    """
    host, _, port = address.rpartition(":")

    class HealthPage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = _OK if self.path == HEALTH and is_alive() else _NOT
            self.send_response(status)
            self.send_header("content-length", str(len(text) + 1))
            self.end_headers()
            self.wfile.write(f"{text}\n".encode())

        def log_message(self, format: str, *args: object) -> None:
            """A probe comes every few seconds, and says nothing that anybody would look up."""

    try:
        if not host:
            raise ValueError
        server = ThreadingHTTPServer((host, int(port)), HealthPage)
    except (OSError, ValueError, OverflowError):
        raise SettingInvalid(f"nothing can listen at {address!r}; give a free HOST:PORT, as 127.0.0.1:3008") from None
    serving = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    serving.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
